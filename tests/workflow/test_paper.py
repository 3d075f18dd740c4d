"""The paper's preset is a plan that holds every job of its tables, made in seconds and without a network."""

import csv
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from genome.experts.expert import read_expert
from genome.files import write_jsonl

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

PROJECT = Path(__file__).parent.parent.parent
PAPER = PROJECT / "config/paper.yaml"
NOWHERE = "http://127.0.0.1:9"
TASKS, SEEDS, GENERATIONS = 12, 5, 10
BASELINES = 6  # Base, Uniform, task arithmetic, Best Single, Expert Fusion, Pack of LLMs as one merge
STATIC = BASELINES + 2  # TIES, Data Merge: one model for all seeds
SEEDED = (
    8  # Validation LoRA, DARE_TIES and the same on factors, LoraHub, Model Swarms, the same from pairs, GENOME, GENOME+
)
CHOICES = 5  # tasks with options or labels, which have a most frequent answer

JOBS = {
    "base_model": 1,
    "import_adapter": 10,
    "check_experts": 1,
    "published_corpus": 1,
    "train_adapter": 1,
    "split": TASKS,
    "prepare_prompts": 2 * TASKS,
    "score_experts": TASKS,
    "initial_population": 2 * TASKS * SEEDS,  # of pairs, and of the experts for Model Swarms
    "generation": 4 * TASKS * SEEDS * GENERATIONS,
    "baseline": BASELINES * TASKS,
    "searched_baseline": TASKS * SEEDS,
    "dare_ties": 2 * SEEDS,
    "ties": 1,
    "majority": CHOICES,
    "validation_lora": TASKS * SEEDS,
    "answer_test": TASKS * (STATIC + SEEDED * SEEDS) + CHOICES,
    "score_test": TASKS * (STATIC + SEEDED * SEEDS) + CHOICES,
    "compare": 1,
}


def plan(folder, target, *configs):
    """Return how many jobs of each rule a target needs, in an empty folder whose network leads nowhere."""
    proxies = {f"{scheme}_proxy": NOWHERE for scheme in ("http", "https", "all")}
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--snakefile", PROJECT / "Snakefile", "--directory", folder, target,
         "--configfile", PAPER, *configs, "--quiet", "rules"],
        env={**os.environ, **proxies, "HF_ENDPOINT": NOWHERE}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    found = re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule != "total"}


def test_table_2_is_planned_in_full_within_20_seconds(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert plan(tmp_path, "results/tables/table2.csv") == JOBS
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, since a test's machine may be busy; by the clock it is a little more.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20


@pytest.mark.parametrize(
    ("table", "evolving", "runs", "tests"),
    [  # variants that evolve, sets of tasks that they evolve on, runs that are tested
        ("table3", 3, 2, 2 * 3 * SEEDS + 2),
        ("table4", 3, 5, 10 * (4 * SEEDS + 2)),
        ("table5", 3, 3, 3 * (4 * SEEDS + 2)),
        ("table6", 3, 2, 2 * (4 * SEEDS + 3)),
        ("table8", 6, 3, 3 * 6 * SEEDS),  # without the ensemble the run is the full method's
    ],
)
def test_other_tables_are_planned_in_full(tmp_path, table, evolving, runs, tests):
    jobs = plan(tmp_path, f"results/tables/{table}.csv")
    assert jobs["generation"] == evolving * runs * SEEDS * GENERATIONS
    assert jobs["answer_test"] == jobs["score_test"] == tests
    assert jobs["compare"] == 1


def test_table_1_lists_fourteen_tasks(tmp_path):
    assert plan(tmp_path, "results/tables/table1.csv") == {"split": 14, "table1": 1}


def test_comparison_of_experts_plans_import_and_check_only(tmp_path):
    jobs = plan(tmp_path, "results/experts/gemma-2-2b-it_cosines.csv")
    assert jobs == {"base_model": 1, "import_adapter": 10, "check_experts": 1, "compare_experts": 1}


def test_table_2_without_data_merge_trains_nothing(tmp_path):
    variants = [name for name in yaml.safe_load(PAPER.read_text())["table2"]["variants"] if name != "data_merge"]
    changes = {"table2": {"variants": variants}, "bases": {"gemma-2-2b-it": {"data_merge": None}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changes))
    jobs = plan(tmp_path, "results/tables/table2.csv", tmp_path / "mine.yaml")
    assert not {"train_adapter", "published_corpus"} & {*jobs}
    assert jobs["score_test"] == JOBS["score_test"] - TASKS


def test_corpus_is_made_of_published_conversations(fresh):
    talk = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    rows = [{"dataset": name, "messages": talk} for name in ("lima", "hard_coded")]
    write_jsonl(fresh.folder / "copies/talks.jsonl", rows)
    source = {"hub": "some/talks", "split": "train", "revision": "abc", "path": "talks.jsonl"}
    corpora = {"talks": {**source, "without": {"dataset": ["hard_coded"]}}}
    fresh.configure(data_dir="copies", bases={"micro": {"corpora": corpora}})
    fresh.make("resources/datasets/corpora/talks.jsonl")
    corpus = (fresh.folder / "resources/datasets/corpora/talks.jsonl").read_text()
    assert corpus == '{"prompt": "Why?", "response": "So."}\n'


def test_trained_and_given_experts_of_one_base_can_be_merged(fresh):
    shutil.copytree(fresh.folder / "resources/models/micro", fresh.folder / "elsewhere/micro")
    shutil.copytree(fresh.folder / "resources/experts/add", fresh.folder / "elsewhere/add")
    suite = yaml.safe_load((PROJECT / "config.yaml").read_text())["bases"]["micro"]
    model, experts = {"path": "elsewhere/micro"}, {"theirs": {"path": "elsewhere/add"}, "es": suite["experts"]["es"]}
    fresh.configure(base="mine", bases={"mine": {"model": model, "experts": experts, "training": suite["training"]}})
    fresh.make("results/experts/mine.json")
    names = {read_expert(fresh.folder / f"resources/experts/{name}.safetensors").base_model for name in experts}
    assert names == {"micro", "elsewhere/micro"}


def test_cosines_of_experts_have_a_row_per_pair_group_and_factor(fresh):
    fresh.make("results/experts/micro_cosines.csv")
    with (fresh.folder / "results/experts/micro_cosines.csv").open() as file:
        rows = list(csv.DictReader(file))
    # Two layers have no last third.
    assert {row["group"] for row in rows} == {"all", "attention", "mlp", "early", "middle"}
    assert len(rows) == 45 * 5 * 3
    starts = [float(row["cosine"]) for row in rows if row["factor"] == "A" and row["group"] == "all"]
    assert max(map(abs, starts)) < 0.5  # each expert's initialisation is different


def test_study_of_500_runs_is_planned_within_30_seconds(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = plan(tmp_path, "results/tables/table10.csv")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (jobs["generation"], jobs["initial_population"], jobs["answer_test"]) == (500 * GENERATIONS, 1, 500)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 30


def test_table_7_is_planned_for_two_methods_on_three_tasks(tmp_path):
    jobs = plan(tmp_path, "results/tables/table7.csv")
    assert jobs["generation"] == 2 * 3 * SEEDS * GENERATIONS
    assert jobs["timing"] == 1
