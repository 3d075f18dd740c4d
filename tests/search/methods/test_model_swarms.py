"""Model Swarms: its equation, step by step, and whole runs as its authors' code makes them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import evolve, fake_experts, initial_population, next_generation, paper_settings
from genome.genotype import Genotype, Noise
from genome.rng import stream
from genome.search.driver import score_experts
from genome.search.population import Fitness, Individual, new_population


def test_steps_shrink_by_the_decay_after_the_first():
    """x <- x + lambda v, with lambda 1 in the first step and multiplied by the decay before each later one."""
    settings = paper_settings("model_swarms", step=1.0, step_decay=0.5)
    history, _ = evolve(settings, generations=3)
    for generation, step in enumerate((1.0, 0.5, 0.25), start=1):
        before = {x.name: np.array(x.genotype.coefficients) for x in history[generation - 1].members}
        for particle in history[generation].members:
            moved = np.array(particle.genotype.coefficients) - before[particle.parents[0]]
            np.testing.assert_allclose(moved, step * np.array(particle.experience.coefficients), atol=1e-12)


def test_velocity_is_its_equation():
    """v <- (1/C) [phi_v r_v v + phi_p r_p (p - x) + phi_g r_g (g - x) - phi_w r_w (w - x)]."""
    phi = {"inertia": 0.3, "cognitive": 0.2, "social": 0.4, "repel": 0.15}
    history, _ = evolve(paper_settings("model_swarms", **phi, step=0.8), generations=3, size=5)

    def at(individual):
        return np.array(individual.genotype.coefficients)

    personal = list(history[0].members)
    drawn = set()
    for now, (before, after) in enumerate(pairwise(history), start=1):
        assert after.created == after.members
        for i, (old, new) in enumerate(zip(before.members, after.members, strict=True)):
            random = stream(1, "swarm", now, i).random(4)
            drawn |= {*random}
            weights = np.array([*phi.values()]) * random
            x = at(old)
            pulls = np.stack([at(personal[i]) - x, at(before.best) - x, x - at(before.worst)])
            rest = weights.sum() * np.array(new.experience.coefficients) - weights[1:] @ pulls
            velocity = rest / weights[0]
            if now == 1:
                targets = [at(other) for other in before.members if other is not old]
                assert min(np.abs(x + velocity - target).max() for target in targets) < 1e-9
            else:
                np.testing.assert_allclose(velocity, old.experience.coefficients, atol=1e-9)
            personal[i] = new if new.score > personal[i].score else personal[i]
    assert len(drawn) == 3 * 5 * 4


def test_personal_best_is_the_earlier_of_equals():
    """On a plateau no particle improves: its personal best remains its first position."""
    experts = fake_experts(4)

    def plateau(individuals):
        return [Fitness(0.5, {"t": 0.5}) for _ in individuals]

    settings = paper_settings("model_swarms")
    first = initial_population(experts, score_experts(experts, plateau), settings, 5, 1, plateau)
    population = next_generation(first, settings, 1, experts, plateau)
    population = next_generation(population, settings, 1, experts, plateau)
    assert [x.name for x in population.state["personal_bests"]] == [x.name for x in first.members]
    assert (population.best.name, population.worst.name) == (first.members[0].name,) * 2


def test_personal_best_is_the_best_position_so_far():
    history, _ = evolve(paper_settings("model_swarms"), generations=6)
    best = {i: (x.score, x.name) for i, x in enumerate(history[0].members)}
    for population in history[1:]:
        for i, x in enumerate(population.members):
            best[i] = max(best[i], (x.score, x.name), key=lambda pair: pair[0])
        assert [(x.score, x.name) for x in population.state["personal_bests"]] == list(best.values())


def authors_swarm(start, utility, generations, phi, step=1.0, decay=0.95, floor=0.1, restart=5.0, seed=1):
    """Yield positions and velocities after each iteration of the loop in the authors' `search.py`, on vectors.

    `restart` is its `restart_patience * patience`. Random numbers are those of the streams of this project.
    """
    n = len(start)
    now, best = [x.copy() for x in start], [x.copy() for x in start]
    partner = [[j for j in range(n) if j != i][stream(seed, "velocity", i).integers(n - 1)] for i in range(n)]
    velocity = [now[partner[i]] - now[i] for i in range(n)]
    results = [utility(x) for x in now]
    top, bottom = max(results), min(results)
    history, best_utility = [[each] for each in results], list(results)
    global_best, global_worst = now[results.index(top)].copy(), now[results.index(bottom)].copy()
    length = step
    for iteration in range(1, generations + 1):
        for i in range(n):
            if len(history[i]) - history[i].index(best_utility[i]) >= restart:
                now[i], velocity[i] = best[i].copy(), 0 * best[i]
            weights = stream(seed, "swarm", iteration, i).random(4) * phi
            pulls = velocity[i], best[i] - now[i], global_best - now[i], now[i] - global_worst
            velocity[i] = sum(weight / weights.sum() * pull for weight, pull in zip(weights, pulls, strict=True))
            now[i] = now[i] + length * velocity[i]
        results = [utility(x) for x in now]
        for i in range(n):
            history[i].append(results[i])
            if results[i] > best_utility[i]:
                best_utility[i], best[i] = results[i], now[i].copy()
        if max(results) > top:
            top, global_best = max(results), now[results.index(max(results))].copy()
        if min(results) < bottom:
            bottom, global_worst = min(results), now[results.index(min(results))].copy()
        length = max(length * decay, floor)
        yield np.array(now), np.array(velocity)


@pytest.mark.parametrize("initialisation", ["populated", "pairs"])
@pytest.mark.parametrize(("restart", "decay"), [(5, 0.95), (2, 0.6), (None, 0.5)])
def test_run_is_that_of_the_authors_code(initialisation, restart, decay):
    """Golden: fifteen generations, with restarts and with steps that reach the floor."""
    changes = {"initialisation": initialisation, "restart": restart, "step_decay": decay}
    history, landscape = evolve(paper_settings("model_swarms", **changes), generations=15, size=7)
    start = [np.array(x.genotype.coefficients) for x in history[0].members]

    def utility(x):
        return landscape.value(Individual("x", Genotype(tuple(map(float, x))), "swarm"))

    phi, patience = np.array([0.2, 0.2, 0.2, 0.1]), restart or np.inf
    expected = list(authors_swarm(start, utility, 15, phi, decay=decay, restart=patience))
    for population, (positions, velocities) in zip(history[1:], expected, strict=True):
        np.testing.assert_allclose([x.genotype.coefficients for x in population.members], positions, atol=1e-9)
        np.testing.assert_allclose([x.experience.coefficients for x in population.members], velocities, atol=1e-9)
    assert history[-1].best.score == max(x.score for population in history for x in population.members)


def test_run_without_restarts_is_another():
    runs = [evolve(paper_settings("model_swarms", restart=restart), 8, size=7)[0] for restart in (3, None)]
    assert runs[0][3] == runs[1][3]
    assert runs[0][8].members != runs[1][8].members


def test_steps_do_not_become_shorter_than_the_floor():
    settings = paper_settings("model_swarms", step=1.0, step_decay=0.5, step_floor=0.3, restart=None)
    history, _ = evolve(settings, generations=4)
    for generation, step in enumerate((1.0, 0.5, 0.3, 0.3), start=1):
        for old, new in zip(history[generation - 1].members, history[generation].members, strict=True):
            moved = np.subtract(new.genotype.coefficients, old.genotype.coefficients)
            np.testing.assert_allclose(moved, step * np.array(new.experience.coefficients), atol=1e-12)


def test_first_swarm_is_the_experts_and_populated_if_they_are_too_few():
    """As in the authors' code; with N below n, the N fittest."""
    settings = paper_settings("model_swarms")
    experts = [name.name for name in fake_experts(4)]
    assert [x.name for x in evolve(settings, 0, size=4)[0][0].members] != experts, "by fitness"
    assert sorted(x.name for x in evolve(settings, 0, size=4)[0][0].members) == experts
    assert [x.name for x in evolve(settings, 0, size=6)[0][0].members] == [*experts, "g00-initial4", "g00-initial5"]
    [fewer], landscape = evolve(settings, 0, size=3)
    assert [x.score for x in fewer.members] == sorted(map(landscape.value, fewer.members), reverse=True)
    assert len(landscape.asked) == 4, "the scores of the experts are known"


SEEDS = (11, 12, 13)
numbers = st.floats(-2, 2).map(lambda x: round(x, 3))


@st.composite
def genotypes(draw):
    """A genotype of three experts and up to three noise terms."""
    noise = [Noise(seed, 0.2, value) for seed in SEEDS if (value := draw(numbers)) != 0]
    return Genotype(tuple(draw(numbers) + 0.0 for _ in range(3)), tuple(noise))


def vector(genotype):
    """Return the coefficients of experts and of all noise terms."""
    by_seed = {term.seed: term.coefficient for term in genotype.noise}
    return np.array([*genotype.coefficients, *(by_seed.get(seed, 0.0) for seed in SEEDS)])


@given(st.lists(genotypes(), min_size=3, max_size=5, unique=True), st.integers(0, 50), st.data())
def test_step_is_linear_algebra_on_experts_and_noise(places, seed, data):
    """All updates read the state before; velocities are weighed by shares, which are of phi times r."""
    experts, n = fake_experts(3), len(places)
    phi = np.array(data.draw(st.lists(st.sampled_from([0.05, 0.2, 0.9]), min_size=4, max_size=4)))
    given = [data.draw(genotypes()) for _ in range(2 * n)]
    scores = data.draw(st.permutations([(i + 1) / 10 for i in range(n)]))
    members = [
        Individual(f"p{i}", place, "swarm", experience=given[i], fitness=Fitness(score, {"t": score}))
        for i, (place, score) in enumerate(zip(places, scores, strict=True))
    ]
    bests = [replace(x, name=f"best{i}", genotype=given[n + i]) for i, x in enumerate(members)]
    state = {"personal_bests": tuple(bests), "improved": (4,) * n}
    population = replace(new_population(members), generation=4, state=state)
    names = ("inertia", "cognitive", "social", "repel")
    settings = paper_settings("model_swarms", **dict(zip(names, map(float, phi), strict=True)), step=0.7, step_decay=1)
    moved = next_generation(
        population, settings, seed, experts, lambda asked: [Fitness(0.01, {"t": 0.01})] * len(asked)
    )

    x, v, p = (np.array([*map(vector, each)]) for each in (places, given[:n], given[n:]))
    g, w = x[np.argmax(scores)], x[np.argmin(scores)]
    weights = np.array([stream(seed, "swarm", 5, i).random(4) for i in range(n)]) * phi
    shares = (weights / weights.sum(axis=1, keepdims=True))[:, :, None]
    velocity = shares[:, 0] * v + shares[:, 1] * (p - x) + shares[:, 2] * (g - x) - shares[:, 3] * (w - x)
    np.testing.assert_allclose([vector(each.experience) for each in moved.members], velocity, atol=1e-9)
    np.testing.assert_allclose([vector(each.genotype) for each in moved.members], x + 0.7 * velocity, atol=1e-9)
