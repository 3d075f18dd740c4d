"""The presets of real models are plans with every job of their tables, and corpora contain no question of a task."""

import json
import os
import re
import subprocess
import sys

import pytest

from genome.files import write_jsonl
from pages import PROJECT, commands
from workflow.conftest import new_project
from workflow.test_paper import NOWHERE

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

SMOLLM2, FIRST, DRAWS, OFFLINE, QWEN = (
    f"config/{name}.yaml" for name in ("smollm2", "smollm2-first", "smollm2-draws", "smollm2-offline", "qwen2.5-1.5b")
)
PREPARE = "examples/real/prepare.py"
EXPERTS = ("common_sense", "science", "subjects", "emotions", "reasoning", "arithmetic", "languages", "french")

TASKS, SEEDS, GENERATIONS = 5, 5, 4
BASELINES = (
    7  # Base, Uniform, the same calibrated, task arithmetic, Best Single, Expert Fusion, Pack of LLMs as a merge
)
STATIC = BASELINES + 2  # TIES, Data Merge: one model for all seeds
SEARCHED = 3  # LoraHub, the same as published, RandOpt
# CMA-ES (its best individual is the same run) and the same by likelihood, GENOME, GENOME+ with three sets of experts,
# Model Swarms
EVOLVED = 7
SEEDED = EVOLVED + SEARCHED + 3  # Validation LoRA, DARE_TIES and the same on factors
RUNS = TASKS * SEEDS
PARTS = 2  # 20 and 50 samples; the third size is all 200

TABLE2 = {
    "base_model": 1,
    "train_adapter": len(EXPERTS) + 1,
    "check_experts": 1,
    "split": TASKS,
    "prepare_prompts": 2 * TASKS,
    "prepare_expected": TASKS,
    "score_experts": TASKS,
    "random_experts": SEEDS,
    "validation_lora": RUNS,
    "with_validation_lora": RUNS,
    "score_set": 2 * RUNS,
    "initial_population": 5
    * RUNS,  # of pairs, the same by likelihood and with two more sets of experts; of the experts
    "generation": EVOLVED * RUNS * GENERATIONS,
    "baseline": BASELINES * TASKS,
    "searched_baseline": SEARCHED * RUNS,
    "finalists": 3 * RUNS + TASKS,  # CMA-ES, the same by likelihood, LoraHub as published; Uniform, calibrated
    "dare_ties": 2 * SEEDS,
    "ties": 1,
    "majority": TASKS,
    "answer_test": TASKS * (STATIC + SEEDED * SEEDS + 1),
    "score_test": TASKS * (STATIC + SEEDED * SEEDS + 1),
    "compare": 1,
}

FIRST_TASKS, FIRST_EVOLVED, FIRST_VARIANTS = 4, 2, 8
FIRST_JOBS = {
    "base_model": 1,
    "train_adapter": 6,
    "check_experts": 1,
    "split": FIRST_TASKS,
    "prepare_prompts": 2 * FIRST_TASKS,
    "prepare_expected": FIRST_TASKS,
    "score_experts": FIRST_TASKS,
    "validation_lora": FIRST_TASKS,
    "initial_population": 2 * FIRST_TASKS,
    "generation": FIRST_EVOLVED * FIRST_TASKS * 3,
    "baseline": 4 * FIRST_TASKS,
    "finalists": 2 * FIRST_TASKS,  # CMA-ES by likelihood; Uniform, calibrated
    "majority": FIRST_TASKS,
    "answer_test": FIRST_VARIANTS * FIRST_TASKS,
    "score_test": FIRST_VARIANTS * FIRST_TASKS,
    "compare": 1,
}

Q = {"question": "What is warm?", "choices": {"label": ["A", "B"], "text": ["ice", "the sun"]}, "answerKey": "B"}
LEFT_OUT = {**Q, "question": "Is this in two splits?"}
NUMBER = {"question": "1 + 1?", "answer": "It is <<1+1=2>>2.\n#### 2", "answer_number": 2}
SPLITS = ("train", "validation", "test")
BBH = ("boolean_expressions", "navigate", "sports_understanding", "web_of_lies")
ROWS = {
    "commonsense_qa/train": [Q, LEFT_OUT],
    "commonsense_qa/validation": [LEFT_OUT],
    **{f"ai2_arc/ARC-Challenge/{split}": [{**Q, "question": f"{split}?"}] for split in SPLITS},
    "mmlu/all/dev": [{"question": "dev?", "choices": ["a", "b"], "answer": 1}],
    "mmlu/all/validation": [{"question": "validation?", "choices": ["a", "b"], "answer": 1}],
    **{f"meld/{split}": [{"Utterance": f"The {split}!", "Emotion": "joy"}] for split in SPLITS},
    **{f"emorynlp/{split}": [{"transcript": f"The {split}.", "emotion": "Mad"}] for split in SPLITS[1:]},
    **{f"bbh/{task}/test": [{"input": f"{task} {'x' * n}", "target": "Yes"} for n in range(4)] for task in BBH},
    "gsm8k/main/train": [NUMBER],
    **{f"mgsm/{language}/train": [{**NUMBER, "answer": "So."}] for language in ("de", "en", "es", "fr", "sw")},
    **{f"flores_101/{code}/dev": [{"id": 1, "sentence": code}] for code in ("fra", "eng")},
}  # fmt: skip
"""Made-up rows of the splits that are read, in the columns of the data sets."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project without results, with made-up data sets and the corpora that are prepared from them."""
    project = new_project(tmp_path_factory.mktemp("real") / "project")
    for name, rows in ROWS.items():
        write_jsonl(project.folder / f"data/{name}.jsonl", rows)
    prepared = subprocess.run(
        [sys.executable, "-P", PROJECT / PREPARE], cwd=project.folder, env={**os.environ, "GENOME_DATA": "data"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert prepared.returncode == 0, prepared.stderr
    (project.folder / "real/base.gguf").unlink(missing_ok=True)
    return project


def corpus(project, name):
    return [json.loads(line) for line in (project.folder / f"real/{name}.jsonl").read_text().splitlines()]


def plan(project, *arguments):
    """Return how many jobs of each rule are needed, when no network leads anywhere."""
    proxies = {f"{scheme}_proxy": NOWHERE for scheme in ("http", "https", "all")}
    command = [sys.executable, "-P", "-m", "snakemake", "-n", "--cores", "1", *arguments, "--quiet", "rules"]
    environment = {**os.environ, **proxies, "HF_ENDPOINT": NOWHERE, "GENOME_DATA": "data"}
    result = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    found = re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule != "total"}


def test_corpora_have_the_form_of_the_tasks(project):
    assert corpus(project, "common_sense") == [{"prompt": "Question: What is warm?", "response": " the sun"}]
    assert corpus(project, "emotions") == [{"prompt": "Utterance: The train!", "response": " joy"}]
    assert corpus(project, "arithmetic") == [{"prompt": "Question: 1 + 1?", "response": " It is 2.\nAnswer: 2"}]
    assert corpus(project, "french") == [{"prompt": "French: fra", "response": " eng"}]
    assert len(corpus(project, "languages")) == 5


def test_rows_of_tasks_are_in_no_corpus(project):
    asked = {pair["prompt"] for name in EXPERTS for pair in corpus(project, name)}
    assert "Question: Is this in two splits?" not in asked
    lengths = {
        len(prompt.removeprefix("Question: ")) % 4 for prompt in asked if prompt.startswith("Question: navigate")
    }
    assert lengths == {0}  # the task has the rows of other lengths


def test_first_rows_of_each_corpus_are_apart(project):
    for name in EXPERTS:
        assert corpus(project, f"first/{name}") == corpus(project, name)[:300]


def test_missing_data_set_is_one_line(project):
    result = subprocess.run(
        [sys.executable, "-P", PROJECT / PREPARE], cwd=project.folder, env={**os.environ, "GENOME_DATA": "none"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("error: task arc_by_likelihood: no file none/ai2_arc/ARC-Challenge/")


def test_table_2_of_a_real_model_is_planned_in_full(project):
    assert plan(project, "results/tables/table2.csv", "--configfile", SMOLLM2) == TABLE2


def test_learning_curve_has_runs_on_20_50_and_200_samples(project):
    jobs = plan(project, "results/figures/learning_curve.svg", "--configfile", SMOLLM2)
    assert jobs["part_of_split"] == PARTS * TASKS
    assert jobs["generation"] == (PARTS + 1) * RUNS * GENERATIONS
    assert jobs["validation_lora"] == (PARTS + 1) * RUNS


def test_first_table_is_planned_in_full(project):
    jobs = plan(project, "results/tables/table2.csv", "--configfile", SMOLLM2, FIRST)
    assert jobs == FIRST_JOBS


def test_draws_are_planned_with_levels_of_one_run_and_the_experts_of_the_first_table(project):
    tasks, draws = 2, 5 * 3
    jobs = plan(project, "results/figures/learning_curve.svg", "--configfile", SMOLLM2, FIRST, DRAWS)
    assert jobs["train_adapter"] == FIRST_JOBS["train_adapter"]
    assert jobs["part_of_split"] == jobs["validation_lora"] == jobs["score_experts"] == tasks * draws
    assert jobs["answer_test"] == tasks * (2 + 5 * draws)


def test_qwen_is_planned_in_full_without_a_network(project):
    tasks, runs = 7, 7 * SEEDS
    jobs = plan(project, "results/tables/table2.csv", "--configfile", QWEN)
    assert jobs["import_adapter"] == 10
    assert "train_adapter" not in jobs
    assert jobs["split"] == tasks
    assert jobs["generation"] == 7 * runs * 10
    assert jobs["majority"] == 5
    assert jobs["answer_test"] == jobs["score_test"]


def test_commands_of_the_page_make_what_they_say(project):
    """Without the overlay for the package, whose base is a real file of 98 MB."""
    for program, *words in commands(PROJECT / "docs/smollm2.md"):
        if program == "snakemake" and OFFLINE not in words:
            assert plan(project, *words)
