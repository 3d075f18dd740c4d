"""Tasks of lm-evaluation-harness evolve to tested results: options in the prompt, and generated responses."""

import importlib.util

import pytest

from tasks.harness_tasks import write_tasks
from workflow.test_likelihood import SCORES, lines, project

# PEFT asks transformers by a name that is to be removed.
pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

__all__ = ["project"]

TASKS = {
    "winogrande": {"lm_eval": "own_winogrande", "include_path": "mine"},
    "gsm8k": {
        "lm_eval": "own_gsm8k",
        "include_path": "mine",
        "metric": "exact_match",
        "filter": "flexible-extract",
        "shots": 1,
    },
}


def test_tasks_of_the_harness_evolve_to_tested_results(project, monkeypatch):
    monkeypatch.chdir(project.folder)  # rows are named relative to it
    write_tasks(project.folder / "mine", "own_winogrande", "own_gsm8k")
    project.configure(tasks=TASKS, splits={"validation": 6, "test": 8}, unparsed="warn")
    project.make(*(SCORES.format(task=task) for task in TASKS))
    for task, shots in {"winogrande": 0, "gsm8k": 1}.items():
        [best, _] = project.read(SCORES.format(task=task))
        assert best["n"] == 8
        assert project.read(f"results/splits/{task}/provenance.json")["harness"]["shots"] == shots
        asked = [{row["question"] for row in lines(project, f"results/splits/{task}/{side}.jsonl")} for side in SIDES]
        assert not asked[0] & asked[1]
    kept = lines(project, SCORES.format(task="gsm8k").replace("scores.json", "responses.jsonl"))
    assert {row["role"] for row in kept} == {"best", "member1", "member2", "member3"}


SIDES = ("validation", "test")
