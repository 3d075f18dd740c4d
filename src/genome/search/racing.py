"""Racing: candidates are scored on growing parts of the validation samples, and those that cannot win stop early.

Not in the paper. Individuals that compete for a number of places (a `Contest`) answer the first samples of a seeded
order, then more of them at every look. After each look all that are still in it, and the rivals that are scored
already, are ranked by what is known; whoever is behind the last who would get a place by more than chance explains is
stopped. It is then no candidate any more: it has no fitness, and is never ranked, best or a member. Nobody wins by
luck either, since whoever is left answers every sample. A run whose best is right on all of them is over.

The bound is one of paired differences. With d_i the difference of the two on sample i, m of M samples seen, and t tasks
of weight w_t, the difference of their fitness has the estimate `sum w_t mean(d)` and the standard error
`sqrt(sum w_t^2 s^2/m (M - m)/(M - 1))`, drawn without replacement. One win and one loss are added to the squares of s,
lest a few samples alike be taken for certainty. Stopped is who lies below by more than z standard errors, z the normal
quantile of `1 - (1 - confidence) / looks`: an individual that is as good as its rival is stopped, at any look, with a
probability of about `1 - confidence`. A rival without scores of its own samples at hand (of generation 0, which runs
without races share) counts with its fitness on each of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from genome.errors import GenomeError
from genome.search.population import Fitness, Individual

VERSION = 2
"""Raised when the results of runs with races change; 2: a run ends when its best individual scores 100 %."""

Trial = dict[str, tuple[float, ...]]
"""Of each task the scores of one individual's answers to its first samples, in the order of the race."""

EvaluatePart = Callable[[Sequence[Individual], int, int], list[Trial]]
"""Scores individuals on samples `[start:stop]` of each task's order."""


@dataclass(frozen=True)
class Contest:
    """Individuals to be scored, of whom those matter that are among the best of them and of scored `rivals`.

    `size` is that of the population.
    """

    individuals: Sequence[Individual]
    rivals: Sequence[Individual]
    size: int


def in_full(individuals: Sequence[Individual]) -> list[Individual]:
    """Return those whom no race has stopped."""
    return [individual for individual in individuals if individual.fitness is not None]


@dataclass(frozen=True)
class Rules:
    """When a race looks (samples of each task, rising), how sure it has to be, and what share of a population wins."""

    looks: Sequence[int]
    confidence: float
    share: float

    def __post_init__(self):
        if list(self.looks) != sorted(set(self.looks)):
            raise GenomeError(f"racing.looks: {list(self.looks)}; expected rising numbers of samples")

    def places(self, size: int) -> int:
        """Return how many places there are in a population of `size`."""
        return max(1, math.floor(self.share * size + 1e-9))

    @property
    def z(self) -> float:
        """How many standard errors behind is too far."""
        return NormalDist().inv_cdf(1 - (1 - self.confidence) / len(self.looks))


@dataclass(frozen=True)
class Course:
    """What is raced on: each task's number of samples and share of the fitness, and who scores on a part of them."""

    sizes: Mapping[str, int]
    weights: Mapping[str, float]
    evaluate: EvaluatePart
    combine: Callable[[Mapping[str, float]], Fitness]

    def fitness(self, trial: Trial) -> Fitness:
        """Return the fitness of an individual that has answered every sample: that of the scores' means."""
        return self.combine({task: math.fsum(trial[task]) / size for task, size in self.sizes.items()})

    def holds(self, trial: Trial) -> bool:
        """Tell whether a trial can be one of this course: on its tasks, and no longer than they are."""
        return {*trial} == {*self.sizes} and all(len(trial[task]) <= size for task, size in self.sizes.items())

    def finished(self, trial: Trial) -> bool:
        """Tell whether an individual has answered every sample."""
        return all(len(trial.get(task, ())) == size for task, size in self.sizes.items())


@dataclass(frozen=True)
class Races:
    """The races of a run: their rules and course, and by identity how far everybody has come before."""

    rules: Rules
    course: Course
    trials: Mapping[str, Trial]


def race(
    entries: Mapping[str, Individual],
    known: Mapping[str, Trial],
    rivals: Sequence[tuple[Trial | None, Mapping[str, float]]],
    places: int,
    rules: Rules,
    course: Course,
) -> dict[str, Trial]:
    """Return the scores of each entry, cut short where it was stopped.

    `entries` and `known`, what some of them have answered before, go by identity. A rival is its scores, where they
    are at hand, and its metric on each task.
    """
    trials = {name: known.get(name, {}) for name in entries}
    running = list(entries)
    for look in (*rules.looks, max(course.sizes.values())):
        _run(entries, trials, running, look, course)
        if look >= max(course.sizes.values()):
            break
        field: list[Trial | Mapping[str, float]] = [trials[name] for name in running]
        field += [trial or metrics for trial, metrics in rivals]
        ranked = sorted(field, key=lambda one: -_estimate(one, look, course))
        if len(ranked) > places:
            last = ranked[places - 1]
            running = [name for name in running if not behind(trials[name], last, look, rules, course)]
    return trials


def standing(trial: Trial, course: Course) -> tuple[int, float]:
    """Return where an individual stands that a race has stopped: lower the further it came, and the better there."""
    came = max(map(len, trial.values()))
    return -came, -_estimate(trial, came, course)


def behind(trial: Trial, rival: Trial | Mapping[str, float], look: int, rules: Rules, course: Course) -> bool:
    """Tell whether `trial` is behind `rival` by more than chance explains, on the first `look` samples."""
    gap, variance = 0.0, 0.0
    for task, size in course.sizes.items():
        seen = min(look, size)
        differences = [a - b for a, b in zip(trial[task][:seen], _scores(rival[task], seen), strict=True)]
        mean = fmean(differences)
        spread = (math.fsum((d - mean) ** 2 for d in differences) + 2) / (seen + 1)
        gap += course.weights[task] * mean
        if seen < size:
            variance += course.weights[task] ** 2 * spread / seen * (size - seen) / (size - 1)
    return gap < -rules.z * math.sqrt(variance)


def _run(
    entries: Mapping[str, Individual], trials: dict[str, Trial], names: list[str], look: int, course: Course
) -> None:
    """Bring everybody in `names` to `look` samples; those who have come equally far are asked together."""
    starts = {name: max(map(len, trials[name].values()), default=0) for name in names}
    for start in sorted({start for start in starts.values() if start < look}):
        group = [name for name in names if starts[name] == start]
        parts = course.evaluate([entries[name] for name in group], start, look)
        for name, part in zip(group, parts, strict=True):
            trials[name] = {task: (*trials[name].get(task, ()), *part[task]) for task in course.sizes}


def _estimate(one: Trial | Mapping[str, float], look: int, course: Course) -> float:
    """Return what the fitness is by the first `look` samples."""
    return math.fsum(
        course.weights[task] * fmean(_scores(one[task], min(look, size))) for task, size in course.sizes.items()
    )


def _scores(known: tuple[float, ...] | float, seen: int) -> tuple[float, ...]:
    return known[:seen] if isinstance(known, tuple) else (known,) * seen
