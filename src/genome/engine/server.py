"""The built-in engine: a small HTTP server that answers vLLM's requests for one base model.

    GENOME_ENGINE_KEY=… python -m genome.engine.server --model BASE --owner HOST:PID:STARTTIME:TOKEN --state FILE

`/v1/completions` accepts lists of token ids and decodes greedily, or returns the prompts' log-probabilities;
`/v1/continuations` returns the log-probabilities of given continuations of each prompt;
`/v1/fused` decodes by the weighted sum of the logits of several adapters;
`/v1/load_lora_adapter` and `/v1/unload_lora_adapter` add and remove adapters; `/health` and `/v1/models` return the
state. Requests run in the order of arrival. The server ends with its owner, or when its state file has been removed or
replaced.

The key is checked before a body is read. All input is limited in size and time, and a request that cannot be answered
gets an OpenAI error object with a status below 500.
"""

import hmac
import io
import json
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from genome.engine import lifetime, machine
from genome.engine.fingerprint import of_loaded
from genome.engine.owner import POLL_SECONDS
from genome.engine.program import KEY_VARIABLE
from genome.engine.state import write_state
from genome.engine.stops import cut, ending
from genome.errors import GenomeError
from genome.fields import shown
from genome.tasks.chat import STOPS

ADAPTERS_IN_MEMORY = 64
"""Number of adapters in memory; others are read again from their folder when requested."""

BODY_BYTES = 2**27
"""The longest body: about 16 million token ids, 256 prompts of 64,000 tokens each."""

PROMPTS = 2**16
"""Most prompts, or continuations of all prompts together, of one request."""

NAME_LENGTH = 256
"""Most characters of an adapter's name."""

PATH_LENGTH = 4096
"""Most characters of an adapter's path."""

ANSWER_TOKENS = 2**20
"""Most tokens of an answer, for models without a length limit."""

REQUEST_SECONDS = 30.0
"""How long a request may take to arrive and an answer to be read, in addition to BYTES_PER_SECOND."""

BYTES_PER_SECOND = 2**18
"""The slowest accepted connection for a body or an answer."""

IDLE_SECONDS = 3600.0
"""How long a connection is kept open for the next request."""

LINGER_SECONDS = 2.0
"""How long the rest of a refused request is read and discarded, so that its sender can read the refusal."""

NEUTRAL = {
    "repetition_penalty": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "n": 1,
    "top_p": 1,
    "stream": False,
    "echo": False,
    "logprobs": None,
}
"""Fields of a completion request that are accepted only with the value that has no effect."""


class RefusalError(Exception):
    """A request that cannot be answered; becomes OpenAI's error object."""

    def __init__(self, status: int, kind: str, message: str):
        super().__init__(message)
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": status}}
        self.status = status


def bad_request(message: str) -> RefusalError:
    """Return the refusal of a malformed request."""
    return RefusalError(400, "BadRequestError", message)


def not_found(message: str) -> RefusalError:
    """Return the refusal of a name that the server does not know."""
    return RefusalError(404, "NotFoundError", message)


class Engine:
    """The models of this process, one per worker thread, and the adapters that they share by name."""

    def __init__(self, base: str, threads: int, workers: int, **options: Any):
        """Load `workers` models with `options` (dtype, batch_tokens), each for `threads` threads."""
        import torch

        from genome.engine.model import Model

        # With more than one thread, sums are split; the setting determines how, never the machine.
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        # pyright: ignore below: the attribute is a property that torch gives the module when it runs.
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
        self.base = base
        self.paths: dict[str, str] = {}
        self._adapters: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._own = threading.local()
        models = [Model(base, **options) for _ in range(workers)]
        self.tokenizer = models[0].tokenizer
        self.vocabulary, self.positions = models[0].vocabulary, models[0].positions
        self.fingerprint = of_loaded(models[0].network, base)
        self.steps = 0
        for module in (module for model in models for module in model.network.modules()):
            for layer in module if isinstance(module, torch.nn.ModuleList) else ():
                layer.register_forward_hook(self._step)

        def prepare() -> None:
            torch.set_num_threads(threads)
            self._own.model = models.pop()

        self._workers = ThreadPoolExecutor(workers, initializer=prepare)

    def _step(self, *_) -> None:
        """Count a layer's pass, so that waiting clients can see progress."""
        self.steps += 1

    def health(self) -> dict:
        """Return the amount of computed work: passes of layers, and the processor time of the workers.

        The time also changes during a long pass, while an adapter is read, and while texts are decoded.
        """
        return {"steps": self.steps, "seconds": [_processor_seconds(worker) for worker in self._workers._threads]}

    def load(self, request: dict) -> dict:
        """Register an adapter folder under a name, after checking it against the base model."""
        _only(request, "lora_name", "lora_path")
        name, path = _text(request, "lora_name", NAME_LENGTH), _text(request, "lora_path", PATH_LENGTH)
        if name in self.paths or name == "base":
            raise bad_request(f"The lora adapter '{name}' has already been loaded.")
        self._workers.submit(self._adapter, name, path).result()
        self.paths[name] = path
        return {"message": f"Success: LoRA adapter '{name}' added successfully."}

    def unload(self, request: dict) -> dict:
        """Remove a name."""
        _only(request, "lora_name")
        name = _text(request, "lora_name", NAME_LENGTH)
        if self.paths.pop(name, None) is None:
            raise not_found(f"The lora adapter '{name}' cannot be found.")
        with self._lock:
            self._adapters.pop(name, None)
        return {"message": f"Success: LoRA adapter '{name}' removed successfully."}

    def models(self) -> dict:
        """List the names that requests can use."""
        names = {"base": self.base, **self.paths}
        return {"object": "list", "data": [{"id": n, "object": "model", "root": p} for n, p in names.items()]}

    def complete(self, request: dict) -> dict:
        """Answer a completion request with greedy texts, and with the prompts' log-probabilities for `prompt_logprobs`.

        Only the log-probability of each prompt token is returned, however many alternatives are requested. Texts are
        cut before the first of the texts in `stop`; all their tokens count.
        """
        _only(request, "model", "prompt", "max_tokens", "temperature", "stop", "prompt_logprobs", *NEUTRAL)
        name, path = self._named(request)
        temperature = request.get("temperature")
        if type(temperature) not in (int, float) or temperature != 0:
            raise bad_request(f"temperature is {_shown(temperature)}, expected 0: decoding is greedy")
        for field, neutral in NEUTRAL.items():
            if request.get(field, neutral) not in (neutral, None):
                raise bad_request(f"{field} is {_shown(request[field])}, expected {json.dumps(neutral)}")
        prompts, max_tokens = self._asked(request)
        scores = request.get("prompt_logprobs")
        if scores is not None and (type(scores) is not int or scores < 0):
            raise bad_request(f"prompt_logprobs is {_shown(scores)}, expected an integer from 0")
        run, stops = self._complete if scores is None else self._score, _stops(request)
        completions, log_probabilities = self._workers.submit(run, name, path, prompts, max_tokens, stops).result()
        return self._answer(name, prompts, completions, stops, log_probabilities)

    def fuse(self, request: dict) -> dict:
        """Answer with greedy texts by the sum of the logits of adapters, weighted for each prompt (`engine.fusion`).

        `tau` is the temperature of weights by similarity; without it they are optimised.
        """
        _only(request, "models", "prompt", "max_tokens", "stop", "tau")
        names, tau = _field(request, "models", list), request.get("tau")
        if not names or len({*map(str, names)}) < len(names) or len(names) > ADAPTERS_IN_MEMORY:
            raise bad_request(f"models: expected 1 to {ADAPTERS_IN_MEMORY} different names")
        paths = dict([self._named({"model": name}) for name in names])
        if tau is not None and not (type(tau) in (int, float) and tau > 0):
            raise bad_request(f"tau is {_shown(tau)}, expected a number above 0")
        (prompts, max_tokens), stops = self._asked(request), _stops(request)
        if min(map(len, prompts)) < 2:
            raise bad_request("prompt: expected two tokens or more, on whose likelihood the weights depend")
        completions = self._workers.submit(self._fuse, paths, prompts, max_tokens, tau, stops).result()
        return self._answer(" ".join(names), prompts, completions, stops, [None] * len(prompts), len(names))

    def _asked(self, request: dict) -> tuple[list[list[int]], int]:
        """Return the prompts of a request and the most tokens of an answer, which fit into the base model."""
        prompts, max_tokens = self._prompts(request), _field(request, "max_tokens", int)
        if max_tokens < 1:
            raise bad_request(f"max_tokens is {_shown(max_tokens)}, expected at least 1")
        longest = max(map(len, prompts)) + max_tokens
        if longest > (self.positions or ANSWER_TOKENS):
            raise bad_request(
                f"a prompt and max_tokens need {_shown(longest)} positions; "
                f"the base model has {self.positions or ANSWER_TOKENS}"
            )
        return prompts, max_tokens

    def _answer(
        self,
        name: str,
        prompts: list[list[int]],
        completions: Sequence[Any],
        stops: list[str],
        log_probabilities: Sequence[Any],
        adapters: int = 1,
    ) -> dict:
        """Return the answer to a request for texts; each of `adapters` has read all prompts."""
        whole = self.tokenizer.batch_decode([c.tokens for c in completions], skip_special_tokens=True)
        texts = [cut(text, stops) for text in whole]
        generated = sum(c.steps for c in completions)
        given = adapters * sum(map(len, prompts))
        longest: dict[int, int] = {}
        for completion in completions:
            longest[completion.batch] = max(longest.get(completion.batch, 0), completion.steps)
        return {
            "id": f"cmpl-{secrets.token_hex(8)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
            "choices": [
                {
                    "index": index,
                    "text": text,
                    "logprobs": None,
                    "finish_reason": "stop" if completion.stopped or text != whole[index] else "length",
                    "prompt_logprobs": scores,
                }
                for index, (text, completion, scores) in enumerate(
                    zip(texts, completions, log_probabilities, strict=True)
                )
            ],
            "usage": {
                "prompt_tokens": given,
                "completion_tokens": generated,
                "total_tokens": given + generated,
                # Ours: batches of responses, and steps, each of which added a token to all responses of a batch.
                "batches": adapters * len(longest),
                "steps": adapters * sum(longest.values()),
            },
        }

    def continuations(self, request: dict) -> dict:
        """Return the log-probabilities (nats) of the tokens of each prompt's continuations, one choice per prompt."""
        _only(request, "model", "prompt", "continuations")
        name, path = self._named(request)
        prompts, continuations = self._prompts(request), self._continuations(request)
        if len(continuations) != len(prompts):
            raise bad_request(
                f"continuations: {len(continuations)} lists for {len(prompts)} prompts, expected one per prompt"
            )
        longest = max(len(prompt) + max(map(len, given)) for prompt, given in zip(prompts, continuations, strict=True))
        if self.positions and longest > self.positions:
            raise bad_request(
                f"a prompt and its continuation need {_shown(longest)} positions; the base model has {self.positions}"
            )
        scores = self._workers.submit(self._score_continuations, name, path, prompts, continuations).result()
        read = sum(map(len, prompts)) + sum(len(each) for given in continuations for each in given)
        return {
            "choices": [{"index": index, "logprobs": rows} for index, rows in enumerate(scores)],
            "usage": {
                "prompt_tokens": read,
                "completion_tokens": 0,
                "total_tokens": read,
                "batches": 0,
                "steps": 0,
            },
        }

    def _named(self, request: dict) -> tuple[str, str | None]:
        """Return the name of a request's model and its adapter's folder; None for the base."""
        name = _text(request, "model", NAME_LENGTH)
        path = self.paths.get(name)
        if path is None and name != "base":
            raise not_found(f"The model '{name}' does not exist.")
        return name, path

    def _prompts(self, request: dict) -> list[list[int]]:
        prompts = _field(request, "prompt", list)
        self._check_tokens("prompt", prompts)
        if len(prompts) > PROMPTS:
            raise bad_request(f"prompt: {len(prompts)} prompts, expected at most {PROMPTS}; send several requests")
        return prompts

    def _continuations(self, request: dict) -> list[list[list[int]]]:
        given = _field(request, "continuations", list)
        if not given or not all(isinstance(each, list) and each for each in given):
            raise bad_request("continuations: expected a non-empty list of continuations for each prompt")
        number = sum(map(len, given))
        if number > PROMPTS:
            raise bad_request(f"continuations: {number}, expected at most {PROMPTS}; send several requests")
        for each in given:
            self._check_tokens("continuations", each)
        return given

    def _check_tokens(self, field: str, sequences: list) -> None:
        """Refuse anything but non-empty lists of token ids, at least one."""
        if not sequences or not all(isinstance(sequence, list) and sequence for sequence in sequences):
            raise bad_request(f"{field}: expected a list of non-empty lists of token ids")
        for token in (token for sequence in sequences for token in sequence):
            if type(token) is not int or not 0 <= token < self.vocabulary:
                raise bad_request(
                    f"{field}: {_shown(token)} is not a token id (integers from 0 to {self.vocabulary - 1})"
                )

    def _adapter(self, name: str, path: str):
        """Return an adapter by name, from memory or from its folder."""
        with self._lock:
            if name not in self._adapters:
                self._adapters[name] = self._own.model.read_adapter(path)
                if len(self._adapters) > ADAPTERS_IN_MEMORY:
                    self._adapters.popitem(last=False)
            self._adapters.move_to_end(name)
            return self._adapters[name]

    def _complete(self, name: str, path: str | None, prompts: list[list[int]], max_tokens: int, stops: list[str]):
        model = self._own.model
        model.use(None if path is None else self._adapter(name, path))
        return model.complete(prompts, max_tokens, ending(model.tokenizer, stops)), [None] * len(prompts)

    def _fuse(
        self,
        paths: dict[str, str | None],
        prompts: list[list[int]],
        max_tokens: int,
        tau: float | None,
        stops: list[str],
    ):
        model = self._own.model
        adapters = [None if path is None else self._adapter(name, path) for name, path in paths.items()]
        return model.fuse(adapters, prompts, max_tokens, tau, ending(model.tokenizer, stops))

    def _score_continuations(
        self, name: str, path: str | None, prompts: list[list[int]], continuations: list[list[list[int]]]
    ) -> list[list[list[float]]]:
        model = self._own.model
        model.use(None if path is None else self._adapter(name, path))
        return model.continuations(prompts, continuations)

    def _score(self, name: str, path: str | None, prompts: list[list[int]], max_tokens: int, stops: list[str]):
        model = self._own.model
        model.use(None if path is None else self._adapter(name, path))
        scores, completions = model.score(prompts)
        if max_tokens > 1:
            completions = model.complete(prompts, max_tokens, ending(model.tokenizer, stops))
        return completions, [
            [None, *({str(token): {"logprob": value}} for token, value in zip(prompt[1:], row, strict=True))]
            for prompt, row in zip(prompts, scores, strict=True)
        ]


def _processor_seconds(thread: threading.Thread) -> float:
    """Return the processor time of a running thread, to a tenth of a second; 0 where the system does not report it."""
    if thread.ident is None or not hasattr(time, "pthread_getcpuclockid"):  # macOS
        return 0.0
    return round(time.clock_gettime(time.pthread_getcpuclockid(thread.ident)), 1)


def _field(request: dict, name: str, kind: type) -> Any:
    """Return a required field of a request; refuse it if it is missing or of another type."""
    value = request.get(name)
    if type(value) is not kind:
        raise bad_request(f"{name}: expected {kind.__name__}, got {'null' if value is None else _shown(value)}")
    return value


def _text(request: dict, name: str, longest: int) -> str:
    """Return a required text of a request, of 1 to `longest` characters."""
    value = _field(request, name, str)
    if not 1 <= len(value) <= longest:
        raise bad_request(f"{name}: expected 1 to {longest} characters, got {len(value)}")
    return value


def _stops(request: dict) -> list[str]:
    """Return the stop texts of a request, none by default; refuse anything but a list of a few non-empty texts."""
    stops = request.get("stop")
    if stops is None:
        return []
    if not isinstance(stops, list) or not 1 <= len(stops) <= STOPS or not all(s and type(s) is str for s in stops):
        raise bad_request(f"stop: expected a list of 1 to {STOPS} non-empty texts, got {_shown(stops)}")
    return stops


def _only(request: dict, *known: str) -> None:
    """Refuse a request with unsupported fields."""
    if unknown := request.keys() - set(known):
        raise bad_request(f"{_shown(min(unknown))}: unknown field; expected {', '.join(known)}")


def _shown(value: Any) -> str:
    """Return a value for a message: `fields.shown`, without writing out a long list, object or text first."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return shown(value[:80] if isinstance(value, str) else value)


class Timed(io.RawIOBase):
    """The bytes of a connection that arrive before a deadline set by the reader; TimeoutError afterwards."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer) -> int:
        """Read available bytes, or wait for them."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


def handler(engine: Engine, key: str) -> type[BaseHTTPRequestHandler]:
    """Return the request handler that answers requests with `key` by `engine`."""
    posts: dict[str, Callable[[dict], dict]] = {
        "/v1/completions": engine.complete,
        "/v1/continuations": engine.continuations,
        "/v1/fused": engine.fuse,
        "/v1/load_lora_adapter": engine.load,
        "/v1/unload_lora_adapter": engine.unload,
    }

    class Handler(BaseHTTPRequestHandler):
        rfile: io.BufferedReader
        protocol_version = "HTTP/1.1"
        # A request line without a version also gets a status.
        default_request_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        # Send headers and body in one packet.
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            self.arriving = Timed(self.connection)
            self.rfile = io.BufferedReader(self.arriving)
            self.patience = REQUEST_SECONDS
            self.unread = False

        def finish(self) -> None:
            with suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)
                self.arriving.allow(LINGER_SECONDS)
                while self.rfile.read1(2**16):
                    pass
            super().finish()

        def handle_one_request(self) -> None:
            self.close_connection, self.unread = True, False
            self.request_version = self.default_request_version
            try:
                self.arriving.allow(self.patience)
                if not self.rfile.peek(1):
                    return
            except TimeoutError:
                return
            self.patience = IDLE_SECONDS
            try:
                self.arriving.allow(REQUEST_SECONDS)
                self.raw_requestline = self.rfile.readline(2**16)
                if len(self.raw_requestline) == 2**16:
                    return self.send_error(414)
                if not self.raw_requestline.strip():
                    return self.send_error(400, "no request line")
                if not self.parse_request():
                    return None
            except TimeoutError:
                return self.send_error(408)
            self.unread = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
            self.answer({"GET": self.get, "POST": self.post}.get(self.command, self.other))

        def handle_expect_100(self) -> bool:
            # Sent by `body`, after the key has been checked.
            return True

        def get(self) -> dict:
            return self.route({"/health": engine.health, "/v1/models": engine.models})()

        def post(self) -> dict:
            return self.route(posts)(_json(self.body()))

        def other(self) -> dict:
            self.close_connection = True
            self.authorise()
            raise RefusalError(405, "BadRequestError", f"{self.command[:80]}: expected GET or POST")

        def authorise(self) -> None:
            given = self.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
                raise RefusalError(401, "AuthenticationError", "the API key is missing or wrong")

        def route(self, table: dict[str, Callable]) -> Callable:
            if self.path != "/health":
                self.authorise()
            if self.path not in table:
                raise not_found(f"{self.path[:200]}: no such address")
            return table[self.path]

        def body(self) -> bytes:
            if "Transfer-Encoding" in self.headers:
                raise bad_request("Transfer-Encoding: bodies in chunks are not read; send Content-Length")
            lengths = set(self.headers.get_all("Content-Length", []))
            if len(lengths) != 1 or not re.fullmatch("[0-9]{1,18}", length := lengths.pop().strip()):
                raise bad_request("Content-Length: expected one number of bytes")
            size = int(length)
            if size > BODY_BYTES:
                raise RefusalError(
                    413, "BadRequestError", f"Content-Length: {size} bytes, expected at most {BODY_BYTES}"
                )
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
                self.wfile.flush()
            self.arriving.allow(REQUEST_SECONDS + size / BYTES_PER_SECOND)
            try:
                data = self.rfile.read(size)
            except TimeoutError as error:
                raise RefusalError(408, "BadRequestError", f"the {size} bytes of the body took too long") from error
            if len(data) < size:
                raise bad_request(f"the body ends after {len(data)} of {size} bytes")
            self.unread = False
            return data

        def answer(self, work: Callable[[], dict]) -> None:
            try:
                status, body = 200, work()
            except RefusalError as refusal:
                status, body = refusal.status, refusal.body
            except GenomeError as error:
                refusal = bad_request(str(error))
                status, body = refusal.status, refusal.body
            except ConnectionError:
                raise
            except Exception as error:
                # The edge of the process: an error in one request must not end the others.
                self.log_error("%s: %s", type(error).__name__, error)
                refusal = RefusalError(500, "InternalServerError", f"{type(error).__name__}: {error}")
                status, body = refusal.status, refusal.body
            self.reply(status, body)

        def reply(self, status: int, body: dict) -> None:
            data = json.dumps(body).encode()
            if self.unread:
                self.close_connection = True
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.connection.settimeout(REQUEST_SECONDS + len(data) / BYTES_PER_SECOND)
            self.wfile.write(data)
            self.wfile.flush()

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            # The standard library would send a page: the request is not HTTP, or of another version.
            code = code if code < 500 else 400
            self.close_connection = True
            self.reply(code, RefusalError(code, "BadRequestError", (message or HTTPStatus(code).phrase)[:200]).body)

        def log_request(self, code="-", size="-") -> None:
            pass

    return Handler


def _json(body: bytes) -> dict:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the request is not valid JSON ({error})") from error
    if not isinstance(request, dict):
        raise bad_request("the request is not a JSON object")
    return request


class Server(ThreadingHTTPServer):
    """A server with one thread per connection; clients that disconnect are not logged."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address) -> None:
        """Log an error that a request thread could not handle, except lost connections."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def watch(dismissed: Callable[[bool], bool], published: threading.Event) -> None:
    """End this process when `dismissed` returns True."""
    while not dismissed(published.is_set()):
        time.sleep(POLL_SECONDS)
    os._exit(0)


def main() -> None:
    """Serve until the owner ends."""
    parser = lifetime.engine_parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch threads of each worker")
    parser.add_argument("--workers", type=int, default=1, help="copies of the model that answer in parallel")
    parser.add_argument("--dtype", help="type of the weights in memory (default: as stored)")
    parser.add_argument("--batch-tokens", type=int, help="most tokens of a batch, with padding and answers")
    arguments = parser.parse_args()
    key = os.environ[KEY_VARIABLE]

    # Started before the slow imports, so that a server never outlives its owner.
    published = threading.Event()
    threading.Thread(target=watch, args=(lifetime.dismissal(arguments), published), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    try:
        options = {"dtype": arguments.dtype, "batch_tokens": arguments.batch_tokens}
        given = {name: value for name, value in options.items() if value is not None}
        engine = Engine(arguments.model, arguments.threads, arguments.workers, **given)
    except GenomeError as error:
        sys.exit(f"error: {error}")
    with Server((lifetime.interface(arguments)[0], 0), handler(engine, key)) as server:
        state = lifetime.announce(arguments, server.server_port, key, machine.processors(), engine.fingerprint)
        write_state(arguments.state, state)
        published.set()
        print(f"engine {state.pid} serves {state.base} at {state.url}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
