"""A data set in the hub's columns flows from its files to the table; the micro base scores about nothing on it."""

import csv
import os
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

PROJECT = Path(__file__).parent.parent.parent
OWN = PROJECT / "tests" / "data"
REAL = os.environ.get("GENOME_DATA")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(OWN, id="made-up rows"),
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
    if data == OWN:
        said = fresh.refused("results/tables/table2.csv")
        assert "error: task gsm8k: 200 of 200 responses of the experts have no readable answer" in said
    fresh.configure(unparsed="warn")  # the micro base knows nothing of these questions
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


def test_all_thirteen_data_sets_flow_from_rows_to_tables(fresh):
    settings = yaml.safe_load((PROJECT / "config/smoke-real.yaml").read_text())
    settings |= {"data_dir": ["$NOT_SET/data", str(OWN)], "generations": 1}
    settings["table2"] |= {"variants": ["best_single", "genome_plus"]}
    (fresh.folder / "small.yaml").write_text(yaml.safe_dump(settings))
    fresh.make("results/tables/table1.csv", "results/tables/table2.csv")
    with (fresh.folder / "results/tables/table1.csv").open() as file:
        splits = {row["task"]: row for row in csv.DictReader(file)}
    assert len(splits) == 13
    assert {(row["validation"], row["test"]) for row in splits.values()} == {("20", "40")}
    with (fresh.folder / "results/tables/table2.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert {*rows["GENOME+"]} == {"method", *splits, "mean", "runs"}
    for task in splits:
        for scores in fresh.read(f"results/test/{task}/{task}/genome_plus/n4/seed1/scores.json"):
            assert scores["n"] == 40
            assert 0 <= scores["score"] <= 0.2  # a base that knows none of these tasks
    [best, _] = fresh.read("results/test/flores37/flores37/genome_plus/n4/seed1/scores.json")
    assert "tok:micro-" in best["signature"]
    [best, _] = fresh.read("results/test/drop/drop/genome_plus/n4/seed1/scores.json")
    assert "f1" in best


def test_invalid_rows_are_refused_in_one_line_before_an_engine_starts(fresh):
    path = fresh.folder / "data/gsm8k/main/test.jsonl"
    path.parent.mkdir(parents=True)
    fresh.configure(data_dir="data", splits={"validation": 1, "test": 1}, table2={"tasks": ["gsm8k"]})
    good = '{"question": "2 + 2?", "answer": "#### 4"}\n'
    for text, part in {
        None: "no file data/gsm8k/main/test.jsonl",
        "": "contains no rows",
        "question,answer\n": "line 1: not a row of JSON Lines",
        good + '{"question": "1 + 1?"}\n': "row 2 has no column 'answer'",
        good + '{"question": "1 + 1?", "answer": "#### many"}\n': "reference: ' many' is not a number",
        good: "1 rows are too few for 1 of validation and 1 of test",
    }.items():
        if text is not None:
            path.write_text(text)
        output = fresh.refused("results/tables/table2.csv")
        # A file that is missing is refused when the run is planned; its content is refused by the job that reads it.
        [line] = {line for line in map(str.strip, output.splitlines()) if line.startswith(("error: ", "GenomeError: "))}
        assert part in line
        assert not fresh.engines()
        assert not (fresh.folder / "results/runs").exists()


def test_missing_data_folder_is_refused_at_the_start(fresh):
    fresh.configure(data_dir=["$NOT_SET/data", "nowhere"])
    assert "config.data_dir: no folder $NOT_SET/data or nowhere" in fresh.refused("results/tables/table2.csv")


def test_too_few_rows_are_refused_before_the_first_run(fresh):
    fresh.configure(data_dir=str(OWN), splits={"validation": 50, "test": 400}, table2={"tasks": ["gsm8k"]})
    output = fresh.refused("results/tables/table2.csv")
    assert "rows are too few for 50 of validation and 400 of test" in output
    assert not (fresh.folder / "results/runs").exists()


def test_missing_file_of_rows_is_named_with_its_task(fresh):
    fresh.configure(tasks={"mine": {
        "category": "c", "kind": "number", "metric": "accuracy", "prompt": "{{ question }}", "reference": "answer",
        "source": {"path": "nowhere.jsonl"},
    }})  # fmt: skip
    output = fresh.refused("results/splits/mine/validation.jsonl")
    assert "nowhere.jsonl" in output
    assert "task mine" in output
