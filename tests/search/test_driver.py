"""Methods under the driver: whole runs on genotypes, without an engine."""

from dataclasses import replace

import numpy as np
import pytest

from builders import (
    GENERATIONS,
    SIZED,
    Landscape,
    evolve,
    fake_experts,
    initial_population,
    next_generation,
    paper_settings,
    run_baseline,
)
from genome.errors import GenomeError
from genome.genotype import Genotype, Noise
from genome.search.driver import Scoreboard, drive, score_experts
from genome.search.measure import Measure
from genome.search.methods import METHODS, read_method
from genome.search.population import Fitness, Individual, individuals_in
from genome.search.records import kept, read_population, write_population
from genome.search.settings import FROM_EXPERTS, space_of


@pytest.mark.parametrize("space", [None, "product", {"shared": {"rank": 8}}])
@pytest.mark.parametrize("method", SIZED)
def test_runs_improve_the_best_in_every_space(method, space):
    gains = []
    for seed in range(5):
        history, _ = evolve(paper_settings(method) | {"merge_space": space}, seed=seed)
        gains.append(history[-1].best.score - history[0].best.score)
        bests = [population.best.score for population in history]
        assert bests == sorted(bests)
        assert all(len(population.members) == 10 for population in history)
        spaces = {x.genotype.space for population in history for x in population.members}
        assert spaces == {space_of(read_method({"method": method, "merge_space": space})[1].merge_space)}
    assert np.mean(gains) > 0.01


def apart(method):
    """How many of the four experts are scored in another stage only: all, unless generation 0 is made of them."""
    return 0 if METHODS[method].settings().initialisation in FROM_EXPERTS else 4


@pytest.mark.parametrize("method", GENERATIONS)
def test_runs_evaluate_each_genotype_once(method):
    history, landscape = evolve(paper_settings(method))
    assert len(landscape.asked) == len(set(landscape.asked))
    assert history[-1].evaluations == len(landscape.asked) - apart(method)


@pytest.mark.parametrize("method", GENERATIONS)
def test_runs_continue_from_their_file_as_if_without_a_stop(method, tmp_path):
    settings, experts = paper_settings(method), fake_experts(4)
    history, _ = evolve(settings, generations=6)
    population = history[2]
    for expected in history[3:]:
        write_population(tmp_path / "population.json", population, experts)
        population = next_generation(
            read_population(tmp_path / "population.json"), settings, 1, experts, Landscape(experts)
        )
        assert population == expected


@pytest.mark.parametrize("space", ["product", {"shared": {"rank": 8}}])
def test_initial_population_of_experts_is_scored_in_another_space(space):
    changes = {"initialisation": "experts", "merge_space": space}
    _, landscape = evolve(paper_settings("genome_plus") | changes, generations=0, size=4)
    assert len(landscape.asked) == 8


def test_initial_population_of_experts_does_not_score_them_again():
    _, landscape = evolve(paper_settings("genome_plus", initialisation="experts"), generations=0, size=4)
    assert len(landscape.asked) == 4
    _, landscape = evolve(paper_settings("genome_plus", initialisation="experts"), generations=0, size=6)
    assert len(landscape.asked) == 6


LOST = {
    "coefficient": lambda value: Individual("lost", Genotype((0.5, value, 0.5)), "mixture"),
    "noise": lambda value: Individual("lost", Genotype((0.5, 0.5, 0.0), (Noise(1, 0.2, value),)), "mutation"),
    "experience": lambda value: Individual("lost", Genotype((0.5, 0.5, 0.0)), "swarm", (), Genotype((0.0, value, 0.0))),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", LOST)
def test_drive_refuses_values_that_are_not_finite_before_scoring(place, value):
    def search():
        yield [Individual("fine", Genotype((0.1, 0.2, 0.7)), "mixture"), LOST[place](value)]

    with pytest.raises(GenomeError, match=r"^lost: its coefficients are no longer finite; choose a smaller step$"):
        drive(search(), Scoreboard({}, ["0", "1", "2"], lambda individuals: pytest.fail("was scored")))


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("genome_plus", {"succession": {"step": 1e200}}),
        ("genome_plus", {"succession": {"step": 1.7e308}}),
        ("genome_plus", {"succession": {"step": 1e200}, "sigma": 1e200, "individual_mutation_rate": 1.0}),
        ("model_swarms", {"step": 1e200}),
        ("model_swarms", {"step": 1.7e308, "step_decay": 1.0}),
    ],
)
def test_runs_refuse_steps_that_overflow_in_one_line(method, changes):
    """Intermediate sums may overflow too."""
    experts, settings = fake_experts(4), paper_settings(method, **changes)

    def evaluate(individuals):
        return [Fitness(sum(map(ord, x.name)) % 97 / 97, {}) for x in individuals]

    def run_far():
        population = initial_population(experts, score_experts(experts, evaluate), settings, 6, 1, evaluate)
        for _ in range(6):
            population = next_generation(population, settings, 1, experts, evaluate)

    with pytest.raises(GenomeError, match=r"^g0\d-\w+: its coefficients are no longer finite; choose a smaller step$"):
        run_far()


def test_runs_without_patience_return_their_population():
    settings = paper_settings("genome", crossover_rate=0, individual_mutation_rate=0, patience=2)
    history, _ = evolve(settings, generations=5)
    assert [population.stalled for population in history] == [0, 1, 2, 2, 2, 2]
    assert history[-1] == replace(history[2], generation=5, created=())


@pytest.mark.parametrize("size", [2, 10, 23])
def test_populations_keep_their_size(size):
    for method in SIZED:
        history, _ = evolve(paper_settings(method), generations=3, size=size)
        assert [len(population.members) for population in history] == [size] * 4


def test_initial_population_refuses_a_size_of_one():
    with pytest.raises(GenomeError, match="at least 2"):
        evolve(paper_settings("genome"), size=1)


def test_runs_continue_if_all_fitness_is_zero():
    experts = fake_experts(4)

    def nothing(individuals):
        return [Fitness(0.0, {"t": 0.0}) for _ in individuals]

    for method in SIZED:
        population = initial_population(
            experts, score_experts(experts, nothing), paper_settings(method), 10, 1, nothing
        )
        for _ in range(3):
            population = next_generation(population, paper_settings(method), 1, experts, nothing)
        assert len(population.members) == 10


class ShiftingLandscape(Landscape):
    """A landscape whose target is another one for each draw of samples."""

    def __init__(self, experts):
        super().__init__(experts)
        self.draw = 0

    def value(self, individual):
        target = np.array(self.target) + np.random.default_rng(self.draw).normal(0, 0.2, 4)
        return float(np.exp(-2 * np.sum((np.array(individual.genotype.coefficients) - target) ** 2)))


@pytest.mark.parametrize("method", SIZED)
def test_generations_with_their_own_samples_compare_fitness_on_these_only(method, tmp_path):
    experts = fake_experts(4)
    landscape = ShiftingLandscape(experts)
    settings = paper_settings(method, samples=20, redraw=True)
    start = score_experts(experts, landscape)
    population = initial_population(experts, start, settings, 6, 1, landscape)
    assert population.measure == Measure(samples=20)
    for landscape.draw in range(1, 5):
        before = population
        population = next_generation(before, settings, 1, experts, landscape)
        state = [each for part in population.state.values() for each in individuals_in(part)]
        for each in (population.best, population.worst, *population.members, *population.created, *state):
            assert each.score == landscape.value(each), "scored on the samples of this generation"
        assert population.best.score >= max(landscape.value(each) for each in before.members)
        assert population.evaluations == len({*landscape.asked}) - apart(method), "each genotype once"
        write_population(tmp_path / "population.json", population, experts)
        assert read_population(tmp_path / "population.json", experts) == kept(population)
        population = read_population(tmp_path / "population.json", experts)


def test_generations_with_the_same_samples_score_a_genotype_once():
    _, landscape = evolve(paper_settings("genome_plus", samples=20), generations=3)
    assert len(landscape.asked) == len({*landscape.asked})


def test_scores_of_experts_by_another_measure_are_not_taken_over():
    experts, landscape = fake_experts(4), Landscape(fake_experts(4))
    start = score_experts(experts, landscape)
    settings = paper_settings("genome", initialisation="experts")
    initial_population(experts, start, settings, 4, 1, landscape)
    assert len(landscape.asked) == 4
    population = initial_population(experts, start, settings | {"objective": "likelihood"}, 4, 1, landscape)
    assert len(landscape.asked) == 8
    assert population.measure == Measure("likelihood")
    lorahub = run_baseline(start, paper_settings("lorahub", samples=9, evaluations=2), 1, experts, landscape)
    assert (lorahub.measure, lorahub.evaluations) == (Measure(samples=9), 2)
