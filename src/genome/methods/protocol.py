"""How a search method asks for fitness.

A method is a generator function: it *yields* lists of individuals that it wants scored, *receives* the same
individuals with their fitness, and returns the population that results. `genome.evolution` drives it, so that caching,
batching and the count of evaluations are the same for all.
"""

from collections.abc import Generator

from genome.population import Individual, Population

Search = Generator[list[Individual], list[Individual], Population]
"""Yields unscored individuals, is sent scored ones, returns a population."""
