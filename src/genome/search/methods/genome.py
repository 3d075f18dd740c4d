"""GENOME (Algorithm 1) and GENOME+ (Algorithm 2) of arXiv 2503.01155: one generation, as settings say.

GENOME is GENOME+ without succession. Ablations are settings: a rate of 0, `selection: random`, no succession.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from genome.search.asking import Search, sigma_of
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
