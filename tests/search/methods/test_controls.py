"""Controls: the base model, mixtures without a search, and random neighbours of the best expert."""

import numpy as np
import pytest

from builders import Landscape, fake_experts, paper_settings, run_baseline
from genome.genotype import FACTORS, PRODUCT
from genome.search.driver import score_experts
from genome.search.methods import METHODS
from genome.search.population import Fitness, top

EXPERTS = fake_experts(4)


def result_of(method, landscape=None, seed=1, **changes):
    landscape = landscape or Landscape(EXPERTS)
    start = score_experts(EXPERTS, landscape)
    return run_baseline(start, paper_settings(method, **changes), seed, EXPERTS, landscape)


@pytest.mark.parametrize(("method", "coefficient"), [("base", 0.0), ("uniform", 0.25)])
def test_mixtures_without_a_choice_are_scored_once(method, coefficient):
    landscape = Landscape(EXPERTS)
    result = result_of(method, landscape)
    assert result.best.genotype.coefficients == (coefficient,) * 4
    assert result.best.score == landscape.value(result.best)
    assert len(landscape.asked) == 4 + 1


@pytest.mark.parametrize("space", [FACTORS, PRODUCT])
def test_uniform_is_a_mixture_in_its_space(space):
    assert result_of("uniform", merge_space=space).best.genotype.space == space


def test_task_arithmetic_chooses_one_scale_of_the_sum_of_updates():
    result = result_of("task_arithmetic")
    landscape = Landscape(EXPERTS)
    scales = np.arange(1, 21) / 20
    # The fitness at s (1, 1, 1, 1) is highest where s is the mean of the target.
    nearest = scales[np.abs(scales - np.mean(landscape.target)).argmin()]
    assert result.best.genotype.coefficients == (nearest,) * 4
    assert result.best.genotype.space == PRODUCT
    assert [x.genotype.coefficients[0] for x in result.created] == scales.tolist()


def test_task_arithmetic_takes_the_smaller_scale_in_a_tie():
    def plateau(individuals):
        values = [0.5 if 0.3 <= x.genotype.coefficients[0] <= 0.6 else 0.1 for x in individuals]
        return [Fitness(value, {"t": value}) for value in values]

    assert result_of("task_arithmetic", plateau).best.name == "scale0.3"
    assert result_of("task_arithmetic", plateau, scales=[0.2, 0.55, 0.6]).best.name == "scale0.55"


def test_randopt_adds_noise_of_the_given_sigmas_to_the_best_expert():
    sigmas = (0.0005, 0.001, 0.002)
    result = result_of("randopt", candidates=3000)
    assert {x.genotype.coefficients for x in result.created} == {(1.0, 0.0, 0.0, 0.0)}, "the fittest expert"
    [terms] = zip(*(x.genotype.noise for x in result.created), strict=True)
    assert {(term.density, term.coefficient) for term in terms} == {(1.0, sigma) for sigma in sigmas}
    assert len({term.seed for term in terms}) == 3000
    drawn = [sum(term.coefficient == sigma for term in terms) / 3000 for sigma in sigmas]
    assert drawn == pytest.approx([1 / 3] * 3, abs=0.03)
    assert {x.parents for x in result.created} == {("e0",)}


def test_randopt_ensemble_is_the_best_neighbours():
    def by_noise(individuals):
        values = [x.genotype.noise[0].seed % 1009 / 1009 if x.genotype.noise else 0.0 for x in individuals]
        return [Fitness(value, {"t": value}) for value in values]

    result = result_of("randopt", by_noise)
    assert len(result.members) == result.evaluations - 4 == 160
    best = sorted(result.members, key=lambda x: -x.score)[:3]
    assert top(result, METHODS["randopt"].settings().ensemble.k) == best
    assert result.best == best[0]
    few = result_of("randopt", by_noise, candidates=40)
    assert few.created == result.created[:40]
    assert result_of("randopt", by_noise, seed=2).created != result.created


@pytest.mark.parametrize("name", ["base", "uniform", "task_arithmetic", "randopt"])
def test_controls_cost_what_their_rows_say(name):
    method, landscape = METHODS[name], Landscape(EXPERTS)
    result_of(name, landscape)
    assert len(landscape.asked) - 4 == method.cost(method.settings(), 10, 4)
    assert (method.group, method.stage, method.reads(method.settings(), 10, 4)) == ("control", "baseline", 0)


def test_only_randopt_draws_random_numbers():
    seeded = {name for name in ("base", "uniform", "task_arithmetic", "randopt") if METHODS[name].seeded}
    assert seeded == {"randopt"}
