"""GENOME (Algorithm 1) and GENOME+ (Algorithm 2) of arXiv 2503.01155: one generation, as settings say.

GENOME is GENOME+ without succession. Ablations are settings: a rate of 0, `selection: random`, no succession.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from genome.search.asking import Search, sigma_of
from genome.search.method import Method, Number, setting
from genome.search.operators import (
    Mutation,
    Succession,
    crossover,
    mutants,
    select,
    succeed,
    with_experience,
    without_copies,
)
from genome.search.population import Individual, Population, fittest, track
from genome.search.racing import Contest, in_full
from genome.search.settings import (
    Ensemble,
    Initialisation,
    MergeSpace,
    Racing,
    ensemble,
    initialisation,
    merge_space,
    patience,
    racing,
)


def generation(population: Population, settings: Mapping[str, Any], seed: int) -> Search:
    """Yield offspring, then members after succession; return the population that selection leaves."""
    now = population.generation + 1
    mutation = mutation_of(settings)
    succession = succession_of(settings)
    population = replace(population, generation=now, created=())
    if succession and population.members[0].experience is None:
        population = _found_experience(population, succession, mutation.sigma, seed)
    members = population.members
    size = len(members)

    children = crossover(members, settings["crossover_rate"], seed, now)
    offspring = without_copies(children, members)
    offspring += without_copies(mutants([*members, *offspring], mutation, seed, now), [*members, *offspring])
    if succession:
        offspring = with_experience(offspring, members, succession, mutation.sigma, seed, now)
    offspring = in_full((yield Contest(offspring, members, size)))
    population = track(population, offspring)

    if succession:
        current = fittest([*members, *offspring])[0]
        moved = succeed(members, population.best, current, population.worst, succession, now)
        moved = in_full((yield Contest(moved, [*members, *offspring], size)))
        population = track(population, moved)
        arrived = {x.parents[0]: x for x in moved}
        # Whom a race has stopped on the way stays where it was.
        members = [arrived.get(member.name, member) for member in members]

    pool = [*members, *offspring]
    if succession and succession.keep_best and population.best.genotype not in {x.genotype for x in pool}:
        pool.append(population.best)
    survivors = select(pool, size, settings["elite_ratio"], settings["selection"], seed, now)
    return replace(population, members=tuple(survivors))


def mutation_of(settings: Mapping[str, Any]) -> Mutation:
    """Return the mutation that a variant's settings describe: of weights, or of the coefficients of products."""
    return Mutation(settings["individual_mutation_rate"], settings["gene_mutation_rate"], sigma_of(settings))


def succession_of(settings: Mapping[str, Any]) -> Succession | None:
    """Return the succession that a variant's settings describe; None when it has none."""
    values = settings["succession"]
    return Succession(**values) if values else None


def _found_experience(population: Population, succession: Succession, sigma: float, seed: int) -> Population:
    """Give the shared generation 0 its experience; best and worst ever are members of it."""
    members = with_experience(population.members, population.members, succession, sigma, seed, 0)
    by_name: dict[str, Individual] = {member.name: member for member in members}
    return replace(
        population,
        members=tuple(members),
        best=by_name[population.best.name],
        worst=by_name[population.worst.name],
    )


@dataclass(frozen=True)
class SuccessionSettings:
    """Succession: how members move (Eq. 5)."""

    phi_self: Number = setting(0.95, "Weight of a member's own experience.", pinned=True, ge=0)
    phi_best: Number = setting(0.2, "Weight of the best individual ever.", pinned=True, ge=0)
    phi_current: Number = setting(0.2, "Weight of the best individual of the generation.", pinned=True, ge=0)
    phi_worst: Number = setting(0.1, "Weight of moving away from the worst individual ever.", pinned=True, ge=0)
    step: Number = setting(0.95, "Length of a step.", pinned=True, gt=0)
    attractor: Literal["weights", "experience"] = setting(
        "weights", "What members move towards: weights, or experience, the literal reading of Eq. 5.", pinned=True
    )
    experience: Literal["difference", "gaussian"] = setting(
        "difference", "The experience of new individuals: a difference of two members, or noise.", pinned=True
    )
    keep_best: bool = setting(False, "Whether the best individual ever always survives.", pinned=True)


@dataclass(frozen=True)
class GenomeSettings:
    """Settings of GENOME: the paper's (section 3.1 and appendix)."""

    merge_space: MergeSpace = merge_space()
    initialisation: Initialisation = initialisation()
    crossover_rate: Number = setting(0.3, "Share of pairs that have children.", pinned=True, ge=0, le=1)
    individual_mutation_rate: Number = setting(0.3, "Probability that an individual mutates.", pinned=True, ge=0, le=1)
    gene_mutation_rate: Number = setting(0.2, "Share of weights that a mutation changes.", pinned=True, gt=0, le=1)
    sigma: Number = setting(
        0.001, "Standard deviation of the noise on weights.", pinned=True, gt=0, only={"merge_space": "factors"}
    )
    coefficient_sigma: Number = setting(
        0.2,
        "Standard deviation of the noise on coefficients, which replaces it in the space of products.",
        pinned=True,
        gt=0,
        only={"merge_space": "product"},
    )
    elite_ratio: Number = setting(0.1, "Share of the population that survives without a draw.", pinned=True, ge=0, le=1)
    selection: Literal["proportional", "tournament", "rank", "random", "elite"] = setting(
        "proportional", "How survivors are drawn.", pinned=True
    )
    succession: SuccessionSettings | Literal[False] = setting(
        False, "Succession of GENOME+; false for none.", pinned=True
    )
    ensemble: Ensemble | Literal[False] = ensemble(False)
    racing: Racing | None = racing()
    patience: int | None = patience()


@dataclass(frozen=True)
class GenomePlusSettings(GenomeSettings):
    """Settings of GENOME+: those of GENOME, with succession and an ensemble."""

    succession: SuccessionSettings | Literal[False] = setting(
        SuccessionSettings(), "Succession; false for none.", pinned=True
    )
    ensemble: Ensemble | Literal[False] = ensemble(Ensemble(k=3))


def evaluations(settings: GenomeSettings, size: int, experts: int) -> float:
    """Return children, mutants of members and children, and with succession all members once more (Algorithms 1, 2)."""
    children = size // 2 * settings.crossover_rate
    mutated = (size + children) * settings.individual_mutation_rate
    return children + mutated + (size if settings.succession else 0)


OPERATORS = {
    "initialisation": ("s", 20, 0.0),
    "crossover": ("^", 22, -0.24),
    "mutation": ("D", 14, 0.0),
    "succession": ("o", 20, 0.24),
}

GENOME = Method(
    "genome",
    "GENOME",
    stage="generation",
    settings=GenomeSettings,
    run=generation,
    cost=evaluations,
    seeded=True,
    operators=OPERATORS,
)
GENOME_PLUS = replace(GENOME, name="genome_plus", label="GENOME+", settings=GenomePlusSettings)
