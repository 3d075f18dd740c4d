"""Model Swarms (Feng et al. 2024, arXiv 2410.11163): particle swarm optimisation in weight space, step by step.

A particle's velocity is kept in its `experience`. Particles are updated synchronously. As in the authors' code
(github.com/BunsenFeng/model_swarm), the first swarm is the experts themselves, populated if they are too few, steps
become no shorter than a floor, and a particle whose personal best is old continues from there without velocity.

A run over three experts, with a fitness that is 1 at the coefficients (0.6, 0.5, -0.1):

>>> import math
>>> from genome.search.driver import Scoreboard, drive, score_all
>>> from genome.genotype import expert
>>> from genome.search.operators import populate
>>> from genome.search.population import Fitness
>>> def evaluate(individuals):
...     distances = [math.dist(x.genotype.coefficients, (0.6, 0.5, -0.1)) for x in individuals]
...     return [Fitness(1 / (1 + distance), {}) for distance in distances]
>>> board = Scoreboard({}, ["sha256 of a", "sha256 of b", "sha256 of c"], evaluate)
>>> experts = drive(score_all([Individual(name, expert(i, 3), "expert") for i, name in enumerate("abc")]), board)
>>> population = drive(score_all(populate(experts.members, 6, seed=1)), board)
>>> round(population.best.score, 2)
0.61
>>> for _ in range(10):
...     population = drive(generation(population, ModelSwarmsSettings(), seed=1), board)
>>> round(population.best.score, 2), population.best.name
(0.83, 'g06-particle5')
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from genome import fields
from genome.errors import GenomeError
from genome.genotype import combine
from genome.rng import stream
from genome.search.asking import Search
from genome.search.method import Method, Number, Reader, setting
from genome.search.operators import difference
from genome.search.population import Individual, Population, track
from genome.search.settings import EvolvingObjective, Initialisation, MergeSpace, initialisation, merge_space, patience

PERSONAL_BESTS, IMPROVED = "personal_bests", "improved"
"""The parts of the state with each particle's best position, and the generation in which it was there."""


@dataclass(frozen=True)
class ModelSwarmsSettings(EvolvingObjective):
    """Settings of Model Swarms: its authors' code, with the weights and the length of the paper that compares."""

    merge_space: MergeSpace = merge_space()
    initialisation: Initialisation = initialisation("populated")
    inertia: Number = setting(0.2, "Weight of a particle's velocity.", pinned=True, ge=0)
    cognitive: Number = setting(0.2, "Weight of moving towards the particle's own best.", pinned=True, ge=0)
    social: Number = setting(0.2, "Weight of moving towards the best particle ever.", pinned=True, ge=0)
    repel: Number = setting(0.1, "Weight of moving away from the worst particle ever.", pinned=True, ge=0)
    step: Number = setting(1.0, "Factor of the velocity in the first step.", pinned=True, gt=0)
    step_decay: Number = setting(0.95, "Factor by which steps become shorter per generation.", pinned=True, gt=0)
    step_floor: Number = setting(0.1, "The smallest factor of the velocity that the decay leads to.", ge=0)
    restart: int | None = setting(
        5,
        "A particle that has not improved for this many generations continues from its own best, without velocity, "
        "until it improves; null for never.",
        ge=1,
    )
    patience: int | None = patience()


def generation(population: Population, settings: ModelSwarmsSettings, seed: int) -> Search:
    """Yield all particles after one step; return the swarm. Its result is the best ever (the global best)."""
    now = population.generation + 1
    bests: Sequence[Individual] = population.state.get(PERSONAL_BESTS, ())
    improved: Sequence[int] = population.state.get(IMPROVED, ())
    if not bests:
        population = _with_first_velocities(population, seed)
        bests, improved = population.members, [0] * len(population.members)
    step = max(settings.step * settings.step_decay ** (now - 1), settings.step_floor)
    start = [
        _restarted(particle, best) if settings.restart is not None and now - since >= settings.restart else particle
        for particle, best, since in zip(population.members, bests, improved, strict=True)
    ]
    moved = (
        yield [
            _move(particle, best, population, settings, step, seed, i)
            for i, (particle, best) in enumerate(zip(start, bests, strict=True))
        ]
    ).finished
    better = [new.score > old.score for new, old in zip(moved, bests, strict=True)]
    state = {
        **population.state,
        PERSONAL_BESTS: tuple(new if rose else old for rose, new, old in zip(better, moved, bests, strict=True)),
        IMPROVED: tuple(now if rose else since for rose, since in zip(better, improved, strict=True)),
    }
    return track(replace(population, generation=now, members=tuple(moved), state=state, created=()), moved)


def _restarted(particle: Individual, best: Individual) -> Individual:
    """Return the particle at its personal best, without velocity."""
    return replace(particle, genotype=best.genotype, experience=difference(best.genotype, best.genotype))


def _with_first_velocities(population: Population, seed: int) -> Population:
    """Return the swarm with `v_i = x_j - x_i`, j a random other particle."""
    members: list[Individual] = []
    for i, particle in enumerate(population.members):
        others = [other for other in population.members if other.name != particle.name]
        other = others[stream(seed, "velocity", i).integers(len(others))]
        members.append(replace(particle, experience=difference(other.genotype, particle.genotype)))
    return replace(population, members=tuple(members))


def _move(
    particle: Individual,
    personal_best: Individual,
    population: Population,
    settings: ModelSwarmsSettings,
    step: float,
    seed: int,
    i: int,
) -> Individual:
    """Return `particle` after `v <- (1/C) [phi_v r_v v + phi_p r_p (p - x) + phi_g r_g (g - x) - phi_w r_w (w - x)]`.

    Each r is a new U(0, 1), C the sum of the products phi * r; then `x <- x + step * v`.
    """
    now = population.generation + 1
    phi = (settings.inertia, settings.cognitive, settings.social, settings.repel)
    if not any(phi):
        raise GenomeError("model_swarms: inertia, cognitive, social and repel are all 0; give one a weight above 0")
    if particle.experience is None:
        raise ValueError(f"{particle.name} has no velocity")
    weights = [p * r for p, r in zip(phi, stream(seed, "swarm", now, i).random(4), strict=True)]
    total = sum(weights)
    inertia, cognitive, social, repel = (float(weight / total) for weight in weights)
    velocity = combine(
        [
            (inertia, particle.experience),
            (cognitive, difference(personal_best.genotype, particle.genotype)),
            (social, difference(population.best.genotype, particle.genotype)),
            (-repel, difference(population.worst.genotype, particle.genotype)),
        ]
    )
    genotype = combine([(1.0, particle.genotype), (step, velocity)])
    return Individual(f"g{now:02}-particle{i}", genotype, "swarm", (particle.name,), velocity)


def read_personal_bests(value: Any, file: Reader) -> tuple[Individual, ...]:
    """Return the personal bests in a population's file."""
    return file.individuals(value, PERSONAL_BESTS)


def read_improved(value: Any, file: Reader) -> tuple[int, ...]:
    """Return the generations of the personal bests in a population's file."""
    return tuple(fields.whole(each, IMPROVED) for each in fields.sequence(value, IMPROVED))


METHOD = Method(
    "model_swarms",
    "Model Swarms",
    stage="generation",
    settings=ModelSwarmsSettings,
    version=2,  # the experts as the first swarm, restarts, and a floor of the step
    run=generation,
    cost=lambda settings, size, experts: size,
    most=lambda settings, size, experts, seed, generation: size,
    seeded=True,
    operators={"swarm": ("o", 20, 0.0)},
    state={PERSONAL_BESTS: read_personal_bests, IMPROVED: read_improved},
)
