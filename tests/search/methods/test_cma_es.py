"""CMA-ES over coefficients: the search of the library, however it is divided into jobs."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from cmaes import CMA
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import Landscape, fake_experts, next_generation, paper_settings, scored
from genome.errors import GenomeError
from genome.genotype import mixture
from genome.rng import stream
from genome.search.asking import Scored
from genome.search.methods import cma_es
from genome.search.methods.cma_es import CmaEsSettings
from genome.search.population import Fitness, Individual, new_population
from genome.search.records import read_population, write_population

EXPERTS = fake_experts(4)
fitness = Landscape(EXPERTS)


def start(space="factors", size=6):
    points = np.random.default_rng(0).dirichlet(np.ones(4), size)
    individuals = [Individual(f"x{i}", mixture(point, space), "initialisation") for i, point in enumerate(points)]
    judged = zip(individuals, fitness(individuals), strict=True)
    return scored(new_population([Individual(x.name, x.genotype, x.operator, fitness=f) for x, f in judged]), EXPERTS)


def advance(population, generations, seed=3, **changes):
    for _ in range(generations):
        population = next_generation(population, paper_settings("cma_es", **changes), seed, EXPERTS, fitness)
    return population


@pytest.mark.parametrize(("choice", "mean"), [("uniform", [0.25] * 4), ("best", None)])
def test_generations_are_the_library_s_search(choice, mean):
    population = start()
    mean = np.array(mean or population.best.genotype.coefficients)
    optimizer = CMA(mean=mean, sigma=0.2, bounds=np.array([[-1.0, 1.0]] * 4), population_size=6)
    expected = []
    for generation in range(1, 5):
        optimizer.reseed_rng(int(stream(3, "cma_es", generation).integers(2**32)))
        points = [optimizer.ask() for _ in range(6)]
        expected += [tuple(point.tolist()) for point in points]
        scores = fitness([Individual("", mixture(point), "") for point in points])
        optimizer.tell([(point, -f.value) for point, f in zip(points, scores, strict=True)])
    after = advance(population, 4, mean=choice, step=0.2, bounds=[-1.0, 1.0])
    assert [point for point, _ in after.state["history"][1:]] == expected


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(1, 5)), st.integers(0, 100))
def test_run_that_stops_and_continues_is_the_run_without_stops(tmp_path_factory, stops, seed):
    path = tmp_path_factory.mktemp("run") / "population.json"
    whole, pieces = advance(start(), 6, seed), start()
    for generation in range(1, 7):
        pieces = advance(pieces, 1, seed)
        if generation in stops:
            write_population(path, pieces, EXPERTS)
            pieces = read_population(path)
    assert pieces == whole


def test_points_stay_within_bounds():
    after = advance(start(), 5, step=2.0, bounds=[0.0, 0.5])
    points = np.array([point for point, _ in after.state["history"][1:]])
    assert points.min() >= 0
    assert points.max() <= 0.5
    free = advance(start(), 5, step=2.0, bounds=None)
    assert np.abs([point for point, _ in free.state["history"][1:]]).max() > 1.5


def test_generation_refuses_bounds_without_the_mean():
    for bounds in ([0.5, 1.0], [1.0, -1.0]):
        with pytest.raises(GenomeError, match="do not include the first mean"):
            advance(start(), 1, bounds=bounds)


def test_members_are_the_fittest_of_the_run():
    population = start()
    after = advance(population, 4)
    everything = [*(x.score for x in population.members), *(score for _, score in after.state["history"][1:])]
    assert sorted((x.score for x in after.members), reverse=True) == sorted(everything, reverse=True)[:6]
    assert after.best.score == max(everything)
    assert after.best.score > population.best.score + 0.1


def test_members_of_equal_fitness_stay():
    population = start()
    same = Fitness(0.5, {"t": 0.5})
    level = new_population([replace(x, fitness=same) for x in population.members])
    choice = paper_settings("cma_es")
    after = next_generation(level, choice, 3, EXPERTS, lambda individuals: [same for _ in individuals])
    assert (after.members, after.best) == (level.members, level.best)
    assert [x.name for x in after.created] == [f"g01-point{i}" for i in range(6)]


def test_points_of_products_are_the_points_of_factors():
    factors, products = advance(start(), 3), advance(start("product"), 3, merge_space="product")
    assert products.state["history"] == factors.state["history"]
    assert {x.genotype.space for x in products.members} == {"product"}


def test_layer_groups_have_separate_coefficients(make_experts):
    experts, population = make_experts(4, layers=2), start(size=8)

    def by_group(individuals):
        """Attention and MLP of the two layers have different targets, which no common coefficients reach."""
        points = [np.resize(x.genotype.coefficients, (4, 4)) for x in individuals]
        targets = np.stack([np.roll(fitness.target, shift) for shift in range(4)])
        return [Fitness(value, {}) for value in (float(np.exp(-np.mean((point - targets) ** 2))) for point in points)]

    reached = {}
    for coefficients in ("expert", "layer_group"):
        after, choice = population, paper_settings("cma_es", coefficients=coefficients)
        for _ in range(20):
            after = next_generation(after, choice, 3, experts, by_group)
        reached[coefficients] = after.best.score
        lengths = {len(point) for point, _ in after.state["history"][1:]}
        assert lengths == {{"expert": 4, "layer_group": 16}[coefficients]}
    assert reached["layer_group"] > reached["expert"] + 0.02


def test_stopped_points_are_reported_in_their_order():
    population = start()
    search = cma_es.generation(population, CmaEsSettings(), 3, layer_groups=1)
    individuals = next(search).individuals
    finished = [replace(x, fitness=Fitness(0.5, {})) for x in individuals[:2]]
    with pytest.raises(StopIteration) as stop:
        search.send(Scored(finished, [individuals[i] for i in (4, 2, 5, 3)]))
    after = stop.value.value
    assert [reported for _, reported in after.state["history"][1:]] == [0.5, 0.5, -2.0, -4.0, -1.0, -3.0]
    assert all(x.fitness for x in (*after.members, *after.created))


def test_generation_0_has_no_history(tmp_path):
    write_population(tmp_path / "population.json", start(), EXPERTS)
    assert "history" not in (tmp_path / "population.json").read_text()


def test_generation_does_not_import_scipy():
    """`cmaes` would import it for other algorithms, which takes a second per job."""
    code = """
import sys
from genome.genotype import expert
from genome.search.methods.cma_es import CmaEsSettings, generation
from genome.search.population import Fitness, Individual, new_population
members = [Individual(f"x{i}", expert(i, 4), "expert", fitness=Fitness(0.5, {})) for i in range(4)]
contest = next(generation(new_population(members), CmaEsSettings(), 1, layer_groups=1))
print(len(contest.individuals), "cmaes" in sys.modules, "scipy" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["4", "True", "False"]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_generation_evaluates_at_least_four_points(size):
    after = advance(start(size=size), 3)
    assert len(after.members) == size
    assert len(after.state["history"]) == 1 + 3 * 4
    assert len(after.created) == 4
