"""GENOME (Algorithm 1) and GENOME+ (Algorithm 2) of arXiv 2503.01155: one generation, as settings say.

GENOME is GENOME+ without succession. Ablations are settings: a rate of 0, `selection: random`, no succession.

A run over three experts, with a fitness that is 1 at the coefficients (0.6, 0.5, -0.1):

>>> import math
>>> from genome.search.driver import Scoreboard, drive, score_all
>>> from genome.search.operators import initialise
>>> from genome.search.population import Fitness
>>> def evaluate(individuals):
...     distances = [math.dist(x.genotype.coefficients, (0.6, 0.5, -0.1)) for x in individuals]
...     return [Fitness(1 / (1 + distance), {}) for distance in distances]
>>> board = Scoreboard({}, ["sha256 of a", "sha256 of b", "sha256 of c"], evaluate)
>>> population = drive(score_all(initialise(3, 6, seed=1)), board)
>>> round(population.best.score, 2)
0.78
>>> for _ in range(10):
...     population = drive(generation(population, GenomePlusSettings(), seed=1), board)
>>> round(population.best.score, 2), population.best.name
(0.89, 'g03-member4')
"""

from dataclasses import dataclass, replace
from typing import Literal

from genome.genotype import FACTORS
from genome.rng import stream
from genome.search.asking import Contest, Search
from genome.search.method import Method, Number, setting
from genome.search.operators import (
    MARKERS,
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
from genome.search.settings import (
    COEFFICIENT_SIGMA,
    GENE_MUTATION_RATE,
    SIGMA,
    Ensemble,
    EvolvingObjective,
    Initialisation,
    MergeSpace,
    Racing,
    ensemble,
    has_no_noise,
    initialisation,
    may_have_no_noise,
    may_have_noise,
    merge_space,
    patience,
    racing,
    space_of,
)


@dataclass(frozen=True)
class GenomeSettings(EvolvingObjective):
    """Settings of GENOME: the paper's (section 3.1 and appendix)."""

    merge_space: MergeSpace = merge_space()
    initialisation: Initialisation = initialisation()
    crossover_rate: Number = setting(
        0.3,
        "Probability of each of the N/2 crossovers of a generation, which have one child each.",
        pinned=True,
        ge=0,
        le=1,
    )
    individual_mutation_rate: Number = setting(
        0.3, "Probability that a member, or a child of this generation, has a mutant.", pinned=True, ge=0, le=1
    )
    gene_mutation_rate: Number = setting(
        GENE_MUTATION_RATE,
        "Share of weights that a mutation changes; outside the space of factors, the probability of each coefficient.",
        pinned=True,
        gt=0,
        le=1,
    )
    sigma: Number = setting(
        SIGMA, "Standard deviation of the noise on weights.", pinned=True, gt=0, only={"merge_space": may_have_noise}
    )
    coefficient_sigma: Number = setting(
        COEFFICIENT_SIGMA,
        "Standard deviation of the noise on coefficients, which is used instead outside the space of factors.",
        pinned={"merge_space": has_no_noise},
        gt=0,
        only={"merge_space": may_have_no_noise},
    )
    elite_ratio: Number = setting(
        0.1,
        "Share of the next population, at least one individual, that are the fittest; the others are drawn.",
        pinned=True,
        ge=0,
        le=1,
    )
    selection: Literal["proportional", "tournament", "rank", "random", "elite"] = setting(
        "proportional",
        "How survivors are drawn: by fitness share, in tournaments of two, by rank, or uniformly and without elites; "
        "elite keeps the fittest.",
        pinned=True,
    )
    succession: Succession | Literal[False] = setting(False, "Succession of GENOME+; false for none.", pinned=True)
    ensemble: Ensemble | Literal[False] = ensemble(False)
    racing: Racing | None = racing()
    patience: int | None = patience()

    @property
    def mutation(self) -> Mutation:
        """Mutation in the space where experts are merged: of weights, or of coefficients."""
        sigma = self.sigma if space_of(self.merge_space) == FACTORS else self.coefficient_sigma
        return Mutation(self.individual_mutation_rate, self.gene_mutation_rate, sigma)


@dataclass(frozen=True)
class GenomePlusSettings(GenomeSettings):
    """Settings of GENOME+: those of GENOME, with succession and an ensemble."""

    succession: Succession | Literal[False] = setting(Succession(), "Succession; false for none.", pinned=True)
    ensemble: Ensemble | Literal[False] = ensemble(Ensemble(k=3))


def generation(population: Population, settings: GenomeSettings, seed: int) -> Search:
    """Yield offspring, then members after succession; return the population that selection leaves."""
    now = population.generation + 1
    mutation, succession = settings.mutation, settings.succession
    population = replace(population, generation=now, created=())
    if succession and population.members[0].experience is None:
        population = _with_first_experience(population, succession, mutation.sigma, seed)
    members = population.members
    size = len(members)

    children = crossover(members, settings.crossover_rate, seed, now)
    offspring = without_copies(children, members)
    offspring += without_copies(mutants([*members, *offspring], mutation, seed, now), [*members, *offspring])
    if succession:
        offspring = with_experience(offspring, members, succession, mutation.sigma, seed, now)
    offspring = (yield Contest(offspring, members, size)).finished
    population = track(population, offspring)

    if succession:
        current = fittest([*members, *offspring])[0]
        moved = succeed(members, population.best, current, population.worst, succession, now)
        moved = (yield Contest(moved, [*members, *offspring], size)).finished
        population = track(population, moved)
        arrived = {x.parents[0]: x for x in moved}
        # A member that a race has stopped after its move stays where it was.
        members = [arrived.get(member.name, member) for member in members]

    pool = [*members, *offspring]
    if succession and succession.keep_best and population.best.genotype not in {x.genotype for x in pool}:
        pool.append(population.best)
    survivors = select(pool, size, settings.elite_ratio, settings.selection, seed, now)
    return replace(population, members=tuple(survivors))


def _with_first_experience(population: Population, succession: Succession, sigma: float, seed: int) -> Population:
    """Give the members of generation 0 their experience; best and worst ever are among them."""
    members = with_experience(population.members, population.members, succession, sigma, seed, 0)
    by_name: dict[str, Individual] = {member.name: member for member in members}
    return replace(
        population,
        members=tuple(members),
        best=by_name[population.best.name],
        worst=by_name[population.worst.name],
    )


def evaluations(settings: GenomeSettings, size: int, experts: int) -> float:
    """Return children, mutants of members and children, and with succession all members once more (Algorithms 1, 2)."""
    children = size // 2 * settings.crossover_rate
    mutated = (size + children) * settings.individual_mutation_rate
    return children + mutated + (size if settings.succession else 0)


def most(settings: GenomeSettings, size: int, experts: int, seed: int, generation: int) -> int:
    """Return how many genotypes a generation scores if none is a copy: whether a trial has a child is drawn alone."""
    trials = [stream(seed, "crossover", generation, trial).random() for trial in range(size // 2)]
    children = sum(drawn < settings.crossover_rate for drawn in trials)
    draws = [stream(seed, "mutation", generation, i).random() for i in range(size + children)]
    mutated = sum(drawn < settings.individual_mutation_rate for drawn in draws)
    return children + mutated + (size if settings.succession else 0)


GENOME = Method(
    "genome",
    "GENOME",
    stage="generation",
    settings=GenomeSettings,
    run=generation,
    cost=evaluations,
    most=most,
    seeded=True,
    operators=MARKERS,
)
GENOME_PLUS = replace(GENOME, name="genome_plus", label="GENOME+", settings=GenomePlusSettings)
