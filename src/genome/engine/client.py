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
from pathlib import Path
from typing import Any

import urllib3

from genome.engine import messages
from genome.engine.fingerprint import Fingerprint, difference
from genome.engine.kept import Kept
from genome.engine.logs import log_end
from genome.engine.messages import BASE, BATCH_SIZE, Address, Request, ScoreRequest, greedy, in_order, log_probabilities
from genome.engine.usage import USAGE, used
from genome.engine.waiting import Watch
from genome.errors import GenomeError
from genome.progress import Progress

ATTEMPTS = 5
"""How often a request may fail before giving up; a crash uses two (lost connection, then unknown adapter).

Lost connections do not count if other requests have been answered meanwhile: a request may wait longer than an engine
lives, as under SLURM's time limits.
"""

UNLOAD_SECONDS = 10
"""How long unloading an adapter may take; a job that needs the adapter again waits for it."""


class Engine:
    """A connection to an engine, safe to share between threads.

    `find` returns the address of a live engine and may start one; it is called again after a crash. `usage` counts
    what answers have cost (`genome.engine.usage`). `timeout` is the number of seconds that an engine may make no
    progress while a request waits. `kept` is the file in which the answers of a stage are kept until it has finished;
    `progress` counts its prompts.
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
            greedy(self._model(request.model), [request.prompts[i] for i in chunk], request.max_tokens)
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
        for chunk, choices in zip(chunks, self._choices(bodies, messages.FUSED), strict=True):
            for position, choice in zip(chunk, choices, strict=True):
                answers[position] = choice["text"]
        return answers

    def score(self, requests: Sequence[ScoreRequest]) -> list[list[list[list[float]]]]:
        """Return the log-probability (nats) of every token of every continuation: [request][prompt][continuation].

        All requests are sent at once. The built-in server reads a prompt once for all of its continuations. Any other
        server gets each prompt with each continuation; its answers contain the log-probabilities of all their tokens.
        """
        if self.fingerprint.get("backend") == messages.BUILT_IN:
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
        answers = self._together(messages.CONTINUATIONS, bodies)
        with self._lock:
            self.usage.update(used(answers))
        for (index, chunk), answer in zip(chunks, answers, strict=True):
            for position, choice in zip(chunk, in_order(answer), strict=True):
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
                asked = [texts[place] for place in chunk]
                bodies.append(greedy(self._model(request.model), asked, 1, prompt_logprobs=0))
        answers = self._together(messages.COMPLETIONS, bodies)
        for (index, chunk), answer in zip(chunks, answers, strict=True):
            for (i, j, tokens), choice in zip(chunk, in_order(answer), strict=True):
                scores[index][i][j] = log_probabilities(tokens, choice)[-len(requests[index].continuations[i][j]) :]
        with self._lock:
            self.usage["samples"] += sum(len(request.prompts) for request in requests)
            self.usage["prompt_tokens"] += sum(answer["usage"]["prompt_tokens"] for answer in answers)
        return scores

    def negative_log_likelihood(self, model: str, prompts: Sequence[Sequence[int]]) -> tuple[float, int]:
        """Return the summed negative log-likelihood (nats) of the prompts' tokens, and the number of these tokens.

        The first token of a prompt has no context and is left out; exp(sum / number) is the perplexity.
        """
        chunks = self._chunks(prompts)
        bodies = [greedy(self._model(model), [prompts[i] for i in chunk], 1, prompt_logprobs=0) for chunk in chunks]
        values = [
            value
            for chunk, choices in zip(chunks, self._choices(bodies), strict=True)
            for position, choice in zip(chunk, choices, strict=True)
            for value in log_probabilities(prompts[position], choice)
        ]
        return -math.fsum(values), len(values)

    def _model(self, name: str) -> str:
        return self._base if name == BASE else name

    def _chunks(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Cut prompts, sorted by length, into chunks of nearly equal size; return their positions."""
        order = sorted(range(len(prompts)), key=lambda position: len(prompts[position]))
        number = math.ceil(len(order) / self._batch_size)
        bounds = [len(order) * i // number for i in range(number + 1)] if number else [0]
        return [order[start:end] for start, end in itertools.pairwise(bounds)]

    def _choices(self, bodies: list[dict], path: str = messages.COMPLETIONS) -> list[list[dict]]:
        """Send requests for texts together; return their choices in order, and count them."""
        answers = self._together(path, bodies)
        with self._lock:
            self.usage.update(used(answers))
        return [in_order(answer) for answer in answers]

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

    def _load(self, name: str) -> None:
        self._post(messages.LOAD, {"lora_name": name, "lora_path": self._adapters[name]})

    def _leave(self, name: str, lease: int) -> None:
        """Release a lease; the last job to do so unloads the adapter. A failure wastes memory but changes no answer."""
        address = self._address
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._http.request(
                "POST",
                f"{address.url}/v1/unload_lora_adapter",
                body=json.dumps({"lora_name": name}),
                headers=messages.headers(address),
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
                response = self._http.request("POST", address.url + path, body=data, headers=messages.headers(address))
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
                if path not in (messages.COMPLETIONS, messages.CONTINUATIONS, messages.FUSED):
                    return None
                if answer := messages.whole_answer(path, response, body):
                    return answer
            problem = messages.message(response)
            if path == messages.LOAD and response.status == 400 and "already been loaded" in problem:
                return None
            if "greater than max_lora_rank" in problem:
                raise GenomeError(f"engine: {path} refused: {problem}; raise engine.max_lora_rank")
            unknown = [name for name in body.get("models", [body.get("model")]) if name in self._adapters]
            if response.status == 404 and unknown:
                for name in unknown:
                    self._load(name)
            elif response.status >= 500 or response.status < 400 or response.status == messages.TOO_SLOW:
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
