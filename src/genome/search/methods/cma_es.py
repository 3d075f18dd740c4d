"""CMA-ES (Hansen 2016, arXiv 1604.00772) over the coefficients of the experts, by the `cmaes` library.

Not in the paper. Ten experts are ten numbers: few enough to learn how they vary together, which the paper's operators
do not. A generation asks for as many points as the population has members, four at least, and looks at nothing but
their order. With `coefficients: layer_group` every group of layers has coefficients of its own.

The optimiser's state is kept nowhere. Every generation tells a new one all points again, with the fitness that they
had, and draws from a stream of its own: an interrupted run goes on as if it had never stopped.
"""

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

import numpy as np

from genome.errors import GenomeError
from genome.genotype import mixture
from genome.rng import stream
from genome.search.asking import Search, space_of
from genome.search.method import Method, Number, setting
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

SMALLEST = 4
"""The fewest points whose better half are two: of one nothing can be learnt about how they vary."""

STOPPED = -1.0
"""What is told in place of the fitness of the first point that a race has stopped, and less for each further back."""


def generation(population: Population, settings: Mapping[str, Any], seed: int) -> Search:
    """Yield the points that CMA-ES asks for; return the fittest of them and of the members as the population.

    `population.history` begins with the best of generation 0, where the search may begin (`mean: best`).
    `settings["groups"]` is the number of groups of layers (`coefficients: layer_group`).
    """
    now, size = population.generation + 1, len(population.members)
    count = points_of(size)
    best = population.best
    history = population.history or ((best.genotype.coefficients, best.score),)
    start, *points = history
    mean = np.tile(_mean(start[0], settings["mean"]), settings.get("groups", 1))
    bounds = _bounds(settings["bounds"], len(mean))
    if bounds is not None and not ((bounds[:, 0] <= mean) & (mean <= bounds[:, 1])).all():
        raise GenomeError(
            f"cma_es: bounds {settings['bounds']} do not hold the first mean {np.unique(mean).tolist()}; widen them"
        )
    optimizer = _library().CMA(mean=mean, sigma=settings["step"], bounds=bounds, population_size=count, seed=0)
    for first in range(0, len(points), count):
        optimizer.tell([(np.array(point), -fitness) for point, fitness in points[first : first + count]])
    optimizer.reseed_rng(int(stream(seed, "cma_es", now).integers(2**32)))

    asking = [mixture(optimizer.ask(), space_of(settings)) for _ in range(count)]
    individuals = [Individual(f"g{now:02}-point{i}", point, "cma_es") for i, point in enumerate(asking)]
    asked = yield Contest(individuals, (), size)
    finished, stopped = in_full(asked), [x for x in asked if x.fitness is None]
    told = {x.name: x.score for x in finished} | {x.name: STOPPED - place for place, x in enumerate(stopped)}
    history = (*history, *((x.genotype.coefficients, told[x.name]) for x in individuals))
    members = tuple(fittest([*population.members, *finished])[:size])
    return track(replace(population, generation=now, members=members, created=(), history=history), finished)


def points_of(size: int) -> int:
    """Return how many points a generation asks for in a population of `size`."""
    return max(size, SMALLEST)


def _library() -> ModuleType:
    """Return `cmaes`, without scipy where nothing has loaded it yet: that takes a second, and CMA-ES does not use it.

    The package takes scipy's distributions for other algorithms of its own, and does without where there are none.
    """
    hidden = "scipy" not in sys.modules
    if hidden:
        sys.modules["scipy"] = None
    try:
        return importlib.import_module("cmaes")
    finally:
        if hidden:
            del sys.modules["scipy"]


def _mean(best: tuple[float, ...], choice: str) -> np.ndarray:
    """Return where the search begins: at the best of generation 0, or at the mean of the experts."""
    return np.array(best) if choice == "best" else np.full(len(best), 1 / len(best))


def _bounds(bounds: tuple[float, float] | None, n: int) -> np.ndarray | None:
    return None if bounds is None else np.array([bounds] * n, dtype=float)


@dataclass(frozen=True)
class CmaEsSettings:
    """Settings of CMA-ES."""

    merge_space: MergeSpace = merge_space()
    initialisation: Initialisation = initialisation()
    coefficients: Literal["expert", "layer_group"] = setting(
        "expert",
        "One coefficient per expert, or one per expert and group of layers: attention and MLP, early, middle and late.",
    )
    mean: Literal["uniform", "best"] = setting(
        "uniform", "Where the search begins: at the mean of the experts, or at the best of generation 0.", pinned=True
    )
    step: Number = setting(0.15, "The first standard deviation of a coefficient.", pinned=True, gt=0)
    bounds: tuple[Number, Number] | None = setting(
        (-1.5, 1.5), "The lowest and the highest value of a coefficient; null for none.", pinned=True
    )
    racing: Racing | None = racing()
    patience: int | None = patience()
    ensemble: Ensemble | Literal[False] = ensemble(Ensemble(k=3))


METHOD = Method(
    "cma_es",
    "CMA-ES",
    stage="generation",
    settings=CmaEsSettings,
    version=2,  # points that a race has stopped are told in their order
    run=generation,
    cost=lambda settings, size, experts: points_of(size),
    paper=False,
    seeded=True,
    operators={"initialisation": ("s", 20, 0.0), "cma_es": ("h", 22, 0.0)},
    needs=("layer_groups",),
)
