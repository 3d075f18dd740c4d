"""The built-in engine: a small HTTP server that answers vLLM's requests for one base model.

    GENOME_ENGINE_KEY=… python -m genome.engine.server --model BASE --owner HOST:PID:STARTTIME:TOKEN --state FILE

`/v1/completions` takes lists of token ids and decodes greedily, or returns the prompts' log-probabilities;
`/v1/load_lora_adapter` and `/v1/unload_lora_adapter` name adapters; `/health` and `/v1/models` tell how things are.
Requests run in the order they come. The server ends with its owner, or when its state file is no longer its own.
"""

import hmac
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from genome.engine import lifetime, machine
from genome.engine.fingerprint import of_loaded
from genome.engine.owner import POLL_SECONDS
from genome.engine.program import KEY_VARIABLE
from genome.engine.state import write_state
from genome.errors import GenomeError

ADAPTERS_IN_MEMORY = 64
"""Adapters beyond this number are read again from their folder when they are asked for."""


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
    """The models of this process, one a worker thread, and the adapters they share by name."""

    def __init__(self, base: str, threads: int, workers: int):
        import torch
        from transformers import AutoTokenizer

        from genome.engine.model import Model

        # With more than one thread, sums are split; the setting decides how, never the machine.
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        self.base = base
        self.tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
        self.paths: dict[str, str] = {}
        self._adapters: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._own = threading.local()
        models = [Model(base) for _ in range(workers)]
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
        """Count a layer's pass: whoever waits for an answer sees that there is progress."""
        self.steps += 1

    def health(self) -> dict:
        """Tell how much has been computed."""
        return {"steps": self.steps}

    def load(self, request: dict) -> dict:
        """Name an adapter folder; its content is checked against the base model now."""
        name, path = _field(request, "lora_name", str), _field(request, "lora_path", str)
        if name in self.paths or name == "base":
            raise bad_request(f"The lora adapter '{name}' has already been loaded.")
        self._workers.submit(self._adapter, name, path).result()
        self.paths[name] = path
        return {"message": f"Success: LoRA adapter '{name}' added successfully."}

    def unload(self, request: dict) -> dict:
        """Forget a name."""
        name = _field(request, "lora_name", str)
        if self.paths.pop(name, None) is None:
            raise not_found(f"The lora adapter '{name}' cannot be found.")
        with self._lock:
            self._adapters.pop(name, None)
        return {"message": f"Success: LoRA adapter '{name}' removed successfully."}

    def models(self) -> dict:
        """List the names that can be asked for."""
        names = {"base": self.base, **self.paths}
        return {"object": "list", "data": [{"id": n, "object": "model", "root": p} for n, p in names.items()]}

    def complete(self, request: dict) -> dict:
        """Answer a completion request: greedy texts, and the prompts' log-probabilities for `prompt_logprobs`.

        Of each position the prompt's own token is told, whatever number of alternatives is asked for.
        """
        name = _field(request, "model", str)
        path = self.paths.get(name)
        if path is None and name != "base":
            raise not_found(f"The model '{name}' does not exist.")
        prompts, max_tokens = self._prompts(request), _field(request, "max_tokens", int)
        if request.get("temperature") != 0:
            raise bad_request(f"temperature is {request.get('temperature')}, expected 0: decoding is greedy")
        if max_tokens < 1:
            raise bad_request(f"max_tokens is {max_tokens}, expected at least 1")
        longest = max(map(len, prompts)) + max_tokens
        if longest > self.positions:
            raise bad_request(
                f"a prompt and max_tokens ask for {longest} positions; the base model has {self.positions}"
            )
        scores = request.get("prompt_logprobs")
        if scores is not None and (type(scores) is not int or scores < 0):
            raise bad_request(f"prompt_logprobs is {scores!r}, expected an integer from 0")
        run = self._complete if scores is None else self._score
        completions, log_probabilities = self._workers.submit(run, name, path, prompts, max_tokens).result()
        texts = self.tokenizer.batch_decode([c.tokens for c in completions], skip_special_tokens=True)
        generated = sum(len(c.tokens) for c in completions)
        given = sum(map(len, prompts))
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
                    "finish_reason": "stop" if completion.stopped else "length",
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
            },
        }

    def _prompts(self, request: dict) -> list[list[int]]:
        prompts = _field(request, "prompt", list)
        if not prompts or not all(isinstance(prompt, list) and prompt for prompt in prompts):
            raise bad_request("prompt: expected a list of non-empty lists of token ids")
        for token in {token for prompt in prompts for token in prompt}:
            if type(token) is not int or not 0 <= token < self.vocabulary:
                raise bad_request(f"prompt: {token!r} is no token id (integers from 0 to {self.vocabulary - 1})")
        return prompts

    def _adapter(self, name: str, path: str):
        """Return an adapter by name, from memory or from its folder."""
        with self._lock:
            if name not in self._adapters:
                self._adapters[name] = self._own.model.read_adapter(path)
                if len(self._adapters) > ADAPTERS_IN_MEMORY:
                    self._adapters.popitem(last=False)
            self._adapters.move_to_end(name)
            return self._adapters[name]

    def _complete(self, name: str, path: str | None, prompts: list[list[int]], max_tokens: int):
        model = self._own.model
        model.use(None if path is None else self._adapter(name, path))
        return model.complete(prompts, max_tokens), [None] * len(prompts)

    def _score(self, name: str, path: str | None, prompts: list[list[int]], max_tokens: int):
        model = self._own.model
        model.use(None if path is None else self._adapter(name, path))
        scores, completions = model.score(prompts)
        if max_tokens > 1:
            completions = model.complete(prompts, max_tokens)
        return completions, [
            [None, *({str(token): {"logprob": value}} for token, value in zip(prompt[1:], row, strict=True))]
            for prompt, row in zip(prompts, scores, strict=True)
        ]


def _field(request: dict, name: str, kind: type) -> Any:
    """Return a required field of a request; refused when it is missing or of another type."""
    value = request.get(name)
    if type(value) is not kind:
        raise bad_request(f"{name}: expected {kind.__name__}, got {json.dumps(value)[:80]}")
    return value


def handler(engine: Engine, key: str) -> type[BaseHTTPRequestHandler]:
    """Return the request handler that answers for `engine` to those who hold `key`."""
    posts: dict[str, Callable[[dict], dict]] = {
        "/v1/completions": engine.complete,
        "/v1/load_lora_adapter": engine.load,
        "/v1/unload_lora_adapter": engine.unload,
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        # Headers and body leave in one packet.
        wbufsize = -1

        def do_GET(self) -> None:
            gets = {"/health": engine.health, "/v1/models": engine.models}
            self.answer(lambda: self.route(gets, self.path)())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer(lambda: self.route(posts, self.path)(_json(body)))

        def route(self, table: dict[str, Callable], path: str) -> Callable:
            given = self.headers.get("Authorization", "")
            if path != "/health" and not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
                raise RefusalError(401, "AuthenticationError", "the API key is missing or wrong")
            if path not in table:
                raise not_found(f"{path}: no such address")
            return table[path]

        def answer(self, work: Callable[[], dict]) -> None:
            try:
                status, body = 200, work()
            except RefusalError as refusal:
                status, body = refusal.status, refusal.body
            except GenomeError as error:
                refusal = bad_request(str(error))
                status, body = refusal.status, refusal.body
            except Exception as error:
                # The edge of the process: whatever goes wrong in one request must not end the others.
                self.log_error("%s: %s", type(error).__name__, error)
                refusal = RefusalError(500, "InternalServerError", f"{type(error).__name__}: {error}")
                status, body = refusal.status, refusal.body
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_request(self, code="-", size="-") -> None:
            pass

    return Handler


def _json(body: bytes) -> dict:
    try:
        request = json.loads(body)
    except ValueError as error:
        raise bad_request(f"the request is not valid JSON ({error})") from error
    if not isinstance(request, dict):
        raise bad_request("the request is no JSON object")
    return request


class Server(ThreadingHTTPServer):
    """One thread a connection; clients that go away are no news."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address) -> None:
        """Log what a request thread could not handle itself, lost connections aside."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def watch(dismissed: Callable[[bool], bool], published: threading.Event) -> None:
    """End this process when it has to."""
    while not dismissed(published.is_set()):
        time.sleep(POLL_SECONDS)
    os._exit(0)


def main() -> None:
    """Serve until the owner ends."""
    parser = lifetime.engine_parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch threads of each worker")
    parser.add_argument("--workers", type=int, default=1, help="copies of the model that answer side by side")
    arguments = parser.parse_args()
    key = os.environ[KEY_VARIABLE]

    # Before the slow imports: an owner that ends now must not leave a server behind.
    published = threading.Event()
    threading.Thread(target=watch, args=(lifetime.dismissal(arguments), published), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    try:
        engine = Engine(arguments.model, arguments.threads, arguments.workers)
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
