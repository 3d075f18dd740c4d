"""Lifetimes of engines: one per workflow, and none without a workflow."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from genome.engine import local
from genome.engine.launcher import connect
from genome.engine.messages import Request
from genome.engine.owner import HOST, current_owner, started
from genome.engine.state import FOLDER, STORE, Starting, State, stop, write_state
from genome.errors import GenomeError

SETTINGS = {"backend": "transformers", "threads": 1}


def engines(folder):
    """Return the processes of servers that have announced or will announce themselves in `folder`."""
    shown = subprocess.run(["ps", "-ww", "-eo", "pid=,stat=,args="], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in shown.splitlines()]
    return [
        int(pid)
        for pid, state, command in rows
        if "genome.engine.server" in command and f"{folder}/" in command and state[0] != "Z"
    ]


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def job(base, then="pass"):
    """Start a process that connects like a job of the workflow."""
    code = f"from genome.engine.launcher import connect; connect({SETTINGS}, {str(base)!r}); {then}"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def test_state_file_is_private_and_engine_keeps_base_and_store(workflow, gemma, family):
    connect(SETTINGS, gemma[0])
    [file] = FOLDER.glob("engine-*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert FOLDER.stat().st_mode & 0o777 == 0o700
    key = json.loads(file.read_text())["key"]
    assert key not in subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True).stdout
    with pytest.raises(GenomeError, match="a workflow can use only one base model"):
        connect(SETTINGS, family("llama")[0])
    STORE.mkdir()
    stop("another")
    assert STORE.exists()


def test_eight_jobs_share_one_engine(workflow, gemma, tmp_path):
    jobs = [job(gemma[0]) for _ in range(8)]
    assert [job.communicate()[1] for job in jobs] == [""] * 8
    assert len(engines(tmp_path)) == 1
    assert local.LOG.read_text().count("serves") == 1


def test_the_engine_outlives_its_job_and_ends_with_the_owner(workflow, gemma, tmp_path):
    job(gemma[0]).communicate()
    STORE.mkdir(parents=True)
    [pid] = engines(tmp_path)
    connect(SETTINGS, gemma[0])
    assert engines(tmp_path) == [pid]
    # Not waited for: a zombie must count as ended.
    workflow.kill()
    wait_until(lambda: not engines(tmp_path), 2)
    assert not list(FOLDER.glob("engine-*.json"))
    assert not STORE.exists()


def test_owner_killed_during_the_start_leaves_no_engine(workflow, gemma, tmp_path):
    waiting = job(gemma[0])
    wait_until(lambda: engines(tmp_path), 20)
    workflow.kill()
    wait_until(lambda: not engines(tmp_path), 2)
    assert "the workflow that owned this job has ended" in waiting.communicate()[1]


def test_job_killed_during_the_start_leaves_at_most_one_engine(workflow, gemma, tmp_path):
    first = job(gemma[0])
    wait_until(lambda: engines(tmp_path), 20)
    first.kill()
    first.communicate()
    engine = connect(SETTINGS, gemma[0])
    wait_until(lambda: len(engines(tmp_path)) == 1, 20)
    assert len(engine.complete([Request("base", [[2, 3]], 1)])[0]) == 1
    assert len(engines(tmp_path)) == 1


def test_engine_ends_when_its_state_file_is_replaced(workflow, gemma, tmp_path):
    connect(SETTINGS, gemma[0])
    [file] = FOLDER.glob("engine-*.json")
    state = json.loads(file.read_text())
    write_state(file, State(**state | {"pid": os.getpid()}))
    wait_until(lambda: not engines(tmp_path), 2)
    assert file.exists(), "it belongs to the other engine"


def test_process_with_a_reused_pid_is_not_the_engine(workflow, gemma, tmp_path):
    connect(SETTINGS, gemma[0])
    [pid] = engines(tmp_path)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not engines(tmp_path), 2)
    [file] = FOLDER.glob("engine-*.json")
    state = json.loads(file.read_text())
    write_state(file, State(**state | {"pid": os.getpid()}))
    connect(SETTINGS, gemma[0])
    assert len(engines(tmp_path)) == 1
    assert os.getpid() not in engines(tmp_path)


def test_hanging_engine_is_replaced(workflow, gemma, tmp_path, monkeypatch):
    connect(SETTINGS, gemma[0])
    [pid] = engines(tmp_path)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("genome.engine.probe.HEALTH_SECONDS", 0.5)
    monkeypatch.setattr("genome.engine.state.END_SECONDS", 0.5)
    engine = connect(SETTINGS, gemma[0])
    assert pid not in engines(tmp_path)
    assert len(engine.complete([Request("base", [[2, 3]], 1)])[0]) == 1


def test_stop_ends_the_engine_and_empties_the_store(workflow, gemma, tmp_path):
    connect(SETTINGS, gemma[0])
    STORE.mkdir()
    stop(current_owner().token)
    assert not engines(tmp_path)
    assert not list(FOLDER.glob("engine-*.json"))
    assert not STORE.exists()


def test_error_quotes_the_log_of_a_server_that_fails_to_start(workflow, gemma, tmp_path):
    broken = tmp_path / "base"
    broken.mkdir()
    for file in gemma[0].iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:2000])
    local.LOG.parent.mkdir()
    local.LOG.write_text("an error of another day\n")
    with pytest.raises(GenomeError, match=r"ended with code 1 as it started.*engine\.log ends: ") as caught:
        connect(SETTINGS, broken)
    assert "\n" not in str(caught.value)
    assert "another day" not in str(caught.value)


@pytest.fixture
def crashing(monkeypatch, tmp_path):
    """Return a function that makes the next `times` engines be killed during the start, and returns their counter."""
    starts = tmp_path / "starts"

    def make(times, death="kill -9 $$"):
        script = tmp_path / "python"
        script.write_text(
            f'#!/bin/sh\necho >> "{starts}"\n[ $(wc -l < "{starts}") -gt {times} ] || {{ {death}; }}\n'
            f'exec {sys.executable} "$@"\n'
        )
        script.chmod(0o755)
        command = local.command
        monkeypatch.setattr(local, "command", lambda *given: [str(script), *command(*given)[1:]])
        return lambda: len(starts.read_text().splitlines())

    return make


@pytest.mark.parametrize("death", ["kill -9 $$", "kill -15 $$", "echo Traceback; exit 1", "exit 0"])
def test_engine_killed_during_the_start_is_started_again(workflow, gemma, crashing, death):
    starts = crashing(2, death)
    engine = connect(SETTINGS, gemma[0])
    assert starts() == 3
    assert len(engine.complete([Request("base", [[2, 3]], 1)])[0]) == 1
    assert not list(FOLDER.glob("*.start"))


def test_engine_that_is_always_killed_is_given_up(workflow, gemma, crashing):
    starts = crashing(9, "echo loading; kill -9 $$")
    with pytest.raises(
        GenomeError,
        match=r"^the engine ended with code -9 as it started, as it did 2 time\(s\) before; was there enough memory\?; "
        r".*ends: loading$",
    ):
        connect(SETTINGS, gemma[0])
    assert starts() == 3
    assert not list(FOLDER.glob("engine-*"))


def test_engine_that_hangs_as_it_starts_is_given_up(workflow, gemma, crashing, tmp_path, monkeypatch):
    monkeypatch.setattr("genome.engine.program.START_SECONDS", 0)
    starts = crashing(9, "echo loading; exec sleep 600")
    with pytest.raises(
        GenomeError,
        match=r"^the engine was not ready, and its log did not grow for 1 s; raise engine\.timeout; .*ends: loading$",
    ):
        connect(SETTINGS | {"timeout": 1}, gemma[0])
    assert starts() == 1
    assert not engines(tmp_path)


def test_engine_may_start_for_longer_than_the_timeout(workflow, gemma, crashing):
    """It is silent for two seconds before it begins, with a timeout of half a second."""
    starts = crashing(1, "sleep 2")
    connect(SETTINGS | {"timeout": 0.5}, gemma[0])
    assert starts() == 1


def test_start_lasts_as_long_as_the_log_grows(workflow, tmp_path):
    file, logfile = tmp_path / "engine-x.json", tmp_path / "engine.log"
    owner, starting = current_owner(), Starting(HOST, os.getpid(), started(os.getpid()))
    state = State("http://x", "key", HOST, os.getpid(), started(os.getpid()), "base", "here", {})

    def load():
        for _ in range(40):
            with logfile.open("a") as log:
                log.write("loading\n")
            time.sleep(0.1)
        write_state(file, state)

    threading.Thread(target=load, daemon=True).start()
    assert local._published(file, starting, owner, 2, logfile, 0) == state


def test_engine_with_its_own_error_is_not_started_again(workflow, gemma, crashing):
    starts = crashing(9, "echo error: no memory; exit 1")
    with pytest.raises(GenomeError, match=r"^the engine ended with code 1 as it started; .*ends: error: no memory$"):
        connect(SETTINGS, gemma[0])
    assert starts() == 1


def test_next_job_waits_for_the_engine_of_a_killed_job(workflow, gemma, tmp_path):
    """The next job does not start a second engine."""
    first = job(gemma[0])
    wait_until(lambda: list(FOLDER.glob("engine-*.start")), 20)
    first.kill()
    first.communicate()
    connect(SETTINGS, gemma[0])
    assert len(engines(tmp_path)) == 1
    assert local.LOG.read_text().count("serves") == 1
    assert not list(FOLDER.glob("*.start"))


def test_engine_is_started_again_after_it_and_its_job_were_killed(workflow, gemma, tmp_path):
    first = job(gemma[0])
    wait_until(lambda: list(FOLDER.glob("engine-*.start")), 20)
    first.kill()
    first.communicate()
    for pid in engines(tmp_path):
        os.kill(pid, signal.SIGKILL)
    connect(SETTINGS, gemma[0])
    assert local.LOG.read_text().count("serves") == 1


def test_run_that_ends_during_the_start_leaves_no_engine(workflow, gemma, tmp_path):
    first = job(gemma[0])
    wait_until(lambda: list(FOLDER.glob("engine-*.start")), 20)
    first.kill()
    first.communicate()
    stop(current_owner().token)
    assert not engines(tmp_path)
    assert [path.name for path in FOLDER.iterdir()] == [".lock"]


def test_engine_killed_before_its_first_request_is_replaced(workflow, gemma, tmp_path):
    engine = connect(SETTINGS, gemma[0])
    [pid] = engines(tmp_path)
    os.kill(pid, signal.SIGKILL)
    assert len(engine.complete([Request("base", [[2, 3]], 1)])[0]) == 1
    assert engines(tmp_path) != [pid]


def test_bad_settings_start_nothing(workflow, gemma, tmp_path):
    with pytest.raises(GenomeError, match=r"engine\.backend is 'vlm', expected one of transformers"):
        connect({"backend": "vlm"}, gemma[0])
    with pytest.raises(GenomeError, match=r"nowhere: no config\.json"):
        connect(SETTINGS, Path("nowhere"))
    assert not engines(tmp_path)


def test_client_and_launcher_import_no_library_that_is_slow_to_import():
    code = "import sys, genome.engine.launcher; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    slow = {"huggingface_hub", "jinja2", "pandas", "pydantic", "scipy", "sklearn", "snakemake", "torch", "transformers"}
    assert not slow & set(shown)
