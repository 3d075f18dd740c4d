"""CMA-ES (Hansen 2016, arXiv 1604.00772) over the coefficients of the experts, by the `cmaes` library.

Not in the paper. Ten experts are ten numbers: few enough to learn how they vary together, which the paper's operators
do not. A generation asks for as many points as the population has members and looks at nothing but their order.

The optimiser's state is kept nowhere. Every generation tells a new one all points again, with the fitness that they
had, and draws from a stream of its own: an interrupted run goes on as if it had never stopped.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.genotype import mixture
from genome.methods.protocol import Search, space_of
from genome.population import Individual, Population, fittest, track
from genome.racing import Contest
from genome.rng import stream

SMALLEST = 4
"""The smallest population whose better half has two points: of one nothing can be learnt about how they vary."""

STOPPED = -1.0
"""What is told in place of the fitness of a point that a race has stopped: less than that of any other."""


def generation(population: Population, settings: Mapping[str, Any], seed: int) -> Search:
    """Yield the points that CMA-ES asks for; return the fittest of them and of the members as the population.

    `population.history` begins with the best of generation 0, where the search may begin (`mean: best`).
    """
    from cmaes import CMA

    now, size = population.generation + 1, len(population.members)
    if size < SMALLEST:
        raise GenomeError(f"cma_es: population_size {size}; it learns from at least {SMALLEST} points a generation")
    best = population.best
    history = population.history or ((best.genotype.coefficients, best.score),)
    start, *told = history
    mean, bounds = _mean(start[0], settings["mean"]), _bounds(settings["bounds"], len(start[0]))
    if bounds is not None and not ((bounds[:, 0] <= mean) & (mean <= bounds[:, 1])).all():
        raise GenomeError(f"cma_es: bounds {settings['bounds']} do not hold the first mean {mean.tolist()}; widen them")
    optimizer = CMA(mean=mean, sigma=settings["step"], bounds=bounds, population_size=size, seed=0)
    for first in range(0, len(told), size):
        optimizer.tell([(np.array(point), -fitness) for point, fitness in told[first : first + size]])
    optimizer.reseed_rng(int(stream(seed, "cma_es", now).integers(2**32)))

    points = [mixture(optimizer.ask(), space_of(settings)) for _ in range(size)]
    individuals = [Individual(f"g{now:02}-point{i}", point, "cma_es") for i, point in enumerate(points)]
    asked = yield Contest(individuals, (), size)
    scores = {x.name: x.score for x in asked}
    history = (*history, *((x.genotype.coefficients, scores.get(x.name, STOPPED)) for x in individuals))
    members = tuple(fittest([*population.members, *asked])[:size])
    return track(replace(population, generation=now, members=members, created=(), history=history), asked)


def _mean(best: tuple[float, ...], choice: str) -> np.ndarray:
    """Return where the search begins: at the best of generation 0, or at the mean of the experts."""
    return np.array(best) if choice == "best" else np.full(len(best), 1 / len(best))


def _bounds(bounds: tuple[float, float] | None, n: int) -> np.ndarray | None:
    return None if bounds is None else np.array([bounds] * n, dtype=float)
