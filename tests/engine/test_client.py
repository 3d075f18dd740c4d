"""The client with real servers: its requests, and its reaction when servers die."""

import http.server
import itertools
import json
import math
import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.tiny_models import tokenizer
from genome.engine import local, machine
from genome.engine.client import Engine
from genome.engine.launcher import connect
from genome.engine.messages import Address, Request, ScoreRequest
from genome.engine.model import Model
from genome.engine.owner import current_owner
from genome.engine.state import FOLDER, stop
from genome.errors import GenomeError

SETTINGS = {"backend": "transformers", "threads": 1, "batch_size": 8}


def server_pid():
    [file] = FOLDER.glob("engine-*.json")
    return json.loads(file.read_text())["pid"]


@pytest.fixture(scope="module")
def engine(gemma, tmp_path_factory):
    """An engine shared by the tests that do not change it; its owner is the test process."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("engine"))
    engine = connect(SETTINGS, gemma[0])
    for index, adapter in enumerate(gemma[1]):
        engine.load(f"adapter{index}", adapter)
    yield engine
    stop(current_owner().token)
    os.chdir(before)


def requests(prompts):
    return [Request(name, prompts, 6) for name in ("adapter0", "base", "adapter1", "adapter2")]


def test_complete_returns_answers_in_the_order_of_prompts(engine, gemma, prompts):
    model = Model(gemma[0])
    [answers] = engine.complete([Request("base", prompts, 6)])
    decode = tokenizer().decode
    expected = [decode(model.complete([p], 6)[0].tokens, skip_special_tokens=True) for p in prompts]
    assert answers == expected
    assert len(set(answers)) > 3


def test_complete_returns_no_texts_for_no_prompts(engine):
    assert engine.complete([]) == []
    assert engine.complete([Request("base", [], 6)]) == [[]]


def test_chunks_have_nearly_equal_size_and_sorted_lengths(engine, prompts):
    chunks = engine._chunks(prompts)
    assert [len(chunk) for chunk in chunks] == [7, 8, 7, 8]
    order = [position for chunk in chunks for position in chunk]
    assert sorted(order) == list(range(len(prompts)))
    assert [(len(prompts[i]), i) for i in order] == sorted((len(prompts[i]), i) for i in order)


def test_answers_do_not_depend_on_concurrent_requests(engine, prompts):
    alone = {r.model: engine.complete([r])[0] for r in requests(prompts)}
    assert len({tuple(answers) for answers in alone.values()}) == 4
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(engine.complete, [requests(prompts)] * 6))
    assert all(answers == list(alone.values()) for answers in together)


def test_usage_counts_answers_and_tokens(workflow, gemma, prompts):
    engine = connect(SETTINGS, gemma[0])
    assert engine.machine == machine.processors()
    assert {*engine.usage.values()} == {0}
    engine.complete([Request("base", prompts, 6), Request("base", prompts[:2], 6)])
    model = Model(gemma[0])
    answers = [model.complete([prompt], 6)[0] for prompt in prompts]
    tokens = [len(answer.tokens) + answer.stopped for answer in answers]  # with the end token, as in vLLM
    chunks = engine._chunks(prompts)
    assert engine.usage == {
        "samples": len(prompts) + 2,
        "prompt_tokens": sum(map(len, prompts)) + sum(map(len, prompts[:2])),
        "response_tokens": sum(tokens) + sum(tokens[:2]),
        "batches": len(chunks) + 1,
        "steps": sum(max(tokens[place] for place in chunk) for chunk in chunks) + max(tokens[:2]),
    }


def test_negative_log_likelihood_leaves_out_first_tokens(engine, gemma, prompts):
    total, tokens = engine.negative_log_likelihood("base", prompts)
    assert tokens == sum(len(prompt) - 1 for prompt in prompts)
    scores, _ = Model(gemma[0]).score(prompts)
    assert total == pytest.approx(-math.fsum(value for row in scores for value in row), rel=1e-5)
    assert engine.negative_log_likelihood("adapter0", prompts) != (total, tokens)


@pytest.mark.parametrize("tau", [0.5, None])
def test_fused_answers_are_those_of_the_model(engine, gemma, prompts, tau):
    some, model = [prompt for prompt in prompts if len(prompt) > 1], Model(gemma[0])
    adapters = [model.read_adapter(folder) for folder in gemma[1]]
    expected = [
        model.tokenizer.decode(model.fuse(adapters, [prompt], 6, tau)[0].tokens, skip_special_tokens=True)
        for prompt in some
    ]
    before = engine.usage["prompt_tokens"]
    assert engine.fuse(["adapter0", "adapter1", "adapter2"], some, 6, tau) == expected
    assert engine.usage["prompt_tokens"] - before == 3 * sum(map(len, some))


CONTINUATIONS = [[[7], [8, 9, 10]], [[5, 6], [7], [11]], [[4, 4, 4, 4]]]


def expected_scores(base, prompts):
    """Log-softmax of transformers' logits for each prompt with each of its continuations, one at a time."""
    network = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()
    rows = []
    for prompt, given in zip(prompts, CONTINUATIONS, strict=True):
        rows.append([])
        for each in given:
            with torch.inference_mode():
                logits = network(torch.tensor([[*prompt, *each]])).logits[0].log_softmax(-1)
            rows[-1].append([logits[len(prompt) - 1 + i, token].item() for i, token in enumerate(each)])
    return rows


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
def test_score_equals_the_log_softmax_of_transformers(engine, gemma, prompts, backend):
    address = replace(engine._address, fingerprint={**engine.fingerprint, "backend": backend})
    client, few = Engine(lambda: address, batch_size=2), prompts[5:8]
    [scores, other] = client.score([ScoreRequest(name, few, CONTINUATIONS) for name in ("base", "adapter0")])
    expected = expected_scores(gemma[0], few)
    assert [[len(row) for row in rows] for rows in scores] == [[1, 3], [2, 1, 1], [4]]
    for rows, right in zip(scores, expected, strict=True):
        for row, values in zip(rows, right, strict=True):
            assert row == pytest.approx(values, abs=1e-4)
    assert other != scores
    read = sum(map(len, few)), sum(len(each) for given in CONTINUATIONS for each in given)
    several = sum(len(prompt) * len(given) for prompt, given in zip(few, CONTINUATIONS, strict=True))
    assert client.usage == {
        "samples": 2 * 3,
        "prompt_tokens": 2 * (sum(read) if backend == "transformers" else several + read[1]),
        "response_tokens": 0,
        "batches": 0,
        "steps": 0,
    }


def test_score_returns_nothing_for_no_prompts(engine):
    assert engine.score([]) == []
    assert engine.score([ScoreRequest("base", [], [])]) == [[]]


def test_refused_request_raises_one_line(engine, tmp_path):
    with pytest.raises(GenomeError, match=r"no adapter_config\.json") as caught:
        engine.load("bad", tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(GenomeError, match="'unknown' does not exist"):
        engine.complete([Request("unknown", [[2, 3]], 1)])
    with pytest.raises(GenomeError, match="positions; the base model has 128"):
        engine.complete([Request("base", [[2, 3]], 200)])


def test_adapter_unknown_to_the_server_is_loaded_again(engine, prompts):
    before = engine.complete(requests(prompts))
    engine._post("/v1/unload_lora_adapter", {"lora_name": "adapter0"})
    assert engine.complete(requests(prompts)) == before


@pytest.mark.slow
def test_server_killed_during_a_request_is_replaced(workflow, gemma, prompts):
    engine = connect(SETTINGS, gemma[0])
    for index, adapter in enumerate(gemma[1]):
        engine.load(f"adapter{index}", adapter)
    before = engine.complete(requests(prompts))
    first = server_pid()
    many = requests(prompts) * 20
    threading.Timer(0.2, os.kill, (first, signal.SIGKILL)).start()
    started = time.monotonic()
    answers = engine.complete(many)
    assert time.monotonic() - started > 0.2, "all was answered before the kill"
    assert answers == before * 20
    assert server_pid() != first
    # All threads saw the crash, but only one of them started a server.
    assert local.LOG.read_text().count("serves") == 2


def test_client_restarts_nothing_after_its_owner_ended(workflow, gemma):
    engine = connect(SETTINGS, gemma[0])
    workflow.kill()
    workflow.wait()
    with pytest.raises(GenomeError, match="the workflow that owned this job has ended"):
        deque(map(engine.complete, repeat([Request("base", [[2, 3]], 1)])), maxlen=0)


@pytest.fixture
def slow(monkeypatch):
    """Return a function that serves `answer` for completions and `counts` at /health or /metrics, as an engine."""
    monkeypatch.setattr("genome.engine.waiting.LOOK_SECONDS", 0.05)
    servers = []

    def make(answer, health=lambda: (200, {}), metrics=lambda: (404, {}), timeout=0.6):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.say(200, answer(json.loads(body)))

            def do_GET(self):
                self.say(*(health() if self.path == "/health" else metrics()))

            def say(self, status, body):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(data)

            def log_request(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        address = Address(f"http://127.0.0.1:{server.server_port}", "key", None, "here")
        finds = []
        engine = Engine(lambda: finds.append(address) or address, timeout=timeout)
        return engine, finds

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def said(text):
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    return {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}], "usage": usage}


def slowly(seconds):
    def answer(body):
        time.sleep(seconds)
        return said("late")

    return answer


ASK = [Request("base", [[2]], 1)]


@pytest.mark.parametrize("where", ["health", "metrics"])
def test_client_waits_for_an_engine_that_makes_progress(slow, where):
    """One answer takes three times the timeout, and only the server's count shows progress."""
    count = itertools.count()

    def metrics():
        return 200, f'# HELP\nvllm:generation_tokens_total{{engine="0"}} {next(count)}.0\n'.encode()

    counted = {"health": lambda: (200, {"steps": next(count)})} if where == "health" else {"metrics": metrics}
    engine, finds = slow(slowly(1.8), **counted)
    assert engine.complete(ASK) == [["late"]]
    assert len(finds) == 1


def test_answers_to_other_requests_count_as_progress(slow):
    """Ten requests, one after the other: the last waits much longer than the timeout."""
    turn = threading.Lock()

    def answer(body):
        with turn:
            time.sleep(0.3)
        return said("in turn")

    engine, finds = slow(answer)
    assert engine.complete(ASK * 7) == [["in turn"]] * 7
    assert len(finds) == 1


def test_stop_texts_are_sent_only_if_there_are_any_the_longest_first(slow):
    bodies = []

    def answer(body):
        bodies.append(body)
        return said("yes")

    engine, _ = slow(answer)
    engine.complete([Request("base", [[1]], 4), Request("base", [[1]], 4, ("\n", "Q:"))])
    assert sorted(body.get("stop", []) for body in bodies) == [[], ["Q:", "\n"]]
    assert sum("stop" in body for body in bodies) == 1


def test_requests_are_greedy_whatever_the_server_does_by_default(slow):
    bodies = []
    engine, _ = slow(lambda body: bodies.append(body) or said("yes"))
    engine.complete(ASK)
    penalties = {"repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0}
    assert bodies[0].items() >= ({"temperature": 0} | penalties).items()


@pytest.mark.parametrize("name", ["iteration_tokens_total_count", "kv_cache_usage_perc"])
def test_parts_of_a_long_prompt_count_as_progress_of_vllm(slow, name):
    """Its counters of tokens rise only at the end of a prompt."""
    count = itertools.count()

    def metrics():
        return 200, f'vllm:prompt_tokens_total 7.0\nvllm:{name}{{engine="0"}} {next(count)}.0\n'.encode()

    engine, _ = slow(slowly(1.8), metrics=metrics)
    assert engine.complete(ASK) == [["late"]]


def test_request_may_wait_longer_than_engines_live(slow):
    """Each engine answers two requests and then ends, as at a time limit of SLURM: the last request loses six."""
    turn, served = threading.Lock(), itertools.count(1)

    def answer(body):
        with turn:
            return said("at last") if next(served) % 3 else b""

    engine, finds = slow(answer)
    assert engine.complete(ASK * 13) == [["at last"]] * 13
    assert len(finds) > 5


def test_request_that_ends_every_engine_is_given_up(slow):
    engine, finds = slow(lambda body: b"")
    with pytest.raises(GenomeError, match=r"^engine: /v1/completions failed 5 times: "):
        engine.complete(ASK)
    assert len(finds) == 6


def test_client_gives_up_on_a_healthy_engine_without_progress(slow):
    engine, _ = slow(slowly(30), metrics=lambda: (200, b'vllm:generation_tokens_total{engine="0"} 7.0\n'))
    started = time.monotonic()
    with pytest.raises(GenomeError, match=r"^engine: no progress for 0\.6 s while requests waited; raise engine\.tim"):
        engine.complete(ASK * 3)
    assert time.monotonic() - started < 3


def test_client_does_not_wait_for_an_unhealthy_engine(slow):
    """Its requests are sent again to the engine that replaces it."""
    ill = [True]

    def answer(body):
        if ill:
            time.sleep(30)
        return said("from the next")

    def health():
        return (503, {}) if ill else (200, {})

    engine, finds = slow(answer, health=health, timeout=60)
    find, engine._find = engine._find, lambda: ill.clear() or find()
    started = time.monotonic()
    assert engine.complete(ASK) == [["from the next"]]
    assert len(finds) == 2
    assert time.monotonic() - started < 5


def test_engine_that_stops_answering_is_replaced(slow):
    silent = [True]

    def health():
        time.sleep(30 if silent else 0)
        return 200, {}

    def answer(body):
        time.sleep(30 if silent else 0)
        return said("from the next")

    engine, finds = slow(answer, health=health)
    find, engine._find = engine._find, lambda: silent.clear() or find()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genome.engine.probe.HEALTH_SECONDS", 0.2)
        assert engine.complete(ASK) == [["from the next"]]
    assert len(finds) == 2


def test_client_checks_health_only_while_requests_wait(slow):
    engine, _ = slow(slowly(0.1))
    engine.complete(ASK)
    deadline = time.monotonic() + 5
    while engine._watch.running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert engine.complete(ASK) == [["late"]], "it is watched again"


def test_client_gives_up_on_a_failing_server_with_its_log(tmp_path):
    class Failing(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b'{"error": {"message": "out of memory"}}')

        def log_request(self, *_):
            pass

    log = tmp_path / "engine.log"
    log.write_text("Traceback (most recent call last):\n  File x\nRuntimeError: no memory left\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        engine = Engine(lambda: Address(f"http://127.0.0.1:{server.server_port}", "key", log, "here"))
        with pytest.raises(GenomeError, match=r"failed 5 times: out of memory.*RuntimeError: no memory left$"):
            engine.complete([Request("base", [[2]], 1)])
        server.shutdown()
