"""The operators of GENOME and GENOME+ on genotypes (sections 2.2 and 2.3 of arXiv 2503.01155).

Each takes scored individuals and named randomness (`genome.rng.stream`) and returns new, unscored ones.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from genome.errors import GenomeError
from genome.genotype import FACTORS, Genotype, Noise, add_noise, combine, expert, mixture
from genome.rng import stream
from genome.search.method import Marker, Number, setting
from genome.search.population import Individual, fittest

SEEDS = 2**53
"""Noise seeds are drawn below this: every JSON reader represents them exactly."""

MARKERS: dict[str, Marker] = {
    "expert": ("p", 26, 0.0),
    "initialisation": ("s", 20, 0.0),
    "crossover": ("^", 22, -0.24),
    "mutation": ("D", 14, 0.0),
    "succession": ("o", 20, 0.24),
}
"""The operators of this module by the names that individuals carry, with their markers in the family tree."""


def interpolate(t: float, first: Genotype, second: Genotype) -> Genotype:
    """Return `t * first + (1 - t) * second`."""
    return combine([(t, first), (1 - t, second)])


def difference(first: Genotype, second: Genotype) -> Genotype:
    """Return `first - second`."""
    return combine([(1.0, first), (-1.0, second)])


def initialise(n_experts: int, size: int, seed: int, space: str = FACTORS) -> list[Individual]:
    """Return `size` mixtures of two experts each: `t * w_a + (1 - t) * w_b`, t ~ U(0, 1) (Eq. 3).

    All unordered pairs of distinct experts are shuffled and used in turn, starting over if `size` exceeds their number.
    """
    pairs = [(a, b) for a in range(n_experts) for b in range(a + 1, n_experts)]
    order = stream(seed, "initialisation", "pairs").permutation(len(pairs))
    individuals: list[Individual] = []
    for i in range(size):
        a, b = pairs[int(order[i % len(pairs)])]
        t = stream(seed, "initialisation", "t", i).random()
        genotype = interpolate(t, expert(a, n_experts, space), expert(b, n_experts, space))
        individuals.append(Individual(f"g00-initial{i}", genotype, "initialisation"))
    return individuals


def founders(experts: Sequence[Individual], size: int, space: str = FACTORS) -> list[Individual]:
    """Return the scored `experts` themselves in `space`; if they are more than `size`, the fittest."""
    experts = [replace(x, genotype=replace(x.genotype, space=space)) for x in experts]
    return fittest(experts)[:size] if size <= len(experts) else experts


def take_experts(
    experts: Sequence[Individual], size: int, seed: int, gene_rate: float, sigma: float, space: str = FACTORS
) -> list[Individual]:
    """Return `size` individuals of the scored `experts` themselves: the ablation without initialisation (Table 8).

    With fewer individuals than experts, these are the fittest. With more, the experts repeat, each repeat as a mutant.
    """
    first = founders(experts, size, space)
    repeats: list[Individual] = []
    for i in range(len(first), size):
        source = first[i % len(first)]
        genotype = mutate(source.genotype, gene_rate, sigma, stream(seed, "initialisation", "mutant", i))
        repeats.append(Individual(f"g00-mutant{i}", genotype, "mutation", (source.name,)))
    return [*first, *repeats]


def populate(experts: Sequence[Individual], size: int, seed: int, space: str = FACTORS) -> list[Individual]:
    """Return `size` individuals: the scored `experts` themselves, then points on lines through two of those before.

    The added ones are `t * x_a + (1 - t) * x_b`, t ~ U(0, 2), half of them between the two and half beyond, as in the
    code of Model Swarms (arXiv 2410.11163). With fewer individuals than experts, these are the fittest.
    """
    swarm = founders(experts, size, space)
    for i in range(len(swarm), size):
        generator = stream(seed, "initialisation", "populate", i)
        places: list[int] = generator.choice(len(swarm), size=2, replace=False).tolist()
        first, second = (swarm[place] for place in places)
        genotype = interpolate(2 * generator.random(), first.genotype, second.genotype)
        swarm.append(Individual(f"g00-initial{i}", genotype, "initialisation", (first.name, second.name)))
    return swarm


def draw_by_share(weights: np.ndarray, k: int, generator: np.random.Generator) -> list[int]:
    """Draw `k` distinct positions with probability proportional to `weights` (>= 0).

    Positive weights are drawn first. Once they are used up, the rest is drawn uniformly from the zeros, so that a draw
    of two does not fail if only one fitness is positive.
    """
    shares = weights / weights.sum() if weights.any() else weights
    positive, zero = np.flatnonzero(shares > 0), np.flatnonzero(shares == 0)
    k_positive = min(k, len(positive))
    chosen: list[int] = []
    if k_positive:
        chosen = generator.choice(positive, size=k_positive, replace=False, p=shares[positive]).tolist()
    filler: list[int] = generator.choice(zero, size=k - k_positive, replace=False).tolist()
    return [*chosen, *filler]


def crossover(population: Sequence[Individual], rate: float, seed: int, generation: int) -> list[Individual]:
    """Return children `t * w_1 + (1 - t) * w_2`, `t = f_1 / (f_1 + f_2)`, of parents drawn by fitness share.

    There are floor(N / 2) trials, each of which makes a child with probability `rate`. t is 1/2 if both parents have
    fitness 0.
    """
    weights = np.array([individual.score for individual in population])
    children: list[Individual] = []
    for trial in range(len(population) // 2):
        generator = stream(seed, "crossover", generation, trial)
        if generator.random() >= rate:
            continue
        first, second = (population[i] for i in draw_by_share(weights, 2, generator))
        total = first.score + second.score
        t = first.score / total if total else 0.5
        genotype = interpolate(t, first.genotype, second.genotype)
        name = f"g{generation:02}-child{trial}"
        children.append(Individual(name, genotype, "crossover", (first.name, second.name)))
    return children


@dataclass(frozen=True)
class Mutation:
    """How many individuals mutate and by how much (Eq. 4): rate `im_r`, share `gm_r` of the weights, N(0, sigma^2).

    Outside the space of factors, the coefficients of the experts mutate instead of the weights.
    """

    individual_rate: float
    gene_rate: float
    sigma: float


def mutate(genotype: Genotype, gene_rate: float, sigma: float, generator: np.random.Generator) -> Genotype:
    """Return `w + m * E` (Eq. 4): with a new noise term, given by its seed.

    Outside the space of factors, the noise is on the coefficients.
    """
    if genotype.space != FACTORS:
        n = len(genotype.coefficients)
        drawn = generator.random(n) < gene_rate
        change = mixture(drawn * generator.normal(0.0, sigma, n), genotype.space)
        return combine([(1.0, genotype), (1.0, change)])
    return add_noise(genotype, Noise(int(generator.integers(SEEDS)), gene_rate, sigma))


def mutants(individuals: Sequence[Individual], mutation: Mutation, seed: int, generation: int) -> list[Individual]:
    """Return a mutant of each individual with probability `mutation.individual_rate`; its source does not change."""
    offspring: list[Individual] = []
    for i, source in enumerate(individuals):
        generator = stream(seed, "mutation", generation, i)
        if generator.random() < mutation.individual_rate:
            genotype = mutate(source.genotype, mutation.gene_rate, mutation.sigma, generator)
            name = f"g{generation:02}-mutant{i}"
            offspring.append(Individual(name, genotype, "mutation", (source.name,)))
    return offspring


def without_copies(offspring: Sequence[Individual], existing: Sequence[Individual]) -> list[Individual]:
    """Return the offspring whose genotype equals none of `existing` and none before it."""
    seen = {individual.genotype for individual in existing}
    kept: list[Individual] = []
    for individual in offspring:
        if individual.genotype not in seen:
            seen.add(individual.genotype)
            kept.append(individual)
    return kept


@dataclass(frozen=True)
class Succession:
    """Settings of succession: how members move (Eq. 5)."""

    phi_self: Number = setting(0.95, "Weight of a member's own experience.", pinned=True, ge=0)
    phi_best: Number = setting(0.2, "Weight of moving towards the best individual ever.", pinned=True, ge=0)
    phi_current: Number = setting(
        0.2, "Weight of moving towards the best of the members and offspring of this generation.", pinned=True, ge=0
    )
    phi_worst: Number = setting(0.1, "Weight of moving away from the worst individual ever.", pinned=True, ge=0)
    step: Number = setting(0.95, "Factor lambda of the experience that is added to the weights.", pinned=True, gt=0)
    attractor: Literal["weights", "experience"] = setting(
        "weights", "What members move towards: weights, or experience, the literal reading of Eq. 5.", pinned=True
    )
    experience: Literal["difference", "gaussian"] = setting(
        "difference",
        "The first experience of an individual: the difference to a random other member, or noise.",
        pinned=True,
    )
    keep_best: bool = setting(False, "Whether the best individual ever always takes part in selection.", pinned=True)


def with_experience(
    individuals: Sequence[Individual],
    members: Sequence[Individual],
    settings: Succession,
    sigma: float,
    seed: int,
    generation: int,
) -> list[Individual]:
    """Return `individuals` with a first experience: `x_j - x` for a random other member j, or Gaussian noise."""
    experienced: list[Individual] = []
    for individual in individuals:
        generator = stream(seed, "experience", generation, individual.name)
        if settings.experience == "gaussian":
            zero = difference(individual.genotype, individual.genotype)
            experience = mutate(zero, 1.0, sigma, generator)
        else:
            others = [member for member in members if member.name != individual.name]
            other = others[generator.integers(len(others))]
            experience = difference(other.genotype, individual.genotype)
        experienced.append(replace(individual, experience=experience))
    return experienced


def succeed(
    members: Sequence[Individual],
    best: Individual,
    current: Individual,
    worst: Individual,
    settings: Succession,
    generation: int,
) -> list[Individual]:
    """Return `members` after `e <- (1/C) [phi_e e + sum phi (x_a - x)]`, `w <- w + lambda e` (Eq. 5), unscored.

    The attractors x_a are the best ever, the current best and (repelling) the worst ever: their weights, or their
    experiences in the literal reading of the equation. All updates read the state before the update.
    """
    total = settings.phi_self + settings.phi_best + settings.phi_current + settings.phi_worst
    if total == 0:
        raise GenomeError("succession: all four phi are 0; give at least one a weight above 0")

    def place(individual: Individual) -> Genotype:
        return individual.genotype if settings.attractor == "weights" else _experience(individual)

    updated: list[Individual] = []
    for i, member in enumerate(members):
        here = place(member)
        experience = combine(
            [
                (settings.phi_self / total, _experience(member)),
                (settings.phi_best / total, difference(place(best), here)),
                (settings.phi_current / total, difference(place(current), here)),
                (-settings.phi_worst / total, difference(place(worst), here)),
            ]
        )
        genotype = combine([(1.0, member.genotype), (settings.step, experience)])
        name = f"g{generation:02}-member{i}"
        updated.append(Individual(name, genotype, "succession", (member.name,), experience))
    return updated


def _experience(individual: Individual) -> Genotype:
    if individual.experience is None:
        raise ValueError(f"{individual.name} has no experience")
    return individual.experience


def select(
    pool: Sequence[Individual], size: int, elite_ratio: float, scheme: str, seed: int, generation: int
) -> list[Individual]:
    """Return `size` individuals of `pool`: the top `elite_ratio * size` (at least one), then by `scheme`.

    Genotypes are distinct if the pool has at least `size` distinct ones. `random` is the ablation of Table 8: uniform
    and without elites. `elite` takes the top of the pool.
    """
    distinct = without_copies(pool, ())
    ranked = fittest(distinct if len(distinct) >= size else pool)
    if scheme == "elite":
        return ranked[:size]
    # The tolerance keeps floor(0.29 * 100) at 29.
    elites = 0 if scheme == "random" else max(1, math.floor(elite_ratio * size + 1e-9))
    rest = ranked[elites:]
    generator = stream(seed, "selection", generation)
    chosen = SELECTION[scheme](rest, size - elites, generator)
    return [*ranked[:elites], *(rest[i] for i in chosen)]


def _proportional(ranked: Sequence[Individual], k: int, generator: np.random.Generator) -> list[int]:
    return draw_by_share(np.array([individual.score for individual in ranked]), k, generator)


def _rank(ranked: Sequence[Individual], k: int, generator: np.random.Generator) -> list[int]:
    return draw_by_share(np.arange(len(ranked), 0, -1, dtype=float), k, generator)


def _random(ranked: Sequence[Individual], k: int, generator: np.random.Generator) -> list[int]:
    return draw_by_share(np.ones(len(ranked)), k, generator)


def _tournament(ranked: Sequence[Individual], k: int, generator: np.random.Generator) -> list[int]:
    """Choose k times, of two random individuals that are left, the fitter one."""
    left = list(range(len(ranked)))
    chosen: list[int] = []
    for _ in range(k):
        entrants = generator.choice(len(left), size=min(2, len(left)), replace=False)
        chosen.append(left.pop(entrants.min()))
    return chosen


SELECTION: dict[str, Callable[[Sequence[Individual], int, np.random.Generator], list[int]]] = {
    "proportional": _proportional,
    "rank": _rank,
    "random": _random,
    "tournament": _tournament,
}
"""Schemes for the part of a population that is drawn: from individuals by decreasing fitness to positions."""
