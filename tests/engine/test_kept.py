"""Answers that a stage keeps: found again after an interruption, and only by the same request to the same engine."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from genome.engine.client import Engine
from genome.engine.kept import Kept
from genome.engine.messages import Address, Request
from genome.errors import GenomeError

ENGINE = {"backend": "transformers", "dtype": "float32"}
BODY = {"model": "abc", "prompt": [[2, 3]], "max_tokens": 4}
ANSWER = {"choices": [{"index": 0, "text": "sieben, «7»", "finish_reason": "stop"}], "usage": {"prompt_tokens": 2}}
PATH = "/v1/completions"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "generation_1/.population.json.kept"


@pytest.fixture
def kept(file):
    """A file with one answer."""
    file.parent.mkdir()
    Kept(file, ENGINE).add(PATH, BODY, ANSWER)
    return file


def test_answer_is_found_by_the_same_request_in_any_order_of_fields(kept):
    assert Kept(kept, ENGINE).find(PATH, dict(reversed(BODY.items()))) == ANSWER


@pytest.mark.parametrize(
    "change", [{"model": "abd"}, {"prompt": [[2, 4]]}, {"prompt": [[2], [3]]}, {"max_tokens": 5}, {"stop": ["\n"]}]
)
def test_answer_to_another_request_is_not_found(kept, change):
    assert Kept(kept, ENGINE).find(PATH, BODY | change) is None


def test_answer_of_another_engine_or_address_is_not_found(kept):
    assert Kept(kept, ENGINE | {"dtype": "bfloat16"}).find(PATH, BODY) is None
    assert Kept(kept, ENGINE).find("/v1/continuations", BODY) is None


def test_answers_of_this_attempt_are_not_found(kept):
    """A repeated request is asked and counted as often as without an interruption."""
    again = Kept(kept, ENGINE)
    again.add(PATH, BODY | {"max_tokens": 5}, ANSWER)
    assert again.find(PATH, BODY | {"max_tokens": 5}) is None


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_torn_last_line_is_dropped_and_the_next_one_is_whole(kept, cut):
    other = BODY | {"max_tokens": 5}
    Kept(kept, ENGINE).add(PATH, other, ANSWER)
    os.truncate(kept, kept.stat().st_size - cut)
    again = Kept(kept, ENGINE)
    assert (again.find(PATH, BODY), again.find(PATH, other)) == (ANSWER, None)
    again.add(PATH, other, ANSWER)
    assert Kept(kept, ENGINE).find(PATH, other) == ANSWER
    assert len([json.loads(line) for line in kept.read_text().splitlines()]) == 2


@pytest.mark.parametrize("line", [b"\x00\xff\n", b"[1]\n", b"3\n", b'{"key": "x"}\n', b"\n"])
def test_damaged_line_is_passed_over(kept, line):
    kept.write_bytes(line + kept.read_bytes())
    assert Kept(kept, ENGINE).find(PATH, BODY) == ANSWER


def test_seconds_of_earlier_attempts_add_up(kept, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("genome.engine.kept.time.monotonic", lambda: now[0])
    first = Kept(kept, ENGINE)
    now[0] += 30
    first.add(PATH, BODY | {"max_tokens": 5}, ANSWER)
    now[0] += 500  # lost with the attempt
    second = Kept(kept, ENGINE)
    assert second.seconds == pytest.approx(30, abs=1)
    now[0] += 12
    second.add(PATH, BODY | {"max_tokens": 6}, ANSWER)
    assert Kept(kept, ENGINE).seconds == pytest.approx(42, abs=1)


def test_without_a_file_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = Kept(None, ENGINE)
    kept.add(PATH, BODY, ANSWER)
    assert kept.find(PATH, BODY) is None
    assert kept.seconds == 0
    assert list(tmp_path.iterdir()) == []


def test_file_that_cannot_be_written_is_one_line(tmp_path):
    file = tmp_path / "nowhere/.population.json.kept"
    with pytest.raises(GenomeError, match=r"^cannot write .*nowhere/\.population\.json\.kept: No such file") as caught:
        Kept(file, ENGINE).add(PATH, BODY, ANSWER)
    assert "\n" not in str(caught.value)


class Counting(BaseHTTPRequestHandler):
    """Answers each prompt with its first token, keeps the prompts that it was asked, and refuses after some."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list] = []
    left = 10**6
    seconds = 0.0

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if type(self).left == 0:
            return self.say(400, {"error": {"message": "enough"}})
        type(self).left -= 1
        self.asked.append(body["prompt"])
        time.sleep(self.seconds)
        choices = [
            {"index": i, "text": str(prompt[0]), "finish_reason": "stop"} for i, prompt in enumerate(body["prompt"])
        ]
        usage = {"prompt_tokens": sum(map(len, body["prompt"])), "completion_tokens": len(choices)}
        self.say(200, {"choices": choices, "usage": usage})

    def say(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(Counting, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def engine(server, kept, **options):
    address = Address(f"http://127.0.0.1:{server.server_port}", "key", None, "here", ENGINE)
    return Engine(lambda: address, batch_size=2, concurrency=1, kept=kept, **options)


def test_interrupted_stage_asks_only_for_what_is_missing(server, tmp_path, monkeypatch, caplog):
    prompts = [[number, number] for number in range(2, 12)]
    whole = engine(server, None)
    expected = whole.complete([Request("base", prompts, 1)])
    everything = [*Counting.asked]

    file = tmp_path / ".population.json.kept"
    monkeypatch.setattr(Counting, "asked", [])
    monkeypatch.setattr(Counting, "left", 3)
    first = engine(server, file)
    with pytest.raises(GenomeError, match="enough"):
        first.complete([Request("base", prompts, 1)])
    first._threads.shutdown()
    monkeypatch.setattr(Counting, "left", 10**6)
    with caplog.at_level(logging.INFO, "genome"):
        again = engine(server, file)
    assert "3 requests were answered before this stage was interrupted" in caplog.text
    assert again.complete([Request("base", prompts, 1)]) == expected
    assert sorted(Counting.asked) == sorted(everything), "each request is answered once, and in the same batches"
    assert again.usage == whole.usage


def test_answer_reaches_the_file_before_the_others_have_come(server, tmp_path):
    file = tmp_path / ".population.json.kept"
    one = engine(server, file)
    seen = []
    send = one._post

    def post(path, body):
        seen.append(len(file.read_text().splitlines()) if file.exists() else 0)
        return send(path, body)

    one._post = post
    one.complete([Request("base", [[2], [3], [4], [5], [6], [7]], 1)])
    assert seen == [0, 1, 2]


STAGE = """
import sys
from pathlib import Path
from genome.engine.client import Engine
from genome.engine.messages import Address, Request
address = Address(sys.argv[1], "key", None, "here", {"backend": "transformers", "dtype": "float32"})
engine = Engine(lambda: address, batch_size=2, concurrency=2, kept=Path(sys.argv[2]))
print(engine.complete([Request("base", [[number] for number in range(2, 82)], 1)])[0])
"""


def test_killed_stage_loses_at_most_the_requests_in_flight(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Counting, "seconds", 0.05)
    file = tmp_path / ".population.json.kept"
    command = [sys.executable, "-c", STAGE, f"http://127.0.0.1:{server.server_port}", str(file)]
    stage = subprocess.Popen(command, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not file.exists() or file.read_bytes().count(b"\n") < 5:
        assert time.monotonic() < deadline
        assert stage.poll() is None
        time.sleep(0.005)
    stage.kill()
    stage.communicate()
    kept = file.read_bytes().count(b"\n")
    assert kept < 40, "it was killed in the middle"
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([str(number) for number in range(2, 82)])
    assert file.read_bytes().count(b"\n") == 40
    again = Counter(map(str, Counting.asked))
    assert len(again) == 40
    assert again.total() - 40 <= 2, "two requests were in flight"
