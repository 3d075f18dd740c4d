"""Model Swarms: its equation, step by step."""

from itertools import pairwise

import numpy as np

from builders import evolve, fake_experts, initial_population, next_generation, paper_settings
from genome.rng import stream
from genome.search.driver import score_experts
from genome.search.population import Fitness


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
