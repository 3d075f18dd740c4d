"""Baselines that choose a mixture of the experts in one job."""

import threading
from itertools import pairwise

import nevergrad
import numpy as np
import pytest

from builders import Landscape, fake_experts, paper_settings, run_baseline
from genome.genotype import Genotype
from genome.rng import stream
from genome.search.driver import score_experts
from genome.search.population import Fitness, Individual
from genome.search.records import read_population, write_population

EXPERTS = fake_experts(4)


LORAHUB_WARNS = pytest.mark.filterwarnings("ignore:COBYLA:UserWarning")  # about a tolerance that nevergrad sets


def result_of(method, landscape=None, **changes):
    landscape = landscape or Landscape(EXPERTS)
    start = score_experts(EXPERTS, landscape)
    return run_baseline(start, paper_settings(method, **changes), 1, EXPERTS, landscape)


def test_best_single_is_the_fittest_expert():
    assert result_of("best_single").best.genotype.coefficients == (1, 0, 0, 0)


def test_expert_fusion_weighs_experts_by_fitness():
    fitness = np.array([x.score for x in score_experts(EXPERTS, Landscape(EXPERTS)).members])
    np.testing.assert_allclose(result_of("expert_fusion").best.genotype.coefficients, fitness / fitness.sum())


def test_pack_of_llms_is_a_softmax_of_negative_log_perplexities():
    expected = np.exp(-np.array(Landscape(EXPERTS).log_perplexity()) / 0.1)
    np.testing.assert_allclose(result_of("pack_of_llms_merge").best.genotype.coefficients, expected / expected.sum())


class Steps(Landscape):
    """A fitness in steps of 1/20, as a metric on twenty samples has: equal for many points."""

    def value(self, individual):
        return max(1, round(20 * super().value(individual))) / 20


LOSSES = {
    "metric": lambda score, c: -score + 0.05 * np.abs(c).mean(),
    # As published: the mean cross-entropy; the fitness is exp(mean log p).
    "likelihood": lambda score, c: -np.log(score) + 0.05 * np.abs(c).mean(),
}


@LORAHUB_WARNS
@pytest.mark.parametrize("kind", [Landscape, Steps])
@pytest.mark.parametrize(("objective", "evaluations"), [("metric", 50), ("likelihood", 40)])
def test_lorahub_asks_and_recommends_what_nevergrad_minimize_does(objective, evaluations, kind):
    """Golden: the published call, with bounds in the constructor, on the same fitness with the same random state."""
    landscape, asked = kind(EXPERTS), []

    def published(coefficients):
        asked.append(tuple(map(float, coefficients)))
        score = landscape.value(Individual("x", Genotype(asked[-1]), "mixture"))
        return float(LOSSES[objective](score, coefficients))

    parameters = nevergrad.p.Array(init=[0] * 4, lower=[-1.5] * 4, upper=[1.5] * 4)
    parameters.random_state = np.random.RandomState(stream(1, "lorahub").integers(2**32))
    recommended = nevergrad.optimizers.NGOpt(parameters, budget=evaluations).minimize(published)

    result = result_of("lorahub", landscape, objective=objective, evaluations=evaluations)
    assert [x.genotype.coefficients for x in result.created] == asked
    assert len(asked) == evaluations
    assert result.best.genotype.coefficients == tuple(map(float, recommended.value))


@LORAHUB_WARNS
@pytest.mark.parametrize("kind", [Landscape, Steps])
def test_lorahub_returns_the_latest_candidate_of_least_loss(kind):
    result = result_of("lorahub", kind(EXPERTS))
    assert len(result.created) == 50
    assert result.created[0].genotype.coefficients == (0.0, 0.0, 0.0, 0.0)
    assert np.abs([x.genotype.coefficients for x in result.created]).max() <= 1.5
    losses = [LOSSES["metric"](x.score, np.array(x.genotype.coefficients)) for x in result.created]
    assert losses[result.created.index(result.best)] == min(losses)
    assert result.best.score > max(x.score for x in score_experts(EXPERTS, Landscape(EXPERTS)).members)


@LORAHUB_WARNS
def test_lorahub_begins_with_steps_of_a_sixth_of_the_bounds():
    """The simplex of COBYLA: 0.5 along each coefficient, not 1.0, which nevergrad takes if bounds are set later."""
    first = [np.array(x.genotype.coefficients) for x in result_of("lorahub").created[:5]]
    assert [float(np.abs(after - before).max()) for before, after in pairwise(first)] == [0.5] * 4


def test_lorahub_scores_a_recommendation_that_it_has_not_tried(monkeypatch):
    """TBPSA recommends the centre of its population."""
    monkeypatch.setattr(nevergrad.optimizers, "NGOpt", nevergrad.optimizers.TBPSA)
    result = result_of("lorahub")
    assert (result.best.name, len(result.created), result.evaluations) == ("recommended", 50, 4 + 51)
    assert result.best.score == Landscape(EXPERTS).value(result.best)


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
    packed = run_baseline(start, paper_settings("pack_of_llms_merge", tau=0.5), 1, EXPERTS, landscape)
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


@LORAHUB_WARNS
def test_lorahub_may_reject_a_fitter_candidate_for_its_large_coefficients(tmp_path):
    """Its file is read like any other, although the result is not the fittest of all."""

    def evaluate(individuals):
        values = [0.5 + 0.01 * min(1.0, max(map(abs, x.genotype.coefficients))) for x in individuals]
        return [Fitness(value, {"t": value}) for value in values]

    start = score_experts(EXPERTS, Landscape(EXPERTS))
    settings = paper_settings("lorahub", evaluations=12)
    found = run_baseline(start, settings, 1, EXPERTS, evaluate)
    assert found.best.score < max(trial.score for trial in found.created)
    write_population(tmp_path / "population.json", found, EXPERTS)
    assert read_population(tmp_path / "population.json", EXPERTS).best == found.best
