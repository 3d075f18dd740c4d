"""A data set in the hub's columns flows from its files to the table; the micro base scores about nothing on it."""

import csv
import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

OWN = Path(__file__).parent.parent / "data"
REAL = os.environ.get("GENOME_DATA")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(OWN, id="rows of our own"),
        pytest.param(
            REAL, id="real rows", marks=pytest.mark.skipif(not REAL, reason="GENOME_DATA names no folder of real data")
        ),
    ],
)
def test_gsm8k_flows_from_split_to_table(fresh, data):
    fresh.configure(
        data_dir=str(Path(data).resolve()),
        generations=1,
        splits={"validation": 20, "test": 40},
        tasks={"gsm8k": {"max_tokens": 24}},
        table2={"tasks": ["gsm8k"], "variants": ["best_single", "model_swarms", "genome", "genome_plus"]},
    )
    fresh.make("results/tables/table2.csv")
    with (fresh.folder / "results/tables/table2.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert 0 <= float(rows["GENOME+"]["gsm8k"]) <= 20
    provenance = fresh.read("results/splits/gsm8k/provenance.json")
    assert (provenance["validation"], provenance["test"]) == (20, 40)
    prompts = fresh.files("results/prompts/micro/gsm8k/validation.jsonl")
    assert len(prompts) == 1
    responses = fresh.files("results/test/gsm8k/gsm8k/genome/n4/seed1/responses.jsonl")
    assert len(responses.popitem()[1].splitlines()) == 40


def test_too_few_rows_are_refused_before_anything_runs(fresh):
    fresh.configure(data_dir=str(OWN), splits={"validation": 50, "test": 400}, table2={"tasks": ["gsm8k"]})
    output = fresh.refused("results/tables/table2.csv")
    assert "rows are too few for 50 of validation and 400 of test" in output
    assert not (fresh.folder / "results/runs").exists()


def test_a_missing_file_is_named(fresh):
    fresh.configure(tasks={"mine": {
        "category": "c", "kind": "number", "metric": "accuracy", "prompt": "{{ question }}", "reference": "answer",
        "source": {"path": "nowhere.jsonl"},
    }})  # fmt: skip
    output = fresh.refused("results/splits/mine/validation.jsonl")
    assert "nowhere.jsonl" in output
    assert "task mine" in output
