"""How a search method asks for fitness.

A method is a generator function: it *yields* lists of individuals that it wants scored, *receives* the same
individuals with their fitness, and returns the population that results. `genome.search.driver` drives it, so that
caching, batching and the count of evaluations are the same for all. It may yield a `Contest` instead where only the
fittest matter; a race then sends it those who were scored in full, in their order, and behind them those it has
stopped, the nearest first and without fitness.
"""

from collections.abc import Generator, Mapping
from typing import Any

from genome.genotype import FACTORS, PRODUCT
from genome.search.population import Individual, Population
from genome.search.racing import Contest

Search = Generator[list[Individual] | Contest, list[Individual], Population]
"""Yields unscored individuals, is sent scored ones, returns a population."""


def space_of(settings: Mapping[str, Any]) -> str:
    """Return the space that a variant merges experts in; settings do not name the paper's."""
    return settings.get("merge_space", FACTORS)


def sigma_of(settings: Mapping[str, Any]) -> float:
    """Return the scale of mutation in that space: of noise on weights, or on the coefficients of products."""
    return settings["coefficient_sigma" if space_of(settings) == PRODUCT else "sigma"]
