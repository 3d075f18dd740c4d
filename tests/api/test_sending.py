"""`genome log`: what the results have and a tracker does not, and refusals in one line."""

import pytest
import yaml
from typer.testing import CliRunner

from genome.api import sending as api
from genome.cli import app
from genome.tracking import sending
from tracking.worlds import Memory, write_generation, write_test

RUN = "sums/genome/n4/seed1"


@pytest.fixture
def tracker(monkeypatch, tmp_path) -> Memory:
    """Replace trackio by a tracker in memory, and work in a folder with a run of one generation."""
    monkeypatch.chdir(tmp_path)
    found = Memory()
    monkeypatch.setattr(sending, "TRACKERS", {"trackio": lambda settings: found})
    monkeypatch.setattr(api, "missing_problems", lambda settings: [])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"log": {"trackio": {}}}))
    write_generation(f"results/runs/{RUN}/generation_1/population.json", 0.5, 0.75)
    write_test(RUN, 0.625, "sums")
    return found


def call(*arguments):
    return CliRunner().invoke(app, ["log", *arguments])


def refusal(*arguments):
    line = str(call(*arguments).exception)
    assert line.startswith("error: ")
    assert "\n" not in line
    return line


def test_what_is_new_is_sent_once(tracker):
    said = [call("--configfile", "mine.yaml").stdout for _ in range(2)]
    assert said == ["trackio: news of 1 runs\n", "trackio: nothing new\n"]
    assert tracker.steps() == [1]
    assert tracker.given["key0"] == {"test/sums/best": (10, 0.625)}
    assert tracker.names == {"key0": RUN}


@pytest.mark.usefixtures("tracker")
def test_a_config_without_trackers_is_refused():
    assert refusal() == "error: the config names no tracker; give one, such as `log: {mlflow: {}}`"


def test_a_library_that_is_not_installed_is_refused(tracker, monkeypatch):
    monkeypatch.setattr(api, "missing_problems", lambda settings: [f"no {name}" for name in settings])
    assert refusal("--configfile", "mine.yaml") == "error: no trackio"
    assert not tracker.logged


def test_a_tracker_that_fails_says_why_and_how_to_go_on(tracker):
    tracker.fails = "open"
    assert refusal("--configfile", "mine.yaml") == (
        "error: trackio: no answer to open; the same command goes on from here"
    )
    tracker.fails = None
    assert call("--configfile", "mine.yaml").stdout == "trackio: news of 1 runs\n"
