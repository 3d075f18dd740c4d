"""Which runs trackers get, with which files and parameters, and which files jobs will replace."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from genome.errors import GenomeError
from genome.workflow.names import RunName
from genome.workflow.trackers import remade_by, runs_in, runs_of, settings_of, tracked
from plan.plans import plan_of

RUN = "sums/genome_plus/n4/seed1"


@dataclass
class Planned:
    """A job as Snakemake has it."""

    wildcards_dict: dict[str, str]
    output: list[str] = field(default_factory=list)


def one(plan, run):
    [found] = tracked(plan, [RunName.parse(run)])
    return found


def test_a_config_names_trackers_and_their_settings(plan):
    assert settings_of(plan) == {}
    log = {"mlflow": {}, "trackio": None, "wandb": {"mode": "offline"}}
    assert settings_of(plan_of(log=log)) == {"mlflow": {}, "wandb": {"mode": "offline"}}


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"mlfow": {}}, "config.log: unknown key 'mlfow', did you mean 'mlflow'?"),
        (
            {"wandb": {"mode": "ofline"}},
            "config.log.wandb.mode: expected one of online, offline, or null, found 'ofline'",
        ),
        ("mlflow", "config.log: expected a mapping"),
    ],
)
def test_an_unknown_tracker_is_refused_by_name(log, words):
    with pytest.raises(GenomeError) as refused:
        plan_of(log=log)
    assert words in str(refused.value)


def test_runs_are_those_that_jobs_name():
    evolving = {"tasks": "sums", "variant": "genome", "n": "4", "seed": "1"}
    jobs = [
        Planned(evolving | {"generation": "1"}),
        Planned(evolving | {"generation": "2"}),
        Planned({"tasks": "sums+emotions", "variant": "best_single"}),
        Planned({"test_task": "sums", "run": "static/ties"}),
        Planned({"tasks": "sums"}),
        Planned({"tasks": "sums", "scheme": "pairs", "n": "4", "seed": "1"}),
    ]
    assert [*map(str, runs_of(jobs))] == ["sums/genome/n4/seed1", "sums+emotions/best_single", "static/ties"]


def test_an_evolving_run_has_all_its_generations(plan):
    run = one(plan, RUN)
    assert run.populations == [
        "results/runs/sums/initial-pairs/n4/seed1/population.json",
        *(f"results/runs/{RUN}/generation_{number}/population.json" for number in (1, 2, 3)),
    ]
    assert run.records[-2:] == [f"results/benchmarks/runs/{RUN}/generation_{number}.json" for number in (2, 3)]
    assert len(run.records) == len(run.populations)
    assert (run.name, run.group, run.tests, run.finalists) == (RUN, "sums/genome_plus", ["sums"], None)
    assert run.controls == {
        "best_expert": "results/runs/sums/experts/population.json",
        "base": "results/runs/sums/base/population.json",
    }


def test_a_run_that_begins_with_experts_has_their_record_first(plan):
    run = one(plan, "sums/lorahub/seed1")
    assert run.populations == ["results/runs/sums/lorahub/seed1/population.json"]
    assert run.records == [
        "results/benchmarks/runs/sums/experts.json",
        "results/benchmarks/runs/sums/lorahub/seed1.json",
    ]


def test_a_run_with_finalists_names_them(plan):
    assert one(plan, "sums/cma_es/n4/seed1").finalists == "results/runs/sums/cma_es/n4/seed1/finalists/population.json"


def test_runs_without_populations_have_tests_only(plan):
    for run, tests in (("static/ties", []), ("sums/validation_lora/seed1", ["sums"]), ("sums/majority", ["sums"])):
        found = one(plan, run)
        assert (found.populations, found.records, found.tests) == ([], [], tests)


def test_a_run_on_a_part_of_a_task_is_tested_on_the_whole(plan):
    assert one(plan, "sums@20/genome/n4/seed1").tests == ["sums"]


def test_parameters_say_what_decides_the_result(plan):
    parameters = one(plan, RUN).parameters
    expected = {"tasks": "sums", "method": "genome_plus", "n": 4, "generations": 3, "seed": 1, "base": "micro"}
    assert parameters.items() >= expected.items()
    assert parameters["settings"]["crossover_rate"] == plan.variant("genome_plus").settings.crossover_rate
    assert "n" not in one(plan, "sums/best_single").parameters


@pytest.mark.parametrize("run", ["static/add", "sums/initial-pairs/n4/seed1", "sums/genome/n4", "sums/ghost/n4/seed1"])
def test_what_is_not_a_run_of_a_variant_is_left_out(plan, run):
    assert tracked(plan, [RunName.parse(run)]) == []


def test_runs_in_a_folder_are_found_by_their_files(plan, tmp_path):
    for path in (
        f"results/runs/{RUN}/generation_1/population.json",
        "results/runs/sums/initial-pairs/n4/seed1/population.json",
        "results/runs/sums/best_single/population.json",
        "results/runs/sums/lorahub/seed2/population.json",
        "results/test/sums/static/dare_ties/seed1/scores.json",
        "results/test/sums/static/add/scores.json",
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    assert {run.name for run in tracked(plan, runs_in(tmp_path))} == {
        RUN,
        "sums/best_single",
        "sums/lorahub/seed2",
        "static/dare_ties/seed1",
    }


def test_outputs_that_are_there_will_be_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = Path("results/runs/sums/genome/n4/seed1/generation_1/population.json")
    old.parent.mkdir(parents=True)
    old.touch()
    new = str(old).replace("generation_1", "generation_2")
    jobs = [Planned({}, [str(old), f"{old.parent}/evaluations.jsonl"]), Planned({}, [new])]
    assert remade_by(jobs) == {str(old): old.stat().st_mtime_ns}
