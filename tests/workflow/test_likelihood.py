"""A task answered by likelihood evolves to a tested result, from adapters of a tiny random model."""

import json
import random

import pytest
import torch
import yaml

from engine.tiny_models import FAMILIES, save_adapter, tokenizer
from genome.tasks.likelihood import most_likely
from workflow.conftest import Project, new_project

# PEFT asks transformers by a name that is to be removed.
pytestmark = [pytest.mark.workflow, pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")]

SCORES = "results/test/{task}/{task}/genome_plus/n4/seed1/scores.json"
TASKS = {
    "animals": {
        "kind": "choice",
        "source": {"path": "rows.jsonl"},
        "prompt": "{{ question }}\nw90",
        "options": "choices",
        "reference": "answer",
        "answer_by": "likelihood",
        "likelihood_per": "token",
        "neutral_prompt": "w90",
    },
    "judged": {
        "kind": "label",
        "source": {"path": "rows.jsonl"},
        "prompt": "w91 {{ question }}",
        "labels": {"A": "w11", "B": "w12 w13"},
        "reference": "answer",
        "answer_by": "likelihood",
    },
}


@pytest.fixture
def project(tmp_path) -> Project:
    """A project with a random base, two adapters of it, and rows with two options each."""
    project, words = new_project(tmp_path / "project"), [f"w{number}" for number in range(3, 80)]
    network = FAMILIES["llama"]()
    torch.manual_seed(7)
    network.save_pretrained(project.folder / "base")
    tokenizer().save_pretrained(project.folder / "base")
    for seed, name in enumerate(("one", "two")):
        save_adapter(network, project.folder / name, seed)
    drawn = random.Random(3)
    rows = [
        {
            "question": " ".join(drawn.sample(words, 6)),
            "choices": [" ".join(drawn.sample(words, number)) for number in (1, 2)],
            "answer": "AB"[index % 2],
        }
        for index in range(60)
    ]
    (project.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    experts = {name: {"path": name} for name in ("one", "two")}
    settings = {
        "base": "own",
        "bases": {"own": {"model": {"path": "base"}, "experts": experts, "chat": "plain"}},
        "tasks": TASKS,
        "splits": {"validation": 20, "test": 30, "seed": 42},
        "seeds": [1],
        "population_size": 4,
        "generations": 1,
    }
    (project.folder / "small.yaml").write_text(yaml.safe_dump(settings))
    return project


def lines(project, path):
    return [json.loads(line) for line in (project.folder / path).read_text().splitlines()]


def test_tasks_answered_by_likelihood_evolve_to_tested_results(project):
    project.make(*(SCORES.format(task=task) for task in TASKS))
    for task, options in {"animals": ["A", "B"], "judged": ["A", "B"]}.items():
        folder = SCORES.format(task=task).removesuffix("/scores.json")
        scores = project.read(f"{folder}/scores.json")
        assert [(row["report"], row["n"], row["unparsed"]) for row in scores] == [("best", 30, 0), ("ensemble", 30, 0)]
        responses = lines(project, f"{folder}/responses.jsonl")
        assert all(most_likely(row["response"], options) in options for row in responses)
        evaluations = lines(project, f"results/runs/{task}/experts/evaluations.jsonl")
        assert len(evaluations) == 2 * 20
        per = TASKS[task].get("likelihood_per", "option")
        labels = TASKS[task].get("labels", {"A": "A", "B": "B"})
        assert all(row["answer"] == labels[most_likely(row["response"], options, per)] for row in evaluations)
    records = [json.loads(text) for text in project.files("results/benchmarks/runs/**/*.json").values()]
    assert sum(record["prompt_tokens"] for record in records) > 0
    assert {record["response_tokens"] for record in records} == {0}
    # How options are compared is not part of the prompts.
    project.configure(tasks={"animals": {"likelihood_per": "byte"}})
    planned = project.planned(SCORES.format(task="animals"))
    assert planned
    assert not [path for path in planned if path.startswith(("results/prompts/", "results/splits/"))]
