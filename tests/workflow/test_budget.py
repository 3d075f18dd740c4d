"""Runs with a budget: they end early, resume with the same bytes, and continue when the budget is raised."""

import re
import shutil
import subprocess
import sys

import pytest

from genome.files import read_jsonl
from genome.search.population import Population
from genome.search.records import read_population

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

FREE, SHORT, KEPT, TOKENS = "cma_es", "cma_es-short", "cma_es-kept", "cma_es-tokens"
CONFIG = {
    "table2": None,
    "efficiency": {"tasks": ["sums"], "variants": [FREE, SHORT], "reference": FREE},
    "methods": {FREE: {"result": "search"}},
    "variants": {
        SHORT: {"method": FREE, "budget": "400 samples"},
        KEPT: {"method": FREE, "budget": "600 samples", "result": "best_of"},
        TOKENS: {"method": FREE, "budget": "1 G tokens"},
    },
}
"""CMA-ES scores four points on 30 samples in generation 0 and in each of three generations: 480 samples."""

TABLE = "results/tables/efficiency.csv"


def place(variant: str, generation: int) -> str:
    return f"results/runs/sums/{variant}/n4/seed1/generation_{generation}"


def population(project, variant: str, generation: int) -> Population:
    return read_population(project.folder / place(variant, generation) / "population.json")


def test_a_run_ends_with_its_budget_and_continues_when_that_is_raised(fresh):
    fresh.configure(**CONFIG)
    command = [sys.executable, "-c", "from genome.cli import app; app()", "plan", "--configfile", "small.yaml"]
    said = subprocess.run([*command, TABLE], cwd=fresh.folder, capture_output=True, text=True).stdout
    assert re.search(rf"^generation, {FREE} +3 +12 +360 ", said, re.MULTILINE), said
    assert re.search(rf"^generation, {SHORT} +3 +9 +280 ", said, re.MULTILINE), said

    fresh.make(TABLE, f"results/figures/evolution/sums/{SHORT}/n4/seed1.png")
    assert [population(fresh, SHORT, number).samples for number in (1, 2, 3)] == [240, 360, 360]
    assert population(fresh, SHORT, 3).ended == "budget of 400 samples: 360 are spent, and the next batch may need 120"
    assert read_jsonl(fresh.folder / place(SHORT, 3) / "evaluations.jsonl") == []
    assert population(fresh, FREE, 3).samples == 480
    for number in (1, 2):
        free, short = (fresh.files(f"{place(variant, number)}/**/*") for variant in (FREE, SHORT))
        assert [*free.values()] == [*short.values()], "generations that a budget does not end do not depend on it"
    rows = (fresh.folder / TABLE).read_text().splitlines()
    samples = rows[0].split(",").index("samples")
    assert [float(row.split(",")[samples]) for row in rows[1:]] == [480, 360]
    assert fresh.planned(TABLE) == []

    before = fresh.files(f"results/runs/sums/{SHORT}/**/*")
    for number in (2, 3):
        shutil.rmtree(fresh.folder / place(SHORT, number))
    fresh.make(f"{place(SHORT, 3)}/population.json")
    assert fresh.files(f"results/runs/sums/{SHORT}/**/*") == before

    times = fresh.times("results/runs/**/*")
    fresh.configure(variants={SHORT: {"budget": "480 samples"}})
    assert {path.split("/")[-2] for path in fresh.planned(TABLE) if f"runs/sums/{SHORT}" in path and "bench" not in path
            } == {"generation_3"}  # fmt: skip
    fresh.make(TABLE)
    changed = {path for path, written in fresh.times("results/runs/**/*").items() if times.get(path) != written}
    assert {path.rpartition("/generation_")[0] for path in changed} == {f"results/runs/sums/{SHORT}/n4/seed1"}
    assert all(path.startswith(place(SHORT, 3)) for path in changed)
    free, short = (fresh.files(f"{place(variant, 3)}/*.json*") for variant in (FREE, SHORT))
    assert [*free.values()] == [*short.values()]


def test_finalists_are_part_of_a_budget_and_tokens_are_those_of_the_records(fresh):
    fresh.configure(**CONFIG)
    finalists = f"results/runs/sums/{KEPT}/n4/seed1/finalists/population.json"
    fresh.make(finalists, f"{place(TOKENS, 3)}/population.json")
    ended = population(fresh, KEPT, 3).ended
    assert "240 are spent, 330 are reserved for finalists, and the next batch may need 120" in ended
    # Generation 0 and 1, ten experts and the base model.
    assert read_population(fresh.folder / finalists).samples == 2 * 120 + 300 + 30

    folder = "results/benchmarks/runs/sums"
    records = ["initial-pairs/n4/seed1.json", *(f"{TOKENS}/n4/seed1/generation_{g}.json" for g in (1, 2, 3))]
    spent = [fresh.read(f"{folder}/{record}") for record in records]
    tokens = sum(record["prompt_tokens"] + record["response_tokens"] for record in spent)
    assert population(fresh, TOKENS, 3).tokens == tokens > 480
    assert not population(fresh, TOKENS, 3).ended
