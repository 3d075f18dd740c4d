"""Trackers next to a whole workflow: each generation once, over a resumed run; no result depends on them."""

import json
from pathlib import Path

import pytest

from workflow.conftest import PROJECT

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUN = "sums/genome/n4/seed1"
SECOND, LAST = (f"results/runs/{RUN}/generation_{number}/population.json" for number in (2, 3))
SCORES = f"results/test/sums/{RUN}/scores.json"
LIBRARY = PROJECT / "tests/tracking/library"


def test_a_tracker_gets_each_generation_once_and_changes_nothing(fresh, monkeypatch):
    fresh.configure(log={"trackio": {}})
    assert "config.log.trackio: trackio is not installed" in fresh.refused(SECOND)
    monkeypatch.setenv("PYTHONPATH", f"{LIBRARY}:{PROJECT / 'src'}")
    (fresh.folder / "down").touch()
    said = fresh.make(SECOND)
    assert "warning: trackio: trackio does not answer; the run goes on" in said
    assert not (fresh.folder / "trackio.jsonl").exists()
    (fresh.folder / "down").unlink()
    fresh.make(LAST, SCORES)
    calls = [json.loads(line) for line in (fresh.folder / "trackio.jsonl").read_text().splitlines()]
    logged = [call[2:] for call in calls if call[:2] == ["log", RUN]]
    assert [step for step, metrics in logged if "fitness/best" in metrics] == [0, 1, 2, 3]
    population, [row] = fresh.read(LAST), [row for row in fresh.read(SCORES) if row["report"] == "best"]
    by_name = {name: value for _, metrics in logged for name, value in metrics.items()}
    assert by_name["fitness/best"] == population["best"]["fitness"]
    assert (by_name["evaluations"], by_name["samples"]) == (population["evaluations"], population["samples"])
    assert by_name["test/sums/best"] == row["score"]
    assert by_name["tokens"] > 0
    fresh.configure(log=None)
    assert fresh.planned(LAST, SCORES) == []
    assert Path(fresh.folder / f"results/trackers/trackio/{RUN}.json").is_file()
