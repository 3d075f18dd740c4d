"""Engines as SLURM jobs, with replacements for SLURM's commands and for vLLM's server."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from genome.engine import lifetime, slurm
from genome.engine.launcher import connect
from genome.engine.messages import Request
from genome.engine.owner import HOST, current_owner, start_time
from genome.engine.program import KEY_VARIABLE
from genome.engine.state import FOLDER, STORE, read_state, stop
from genome.errors import GenomeError

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the fake SLURM needs /proc")


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch):
    """Fake SLURM commands whose jobs are processes; yields the folder of their files."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent}/fake_slurm.py {name} "$@"\n')
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    monkeypatch.setattr("genome.engine.cluster.QUEUE_SECONDS", 0.2)
    return folder


@pytest.fixture
def settings(fake_slurm, workflow, fake_python):
    """Settings of an engine in a separate SLURM job; the workflow ends before the folder is removed."""
    return {"backend": "vllm", "python": str(fake_python), "timeout": 30, "slurm": {"partition": "gpu", "gpus": 2}}


def submitted(folder):
    """Return how jobs were submitted, in order."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def states():
    return [read_state(file) for file in sorted(FOLDER.glob("engine-*.json"))]


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def gone(pid):
    return start_time(pid) is None


def test_slurm_engine_is_submitted_once_and_reached_by_host_name(settings, base, fake_slurm, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "100")
    engine, other = connect(settings, base, rank=8), connect(settings, base, rank=8)
    [job], [state] = submitted(fake_slurm), states()
    assert (state.job, state.host) == ("1", HOST)
    assert state.url.startswith(f"http://{HOST}:")
    assert engine.complete([Request("base", [[2]], 1)]) == other.complete([Request("base", [[2]], 1)]) == [["base"]]
    argv = " ".join(job["argv"])
    assert "--partition gpu --gpus 2" in argv
    assert "--job-name genome-engine --output logs/engine-%j.log" in argv
    assert "--idle 600" in argv
    assert "--data-parallel-size 2" in argv, "its GPUs are not those of this machine"
    assert job["environment"][KEY_VARIABLE] == state.key
    assert state.key not in argv
    assert "SLURM_MEM_PER_NODE" not in job["environment"], "the main process's own allocation must not decide"
    assert "serves" in Path("logs/engine-1.log").read_text()


def test_job_waits_for_a_pending_engine_and_logs_it_once(settings, base, fake_slurm, caplog):
    (fake_slurm / "hold").touch()
    threading.Timer(1.5, (fake_slurm / "hold").unlink).start()
    with caplog.at_level(logging.INFO, "genome"):
        connect(settings | {"timeout": 20}, base)
    said = [record.getMessage() for record in caplog.records]
    assert said.count("waiting for engine job 1: PENDING (Resources)") == 1
    assert len(submitted(fake_slurm)) == 1


def test_no_job_is_cancelled_while_the_controller_is_down(settings, base, fake_slurm):
    (fake_slurm / "hold").touch()
    threading.Timer(0.7, (fake_slurm / "down").touch).start()
    threading.Timer(1.5, (fake_slurm / "hold").unlink).start()
    threading.Timer(2.0, (fake_slurm / "down").unlink).start()
    connect(settings, base)
    assert len(submitted(fake_slurm)) == 1


def test_refusal_of_sbatch_is_one_line(settings, base, fake_slurm):
    (fake_slurm / "refuse").write_text(
        "sbatch: error: invalid partition specified: gpu\nsbatch: error: Batch job failed"
    )
    with pytest.raises(
        GenomeError, match=r"^sbatch refused an engine: .*invalid partition.*failed; correct engine\.slurm"
    ):
        connect(settings, base)


def test_machine_without_slurm_raises_one_line(settings, base, monkeypatch):
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GenomeError, match=r"sbatch cannot be run .*; engine.slurm needs a machine"):
        connect(settings, base)
    monkeypatch.setenv("PATH", path)


@pytest.mark.parametrize("pending", [True, False])
def test_cancelled_engine_is_submitted_again(settings, base, fake_slurm, pending):
    if pending:
        (fake_slurm / "hold").touch()
        waiting = threading.Thread(target=connect, args=(settings, base))
        waiting.start()
        wait_until(lambda: submitted(fake_slurm))
        subprocess.run(["scancel", "1"], check=True)
        wait_until(lambda: len(submitted(fake_slurm)) == 2)
        (fake_slurm / "hold").unlink()
        waiting.join(20)
    else:
        engine = connect(settings, base)
        subprocess.run(["scancel", "1"], check=True)
        assert engine.complete([Request("base", [[2]], 1)]) == [["base"]]
    assert [state.job for state in states()] == ["2"]
    [memory] = FOLDER.glob("engine-*.job")
    assert slurm.read_job(memory) == slurm.Job("2", served=True)


def test_third_engine_is_not_submitted_after_two_failures(settings, base, fake_slurm):
    failing = settings | {"env": {"FAKE_FAILURE": "no memory"}}
    for _ in range(2):
        with pytest.raises(GenomeError, match=r"engine job 2 ended before it served, as did .*ends: .*no memory"):
            connect(failing, base)
    assert len(submitted(fake_slurm)) == 2


def test_engine_that_never_becomes_ready_is_cancelled(settings, base, fake_slurm, monkeypatch):
    monkeypatch.setattr("genome.engine.program.START_SECONDS", 0)
    with pytest.raises(GenomeError, match=r"engine job 2 was not ready for 0\.5 s, as did the one before"):
        connect(settings | {"env": {"FAKE_START_SECONDS": 60}, "timeout": 0.5}, base)
    assert all(gone(job["pid"]) for job in submitted(fake_slurm))


def test_unreachable_engine_is_named(settings, base, fake_slurm, monkeypatch):
    monkeypatch.setattr("genome.engine.cluster.HEALTH_SECONDS", 0.5)
    monkeypatch.setattr("genome.engine.cluster._reached", lambda file: None)
    with pytest.raises(GenomeError, match=rf"engine job 2 at http://.* was out of reach of {HOST} for"):
        connect(settings, base)


def test_jobs_use_their_replica_or_any_other_meanwhile(settings, base, fake_slurm, monkeypatch):
    two = settings | {"replicas": 2}
    monkeypatch.setattr(os, "getpid", lambda: 10)
    first = connect(two, base)._address.url
    wait_until(lambda: len(states()) == 2)
    monkeypatch.setattr(os, "getpid", lambda: 11)
    second = connect(two, base)._address.url
    assert {first, second} == {state.url for state in states()}
    assert first != second
    assert len(submitted(fake_slurm)) == 2
    (fake_slurm / "hold").touch()
    job = next(state.job for state in states() if state.url == second)
    subprocess.run(["scancel", job], check=True)
    wait_until(lambda: gone(submitted(fake_slurm)[int(job) - 1]["pid"]))
    assert connect(two, base)._address.url == first
    assert len(submitted(fake_slurm)) == 3, "the one that is missing has been submitted"
    (fake_slurm / "refuse").write_text("sbatch: error: no more")
    subprocess.run(["scancel", "3"], check=True)
    wait_until(lambda: gone(submitted(fake_slurm)[2]["pid"]))
    assert connect(two, base)._address.url == first, "no matter that it cannot be replaced"


def test_stop_cancels_running_and_pending_engines(settings, base, fake_slurm):
    connect(settings | {"replicas": 2}, base)
    (fake_slurm / "hold").touch()
    STORE.mkdir(exist_ok=True)
    stop("another")
    assert states()
    stop(current_owner().token)
    assert all(gone(job["pid"]) for job in submitted(fake_slurm))
    assert [path.name for path in FOLDER.iterdir()] == [".lock"]


def test_slurm_engine_ends_with_an_owner_on_its_host(settings, base, fake_slurm, workflow):
    connect(settings, base)
    workflow.kill()
    wait_until(lambda: all(gone(job["pid"]) for job in submitted(fake_slurm)))
    assert not states()
    assert not list(FOLDER.glob("*.job"))


def test_stop_removes_files_of_killed_workflows(settings, base, fake_slurm):
    connect(settings, base)
    for file in FOLDER.glob("*"):
        if file.name.startswith(("alive-", "engine-")):
            token = current_owner().token
            (FOLDER / file.name.replace(token, "0123")).write_text(file.read_text())
    subprocess.run(["scancel", "1"], check=True)
    stop(current_owner().token)
    assert [path.name for path in FOLDER.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "damage", [lambda file: file.write_text('{"id": 1'), lambda file: (file.unlink(), file.mkdir())]
)
def test_damaged_job_records_are_ignored(settings, base, fake_slurm, damage):
    connect(settings, base)
    first = submitted(fake_slurm)[0]["pid"]
    for file in (*FOLDER.glob("engine-*"), *FOLDER.glob("alive-*")):
        damage(file)
    engine = connect(settings, base)
    assert engine.complete([Request("base", [[2]], 1)]) == [["base"]]
    assert [state.job for state in states()] == ["2"]
    wait_until(lambda: gone(first))
    stop(current_owner().token)
    assert [path.name for path in FOLDER.iterdir()] == [".lock"]


def elsewhere(monkeypatch):
    """Make the workflow's main process appear to be on another host."""
    _, rest = os.environ["GENOME_OWNER"].split(":", 1)
    monkeypatch.setenv("GENOME_OWNER", f"elsewhere:{rest}")


def test_engine_of_a_remote_owner_ends_when_unneeded(settings, base, fake_slurm, workflow, monkeypatch):
    elsewhere(monkeypatch)
    monkeypatch.setattr("genome.engine.cluster.NEED_SECONDS", 0.2)
    connect(settings | {"idle": 1.5}, base)
    [job] = submitted(fake_slurm)
    workflow.kill()
    time.sleep(2.5)
    assert not gone(job["pid"]), "a job that needs it still runs"
    monkeypatch.setattr("genome.engine.cluster.NEED_SECONDS", 600)
    wait_until(lambda: gone(job["pid"]))
    assert not states()
    connect(settings, base)
    assert [state.job for state in states()] == ["2"]


def test_engine_of_a_remote_owner_ends_when_its_file_is_removed(settings, base, fake_slurm, monkeypatch):
    elsewhere(monkeypatch)
    connect(settings, base)
    for file in FOLDER.glob("engine-*.json"):
        file.unlink()
    wait_until(lambda: gone(submitted(fake_slurm)[0]["pid"]))


def test_unneeded_does_not_use_the_clock_of_another_host(tmp_path):
    file = tmp_path / "alive"
    unneeded = lifetime.unneeded(file, 0.2)
    for moment in (10**9, 5, 2 * 10**9):  # wrong clocks, also running backwards
        file.touch()
        os.utime(file, (moment, moment))
        assert not unneeded()
        time.sleep(0.15)
    time.sleep(0.1)
    assert unneeded()


def test_job_on_another_host_names_the_missing_setting(workflow, base, monkeypatch):
    elsewhere(monkeypatch)
    with pytest.raises(GenomeError, match=r"its workflow on elsewhere: set engine\.slurm or engine\.per_job"):
        connect({"backend": "transformers"}, base)


def test_per_job_engine_ends_with_its_job(settings, base, fake_slurm, monkeypatch):
    elsewhere(monkeypatch)
    own = {**settings, "per_job": True}
    code = f"from genome.engine.launcher import connect; connect({own}, {str(base)!r}); input()"
    jobs = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) for _ in range(2)]
    wait_until(lambda: len(states()) == 2)
    assert not submitted(fake_slurm)
    STORE.mkdir(exist_ok=True)
    first, second = states()
    assert first.url != second.url
    jobs[0].communicate()
    wait_until(lambda: len(states()) == 1)
    assert STORE.exists(), "the other may read it"
    stop(current_owner().token)
    wait_until(lambda: gone(first.pid) and gone(second.pid))
    jobs[1].communicate()
