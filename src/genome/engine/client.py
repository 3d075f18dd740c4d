"""The client of an engine: adapters by name, prompts as token ids, texts and perplexities back.

It speaks vLLM's part of OpenAI's protocol, keeps all requests in flight at once, and outlives a crash of the server:
a lost connection asks for a live engine, an unknown adapter is loaded again, and the request is repeated.
"""

import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from genome.errors import GenomeError

BASE = "base"
"""The model name of the plain base model."""

ATTEMPTS = 5
"""How often a request is sent before it is given up; a crash costs two (the loss, then an unknown adapter)."""


@dataclass(frozen=True)
class Address:
    """Where an engine listens, the key it wants, and the log it writes (None: out of our sight)."""

    url: str
    key: str
    log: Path | None


@dataclass(frozen=True)
class Request:
    """Prompts (token ids) for one model (an adapter's name, or "base"), each answered by at most `max_tokens`."""

    model: str
    prompts: Sequence[Sequence[int]]
    max_tokens: int


class Engine:
    """A connection to an engine, safe to share between threads.

    `find` returns the address of a live engine, starting one where that is its duty; it is asked again after a crash.
    """

    def __init__(
        self, find: Callable[[], Address], *, batch_size: int = 256, timeout: float = 600, concurrency: int = 64
    ):
        self._find = find
        self._batch_size = batch_size
        self._http = urllib3.PoolManager(
            maxsize=concurrency, timeout=urllib3.Timeout(connect=30, read=timeout), retries=False
        )
        self._threads = ThreadPoolExecutor(concurrency)
        self._lock = threading.Lock()
        self._adapters: dict[str, str] = {}
        self._failure: GenomeError | None = None
        self._address = find()

    def load(self, name: str, path: Path | str) -> None:
        """Give the adapter folder at `path` a name to be asked for by; a loaded name is left as it is.

        A name must never stand for two contents: engines cache by it.
        """
        self._adapters[name] = str(Path(path).resolve())
        self._load(name)

    def complete(self, requests: Sequence[Request]) -> list[list[str]]:
        """Return the greedy answers to each request's prompts, in order; all requests are in flight at once."""
        chunks = [(index, chunk) for index, request in enumerate(requests) for chunk in self._chunks(request.prompts)]
        bodies = [
            {
                "model": requests[index].model,
                "prompt": [list(requests[index].prompts[i]) for i in chunk],
                "max_tokens": requests[index].max_tokens,
                "temperature": 0,
            }
            for index, chunk in chunks
        ]
        answers = [[""] * len(request.prompts) for request in requests]
        for (index, chunk), choices in zip(chunks, self._all(bodies), strict=True):
            for position, choice in zip(chunk, choices, strict=True):
                answers[index][position] = choice["text"]
        return answers

    def negative_log_likelihood(self, model: str, prompts: Sequence[Sequence[int]]) -> tuple[float, int]:
        """Return the summed negative log-likelihood (nats) of the prompts' tokens, and their number.

        The first token of a prompt has no context and is left out; exp(sum / number) is the perplexity.
        """
        chunks = self._chunks(prompts)
        bodies = [
            {
                "model": model,
                "prompt": [list(prompts[i]) for i in chunk],
                "max_tokens": 1,
                "temperature": 0,
                "prompt_logprobs": 0,
            }
            for chunk in chunks
        ]
        values = [
            scores[str(token)]["logprob"]
            for chunk, choices in zip(chunks, self._all(bodies), strict=True)
            for position, choice in zip(chunk, choices, strict=True)
            for token, scores in zip(prompts[position][1:], choice["prompt_logprobs"][1:], strict=True)
        ]
        return -math.fsum(values), len(values)

    def _chunks(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Cut prompts, sorted by length, into chunks of nearly equal size; return their positions."""
        order = sorted(range(len(prompts)), key=lambda position: len(prompts[position]))
        number = math.ceil(len(order) / self._batch_size)
        bounds = [len(order) * i // number for i in range(number + 1)] if number else [0]
        return [order[start:end] for start, end in itertools.pairwise(bounds)]

    def _all(self, bodies: list[dict]) -> list[list[dict]]:
        """Send completion requests together; return their choices in order. The first failure ends the rest."""
        futures = [self._threads.submit(self._post, "/v1/completions", body) for body in bodies]
        try:
            return [future.result()["choices"] for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _load(self, name: str) -> None:
        self._post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": self._adapters[name]})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(body).encode()
        for attempt in range(ATTEMPTS):
            address = self._address
            headers = {"Authorization": f"Bearer {address.key}", "Content-Type": "application/json"}
            try:
                response = self._http.request("POST", address.url + path, body=data, headers=headers)
            except urllib3.exceptions.ReadTimeoutError as error:
                raise GenomeError(
                    f"engine: no answer to {path} in time ({error}); raise engine.timeout or send less at once"
                ) from error
            except urllib3.exceptions.HTTPError as error:
                problem = f"connection lost ({type(error).__name__})"
                self._recover(address)
                continue
            if response.status < 400:
                return json.loads(response.data)
            problem = _message(response)
            if path == "/v1/load_lora_adapter" and response.status == 400 and "already been loaded" in problem:
                return {}
            if response.status == 404 and body.get("model") in self._adapters:
                self._load(body["model"])
            elif response.status >= 500:
                time.sleep(0.2 * attempt)
                self._recover(address)
            else:
                raise GenomeError(f"engine: {path} refused: {problem}")
        raise GenomeError(f"engine: {path} failed {ATTEMPTS} times: {problem}{log_end(address.log)}")

    def _recover(self, lost: Address) -> None:
        """Find a live engine in place of `lost`, once for all threads that saw the crash."""
        with self._lock:
            if self._failure:
                raise self._failure
            if self._address is not lost:
                return
            try:
                self._address = self._find()
            except GenomeError as error:
                self._failure = error
                raise


def log_end(log: Path | None, start: int = 0) -> str:
    """Return the last three lines that say something in a log (from byte `start`), as the end of a message."""
    if log is None or not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 4000))
        lines = file.read().decode(errors="replace").splitlines()
    # Indented lines are the code of a traceback: its message stands at the margin.
    said = [line.rstrip() for line in lines if line.strip() and not line.startswith((" ", "Traceback"))]
    return f"; {log} ends: {' | '.join(said[-3:])}"


def _message(response: urllib3.BaseHTTPResponse) -> str:
    """Return what an engine says in OpenAI's error object, or the start of whatever it sent."""
    text = response.data.decode(errors="replace")
    try:
        body = json.loads(text)
        return (body.get("error") or body)["message"]
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"HTTP {response.status}: {' '.join(text.split())[:200]}"
