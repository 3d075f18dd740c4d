"""A generation whose requests wait much longer for a slow engine than `engine.timeout`."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from builders import initial_population, make_task, next_generation, paper_settings
from genome.engine.client import Engine
from genome.engine.messages import Address
from genome.scoring.fitness import Evaluator
from genome.scoring.objective import Objective
from genome.search import driver

STEPS, STEP_SECONDS = 20, 0.02
"""Steps that the engine takes to answer a request, and how long each of them is."""

TIMEOUT = 1.0


class Slow(BaseHTTPRequestHandler):
    """An engine that answers one request after the other, in many short steps, which it counts."""

    protocol_version = "HTTP/1.1"
    turn = threading.Lock()
    steps = 0
    longest = 0.0

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "prompt" not in body:
            return self.say({})
        began = time.monotonic()
        with self.turn:
            for _ in range(STEPS):
                time.sleep(STEP_SECONDS)
                type(self).steps += 1
            type(self).longest = max(self.longest, time.monotonic() - began)
        sign = sum(map(ord, body["model"])) % 3
        choices = [
            {"index": i, "text": f"Answer: {(prompt[0] + sign) % 4}", "finish_reason": "stop"}
            for i, prompt in enumerate(body["prompt"])
        ]
        self.say({"choices": choices, "usage": {"prompt_tokens": len(choices), "completion_tokens": len(choices)}})

    def do_GET(self):
        self.say({"steps": self.steps})

    def say(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, *_):
        pass


@pytest.fixture
def engine(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = Address(f"http://127.0.0.1:{server.server_port}", "key", None, "here")
        yield Engine(lambda: address, timeout=TIMEOUT)
        server.shutdown()


def test_generation_of_ten_finishes_though_its_requests_wait_much_longer_than_the_timeout(
    engine, make_experts, tmp_path
):
    samples = [{"id": f"t-{i}", "tokens": [2 + i], "reference": str(i % 4)} for i in range(200)]
    experts = make_experts(4)
    evaluate = Evaluator([Objective(make_task("number"), samples, 1.0)], experts, tmp_path / "store", lambda: engine)
    settings = paper_settings("genome_plus")
    scored = driver.score_experts(experts, evaluate)
    population = initial_population(experts, scored, settings, 10, 1, evaluate)
    population = next_generation(population, settings, 1, experts, evaluate)
    assert population.generation == 1
    assert engine.usage["samples"] == 200 * evaluate.evaluations
    assert Slow.longest > 3 * TIMEOUT, "the last of ten requests waits for the others"
