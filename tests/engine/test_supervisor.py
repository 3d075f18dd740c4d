"""Lifetimes of an external server, with a replacement for vLLM's: none of its processes outlives the workflow."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from genome.engine import local, machine
from genome.engine.launcher import connect
from genome.engine.messages import Request
from genome.engine.owner import current_owner, start_time
from genome.engine.probe import get
from genome.engine.program import KEY_VARIABLE
from genome.engine.state import FOLDER, STORE, read_state, stop
from genome.errors import GenomeError


@pytest.fixture
def settings(fake_python):
    return {"backend": "vllm", "python": str(fake_python), "timeout": 30}


@pytest.fixture
def adapters(tmp_path):
    """Two folders of a store, each with the text of its adapter's answers."""
    folders = [tmp_path / "store" / name for name in ("aaa", "bbb")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "content").write_text(f"I am {folder.name}")
    return folders


def shown():
    return json.loads(Path("fake-vllm.json").read_text())


def alive():
    """Return the processes of the server and its worker that still run."""
    return [pid for pid in (shown()["pid"], shown()["worker"]) if start_time(pid)]


def supervisor():
    [file] = FOLDER.glob("engine-*.json")
    return read_state(file).pid


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def ask(engine, adapters, repeat=1):
    requests = [Request(folder.name, [[2, 3]] * 3, 5) for folder in adapters] * repeat
    return {
        (request.model, text)
        for request, texts in zip(requests, engine.complete(requests), strict=True)
        for text in texts
    }


EXPECTED = {("aaa", "I am aaa"), ("bbb", "I am bbb")}


def test_server_gets_its_key_and_a_clean_python_path(workflow, base, settings, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "")
    connect(settings | {"env": {"VLLM_CPU_KVCACHE_SPACE": 1}, "args": ["--dtype", "float32"]}, base, rank=8)
    [file] = FOLDER.glob("engine-*.json")
    key, environment = read_state(file).key, shown()["environment"]
    assert read_state(file).machine == machine.accelerators()
    assert environment["VLLM_API_KEY"] == key
    assert key not in subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True).stdout
    assert KEY_VARIABLE not in environment
    assert "PYTHONHOME" not in environment
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert " ".join(shown()["argv"]).count("--dtype float32") == 1
    assert os.getsid(shown()["pid"]) == shown()["pid"]


def test_vllm_serves_two_adapters_and_the_base(workflow, base, settings, adapters):
    engine = connect(settings, base, rank=8)
    with engine.serving(adapters):
        assert ask(engine, adapters) == EXPECTED
        assert engine.complete([Request("base", [[2]], 1)]) == [["base"]]


def test_second_process_uses_the_running_server(workflow, base, settings):
    connect(settings, base)
    connect(settings, base)
    assert local.LOG.read_text().count("serves") == 1


@pytest.mark.parametrize("stubborn", [False, True])
def test_end_of_the_owner_ends_all_processes(workflow, base, settings, monkeypatch, stubborn):
    """A worker that ignores SIGTERM is killed after the time limit."""
    connect(settings | ({"env": {"FAKE_STUBBORN": 1}} if stubborn else {}), base)
    assert len(alive()) == 2
    STORE.mkdir()
    workflow.kill()
    wait_until(lambda: not alive(), 15 if stubborn else 5)
    assert not list(FOLDER.glob("engine-*.json"))
    assert not STORE.exists()


def test_owner_killed_during_the_start_leaves_no_process(workflow, base, settings):
    def wait():
        with pytest.raises(GenomeError, match="has ended"):
            connect(settings | {"env": {"FAKE_START_SECONDS": 60}}, base)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(Path("fake-vllm.json").exists, 20)
    workflow.kill()
    wait_until(lambda: not alive(), 5)
    waiting.join(10)
    assert not waiting.is_alive()


def test_stop_ends_all_processes(workflow, base, settings):
    connect(settings, base)
    stop(current_owner().token)
    assert not alive()


def test_removed_state_file_ends_all_processes(workflow, base, settings):
    connect(settings, base)
    for file in FOLDER.glob("engine-*.json"):
        file.unlink()
    wait_until(lambda: not alive(), 5)


def test_killed_supervisor_ends_the_server(workflow, base, settings):
    connect(settings, base)
    os.kill(supervisor(), signal.SIGKILL)
    wait_until(lambda: shown()["pid"] not in alive(), 5)
    os.kill(shown()["worker"], signal.SIGKILL)  # vLLM's server ends its workers on SIGTERM


def test_server_that_outlives_its_supervisor_is_killed(workflow, base, settings, monkeypatch):
    monkeypatch.setenv("FAKE_DEAF", "1")  # like vLLM's while it waits for requests that will never be answered
    connect(settings, base)
    os.kill(supervisor(), signal.SIGKILL)
    wait_until(lambda: not alive(), 15)


@pytest.mark.parametrize("victim", ["pid", "worker", "supervisor"])
def test_client_survives_a_crash(workflow, base, settings, adapters, victim):
    """The server's /health shows a dead worker; a dead server ends its worker."""
    engine = connect(settings | {"env": {"FAKE_SECONDS": 0.2}}, base)
    with engine.serving(adapters):
        before = shown()
        if victim == "worker":
            Path("unhealthy").touch()
            threading.Timer(0.1, os.kill, (before["pid"], signal.SIGKILL)).start()
            threading.Timer(0.2, Path("unhealthy").unlink).start()
        else:
            pid = supervisor() if victim == "supervisor" else before["pid"]
            threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        assert ask(engine, adapters, repeat=100) == EXPECTED
    wait_until(lambda: start_time(before["pid"]) is None, 5)
    if victim == "supervisor":
        os.kill(before["worker"], signal.SIGKILL)
    else:
        assert start_time(before["worker"]) is None
    assert shown()["pid"] != before["pid"]
    assert local.LOG.read_text().count("serves") == 2


def test_unhealthy_server_is_replaced(workflow, base, settings):
    connect(settings, base)
    before = shown()["pid"]
    Path("unhealthy").touch()
    threading.Timer(1, Path("unhealthy").unlink).start()
    connect(settings, base)
    assert shown()["pid"] != before
    assert start_time(before) is None


def test_supervisor_ends_a_server_that_never_answers(workflow, base, settings, adapters, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "600")
    engine = connect(settings, base)
    first = shown()["pid"]
    monkeypatch.delenv("FAKE_SECONDS")  # the next server answers

    def sicken():
        Path("unhealthy").touch()
        wait_until(lambda: not start_time(first), 30)
        Path("unhealthy").unlink()

    threading.Timer(0.5, sicken).start()
    with engine.serving(adapters):
        assert ask(engine, adapters) == EXPECTED
    assert shown()["pid"] != first


def test_incomplete_answer_is_requested_again(workflow, base, settings, adapters):
    engine = connect(settings, base)
    with engine.serving(adapters):
        Path("abort").touch()
        assert ask(engine, adapters) == EXPECTED
    assert not Path("abort").exists(), "nothing was aborted"


def test_error_quotes_the_cause_of_a_failed_start(workflow, base, settings):
    with pytest.raises(GenomeError, match=r"as it started; .*ends: RuntimeError: no memory \| error: .* code 1$"):
        connect(settings | {"env": {"FAKE_FAILURE": "no memory"}}, base)


def test_server_killed_during_the_start_is_started_again(workflow, base, settings):
    def kill():
        wait_until(Path("fake-vllm.json").exists, 20)
        os.kill(shown()["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    engine = connect(settings | {"env": {"FAKE_START_SECONDS": 2}}, base)
    killer.join()
    assert engine.complete([Request("base", [[2]], 1)]) == [["base"]]
    assert "the server was ended by signal 9" in local.LOG.read_text()


def test_error_names_a_flag_unknown_to_the_server(workflow, base, settings):
    with pytest.raises(GenomeError, match=r"unrecognized arguments: --nonsense \| error: .* code 2$"):
        connect(settings | {"args": ["--nonsense"]}, base)


def test_adapter_of_too_high_rank_is_refused_with_the_remedy(workflow, base, settings, tmp_path):
    with pytest.raises(GenomeError, match=r"greater than max_lora_rank 8\.; raise engine\.max_lora_rank$"):
        connect(settings, base).load("wide", tmp_path)


def test_adapter_is_unloaded_after_its_last_user(workflow, base, settings, adapters):
    one, other = connect(settings, base), connect(settings, base)

    def loaded():
        [file] = FOLDER.glob("engine-*.json")
        state = read_state(file)
        return {model["id"] for model in json.loads(get(f"{state.url}/v1/models", state.key).data)["data"]}

    with one.serving(adapters):
        with other.serving(adapters[:1]):
            assert loaded() == {"base", "aaa", "bbb"}
        assert loaded() == {"base", "aaa", "bbb"}, "the first still uses it"
    assert loaded() == {"base"}
    assert ask(one, adapters) == EXPECTED, "a new request loads it again"


URL = {"backend": "url", "timeout": 5}


@pytest.fixture
def running(workflow, base, settings):
    """The state of a server that already runs."""
    connect(settings, base)
    [file] = FOLDER.glob("engine-*.json")
    return read_state(file)


def test_url_backend_uses_an_external_server(running, base, adapters, monkeypatch):
    monkeypatch.setenv("GENOME_API_KEY", running.key)
    engine = connect(URL | {"url": f"{running.url}/v1/"}, base)
    assert engine.machine == "127.0.0.1", "all that is known of it"
    with engine.serving(adapters):
        assert ask(engine, adapters) == EXPECTED
    assert engine.usage == {"samples": 6, "prompt_tokens": 12, "response_tokens": 6, "batches": 1, "steps": 1}
    monkeypatch.setenv("MINE", running.key)
    connect(URL | {"url": running.url, "key_variable": "MINE"}, base)


def test_url_backend_errors_are_one_line(running, base, monkeypatch):
    monkeypatch.delenv("GENOME_API_KEY", raising=False)
    monkeypatch.setattr("genome.engine.launcher.URL_SECONDS", 0.1)
    with pytest.raises(GenomeError, match="GENOME_API_KEY is not set"):
        connect(URL | {"url": running.url}, base)
    monkeypatch.setenv("GENOME_API_KEY", "wrong")
    with pytest.raises(GenomeError, match="refuses the key in GENOME_API_KEY"):
        connect(URL | {"url": running.url}, base)
    monkeypatch.setenv("GENOME_API_KEY", running.key)
    with pytest.raises(GenomeError, match="serves base, not 'gemma'"):
        connect(URL | {"url": running.url, "model_name": "gemma"}, base)
    with pytest.raises(GenomeError, match=r"no answer from http://127.0.0.1:1 in"):
        connect(URL | {"url": "http://127.0.0.1:1"}, base)
