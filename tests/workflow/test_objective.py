"""A search by likelihood on a part of the samples runs to a scored test, and its finalists decide."""

import json

import pytest

from genome.search.finalists import BASE
from genome.search.measure import Measure
from genome.search.records import read_population

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

VARIANT = "genome_plus-likelihood"
RUN = f"emotions/{VARIANT}/n4/seed1"
SCORES = f"results/test/emotions/{RUN}/scores.json"
CONFIG = {
    "generations": 2,
    "table2": None,
    "efficiency": {"tasks": ["emotions"], "variants": ["genome_plus", VARIANT], "reference": "genome_plus"},
    "variants": {
        VARIANT: {
            "method": "genome_plus",
            "objective": "likelihood",
            "samples": 10,
            "finalists": 2,
            "individual_mutation_rate": 1.0,
        }
    },
}


def rows(project, path):
    return [json.loads(line) for line in (project.folder / path).read_text().splitlines()]


def test_search_by_likelihood_runs_to_a_scored_test(fresh):
    fresh.configure(**CONFIG)
    fresh.make(SCORES)
    population = read_population(fresh.folder / f"results/runs/{RUN}/generation_2/population.json")
    assert population.measure == Measure("likelihood", 10)
    assert 0 < population.worst.score < population.best.score < 1
    assert population.samples == 10 * population.evaluations
    asked = rows(fresh, f"results/runs/{RUN}/generation_2/evaluations.jsonl")
    assert len({row["sample"] for row in asked}) == 10
    record = fresh.read(f"results/benchmarks/runs/{RUN}/generation_2.json")
    assert record["samples"] == len(asked)
    assert record["prompt_tokens"] > 0
    assert record["response_tokens"] == 0, "nothing is generated"

    finalists = read_population(fresh.folder / f"results/runs/{RUN}/finalists/population.json")
    assert BASE in {each.name for each in finalists.members}
    assert finalists.measure == Measure()
    assert len({row["sample"] for row in rows(fresh, f"results/runs/{RUN}/finalists/evaluations.jsonl")}) == 30
    responses = rows(fresh, f"results/test/emotions/{RUN}/responses.jsonl")
    assert {row["individual"] for row in responses if row["role"] == "best"} == {finalists.best.name}
    scores = fresh.read(SCORES)
    assert [(row["report"], row["n"]) for row in scores] == [("best", 40), ("ensemble", 40)]
    assert fresh.planned(SCORES) == []
    # The number of finalists decides nothing before them.
    fresh.configure(variants={VARIANT: {"finalists": 3}})
    assert not [path for path in fresh.planned(SCORES) if "generation_" in path or "initial-" in path]
    fresh.make("results/tables/efficiency.csv")
    table = (fresh.folder / "results/tables/efficiency.md").read_text()
    assert VARIANT in table
