"""A replacement for vLLM's server: its protocol and processes, without a model. An adapter answers with its content.

It runs as `vllm.entrypoints.openai.api_server` of a Python that the fixture `fake_python` makes. Like vLLM's, its
worker process does not end with its parent. Flags and environment are written to `fake-vllm.json`.
"""

import argparse
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

names: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            return self.answer(503 if Path("unhealthy").exists() else 200, {})
        if self.path == "/version":
            return self.answer(200, {"version": os.environ.get("FAKE_VERSION", "0.20.2")})
        if not self.allowed():
            return
        if self.path != "/v1/models":
            return self.answer(404, {"detail": "Not Found"})
        served = {"owned_by": "vllm", "root": "/models/base", "max_model_len": 512}
        self.answer(200, {"data": [{"id": "base", **served}, *({"id": name} for name in names)]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        if self.path == "/v1/load_lora_adapter":
            name = request["lora_name"]
            if name in names:
                return self.answer(400, error(f"The lora adapter '{name}' has already been loaded.", 400))
            if name == "wide":
                return self.answer(500, error("LoRA rank 64 is greater than max_lora_rank 8.", 500))
            names[name] = request["lora_path"]
            return self.answer(200, "Success: no JSON here")
        if self.path == "/v1/unload_lora_adapter":
            known = names.pop(request["lora_name"], None)
            return self.answer(200 if known else 404, "Success: no JSON here")
        model = request["model"]
        if model != "base" and model not in names:
            return self.answer(404, error(f"The model `{model}` does not exist.", 404))
        time.sleep(float(os.environ.get("FAKE_SECONDS", 0)))
        text = "base" if model == "base" else Path(names[model], "content").read_text()
        if Path("abort").exists():
            Path("abort").unlink()
            text, reason = text[:2], "abort"
        else:
            reason = "stop"
        choices = [{"index": i, "text": text, "finish_reason": reason} for i in range(len(request["prompt"]))]
        # In any order, as the protocol allows.
        tokens = {"prompt_tokens": sum(map(len, request["prompt"])), "completion_tokens": len(choices)}
        self.answer(200, {"choices": choices[::-1], "usage": tokens})

    def allowed(self):
        if hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {os.environ['VLLM_API_KEY']}"):
            return True
        self.answer(401, error("Unauthorized", 401))
        return False

    def answer(self, status, body):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code="-", size="-"):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def error(message, code):
    return {"error": {"message": message, "code": code}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    arguments, others = parser.parse_known_args()
    if "--nonsense" in others:
        parser.error("unrecognized arguments: --nonsense")
    if message := os.environ.get("FAKE_FAILURE"):
        prefix = "(EngineCore pid=7) ERROR 11-21 08:39:26 [core.py:10] "
        for line in ("Traceback (most recent call last):", "    code()", f"RuntimeError: {message}"):
            print(prefix + line, file=sys.stderr)
        print("(APIServer pid=6) INFO 11-21 08:39:27 [launcher.py:1] Bye.", file=sys.stderr)
        sys.exit(1)
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    stubborn = "FAKE_STUBBORN" in os.environ
    code = f"{ignore if stubborn else 'import time; print(flush=True); time.sleep(600)'} # fake-worker {Path.cwd()}/"
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    worker.stdout.readline()
    shown = {"argv": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid(), "worker": worker.pid}
    if "FAKE_DEAF" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("fake-vllm.json").write_text(json.dumps(shown))
    time.sleep(float(os.environ.get("FAKE_START_SECONDS", 0)))
    if config := os.environ.get("FAKE_CONFIG"):
        line = f"INFO 05-21 21:03:20 [core.py:109] Initializing a V1 LLM engine (v0.20.2) with config: {config}"
        print(f"(EngineCore pid=199) {line}", flush=True)
    with Server((arguments.host, arguments.port), Handler) as server:
        server.serve_forever(0.05)


if __name__ == "__main__":
    main()
