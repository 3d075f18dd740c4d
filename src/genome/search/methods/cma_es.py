"""CMA-ES (Hansen 2016, arXiv 1604.00772) over the coefficients of the experts, by the `cmaes` library.

Not in the paper. Ten experts are ten coefficients: few enough to learn how they vary together, which the paper's
operators do not. A generation evaluates as many points as the population has members, at least four, and uses nothing
but their order. With `coefficients: layer_group`, each group of layers has separate coefficients.

The optimiser's own state is not saved. Each generation gives all earlier points and their fitness to a new optimiser
and draws from its own random stream, so that an interrupted run continues as if it had never stopped.

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
...     population = drive(generation(population, CmaEsSettings(), seed=1, layer_groups=1), board)
>>> round(population.best.score, 2), len(population.state["history"])
(0.92, 61)
"""

import importlib
import sys
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

import numpy as np

from genome import fields
from genome.errors import GenomeError
from genome.genotype import mixture
from genome.rng import stream
from genome.search.asking import Contest, Search
from genome.search.method import Method, Number, Reader, setting
from genome.search.population import Individual, Population, fittest, track
from genome.search.settings import (
    Ensemble,
    EvolvingObjective,
    Initialisation,
    MergeSpace,
    Racing,
    ensemble,
    initialisation,
    merge_space,
    patience,
    racing,
    space_of,
)

SMALLEST = 4
"""The smallest number of points: CMA-ES learns from the better half, and one point shows nothing about variation."""

STOPPED = -1.0
"""Fitness reported for the best point that a race has stopped; each later one is reported as 1 lower."""

HISTORY = "history"
"""The part of the state that keeps coefficients and reported fitness of all points, after the best of generation 0."""

History = tuple[tuple[tuple[float, ...], float], ...]


@dataclass(frozen=True)
class CmaEsSettings(EvolvingObjective):
    """Settings of CMA-ES."""

    merge_space: MergeSpace = merge_space()
    initialisation: Initialisation = initialisation()
    coefficients: Literal["expert", "layer_group"] = setting(
        "expert",
        "One coefficient per expert, or one per expert and group of layers: attention and MLP, early, middle and late.",
    )
    mean: Literal["uniform", "best"] = setting(
        "uniform",
        "Where the search starts: at the mean of the experts, or at the best individual of generation 0.",
        pinned=True,
    )
    step: Number = setting(0.15, "The first standard deviation of a coefficient.", pinned=True, gt=0)
    bounds: tuple[Number, Number] | None = setting(
        (-1.5, 1.5), "The lowest and the highest value of a coefficient; null for none.", pinned=True, rising=True
    )
    racing: Racing | None = racing()
    patience: int | None = patience()
    ensemble: Ensemble | Literal[False] = ensemble(Ensemble(k=3))


def generation(population: Population, settings: CmaEsSettings, seed: int, layer_groups: int) -> Search:
    """Yield the points that CMA-ES proposes; return the fittest of them and of the members as the population.

    `layer_groups` is the number of groups of layers of the adapters (`coefficients: layer_group`).
    """
    now, size = population.generation + 1, len(population.members)
    optimizer, history = _optimizer(population, settings, layer_groups)
    optimizer.reseed_rng(int(stream(seed, "cma_es", now).integers(2**32)))

    proposed = [mixture(optimizer.ask(), space_of(settings.merge_space)) for _ in range(points_of(size))]
    individuals = [Individual(f"g{now:02}-point{i}", point, "cma_es") for i, point in enumerate(proposed)]
    scored = yield Contest(individuals, (), size)
    reported = {each.name: each.score for each in scored.finished}
    reported |= {each.name: STOPPED - place for place, each in enumerate(scored.stopped)}
    history = (*history, *((each.genotype.coefficients, reported[each.name]) for each in individuals))
    members = tuple(fittest([*population.members, *scored.finished])[:size])
    state = {**population.state, HISTORY: history}
    return track(replace(population, generation=now, members=members, created=(), state=state), scored.finished)


def converged(population: Population, settings: CmaEsSettings, seed: int, layer_groups: int) -> bool:
    """Tell whether `cmaes` would stop: by its tolerances of fitness and of steps, or since its numbers degenerate."""
    return bool(_optimizer(population, settings, layer_groups)[0].should_stop())


def _optimizer(population: Population, settings: CmaEsSettings, layer_groups: int) -> tuple[Any, History]:
    """Return an optimiser that has received all points of a run, and these points."""
    count, best = points_of(len(population.members)), population.best
    history: History = population.state.get(HISTORY) or ((best.genotype.coefficients, best.score),)
    start, *points = history
    groups = layer_groups if settings.coefficients == "layer_group" else 1
    mean = np.tile(_mean(start[0], settings.mean), groups)
    bounds = _bounds(settings.bounds, len(mean))
    if bounds is not None and not ((bounds[:, 0] <= mean) & (mean <= bounds[:, 1])).all():
        raise GenomeError(
            f"cma_es: bounds {bounds[0].tolist()} do not include the first mean {np.unique(mean).tolist()}; widen them"
        )
    optimizer = _library().CMA(mean=mean, sigma=settings.step, bounds=bounds, population_size=count, seed=0)
    for first in range(0, len(points), count):
        optimizer.tell([(np.array(point), -fitness) for point, fitness in points[first : first + count]])
    return optimizer, history


def points_of(size: int) -> int:
    """Return how many points a generation evaluates in a population of `size`."""
    return max(size, SMALLEST)


def _library() -> ModuleType:
    """Return `cmaes`, imported without scipy, which would take a second in the job of each generation.

    The package uses scipy for other algorithms only, and works without if scipy is not installed. Any import of its
    modules imports scipy, so None in `sys.modules` makes Python believe that scipy is not installed.
    """
    hidden = "scipy" not in sys.modules
    if hidden:
        sys.modules["scipy"] = None  # pyright: ignore[reportArgumentType]
    try:
        return importlib.import_module("cmaes")
    finally:
        if hidden:
            del sys.modules["scipy"]


def _mean(best: tuple[float, ...], choice: str) -> np.ndarray:
    """Return where the search starts: at the best of generation 0, or at the mean of the experts."""
    return np.array(best) if choice == "best" else np.full(len(best), 1 / len(best))


def _bounds(bounds: tuple[float, float] | None, n: int) -> np.ndarray | None:
    return None if bounds is None else np.array([bounds] * n, dtype=float)


def read_history(value: Any, file: Reader) -> History:
    """Return the points and their reported fitness in a population's file."""
    history: list[tuple[tuple[float, ...], float]] = []
    for index, entry in enumerate(fields.sequence(value, HISTORY)):
        place = f"history, entry {index}"
        if len(fields.sequence(entry, place)) != 2:
            raise fields.UnexpectedError(f"{place}: expected coefficients and a fitness, found {fields.shown(entry)}")
        point = tuple(fields.number(each, place) for each in fields.sequence(entry[0], place, 1))
        if len(point) % file.experts:
            raise fields.UnexpectedError(f"{place}: {len(point)} coefficients for {file.experts} experts")
        history.append((point, fields.number(entry[1], place)))
    return tuple(history)


METHOD = Method(
    "cma_es",
    "CMA-ES",
    stage="generation",
    settings=CmaEsSettings,
    version=2,  # stopped points are ranked in their order
    run=generation,
    cost=lambda settings, size, experts: points_of(size),
    most=lambda settings, size, experts, seed, generation: points_of(size),
    converged=converged,
    group="beyond",
    seeded=True,
    operators={"cma_es": ("h", 22, 0.0)},
    needs=("layer_groups",),
    state={HISTORY: read_history},
)
