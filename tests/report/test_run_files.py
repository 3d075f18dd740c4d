"""Files of runs, put together by their paths whatever their order."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.errors import GenomeError
from genome.report.run_files import by_task, runs_of, task_of_run, task_of_test

RUNS = [(results, task, seed) for results in ("results", "../other/results") for task in ("a", "b") for seed in (1, 2)]
RESPONSES = [f"{results}/test/{task}/{task}/genome_plus/n4/seed{seed}/responses.jsonl" for results, task, seed in RUNS]
POPULATIONS = [
    f"{results}/runs/{task}/{variant}/n4/seed{seed}/{generation}population.json"
    for results, task, seed in RUNS
    for variant, generation in (
        ("initial-pairs", ""),
        ("genome_plus", "generation_1/"),
        ("genome_plus", "generation_2/"),
    )
]


@given(st.permutations(RESPONSES), st.permutations(POPULATIONS))
def test_runs_of_groups_files_in_any_order(responses, populations):
    runs = runs_of(responses, populations)
    assert [run.responses for run in runs] == responses
    for run in runs:
        results, task, seed = run.test.results, run.test.task, run.test.run.seed
        assert run.folder == run.responses.removesuffix("/responses.jsonl")
        assert {*run.populations} == {
            f"{results}/runs/{task}/initial-pairs/n4/seed{seed}/population.json",
            f"{results}/runs/{task}/genome_plus/n4/seed{seed}/generation_1/population.json",
            f"{results}/runs/{task}/genome_plus/n4/seed{seed}/generation_2/population.json",
        }


@pytest.mark.parametrize(
    ("population", "message"),
    [
        (
            "results/runs/a/genome/n4/seed1/generation_1/population.json",
            "a population of a/genome/n4/seed1, of which no",
        ),
        ("results/runs/a/genome_plus/n4/seed3/generation_1/population.json", "of which no responses are given"),
        ("elsewhere/runs/a/genome_plus/n4/seed1/generation_1/population.json", "of which no responses are given"),
        ("results/population.json", "is not in a folder RESULTS/runs/RUN"),
    ],
)
def test_runs_of_refuses_a_population_of_another_run(population, message):
    with pytest.raises(GenomeError, match=re.escape(message)) as error:
        runs_of(RESPONSES, [population])
    assert str(error.value).startswith(population)
    assert "\n" not in str(error.value)


def test_finalists_are_a_population_of_their_run():
    finalists = "results/runs/a/genome_plus/n4/seed1/finalists/population.json"
    [run] = [run for run in runs_of(RESPONSES, [finalists]) if run.populations]
    assert run.populations == (finalists,)
    assert str(run.test.run) == "a/genome_plus/n4/seed1"


def test_runs_of_refuses_a_second_run_of_one_seed():
    other = RESPONSES[0].replace("genome_plus", "genome")
    with pytest.raises(GenomeError, match=f"{other}: a second run of seed 1 on a, after {RESPONSES[0]}"):
        runs_of([*RESPONSES, other])


def test_by_task_returns_files_in_the_order_of_tasks():
    files = {task: f"results/splits/{task}/provenance.json" for task in "abc"}
    assert list(by_task([files["c"], files["a"], files["b"]], "abc").items()) == list(files.items())
    experts = [f"results/runs/{task}/experts/population.json" for task in "ba"]
    assert by_task(experts, "ab", task_of_run) == {"a": experts[1], "b": experts[0]}
    scores = [f"results/test/{task}/b+a/genome/n4/seed1/scores.json" for task in "ba"]
    assert by_task(scores, "ab", task_of_test) == {"a": scores[1], "b": scores[0]}


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["x/a/f", "x/c/f"], "x/c/f: of task c, expected one of a, b"),
        (["x/a/f", "y/a/f"], "y/a/f: a second file of task a, after x/a/f"),
        (["x/a/f"], "no file of task b among x/a/f"),
        ([], "no file of task a among none"),
    ],
)
def test_by_task_refuses_what_does_not_fit(paths, message):
    with pytest.raises(GenomeError, match=f"^{message}$"):
        by_task(paths, "ab")
