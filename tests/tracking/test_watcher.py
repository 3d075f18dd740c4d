"""The process that sends while a workflow runs: it is live, a failing tracker harms nothing, and it ends."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genome import tracking
from genome.tracking import end_watcher, missing_problems, start_watcher
from genome.tracking.watcher import AGAIN, Attempts, watch
from tracking.worlds import NAME, path_of, run_of, write_generation

LIBRARY = Path(__file__).parent / "library"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Scripted:
    """A sender that does what a list says: an error to raise, or None."""

    name = "wandb"

    def __init__(self, *does):
        self.does, self.sent, self.closed = [*does], 0, 0

    def send(self, runs):
        self.sent += 1
        if (does := self.does.pop(0)) is not None:
            raise does

    def close(self):
        self.closed += 1


def attempts(*does):
    said = []
    return Attempts(Scripted(*does), said.append), said


def test_a_failure_is_told_once_and_tried_again_later(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    each, said = attempts(OSError("no\nnetwork"), OSError("no network"), None)
    for later in (0, 1, AGAIN, AGAIN, 1):
        now[0] += later
        if each.sender.does:
            each.attempt([], last=False)
    assert said == ["warning: wandb: no network; the run goes on, and this is tried again"]
    assert each.sender.sent == 3


def test_the_last_attempt_is_made_at_once_and_says_what_to_do():
    each, said = attempts(OSError("no network"), OSError("no network"))
    each.attempt([], last=False)
    each.attempt([], last=True)
    assert said[-1] == "warning: wandb: not everything was sent; `genome log` sends the rest"
    assert each.sender.closed == 1


def test_what_was_sent_in_the_end_is_not_complained_about():
    each, said = attempts(OSError("no network"), None)
    each.attempt([], last=False)
    each.attempt([], last=True)
    assert len(said) == 1


def test_one_tracker_that_fails_does_not_stop_the_others():
    failing, working = attempts(*[OSError("x")] * 2)[0], attempts(None, None)[0]
    ends = iter([False, True])
    watch([failing, working], [], lambda _: next(ends))
    assert working.sender.sent == 2


def test_it_looks_a_last_time_after_the_workflow_has_ended():
    each, _ = attempts(None)
    watch([each], [], lambda _: True)
    assert (each.sender.sent, each.sender.closed) == (1, 1)


@pytest.fixture
def library(monkeypatch):
    """Let processes find the stand-in for trackio."""
    monkeypatch.setenv("PYTHONPATH", f"{LIBRARY}:{Path(tracking.__file__).parents[2]}")


def calls():
    path = Path("trackio.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def steps():
    return [call[2] for call in calls() if call[0] == "log"]


def wait_for(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.usefixtures("library")
def test_generations_arrive_while_the_workflow_runs():
    write_generation(path_of(0), 0.5)
    start_watcher({"trackio": {}}, [run_of()], {})
    wait_for(lambda: steps() == [0])
    write_generation(path_of(1), 0.5)
    wait_for(lambda: steps() == [0, 1])
    write_generation(path_of(2), 0.5)
    end_watcher()
    assert steps() == [0, 1, 2]
    assert next(call for call in calls() if call[0] == "init") == ["init", NAME, "never"]


@pytest.mark.usefixtures("library")
def test_a_tracker_that_is_down_is_said_and_nothing_is_lost(capfd):
    Path("down").touch()
    write_generation(path_of(0), 0.5)
    start_watcher({"trackio": {}}, [run_of()], {})
    end_watcher()
    said = capfd.readouterr().err
    assert "warning: trackio: trackio does not answer; the run goes on" in said
    assert "warning: trackio: not everything was sent; `genome log` sends the rest" in said
    Path("down").unlink()
    start_watcher({"trackio": {}}, [run_of()], {})
    end_watcher()
    assert steps() == [0]


START = """
import json, os, sys
from genome.tracking import Tracked, start_watcher
start_watcher({"trackio": {}}, [Tracked(**each) for each in json.loads(sys.argv[1])], {})
from genome.tracking import _started
print(_started[0].pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("library")
def test_it_sends_the_rest_and_ends_after_its_workflow_was_killed():
    runs = json.dumps([vars(run_of())])
    workflow = subprocess.Popen(
        [sys.executable, "-c", START, runs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert workflow.stdout is not None
    watcher = Path("/proc") / workflow.stdout.readline().strip()
    write_generation(path_of(0), 0.5)
    workflow.kill()
    workflow.communicate()
    wait_for(lambda: not watcher.exists())
    assert steps() == [0]


def test_ending_without_a_watcher_does_nothing():
    end_watcher()
    assert calls() == []


def test_a_tracker_that_is_not_installed_is_said_without_importing_any():
    assert missing_problems({"json": {}, "absent_tracker": {}}) == [
        "config.log.absent_tracker: absent_tracker is not installed in this environment; `pip install absent_tracker`, "
        "or set it to null"
    ]


def test_a_folder_of_a_tracker_s_name_is_not_its_library(tmp_path, monkeypatch):
    (tmp_path / "offline_runs").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert missing_problems({"offline_runs": {}})
