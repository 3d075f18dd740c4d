"""The metrics of generations and results, from the files of a run."""

import pytest

from genome.errors import GenomeError
from genome.search.measure import Measure
from genome.tracking.run import generation_metrics, is_finished, result_metrics
from tracking.worlds import NAME, path_of, run_of, write_generation, write_test, write_tokens


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_generation_has_fitness_and_cost():
    run = run_of()
    write_generation(path_of(1), 0.25, 0.75, samples=60)
    metrics = generation_metrics(run, 1)
    assert metrics == {"fitness/best": 0.75, "fitness/mean": 0.5, "evaluations": 2, "samples": 60}


def test_tokens_are_those_of_all_jobs_until_then_or_left_out():
    run = run_of()
    write_generation(path_of(1), 0.5, 0.5)
    for step, tokens in enumerate((100, 20, 3)):
        write_tokens(run, step, tokens)
    assert generation_metrics(run, 1)["tokens"] == 120
    write_tokens(run, 0, None)
    assert "tokens" not in generation_metrics(run, 1)


def test_tokens_of_the_experts_count_if_generation_0_consists_of_them():
    run = run_of(records=["experts.json", *run_of().records])
    write_generation(path_of(0), 0.5, 0.5)
    for step, tokens in enumerate((1000, 100, 20)):
        write_tokens(run, step, tokens)
    assert generation_metrics(run, 0)["tokens"] == 1100


def test_fitness_is_compared_with_controls_that_are_there():
    run = run_of()
    write_generation(path_of(1), 0.25, 0.75)
    write_generation(run.controls["best_expert"], 0.5, 0.125)
    metrics = generation_metrics(run, 1)
    assert (metrics["fitness/best_expert"], metrics["fitness/over_best_expert"]) == (0.5, 0.25)
    assert not any("base" in name for name in metrics)


def test_fitness_of_another_measure_is_not_compared():
    run = run_of()
    write_generation(path_of(1), 0.25, 0.75, measure=Measure("likelihood", 50))
    write_generation(run.controls["base"], 0.5)
    assert not any("base" in name for name in generation_metrics(run, 1))


def test_results_are_finalists_and_tests():
    run = run_of(finalists=f"results/runs/{NAME}/finalists/population.json")
    assert result_metrics(run, run.result_files()) == {}
    write_generation(run.finalists, 0.5, 0.625, generation=2)
    write_generation(run.controls["base"], 0.125)
    write_test(NAME, 0.375)
    write_test(NAME, 0.25, "other")
    assert result_metrics(run, run.result_files()) == {
        "validation/result": 0.625,
        "validation/base": 0.125,
        "validation/over_base": 0.5,
        "test/t/best": 0.375,
        "test/other/best": 0.25,
    }


@pytest.mark.parametrize(
    ("sent", "results", "finished"),
    [([0, 1, 2], {"test/t/best": 0.5}, True), ([0, 1], {"test/t/best": 0.5}, False), ([0, 1, 2], {}, False)],
)
def test_a_run_is_finished_with_all_generations_and_its_own_tests(sent, results, finished):
    assert is_finished(run_of(), sent, results) == finished


def test_a_wrong_file_is_named():
    run = run_of()
    write_generation(path_of(1), 0.5, generation=2)
    with pytest.raises(GenomeError, match=r"generation_1/population\.json"):
        generation_metrics(run, 1)
