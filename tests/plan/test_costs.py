"""Planned jobs as a forecast gets them."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from genome.forecast import Job, Setting
from genome.workflow.costs import hand_over, jobs_of, setting_of
from plan.plans import plan_of


@dataclass
class Planned:
    """A job as Snakemake has it."""

    name: str
    wildcards_dict: dict[str, str]
    params: Any = field(default_factory=lambda: SimpleNamespace(settings='{"method": "genome"}'))

    @property
    def rule(self):
        return SimpleNamespace(name=self.name, benchmark=f"results/benchmarks/{self.name}/{{task}}/{{run}}.tsv")


PLANNED = [
    Planned("generation", {"tasks": "sums+emotions", "variant": "genome", "n": "4", "seed": "1", "generation": "1"}),
    Planned("answer_test", {"test_task": "translation", "run": "sums+emotions/genome/n4/seed1"}),
    Planned("split", {"task": "sums"}),
]


def test_jobs_carry_only_settings_that_decide_their_cost(plan):
    jobs = jobs_of(plan, PLANNED)
    assert [job.stage for job in jobs] == ["generation", "answer_test", "split"]
    assert [job.settings for job in jobs] == ['{"method": "genome"}', '{"method": "genome"}', "{}"]
    assert jobs[0].parts == PLANNED[0].wildcards_dict
    assert jobs[2].benchmark == "results/benchmarks/split/*/**/*.tsv"


def test_jobs_know_where_they_merge():
    spaces = [job.space for job in jobs_of(plan_of(methods={"genome": {"merge_space": "product"}}), PLANNED)]
    assert spaces == ["product", "product", "factors"]


def test_cost_settings_contain_the_tasks_of_their_jobs(plan):
    setting = setting_of(plan, jobs_of(plan, PLANNED))
    assert list(setting.tasks) == ["sums", "emotions", "translation"]
    assert (setting.base, setting.generations, setting.adapters) == ("micro", 3, plan.config.adapters)
    assert setting.splits == {"validation": 30, "test": 40, "seed": 42}
    assert len(setting.experts) == 10


def test_written_plan_is_read_back_unchanged(plan, tmp_path):
    hand_over(plan, PLANNED, ["small.yaml"], str(tmp_path / "plan.json"))
    content = json.loads((tmp_path / "plan.json").read_text())
    assert [Job(**job) for job in content["jobs"]] == jobs_of(plan, PLANNED)
    assert Setting(**content["setting"]).configfiles == ["small.yaml"]
    assert Setting(**content["setting"]).tasks == dict(setting_of(plan, jobs_of(plan, PLANNED)).tasks)


SHARED = {"genome-shared": {"method": "genome", "merge_space": {"shared": {"rank": 16}}}}


@pytest.mark.parametrize(
    ("wildcards", "space"),
    [
        ({"variant": "cma_es-product"}, "product"),
        ({"variant": "cma_es"}, ""),
        ({"variant": "genome-shared"}, "shared-16"),
        ({"variant": "lorahub"}, ""),
        ({"scheme": "pairs-product"}, "product"),
        ({"scheme": "experts-shared-16"}, "shared-16"),
        ({"scheme": "pairs-factors"}, "factors"),
        ({"scheme": "pairs"}, ""),
        ({"run": "sums/genome_plus-product/n4/seed1"}, "product"),
        # What merges nothing serves the experts as they are.
        ({"variant": "best_single"}, "factors"),
        ({"run": "static/add"}, "factors"),
        ({"task": "sums"}, "factors"),
    ],
    ids=str,
)
def test_a_job_s_space_is_its_variant_s(wildcards, space):
    assert plan_of(variants=SHARED).space_of(wildcards) == space


def test_jobs_are_submitted_only_if_all_nodes_reach_an_engine(plan):
    assert plan.submission_problem(local=True) is None
    assert "engine.slurm is not set" in plan.submission_problem(local=False)
    for engine in ({"slurm": {"gpus": 1}}, {"per_job": True}):
        assert plan_of(engine=engine).submission_problem(local=False) is None
