"""Gauss-Newton: from the mean of the experts, by the losses of single samples, however it is divided into jobs."""

import math
from dataclasses import replace

import numpy as np
import pytest

from builders import fake_experts, initial_population, next_generation, paper_settings, population
from genome.errors import GenomeError
from genome.files import read_json, write_json
from genome.genotype import identity, mixture
from genome.search.driver import score_experts
from genome.search.finalists import BASE, decide, finalists
from genome.search.linearised import Draw
from genome.search.measure import Measure
from genome.search.methods.gauss_newton import GaussNewtonSettings
from genome.search.population import Fitness, Individual
from genome.search.records import read_population, write_population

EXPERTS = fake_experts(4)
BELOW = (-0.2, 0.1, -0.3, 0.0)
"""A target at whose other side residuals, which are never negative, are affine."""

DIGESTS = [each.sha256 for each in EXPERTS]


class Samples:
    """Losses of samples whose residuals are affine in the coefficients: |J (c - target)|, and noise if wanted."""

    def __init__(self, seed=0, samples=20, target=(0.7, 0.4, -0.3, 0.2), slope=1.0, spread=0.0, level=0.0):
        generator = np.random.default_rng(seed)
        self.jacobian = slope * np.abs(generator.normal(size=(samples, len(target))))
        self.offset = level + spread * np.abs(generator.normal(size=samples))
        self.target, self.asked = np.array(target), []

    def __call__(self, individuals):
        self.asked += [identity(each.genotype, DIGESTS) for each in individuals]
        places = [np.array(each.genotype.coefficients) - self.target for each in individuals]
        losses = [(self.jacobian @ place + self.offset) ** 2 / 2 for place in places]
        values = [math.exp(-each.mean()) for each in losses]
        return [
            Fitness(value, {"t": value}, tuple(map(float, each))) for value, each in zip(values, losses, strict=True)
        ]


def start(samples, settings, seed=1):
    scored = score_experts(EXPERTS, samples)
    samples.asked.clear()
    return initial_population(EXPERTS, scored, settings, 10, seed, samples)


def run(samples, generations=3, seed=1, **changes):
    settings = paper_settings("gauss_newton", **changes)
    history = [start(samples, settings, seed)]
    for _ in range(generations):
        history.append(next_generation(history[-1], settings, seed, EXPERTS, samples))
    return history


def test_generation_0_is_the_mean_of_the_experts_and_keeps_its_losses():
    [first] = run(samples := Samples(), 0)
    assert [each.genotype.coefficients for each in first.members] == [(0.25,) * 4]
    assert first.state == {"founder": first.best.fitness.losses}
    assert first.measure == Measure("likelihood", 20, calibrated=True)
    assert len(samples.asked) == 1


def test_first_generation_asks_for_scales_for_one_probe_per_expert_and_for_steps():
    history = run(Samples(), 1)
    operators = [each.operator for each in history[1].created]
    assert operators == ["scale"] * 3 + ["probe"] * 4 + ["step"] * 4
    assert history[1].evaluations == 1 + 3 + 4 + 4


def test_affine_residuals_are_solved_in_the_first_generation():
    samples = Samples(target=BELOW)
    after = run(samples, 1, scales=())[-1]
    np.testing.assert_allclose(after.best.genotype.coefficients, samples.target, atol=0.02)
    assert after.best.operator == "step"
    assert after.members == (after.best, after.members[-1])
    assert after.members[-1].name == "uniform"


def test_losses_that_nothing_changes_end_with_the_mean_of_the_experts_after_one_generation():
    samples = Samples(slope=0.0, level=1.0)
    history = run(samples, 3)
    assert [len(each.members) for each in history] == [1] * 4
    assert history[-1].best.name == "uniform"
    assert [len(each.created) for each in history[1:]] == [7, 0, 0], "nothing is tried without a signal"


def test_noise_alone_moves_few_runs_from_the_mean_of_the_experts():
    moved = []
    for seed in range(40):
        noise = np.random.default_rng(1000 + seed)

        def losses(individuals, noise=noise):
            """Each candidate's losses differ from those of all others by chance only."""
            found = [np.abs(noise.normal(1, 0.2, size=20)) for _ in individuals]
            return [Fitness(math.exp(-each.mean()), {}, tuple(each.tolist())) for each in found]

        after = run_with(losses)
        moved.append(len(after.members) > 1)
    assert np.mean(moved) < 0.4


def run_with(evaluate, seed=1):
    settings = paper_settings("gauss_newton")
    scored = score_experts(EXPERTS, evaluate)
    first = initial_population(EXPERTS, scored, settings, 10, seed, evaluate)
    return next_generation(first, settings, seed, EXPERTS, evaluate)


def test_confidence_keeps_the_mean_where_a_gain_is_not_sure():
    def best(confidence):
        return run(Samples(spread=1.0, level=1.0, slope=0.2, samples=8), 2, confidence=confidence)[-1].best.name

    assert best(0) != "uniform"
    assert best(1000) == "uniform"


def test_search_starts_at_the_multiple_of_the_mean_that_is_surely_better():
    samples = Samples(target=(0.5,) * 4)
    draw = run(samples, 1)[-1].state["draws"][0]
    assert draw.centre.coefficients == (0.5,) * 4
    assert draw.others[0].coefficients == (0.25,) * 4
    assert len(draw.probes) == 4


@pytest.mark.parametrize("redraw", [False, True])
def test_interrupted_run_has_the_bytes_of_one_that_was_not(tmp_path, redraw):
    changes = {"redraw": redraw, "patience": None, "tolerance": 0}
    settings, path = paper_settings("gauss_newton", **changes), tmp_path / "population.json"
    draws = [Samples(seed=i if redraw else 0, spread=0.3, level=0.2) for i in range(4)]
    whole = start(draws[0], settings)
    pieces = whole
    for generation in range(1, 4):
        whole = next_generation(whole, settings, 1, EXPERTS, draws[generation])
        write_population(path, pieces, EXPERTS)
        pieces = next_generation(read_population(path, EXPERTS), settings, 1, EXPERTS, draws[generation])
        write_population(path, whole, EXPERTS)
        expected = path.read_bytes()
        write_population(path, pieces, EXPERTS)
        assert path.read_bytes() == expected
    assert len(whole.state["draws"]) == (3 if redraw else 1)


def test_runs_evaluate_each_genotype_once_per_draw():
    samples = Samples(spread=0.3, level=0.2)
    run(samples, 4, patience=None, tolerance=0)
    assert len(samples.asked) == len(set(samples.asked))


def test_fresh_samples_measure_the_jacobian_again_and_keep_the_model_of_earlier_ones():
    settings = paper_settings("gauss_newton", redraw=True, patience=None)
    after = start(Samples(seed=0, target=BELOW), settings)
    for seed in (1, 2):
        fresh = Samples(seed=seed, target=BELOW)
        after = next_generation(after, settings, 1, EXPERTS, fresh)
    first, second = after.state["draws"]
    assert isinstance(second, Draw)
    assert len(second.probes) == 4
    assert first.centre.coefficients != second.centre.coefficients
    np.testing.assert_allclose(after.best.genotype.coefficients, BELOW, atol=0.05)


def test_points_stay_within_bounds_and_probes_turn_back_there():
    samples = Samples(target=(3.0, 3.0, -3.0, 3.0))
    history = run(samples, 4, bounds=[-0.5, 0.4], patience=None)
    points = np.array([each.genotype.coefficients for after in history for each in after.created])
    assert points.min() >= -0.5
    assert points.max() <= 0.4
    probes = history[1].state["draws"][0].probes
    assert len({each.coefficients for each in probes}) == 4


def test_more_experts_than_directions_are_measured_in_a_subspace_with_their_mean():
    draw = run(Samples(), 1, directions=2, scales=())[-1].state["draws"][0]
    steps = np.array([each.place - draw.centre.place for each in draw.probes])
    assert len(steps) == 2
    np.testing.assert_allclose(np.abs(steps[0]), 0.1)
    np.testing.assert_allclose(steps @ steps.T, 0.04 * np.eye(2), atol=1e-12)


def test_run_that_finds_nothing_better_shortens_its_steps_and_ends():
    history = run(Samples(spread=0.5, level=0.5), 8, tolerance=0.5)
    assert history[-1].stalled == 2
    assert history[-1].created == ()


def apart(places, generator):
    """Return losses of experts that do not merge: low at each expert alone, and high and erratic in between."""
    near = np.linalg.norm(places[:, None] - np.eye(4), axis=2).min(axis=1)
    return 0.2 + 3 * (near[:, None] > 1e-9) * generator.uniform(0.5, 1, size=(len(places), 20))


def noise(places, generator):
    """Return losses that are chance alone, other ones for each candidate."""
    return generator.gamma(2, 0.5, size=(len(places), 20))


def smooth(places, generator):
    """Return losses that fall towards a mixture, with noise as of another kernel."""
    slopes = np.abs(np.random.default_rng(0).normal(size=(20, 4)))
    return ((places - 0.6) @ slopes.T) ** 2 / 2 + 0.05 * generator.random((len(places), 20))


def agreeing(likelihood, generator):
    return likelihood


def misleading(likelihood, generator):
    return 1 - likelihood


def unrelated(likelihood, generator):
    return generator.random(len(likelihood))


class Judged:
    """A likelihood of single samples, and a metric that may contradict it; both stay as they are once asked."""

    def __init__(self, losses, metric, seed):
        self.losses, self.metric, self.generator = losses, metric, np.random.default_rng(seed)
        self.known, self.asked = {}, []

    def __call__(self, individuals):
        """Return the fitness that the search maximises."""
        return [self._of(each)[0] for each in individuals]

    def judge(self, individuals):
        """Return the metric on all validation samples."""
        return [self._of(each)[1] for each in individuals]

    def _of(self, individual):
        coefficients = individual.genotype.coefficients
        if coefficients not in self.known:
            [losses] = np.abs(self.losses(np.array([coefficients]), self.generator))
            likelihood = np.exp(-losses.mean(keepdims=True))
            [metric] = self.metric(likelihood, self.generator)
            loss = tuple(map(float, losses))
            self.known[coefficients] = Fitness(float(likelihood[0]), {"t": 0.0}, loss), Fitness(float(metric), {"t": 0})
        return self.known[coefficients]


@pytest.mark.parametrize("changes", [{}, {"confidence": 0, "tolerance": 0}, {"redraw": True}], ids=str)
@pytest.mark.parametrize("metric", [agreeing, misleading, unrelated])
@pytest.mark.parametrize("losses", [apart, noise, smooth])
def test_result_is_never_worse_on_validation_data_than_the_mean_the_best_expert_and_the_base(losses, metric, changes):
    for seed in range(5):
        judged = Judged(losses, metric, seed)
        population = run(judged, 3, seed, **changes)[-1]
        experts = score_experts(EXPERTS, judged.judge)
        mean = population.members[-1]
        assert mean.name == "uniform"
        best = decide(population, experts, GaussNewtonSettings().finalists, EXPERTS, judged.judge).best
        others = [*experts.members, mean, Individual(BASE, mixture([0.0] * 4), "base")]
        assert best.score >= max(each.value for each in judged.judge(others)) - 1e-12


def test_mean_is_a_finalist_even_if_a_budget_ended_the_run_with_a_better_model_outside_the_population():
    found = run(samples := Samples(target=BELOW), 1)[-1]
    assert [each.name for each in found.members[1:]] == ["uniform"]
    better = replace(found.best, name="g02-step0", genotype=mixture(BELOW, "product"), fitness=Fitness(1.0, {"t": 1.0}))
    number = GaussNewtonSettings().finalists
    chosen = finalists(replace(found, best=better, ended="budget"), score_experts(EXPERTS, samples), number)
    assert [each.name for each in chosen[:number]] == ["g02-step0", found.best.name, "uniform"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"founder": "x"}, "founder: expected a list"),
        ({"draws": [[1, 2]]}, "draws, entry 0: expected 3 entries"),
        ({"draws": [[[[1.0], [1.0], []], [], []]]}, "draws, entry 0: 1 coefficients for 4 experts"),
    ],
)
def test_damaged_states_are_refused(tmp_path, change, message):
    path = tmp_path / "population.json"
    write_population(path, run(Samples(), 1)[-1], EXPERTS)
    write_json(path, read_json(path) | change)
    with pytest.raises(GenomeError, match=message):
        read_population(path, EXPERTS)


def test_fitness_is_compared_and_kept_without_losses():
    plain = population(0.5).best
    assert replace(plain.fitness, losses=(1.0,)) == plain.fitness
