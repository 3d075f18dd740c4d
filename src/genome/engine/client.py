"""The client of an engine: it sends adapters by name and prompts as token ids, and receives texts and likelihoods.

It uses vLLM's part of OpenAI's protocol, sends all requests at once, and survives a crash of the server: after a lost
connection it looks for a live engine, an unknown adapter is loaded again, and the request is repeated.

Requests wait in the engine's queue without a time limit (genome.engine.waiting). The answers of a stage are kept as
they come, so that an interrupted stage asks only for the missing ones (genome.engine.kept).

Unloading keeps the server's list of adapters short; the server frees their memory by itself. A job that uses an adapter
holds a shared lock on its folder, and unloads the adapter if no other job holds one. Answers never depend on that: a
request for an unloaded name gets 404, and the client loads the adapter again.
"""

import fcntl
import itertools
import json
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from genome.engine.fingerprint import Fingerprint, difference
from genome.engine.kept import Kept
from genome.engine.logs import log_end
from genome.engine.usage import USAGE, used
from genome.engine.waiting import Watch
from genome.errors import GenomeError
from genome.progress import Progress

BASE = "base"
"""The name of the plain base model in requests of callers."""

COMPLETIONS, CONTINUATIONS, FUSED = "/v1/completions", "/v1/continuations", "/v1/fused"
"""Addresses of texts, of the log-probabilities of continuations, and of texts by several adapters together.

Only the built-in server has the second and the third.
"""

BATCH_SIZE, BATCH_TOKENS = 256, 32768
"""Prompts per request, and most tokens of a batch of the built-in server, with padding and answers, by default."""

BUILT_IN = "transformers"
"""The backend in the fingerprint of the built-in server."""

LOAD = "/v1/load_lora_adapter"
"""The address at which an adapter gets a name."""

ATTEMPTS = 5
"""How often a request may fail before giving up; a crash uses two (lost connection, then unknown adapter).

Lost connections do not count if other requests have been answered meanwhile: a request may wait longer than an engine
lives, as under SLURM's time limits.
"""

TOO_SLOW = 408
"""The status with which a server refuses a request that arrived too slowly: this process was stopped for a while."""

UNLOAD_SECONDS = 10
"""How long unloading an adapter may take; a job that needs the adapter again waits for it."""


@dataclass(frozen=True)
class Address:
    """Where an engine listens, its key, its log (None: not accessible), its machine and its fingerprint."""

    url: str
    key: str
    log: Path | None
    machine: str
    fingerprint: Fingerprint = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """Prompts (token ids) for one model (an adapter's name, or "base"), with answers of at most `max_tokens` each.

    An answer is cut before the text in `stop` that is complete first.
    """

    model: str
    prompts: Sequence[Sequence[int]]
    max_tokens: int
    stop: Sequence[str] = ()


@dataclass(frozen=True)
class ScoreRequest:
    """Prompts (token ids) for one model, each with its continuations (token ids) whose log-probabilities are wanted."""

    model: str
    prompts: Sequence[Sequence[int]]
    continuations: Sequence[Sequence[Sequence[int]]]


class Engine:
    """A connection to an engine, safe to share between threads.

    `find` returns the address of a live engine and may start one; it is called again after a crash. `usage` counts
    what answers have cost (`genome.engine.usage`). `timeout` is the number of seconds that an engine
    may make no progress while a request waits. `kept` is the file in which the answers of a stage are kept until it has
    finished; `progress` counts its prompts.
    """

    def __init__(
        self,
        find: Callable[[], Address],
        *,
        batch_size: int = BATCH_SIZE,
        timeout: float = 600,
        concurrency: int = 64,
        model_name: str = BASE,
        kept: Path | None = None,
    ):
        self._find = find
        self._batch_size = batch_size
        self._base = model_name
        self._watch = Watch(lambda: self._address, timeout)
        self._http = urllib3.PoolManager(
            maxsize=concurrency, timeout=urllib3.Timeout(connect=30, read=None), retries=False
        )
        self._http.pool_classes_by_scheme = self._watch.pools()
        self._threads = ThreadPoolExecutor(concurrency)
        self._lock = threading.Lock()
        self._adapters: dict[str, str] = {}
        self._answered = 0
        self.usage: Counter[str] = Counter(dict.fromkeys(USAGE, 0))
        self._address = find()
        self._kept = Kept(kept, self.fingerprint)
        self.progress = Progress("samples")

    @property
    def machine(self) -> str:
        """The machine of the current engine."""
        return self._address.machine

    @property
    def fingerprint(self) -> Fingerprint:
        """The engine's fingerprint (genome.engine.fingerprint); the same for all answers of this engine."""
        return self._address.fingerprint

    @property
    def earlier_seconds(self) -> float:
        """How long earlier attempts of an interrupted stage worked for the answers that they have kept."""
        return self._kept.seconds

    def load(self, name: str, path: Path | str) -> None:
        """Load the adapter folder at `path` under a name for requests; a name that is already loaded is left as it is.

        A name must never be used for two contents, because engines cache by name.
        """
        self._adapters[name] = str(Path(path).resolve())
        self._load(name)

    @contextmanager
    def serving(self, folders: Sequence[Path]) -> Iterator[None]:
        """Serve adapter folders by their names while the block runs; then unload those that no other job uses."""
        leases: dict[str, int] = {}
        try:
            for folder in folders:
                if folder.name not in leases:
                    leases[folder.name] = os.open(folder, os.O_RDONLY)
                    with suppress(OSError):  # a file system without locks
                        fcntl.flock(leases[folder.name], fcntl.LOCK_SH)
                    self.load(folder.name, folder)
            yield
        finally:
            for name, lease in leases.items():
                self._leave(name, lease)

    def complete(self, requests: Sequence[Request]) -> list[list[str]]:
        """Return the greedy answers to each request's prompts, in order; all requests are sent at once."""
        chunks = [(index, chunk) for index, request in enumerate(requests) for chunk in self._chunks(request.prompts)]
        bodies = [
            self._body(request.model, [request.prompts[i] for i in chunk], request.max_tokens)
            # vLLM cuts an answer before the first in this list of the stop texts that a token completes.
            | ({"stop": sorted(request.stop, key=len, reverse=True)} if request.stop else {})
            for index, chunk in chunks
            for request in [requests[index]]
        ]
        answers = [[""] * len(request.prompts) for request in requests]
        for (index, chunk), choices in zip(chunks, self._choices(bodies), strict=True):
            for position, choice in zip(chunk, choices, strict=True):
                answers[index][position] = choice["text"]
        return answers

    def fuse(
        self,
        models: Sequence[str],
        prompts: Sequence[Sequence[int]],
        max_tokens: int,
        tau: float | None,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """Return the greedy answers to prompts by the weighted sum of the logits of `models`.

        The weights are chosen for each prompt: by similarity at the temperature `tau`, or optimised (None); see
        `genome.engine.fusion`. Only the built-in server can do this.
        """
        chunks, answers = self._chunks(prompts), [""] * len(prompts)
        common = {"models": list(models), "max_tokens": max_tokens}
        common |= ({"stop": list(stop)} if stop else {}) | ({} if tau is None else {"tau": tau})
        bodies = [common | {"prompt": [list(prompts[i]) for i in chunk]} for chunk in chunks]
        for chunk, choices in zip(chunks, self._choices(bodies, FUSED), strict=True):
            for position, choice in zip(chunk, choices, strict=True):
                answers[position] = choice["text"]
        return answers

    def score(self, requests: Sequence[ScoreRequest]) -> list[list[list[list[float]]]]:
        """Return the log-probability (nats) of every token of every continuation: [request][prompt][continuation].

        All requests are sent at once. The built-in server reads a prompt once for all of its continuations. Any other
        server gets each prompt with each continuation; its answers contain the log-probabilities of all their tokens.
        """
        if self.fingerprint.get("backend") == BUILT_IN:
            return self._score_together(requests)
        return self._score_apart(requests)

    def _score_together(self, requests: Sequence[ScoreRequest]) -> list[list[list[list[float]]]]:
        chunks = [(index, chunk) for index, request in enumerate(requests) for chunk in self._chunks(request.prompts)]
        bodies = [
            {
                "model": self._model(requests[index].model),
                "prompt": [list(requests[index].prompts[i]) for i in chunk],
                "continuations": [[list(each) for each in requests[index].continuations[i]] for i in chunk],
            }
            for index, chunk in chunks
        ]
        scores: list[list[list[list[float]]]] = [[[]] * len(request.prompts) for request in requests]
        answers = self._together(CONTINUATIONS, bodies)
        self._count(answers)
        for (index, chunk), answer in zip(chunks, answers, strict=True):
            for position, choice in zip(chunk, _in_order(answer), strict=True):
                scores[index][position] = choice["logprobs"]
        return scores

    def _score_apart(self, requests: Sequence[ScoreRequest]) -> list[list[list[list[float]]]]:
        scores: list[list[list[list[float]]]] = [
            [[[]] * len(continuations) for continuations in request.continuations] for request in requests
        ]
        chunks, bodies = [], []
        for index, request in enumerate(requests):
            pairs = [(i, j) for i, continuations in enumerate(request.continuations) for j in range(len(continuations))]
            texts = [[*request.prompts[i], *request.continuations[i][j]] for i, j in pairs]
            for chunk in self._chunks(texts):
                chunks.append((index, [(*pairs[place], texts[place]) for place in chunk]))
                bodies.append(self._body(request.model, [texts[place] for place in chunk], 1) | {"prompt_logprobs": 0})
        answers = self._together(COMPLETIONS, bodies)
        for (index, chunk), answer in zip(chunks, answers, strict=True):
            for (i, j, tokens), choice in zip(chunk, _in_order(answer), strict=True):
                scores[index][i][j] = _log_probabilities(tokens, choice)[-len(requests[index].continuations[i][j]) :]
        with self._lock:
            self.usage["samples"] += sum(len(request.prompts) for request in requests)
            self.usage["prompt_tokens"] += sum(answer["usage"]["prompt_tokens"] for answer in answers)
        return scores

    def negative_log_likelihood(self, model: str, prompts: Sequence[Sequence[int]]) -> tuple[float, int]:
        """Return the summed negative log-likelihood (nats) of the prompts' tokens, and the number of these tokens.

        The first token of a prompt has no context and is left out; exp(sum / number) is the perplexity.
        """
        chunks = self._chunks(prompts)
        bodies = [self._body(model, [prompts[i] for i in chunk], 1) | {"prompt_logprobs": 0} for chunk in chunks]
        values = [
            value
            for chunk, choices in zip(chunks, self._choices(bodies), strict=True)
            for position, choice in zip(chunk, choices, strict=True)
            for value in _log_probabilities(prompts[position], choice)
        ]
        return -math.fsum(values), len(values)

    def _model(self, name: str) -> str:
        return self._base if name == BASE else name

    def _body(self, model: str, prompts: Sequence[Sequence[int]], max_tokens: int) -> dict[str, Any]:
        return {
            "model": self._model(model),
            "prompt": [list(prompt) for prompt in prompts],
            "max_tokens": max_tokens,
            "temperature": 0,
            # vLLM's defaults come from the model's generation_config.json, which is not greedy decoding.
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
        }

    def _chunks(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Cut prompts, sorted by length, into chunks of nearly equal size; return their positions."""
        order = sorted(range(len(prompts)), key=lambda position: len(prompts[position]))
        number = math.ceil(len(order) / self._batch_size)
        bounds = [len(order) * i // number for i in range(number + 1)] if number else [0]
        return [order[start:end] for start, end in itertools.pairwise(bounds)]

    def _choices(self, bodies: list[dict], path: str = COMPLETIONS) -> list[list[dict]]:
        """Send requests for texts together; return their choices in order, and count them."""
        answers = self._together(path, bodies)
        self._count(answers)
        return [_in_order(answer) for answer in answers]

    def _together(self, path: str, bodies: list[dict]) -> list[dict]:
        """Send requests to one address together; return their answers in order. The first failure cancels the rest.

        What an earlier attempt of this stage has kept is not asked for again.
        """
        kept = [self._kept.find(path, body) for body in bodies]
        sizes = [len(body["prompt"]) for body in bodies]
        earlier = sum(size for size, answer in zip(sizes, kept, strict=True) if answer is not None)
        with self.progress.working(sum(sizes), earlier):
            futures = [
                self._threads.submit(self._ask, path, body)
                for body, answer in zip(bodies, kept, strict=True)
                if answer is None
            ]
            try:
                asked = iter([future.result() for future in futures])
            finally:
                for future in futures:
                    future.cancel()
        return [next(asked) if answer is None else answer for answer in kept]

    def _ask(self, path: str, body: dict[str, Any]) -> dict:
        answer = self._post(path, body)
        self._answered += 1
        self._kept.add(path, body, answer)
        self.progress.add(len(body["prompt"]))
        return answer

    def _count(self, answers: list[dict]) -> None:
        with self._lock:
            self.usage.update(used(answers))

    def _load(self, name: str) -> None:
        self._post(LOAD, {"lora_name": name, "lora_path": self._adapters[name]})

    def _leave(self, name: str, lease: int) -> None:
        """Release a lease; the last job to do so unloads the adapter. A failure wastes memory but changes no answer."""
        address = self._address
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._http.request(
                "POST",
                f"{address.url}/v1/unload_lora_adapter",
                body=json.dumps({"lora_name": name}),
                headers=_headers(address),
                timeout=UNLOAD_SECONDS,
            )
        except (OSError, urllib3.exceptions.HTTPError):
            pass
        finally:
            os.close(lease)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        address, problem, failures, answered = self._address, "", 0, self._answered
        while failures < ATTEMPTS:
            address = self._address
            try:
                response = self._http.request("POST", address.url + path, body=data, headers=_headers(address))
            except urllib3.exceptions.HTTPError as error:
                if self._watch.failure:
                    raise self._watch.failure from error
                problem = f"connection lost ({type(error).__name__})"
                failures = failures + 1 if self._answered == answered else 1
                answered = self._answered
                self._recover(address)
                continue
            self._watch.responses += 1
            if response.status < 400:
                if path not in (COMPLETIONS, CONTINUATIONS, FUSED):
                    return None
                if answer := _whole_answer(path, response, body):
                    return answer
            problem = _message(response)
            if path == LOAD and response.status == 400 and "already been loaded" in problem:
                return None
            if "greater than max_lora_rank" in problem:
                raise GenomeError(f"engine: {path} refused: {problem}; raise engine.max_lora_rank")
            unknown = [name for name in body.get("models", [body.get("model")]) if name in self._adapters]
            if response.status == 404 and unknown:
                for name in unknown:
                    self._load(name)
            elif response.status >= 500 or response.status < 400 or response.status == TOO_SLOW:
                time.sleep(0.2 * failures)
                self._recover(address)
            else:
                raise GenomeError(f"engine: {path} refused: {problem}")
            failures += 1
        raise GenomeError(f"engine: {path} failed {ATTEMPTS} times: {problem}{log_end(address.log)}")

    def _recover(self, lost: Address) -> None:
        """Find a live engine to replace `lost`, once for all threads that saw the crash."""
        with self._lock:
            if self._watch.failure:
                raise self._watch.failure
            if self._address is not lost:
                return
            try:
                found = self._find()
                if found.fingerprint != lost.fingerprint:
                    before, after = difference(lost.fingerprint, found.fingerprint)
                    raise GenomeError(
                        f"the engine that answers now has {after}; the one before had {before}: their answers must "
                        "not be mixed; start the earlier engine again"
                    )
                self._address = found
            except GenomeError as error:
                self._watch.failure = error
                raise


def _headers(address: Address) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.key}", "Content-Type": "application/json"}


def _whole_answer(path: str, response: urllib3.BaseHTTPResponse, body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the answer to a request; None if the server stopped in the middle, as vLLM may."""
    try:
        answer = json.loads(response.data)
        choices = answer["choices"]
        ended = path == CONTINUATIONS or {choice["finish_reason"] for choice in choices} <= {"stop", "length"}
    except (ValueError, KeyError, TypeError):
        return None
    return answer if ended and len(choices) == len(body["prompt"]) else None


def _in_order(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of an answer in the order of its prompts."""
    return sorted(answer["choices"], key=lambda choice: choice["index"])


def _log_probabilities(tokens: Sequence[int], choice: dict[str, Any]) -> list[float]:
    """Return the log-probabilities of a prompt's tokens, except the first, which has no context."""
    found = zip(tokens[1:], choice["prompt_logprobs"][1:], strict=True)
    return [scores[str(token)]["logprob"] for token, scores in found]


def _message(response: urllib3.BaseHTTPResponse) -> str:
    """Return the message of OpenAI's error object, or the start of a response of another form."""
    text = response.data.decode(errors="replace")
    try:
        body = json.loads(text)
        return (body.get("error") or body)["message"]
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"HTTP {response.status}: {' '.join(text.split())[:200]}"
