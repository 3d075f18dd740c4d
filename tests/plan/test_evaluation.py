"""Tests of runs: their models, the members that answer, and refusals of runs that cannot be."""

import json

import pytest

from genome.errors import GenomeError
from genome.workflow import evaluation
from genome.workflow.names import RunName
from plan.plans import plan_of


def run(text):
    return RunName.parse(text)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("sums/genome/n4/seed1", "results/runs/sums/genome/n4/seed1/generation_3/population.json"),
        ("sums/best_single", "results/runs/sums/best_single/population.json"),
        ("sums/lorahub/seed1", "results/runs/sums/lorahub/seed1/population.json"),
        ("static/dare_ties/seed1", "results/merges/dare_ties/seed1/expert.safetensors"),
        ("static/ties", "results/merges/ties/expert.safetensors"),
        ("sums/validation_lora/seed1", "results/runs/sums/validation_lora/seed1/expert.safetensors"),
        ("sums@20/validation_lora/seed1", "results/runs/sums@20/validation_lora/seed1/expert.safetensors"),
        ("emotions/majority", "results/runs/emotions/majority/answer.json"),
        ("static/data_merge", "resources/experts/data_merge.safetensors"),
        ("static/add", "resources/experts/add.safetensors"),
        ("static/oracle_sums", "resources/experts/oracle_sums.safetensors"),
    ],
)
def test_model_of_returns_the_last_file_of_a_run(plan, name, model):
    assert evaluation.model_of(plan, run(name)) == model


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sums/genom/n4/seed1", "unknown variant 'genom'; did you mean 'genome'?"),
        ("static/oracle_sumz", "unknown variant 'oracle_sumz'"),
        ("sums/genome/n1/seed1", "n1: a population has 2 or more members; name a run of n2 or more"),
        ("sums/genome_plus-team", "its runs are named TASKS/genome_plus-team/nN/seedS"),
        ("sums/genome/n4", "its runs are named TASKS/genome/nN/seedS"),
        ("static/dare_ties", "its runs are named static/dare_ties/seedS"),
        ("sums/genome/seed1", "does not name a run of genome; its runs are named TASKS/genome/nN/seedS"),
        ("sums/best_single/n4/seed1", "its runs are named TASKS/best_single"),
        ("static/genome/n4/seed1", "its runs are named TASKS/genome/nN/seedS"),
        ("sums/validation_lora", "its runs are named TASKS/validation_lora/seedS"),
        ("static/majority", "its runs are named TASKS/majority"),
        ("sums/dare_ties/seed1", "its runs are named static/dare_ties/seedS"),
    ],
)
def test_impossible_run_is_refused(plan, name, message):
    with pytest.raises(GenomeError) as refusal:
        evaluation.model_of(plan, run(name))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_data_merge_is_refused_for_a_base_without_it():
    plan = plan_of(bases={"micro": {"data_merge": None}})
    with pytest.raises(
        GenomeError, match="has no data_merge; add one, or leave data_merge out of the tables' variants"
    ):
        evaluation.model_of(plan, run("static/data_merge"))


def test_export_of_a_static_merge_is_refused(plan):
    assert evaluation.exported_population(plan, run("sums/lorahub/seed1")).endswith("population.json")
    with pytest.raises(
        GenomeError,
        match=r"`genome materialise results/merges/dare_ties/seed1/expert\.safetensors FOLDER` writes its adapter",
    ):
        evaluation.exported_population(plan, run("static/dare_ties/seed1"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("sums/validation_lora/seed1", "writes its adapter"), ("emotions/majority", "it gives one answer to all samples")],
)
def test_export_of_a_control_is_refused(plan, name, message):
    with pytest.raises(GenomeError, match=message):
        evaluation.exported_population(plan, run(name))


def test_run_on_a_part_of_a_task_is_exported_with_the_test_of_all_of_it(plan):
    assert [test.task for test in evaluation.own_tests(run("sums@20+emotions/genome/n4/seed1"))] == ["sums", "emotions"]


def test_choice_of_a_team_reads_all_evaluations_and_prompts(plan):
    chosen = evaluation.chosen_by(plan, run("sums/genome_plus-team/n4/seed1"))
    assert len(chosen) == 5
    assert chosen[-1] == "results/prompts/micro/sums/validation.jsonl"
    assert evaluation.chosen_by(plan, run("sums/genome_plus/n4/seed1")) == []
    assert evaluation.chosen_by(plan, run("static/add")) == []


@pytest.mark.parametrize(
    ("task", "name", "members"),
    [
        ("sums", "sums/genome/n4/seed1", 0),
        ("sums", "sums/genome_plus-no_crossover/n4/seed1", 3),
        ("sums", "sums/genome_plus/n4/seed1", 4),  # all, for the public code's scoring
        ("emotions", "sums/genome_plus/n4/seed1", 3),
        ("sums", "static/add", 0),
    ],
)
def test_members_to_ask_are_the_ensemble_or_the_whole_population(plan, task, name, members):
    assert evaluation.asked_members(plan, evaluation.test_of(task, run(name))) == members


def test_members_that_have_answered_are_not_asked_again(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = evaluation.test_of("sums", run("sums/genome/n4/seed1"))
    file = tmp_path / test.folder / "responses.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"members": 4}))
    assert evaluation.asked_members(plan, test) == 4
    file.write_text("half a fi")
    assert evaluation.asked_members(plan, test) == 0
