"""A generation is killed in its middle, with its engine: the next attempt asks only for what was in flight."""

import os
import signal
import subprocess
import time

import pytest

from workflow.conftest import Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

PLACE = "results/runs/sums/genome_plus/n4/seed1"
STAGE = f"{PLACE}/generation_1"
RECORD = "results/benchmarks/runs/sums/genome_plus/n4/seed1/generation_1.json"
KEPT = f"{STAGE}/.population.json.kept"
TARGET = f"{STAGE}/population.json"

SETTINGS = {"engine": {"batch_size": 2, "concurrency": 2, "timeout": 20}}
"""Small requests, so that a generation takes many, of which two are in flight."""


def kept(project: Project) -> int:
    """Return how many answers the stage has kept."""
    file = project.folder / KEPT
    return file.read_bytes().count(b"\n") if file.exists() else 0


def begin(project: Project) -> subprocess.Popen:
    """Start the generation in a separate process group."""
    return subprocess.Popen(
        project.command("--", TARGET),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(happened, process=None, seconds=240.0):
    deadline = time.monotonic() + seconds
    while not happened():
        assert process is None or process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_killed_generation_asks_only_for_what_was_in_flight(trained, tmp_path):
    whole, project = trained.copy(tmp_path / "whole"), trained.copy(tmp_path / "project")
    for each in (whole, project):
        each.configure(**SETTINGS)
    whole.make(TARGET)
    requests = whole.read(RECORD)["samples"] / SETTINGS["engine"]["batch_size"]

    process = begin(project)
    wait_for(lambda: kept(project) >= 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    for engine in project.engines():
        os.kill(engine, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not project.engines() and not project.jobs(), seconds=30)
    answered = kept(project)
    assert 5 <= answered < requests, "it was killed in the middle"

    assert project.snakemake("--unlock").returncode == 0
    log = project.folder / "logs/runs/sums/genome_plus/n4/seed1/generation_1.log"
    said = project.make(TARGET)
    assert f"{answered} requests were answered before this stage was interrupted" in log.read_text(), said[-2000:]
    assert not (project.folder / KEPT).exists(), "the stage has finished"

    for pattern in (f"{PLACE}/**/*", "results/runs/sums/initial-*/**/*", "results/runs/sums/experts/*"):
        assert project.files(pattern) == whole.files(pattern)
    counts = ("evaluations", "samples", "prompt_tokens", "response_tokens")
    ours, theirs = project.read(RECORD), whole.read(RECORD)
    assert {name: ours[name] for name in counts} == {name: theirs[name] for name in counts}
