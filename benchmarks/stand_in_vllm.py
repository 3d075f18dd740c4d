"""A replacement for vLLM's server, if only its protocol matters: a digest of adapter and prompt is the answer.

`benchmarks/large.py` makes it the `vllm.entrypoints.openai.api_server` of a Python, so that the workflow starts, finds,
watches and replaces it as it does the real one. STAND_IN_SECONDS is how long it takes for a request.
"""

import argparse
import hmac
import json
import os
import time
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

loaded: set[str] = set()


def answer(model: str, prompt: list[int]) -> str:
    """Return one of four letters, by a digest of the adapter's name, which is that of its content, and the prompt."""
    return "ABCD"[blake2b(f"{model} {prompt}".encode()).digest()[0] % 4]


class Handler(BaseHTTPRequestHandler):
    """The addresses that the workflow asks for; connections stay open, as with vLLM."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Tell health, version and models."""
        served = {"id": "base", "owned_by": "vllm", "root": "base", "max_model_len": 512}
        shown = {"/health": {}, "/version": {"version": "0.0.0"}, "/v1/models": {"data": [served]}}
        self.reply(200 if self.path in shown else 404, shown.get(self.path, {}))

    def do_POST(self) -> None:
        """Load or unload an adapter, or answer prompts."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {os.environ['VLLM_API_KEY']}"):
            self.refuse(401, "Unauthorized")
        elif self.path == "/v1/load_lora_adapter":
            name = body["lora_name"]
            if name in loaded:
                self.refuse(400, f"The lora adapter '{name}' has already been loaded.")
            else:
                loaded.add(name)
                self.reply(200, {})
        elif self.path == "/v1/unload_lora_adapter":
            loaded.discard(body["lora_name"])
            self.reply(200, {})
        elif body["model"] not in {"base", *loaded}:
            self.refuse(404, f"The model `{body['model']}` does not exist.")
        else:
            time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))
            texts = [answer(body["model"], prompt) for prompt in body["prompt"]]
            choices = [{"index": i, "text": text, "finish_reason": "stop"} for i, text in enumerate(texts)]
            tokens = {"prompt_tokens": sum(map(len, body["prompt"])), "completion_tokens": 2 * len(texts)}
            self.reply(200, {"choices": choices, "usage": tokens})

    def refuse(self, status: int, message: str) -> None:
        """Answer with an error in OpenAI's form."""
        self.reply(status, {"error": {"message": message, "code": status}})

    def reply(self, status: int, body: dict[str, Any]) -> None:
        """Send a JSON value."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Log nothing: there are many requests."""


class Server(ThreadingHTTPServer):
    """A server that many jobs call at once."""

    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Serve until a signal ends this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments, _ = parser.parse_known_args()
    with Server((arguments.host, arguments.port), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
