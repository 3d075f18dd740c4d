"""A search with a model of single samples runs to a scored test, and continues after an interruption with its bytes."""

import pytest

from genome.search.measure import Measure
from genome.search.records import read_population

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUN = "emotions/gauss_newton/n4/seed1"
SCORES = f"results/test/emotions/{RUN}/scores.json"
INITIAL = "results/runs/emotions/initial-uniform-product-likelihood-calibrated-s10/n4/seed1/population.json"
CONFIG = {"generations": 3, "table2": None, "methods": {"gauss_newton": {"samples": 10, "tolerance": 0}}}


def test_gauss_newton_runs_to_a_scored_test_and_resumes_with_the_same_bytes(fresh):
    fresh.configure(**CONFIG)
    fresh.make(SCORES)
    first = read_population(fresh.folder / INITIAL)
    assert [each.name for each in first.members] == ["uniform"]
    assert len(first.state["founder"]) == 10
    last = fresh.folder / f"results/runs/{RUN}/generation_3/population.json"
    population = read_population(last)
    assert population.measure == Measure("likelihood", 10, calibrated=True)
    assert population.samples == 10 * population.evaluations
    assert population.best.score >= first.best.score  # 1 if a temperature separates ten samples
    finalists = read_population(fresh.folder / f"results/runs/{RUN}/finalists/population.json")
    assert "uniform" in {each.name for each in finalists.members}
    assert finalists.measure == Measure(calibrated=True)
    assert [(row["report"], row["n"]) for row in fresh.read(SCORES)] == [("best", 40)]

    expected = last.read_bytes()
    for generation in (2, 3):
        (fresh.folder / f"results/runs/{RUN}/generation_{generation}/population.json").unlink()
    fresh.make(last.relative_to(fresh.folder).as_posix())
    assert last.read_bytes() == expected
    assert fresh.planned(SCORES) == []
