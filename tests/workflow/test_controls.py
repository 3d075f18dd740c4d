"""Controls run to scored tests: the Validation LoRA, Majority and TIES; and a run on a part of the samples."""

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

LORA = "emotions/validation_lora/seed1"
PART = "emotions@20/best_single"
CONFIG = {
    "methods": {"validation_lora": {"epochs": [2, 12]}},
    "table2": {"tasks": ["emotions", "sums"], "variants": ["majority", "ties"]},
    "table5": {"pairs": [["emotions@20", "emotions"]], "variants": ["best_single"]},
}


def scores_of(run, task="emotions"):
    return f"results/test/{task}/{run}/scores.json"


def rows(project, path):
    return [json.loads(line) for line in (project.folder / path).read_text().splitlines()]


def test_lora_of_the_validation_samples_learns_a_task(fresh):
    fresh.configure(**CONFIG)
    fresh.make(scores_of(LORA))
    folder = f"results/runs/{LORA}"
    chosen = fresh.read(f"{folder}/training.json")
    assert list(chosen["losses"]) == ["2", "12"]
    assert chosen["losses"][str(chosen["epochs"])] == min(chosen["losses"].values())
    assert len(chosen["held_out"]["emotions"]) == 6, "a fifth of 30"
    samples = {row["id"] for row in rows(fresh, "results/prompts/micro/emotions/validation.jsonl")}
    assert set(chosen["held_out"]["emotions"]) < samples
    assert (fresh.folder / folder / "held_out/expert.safetensors").is_file()
    [score] = fresh.read(scores_of(LORA))
    assert (score["report"], score["n"], score["seed"]) == ("best", 40, 1)
    assert score["score"] > 0.5
    assert fresh.read(f"results/benchmarks/runs/{LORA}.json")["prompt_tokens"] == chosen["tokens"]
    assert fresh.planned(scores_of(LORA)) == []


def test_majority_answers_without_an_engine_and_a_table_leaves_out_what_has_none(fresh):
    fresh.configure(**CONFIG)
    assert "answer_test" in fresh.ran(scores_of("emotions/majority"))
    assert fresh.engines() == []
    assert not list((fresh.folder / "logs").glob("engine*"))
    answer = fresh.read("results/runs/emotions/majority/answer.json")["emotions"]
    responses = rows(fresh, "results/test/emotions/emotions/majority/responses.jsonl")
    assert {row["response"] for row in responses} == {answer["response"]}
    assert fresh.read(scores_of("emotions/majority"))[0]["unparsed"] == 0
    said = fresh.refused(scores_of("sums/majority", "sums"))
    assert "majority on sums: sums has no options or labels, so no most frequent answer" in said
    fresh.make("results/tables/table2.csv")
    assert (fresh.folder / "results/merges/ties/expert.safetensors").is_file()
    [majority] = [
        line for line in (fresh.folder / "results/tables/table2.csv").read_text().splitlines() if "Majority" in line
    ]
    assert majority.split(",")[2] == ""


def test_run_on_a_part_of_the_samples_is_tested_on_the_whole_task(fresh):
    fresh.configure(**CONFIG)
    fresh.make("results/tables/table5.csv")
    part = rows(fresh, "results/splits/emotions@20/validation.jsonl")
    assert part == rows(fresh, "results/splits/emotions/validation.jsonl")[:20]
    assert not Path(fresh.folder / "results/splits/emotions@20/test.jsonl").exists()
    assert len({row["sample"] for row in rows(fresh, "results/runs/emotions@20/experts/evaluations.jsonl")}) == 20
    assert fresh.read(scores_of(PART))[0]["n"] == 40
    assert "a part has 2 or more of the 30 validation samples" in fresh.refused(scores_of("emotions@31/best_single"))
