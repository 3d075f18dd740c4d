"""Baselines that choose a mixture of the experts in one job."""

import threading

import numpy as np
import pytest

from builders import Landscape, fake_experts, paper_settings, run_baseline
from genome.search.driver import score_experts
from genome.search.population import Fitness

EXPERTS = fake_experts(4)


LORAHUB_WARNS = pytest.mark.filterwarnings("ignore:COBYLA:UserWarning")  # about a tolerance that nevergrad sets


def result_of(method):
    landscape = Landscape(EXPERTS)
    return run_baseline(score_experts(EXPERTS, landscape), paper_settings(method), 1, EXPERTS, landscape)


def test_best_single_is_the_fittest_expert():
    assert result_of("best_single").best.genotype.coefficients == (1, 0, 0, 0)


def test_expert_fusion_weighs_experts_by_fitness():
    fitness = np.array([x.score for x in score_experts(EXPERTS, Landscape(EXPERTS)).members])
    np.testing.assert_allclose(result_of("expert_fusion").best.genotype.coefficients, fitness / fitness.sum())


def test_pack_of_llms_is_a_softmax_of_negative_log_perplexities():
    expected = np.exp(-np.array(Landscape(EXPERTS).log_perplexity()) / 0.1)
    np.testing.assert_allclose(result_of("pack_of_llms").best.genotype.coefficients, expected / expected.sum())


@LORAHUB_WARNS
def test_lorahub_returns_the_candidate_of_least_loss():
    result = result_of("lorahub")
    assert len(result.created) == 50
    assert result.created[0].genotype.coefficients == (0.0, 0.0, 0.0, 0.0)
    assert np.abs([x.genotype.coefficients for x in result.created]).max() <= 1.5
    losses = {x.name: -x.score + 0.05 * np.abs(x.genotype.coefficients).mean() for x in result.created}
    assert losses[result.best.name] == min(losses.values())
    assert result.best.score > max(x.score for x in score_experts(EXPERTS, Landscape(EXPERTS)).members)


def test_expert_fusion_is_uniform_if_all_fitness_is_zero():
    def nothing(individuals):
        return [Fitness(0.0, {"t": 0.0}) for _ in individuals]

    fused = run_baseline(score_experts(EXPERTS, nothing), paper_settings("expert_fusion"), 1, EXPERTS, nothing)
    assert fused.best.genotype.coefficients == (0.25,) * 4


@pytest.mark.parametrize("least", [0.0, 500.0])
def test_pack_of_llms_does_not_overflow_with_large_perplexities(least):
    landscape = Landscape(EXPERTS)
    landscape.log_perplexity = lambda: [least + x for x in (0, 0.5, 1, 1.5)]
    start = score_experts(EXPERTS, landscape)
    packed = run_baseline(start, paper_settings("pack_of_llms", tau=0.5), 1, EXPERTS, landscape)
    shares = np.exp([0, -1, -2, -3]) / np.exp([0, -1, -2, -3]).sum()
    assert packed.best.genotype.coefficients == pytest.approx(shares)


@LORAHUB_WARNS
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_lorahub_ends_the_thread_of_its_optimiser_if_an_evaluation_fails(error):
    """A waiting thread of the optimiser would keep the process from ending while anything refers to the error."""
    before, landscape = {*threading.enumerate()}, Landscape(EXPERTS)

    def fails_late(individuals):
        if len(landscape.asked) > 20:
            raise error
        return landscape(individuals)

    scored = score_experts(EXPERTS, landscape)
    with pytest.raises(error) as caught:
        run_baseline(scored, paper_settings("lorahub"), 1, EXPERTS, fails_late)
    for thread in {*threading.enumerate()} - before:
        thread.join(5)
        assert not thread.is_alive()
    assert caught.value


@LORAHUB_WARNS
def test_lorahub_repeats_with_the_same_seed():
    assert result_of("lorahub") == result_of("lorahub")
