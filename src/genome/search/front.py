"""The Pareto front of a run over several tasks, and its knee. Not in the paper, which takes the best weighted mean.

A model is on the front if no other is at least as good on every task and better on one. The knee is the point that
bulges out most: on the front, no task gains much any more without another one losing more. It is the point with the
largest distance to the plane through the ends of the front (Das 1999, "On characterizing the 'knee' of the Pareto curve
based on normal-boundary intersection", Structural Optimization 18, 107-115).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from genome.genotype import Genotype
from genome.search.method import Reader, ReadState
from genome.search.population import Individual, Population, fittest

FRONT = "front"
"""The part of the state of a run's finalists that keeps the front."""


def front(individuals: Sequence[Individual]) -> list[Individual]:
    """Return the scored individuals that no other dominates, each genotype once, by decreasing fitness.

    Individuals of equal scores do not dominate each other.

    >>> from genome.genotype import expert
    >>> from genome.search.population import Fitness
    >>> scores = {"ann": (0.9, 0.1), "lee": (0.7, 0.6), "eve": (0.6, 0.6), "kim": (0.2, 0.8)}
    >>> individuals = [
    ...     Individual(name, expert(i, 4), "expert", fitness=Fitness((a + b) / 2, {"sums": a, "facts": b}))
    ...     for i, (name, (a, b)) in enumerate(scores.items())
    ... ]
    >>> [each.name for each in front(individuals)], knee(front(individuals)).name
    (['lee', 'ann', 'kim'], 'lee')
    """
    distinct: dict[Genotype, Individual] = {}
    for each in individuals:
        distinct.setdefault(each.genotype, each)
    kept = list(distinct.values())
    scores = scores_of(kept)
    return fittest([each for each, own in zip(kept, scores, strict=True) if not _is_dominated(own, scores)])


def knee(members: Sequence[Individual], least: Mapping[str, float] | None = None) -> Individual:
    """Return the knee of a front; its fittest member if there is none beyond the plane.

    Scores are scaled so that each task has 0 at its lowest score on the front and 1 at its highest, or higher by
    `least` if that is more: differences that chance can make are not blown up. The plane goes through the points that
    have 1 on one task and 0 on all others, which are the ends of the front of two tasks. The distance to it grows with
    the sum of the scaled scores. Ties go to the fitter one.
    """
    scores = scores_of(members)
    low = scores.min(0)
    units = np.maximum(scores.max(0) - low, [(least or {}).get(task, 0) for task in _tasks(members)])
    sums = ((scores - low) / np.where(units > 0, units, 1)).sum(1).round(9)  # without the errors of rounding
    if sums.max() <= 1:
        return fittest(members)[0]
    return fittest([each for each, value in zip(members, sums, strict=True) if value == sums.max()])[0]


def two_errors(samples: int) -> float:
    """Return two standard errors, at most, of a mean over this number of samples, whose scores are in [0, 1]."""
    return 1 / math.sqrt(samples)


def with_knee(decided: Population, others: Sequence[Individual], least: Mapping[str, float]) -> Population:
    """Return the finalists of a run with the knee as their best and only member, and the front in their state.

    The front is that of the finalists and `others`, which have been scored by the same measure; `least` as in `knee`.
    """
    everyone = [replace(each, experience=None) for each in (*decided.members, *others)]
    found = front(everyone)
    best = knee(found, least)
    worst = min(decided.worst, best, key=lambda each: each.score)
    return replace(decided, best=best, members=(best,), worst=worst, state={FRONT: tuple(found)})


def scores_of(individuals: Sequence[Individual]) -> np.ndarray:
    """Return the scores of individuals, `[individual, task]`, with the tasks in the order of their names."""
    tasks = _tasks(individuals)
    return np.array([[each.required_fitness.scores[task] for task in tasks] for each in individuals])


def _tasks(individuals: Sequence[Individual]) -> list[str]:
    return sorted(individuals[0].required_fitness.scores)


def _is_dominated(own: np.ndarray, scores: np.ndarray) -> bool:
    """Tell whether a row of `scores` is at least as good as `own` on every task, and better on one."""
    return bool(((scores >= own).all(1) & (scores > own).any(1)).any())


def _read_front(value: object, file: Reader) -> tuple[Individual, ...]:
    return file.individuals(value, FRONT)


STATE: Mapping[str, ReadState] = {FRONT: _read_front}
"""How the front is read from a file (as `Method.state`)."""
