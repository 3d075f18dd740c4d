"""A task answered by likelihood evolves to a tested result; texts are not generated."""

import json

import pytest

from genome.tasks.likelihood import most_likely

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

TABLE = "results/tables/table2.csv"
RUN = "emotions/genome_plus/n4/seed1"
LABELS = ["pos", "neg", "neu", "true", "false"]


def lines(project, path):
    return [json.loads(line) for line in (project.folder / path).read_text().splitlines()]


def test_task_answered_by_likelihood_evolves_to_a_tested_result(fresh):
    fresh.configure(
        generations=1,
        tasks={"emotions": {"answer_by": "likelihood", "neutral_prompt": "=>"}},
        table2={"tasks": ["emotions"], "variants": ["best_single", "genome_plus"]},
    )
    fresh.make(TABLE)
    scores = fresh.read(f"results/test/emotions/{RUN}/scores.json")
    assert [(row["report"], row["n"], row["unparsed"]) for row in scores] == [("best", 40, 0), ("ensemble", 40, 0)]
    assert all(row["score"] > 0.4 for row in scores), "the experts know the labels"
    responses = lines(fresh, f"results/test/emotions/{RUN}/responses.jsonl")
    assert all(most_likely(row["response"], LABELS) in LABELS for row in responses)
    evaluations = lines(fresh, "results/runs/emotions/experts/evaluations.jsonl")
    assert len(evaluations) == 10 * 30
    assert all(row["answer"] == most_likely(row["response"], LABELS) for row in evaluations)
    records = [fresh.read(path) for path in fresh.files("results/benchmarks/runs/emotions/**/*.json")]
    assert sum(record["prompt_tokens"] for record in records) > 0
    assert {record["response_tokens"] for record in records} == {0}
    # Another length changes scores, but neither prompts nor what was asked of the engine on the test.
    fresh.configure(tasks={"emotions": {"likelihood_per": "character"}})
    assert not [path for path in fresh.planned(TABLE) if path.startswith("results/prompts/")]
