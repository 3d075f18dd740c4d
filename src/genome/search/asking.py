"""How a search method asks for fitness.

A method is a generator function: it *yields* individuals that it wants scored, *receives* them with their fitness
(`Scored`), and returns the population that results. `genome.search.driver` drives it, so that caching, batching and the
count of evaluations are the same for all methods. A method yields a list if it needs the fitness of all of them, and a
`Contest` if only the fittest matter: a race may then stop candidates early.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from genome.search.population import Individual, Population


@dataclass(frozen=True)
class Contest:
    """Candidates of which only the best matter: they compete with each other and with already scored `rivals`.

    `size` is the size of the population.
    """

    individuals: Sequence[Individual]
    rivals: Sequence[Individual]
    size: int


@dataclass(frozen=True)
class Scored:
    """The reply to a request: the individuals with their fitness, in the order of the request.

    `stopped` are those that a race has stopped, the nearest to being selected first. They have no fitness.
    """

    finished: Sequence[Individual]
    stopped: Sequence[Individual] = ()


Search = Generator[Sequence[Individual] | Contest, Scored, Population]
"""Yields unscored individuals, receives scored ones, returns a population."""
