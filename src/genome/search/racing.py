"""Racing: candidates answer growing parts of the validation samples, and those that cannot be selected stop early.

Not in the paper. The candidates of a `Contest` answer the first samples of a seeded order, then more of them, up to
the next look. After each look, the candidates still in the race and the already scored rivals are ranked by what is
known of them. A candidate that is significantly worse than the last one that would be selected is stopped: it gets no
fitness, so it is never ranked, never the best and never a member. All others answer every sample, so no candidate is
selected by luck. A run whose best individual scores 100 % ends.

The bound uses paired differences. With d_i the difference of the two on sample i, m of M samples seen, and tasks of
weight w_t, the difference in fitness has the estimate `sum w_t mean(d)` and the standard error
`sqrt(sum w_t^2 s^2/m (M - m)/(M - 1))`, since samples are drawn without replacement. One win and one loss are added to
the squares in s^2, so that a few equal samples do not give a variance of 0. A candidate is stopped if it is more than
z standard errors below its rival, with z the normal quantile of `1 - (1 - confidence) / looks`: a candidate as good as
its rival is stopped at some look with a probability of about `1 - confidence`. If a rival's scores per sample are not
known (generation 0 is shared with runs without races), its mean score per task is used for each sample.

Races by likelihood compare log-probabilities, since the score of a task is the exponential of their mean. The
difference of two such scores is `mean(d)` times the slope of the line between the two means on the curve of the
exponential, and so is its standard error. Log-probabilities have no natural scale, in which a win could count 1: here
the win and the loss that are added are as large as the root mean square of the differences. With skewed differences (in
simulations, exponential to Pareto 1.5), a candidate as good as its rival is stopped with a probability of one to two
times `1 - confidence` if that is 0.05, and less than that if it is 0.3.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean
from typing import Any

from genome import fields
from genome.errors import GenomeError
from genome.search.method import Reader, ReadState
from genome.search.population import Fitness, Individual
from genome.search.settings import Racing

TRIALS = "trials"
"""The part of a population's state in which races keep scores per sample, by identity and task: those of members, and
those of stopped individuals, which have no fitness and are listed nowhere else."""

VERSION = 2
"""Raised when the results of runs with races change; 2: a run ends when its best individual scores 100 %."""

Trial = dict[str, tuple[float, ...]]
"""Scores of one individual's answers to the first samples of each task, in the order of the race."""

EvaluatePart = Callable[[Sequence[Individual], int, int], list[Trial]]
"""Scores individuals on samples `[start:stop]` of each task's order."""


@dataclass(frozen=True)
class Course:
    """What races run on: number of samples and weight in the fitness per task, and how parts of them are scored.

    With `likelihood`, the scores of samples are log-probabilities, and a task's score is the exponential of their mean.
    """

    sizes: Mapping[str, int]
    weights: Mapping[str, float]
    evaluate: EvaluatePart
    combine: Callable[[Mapping[str, float]], Fitness]
    likelihood: bool = False

    def fitness(self, trial: Trial) -> Fitness:
        """Return the fitness of an individual that has answered every sample, from its mean score per task."""
        means = {task: math.fsum(trial[task]) / size for task, size in self.sizes.items()}
        return self.combine({task: self.score(mean) for task, mean in means.items()})

    def score(self, mean: float) -> float:
        """Return the score of a task from the mean of its samples."""
        return math.exp(mean) if self.likelihood else mean

    def mean(self, score: float) -> float:
        """Return the mean of a task's samples from its score."""
        return math.log(score) if self.likelihood else score

    def slope(self, first: float, second: float) -> float:
        """Return how much a task's score changes per change of its mean, between two means."""
        if not self.likelihood:
            return 1.0
        change = first - second
        return math.exp(second) * (math.expm1(change) / change if change else 1.0)

    def fits(self, trial: Trial) -> bool:
        """Return whether a trial can be from this course: on its tasks, and with at most as many samples."""
        return {*trial} == {*self.sizes} and all(len(trial[task]) <= size for task, size in self.sizes.items())

    def finished(self, trial: Trial) -> bool:
        """Return whether an individual has answered every sample."""
        return all(len(trial.get(task, ())) == size for task, size in self.sizes.items())


@dataclass(frozen=True)
class Races:
    """The races of a run: when they stop candidates, their course, and the trials so far by identity."""

    rules: Racing
    course: Course
    trials: Mapping[str, Trial]

    def __post_init__(self):
        looks = list(self.rules.looks)
        if looks != sorted(set(looks)):
            raise GenomeError(f"racing.looks: {looks}; expected rising numbers of samples")


@dataclass(frozen=True)
class Known:
    """What is known of an individual: scores of its first samples, or only its mean score per task."""

    scores: Trial = field(default_factory=dict[str, tuple[float, ...]])
    means: Mapping[str, float] = field(default_factory=dict[str, float])

    def first(self, task: str, number: int) -> tuple[float, ...]:
        """Return the scores of the first `number` samples of a task; the mean for each if they are not known."""
        return self.scores[task][:number] if self.scores else (self.means[task],) * number


def places(rules: Racing, size: int) -> int:
    """Return how many individuals a race selects in a population of `size`."""
    return max(1, math.floor(rules.share * size + 1e-9))


def errors_allowed(rules: Racing) -> float:
    """Return z: a candidate that is more than z standard errors behind is stopped."""
    return NormalDist().inv_cdf(1 - (1 - rules.confidence) / len(rules.looks))


def race(
    entries: Mapping[str, Individual],
    known: Mapping[str, Trial],
    rivals: Sequence[Known],
    selected: int,
    rules: Racing,
    course: Course,
) -> dict[str, Trial]:
    """Return the scores of each entry by identity, incomplete if it was stopped. `selected` entries or rivals win.

    `known` has the scores, by identity, of entries that have answered samples in an earlier race.
    """
    trials = {name: known.get(name, {}) for name in entries}
    running = list(entries)
    last_look = max(course.sizes.values())
    for look in (*rules.looks, last_look):
        _answer(entries, trials, running, look, course)
        if look >= last_look:
            break
        competitors = [*(Known(trials[name]) for name in running), *rivals]
        ranked = sorted(competitors, key=lambda one: -_estimate(one, look, course))
        if len(ranked) > selected:
            last = ranked[selected - 1]
            running = [name for name in running if not behind(trials[name], last, look, rules, course)]
    return trials


def standing(trial: Trial, course: Course) -> tuple[int, float]:
    """Return a sort key for stopped individuals: those that came further first, then those with better scores."""
    answered = max(map(len, trial.values()))
    return -answered, -_estimate(Known(trial), answered, course)


def behind(trial: Trial, rival: Known, look: int, rules: Racing, course: Course) -> bool:
    """Return whether `trial` is significantly worse than `rival` on the first `look` samples of each task."""
    gap, variance = 0.0, 0.0
    for task, size in course.sizes.items():
        seen = min(look, size)
        own, theirs = trial[task][:seen], rival.first(task, seen)
        differences = [a - b for a, b in zip(own, theirs, strict=True)]
        mean = fmean(differences)
        win = math.fsum(d**2 for d in differences) / seen if course.likelihood else 1
        spread = (math.fsum((d - mean) ** 2 for d in differences) + 2 * win) / (seen + 1)
        weight = course.weights[task] * course.slope(fmean(own), fmean(theirs))
        gap += weight * mean
        if seen < size:
            variance += weight**2 * spread / seen * (size - seen) / (size - 1)
    return gap < -errors_allowed(rules) * math.sqrt(variance)


def _answer(
    entries: Mapping[str, Individual], trials: dict[str, Trial], names: list[str], look: int, course: Course
) -> None:
    """Extend the trials in `names` to `look` samples, in one call per number of samples answered so far."""
    starts = {name: max(map(len, trials[name].values()), default=0) for name in names}
    for start in sorted({start for start in starts.values() if start < look}):
        group = [name for name in names if starts[name] == start]
        parts = course.evaluate([entries[name] for name in group], start, look)
        for name, part in zip(group, parts, strict=True):
            trials[name] = {task: (*trials[name].get(task, ()), *part[task]) for task in course.sizes}


def _estimate(one: Known, look: int, course: Course) -> float:
    """Return the fitness estimated from the first `look` samples of each task."""
    return math.fsum(
        course.weights[task] * course.score(fmean(one.first(task, min(look, size))))
        for task, size in course.sizes.items()
    )


def _read_score(value: Any) -> float:
    """Return the score of a sample: at most 1, and below 0 if it is a log-probability."""
    if fields.number(value, "trials, score") > 1:
        raise fields.UnexpectedError(f"trials, score: expected a number of at most 1, found {fields.shown(value)}")
    return value


def _read_trials(value: Any, file: Reader) -> dict[str, Trial]:
    return {
        name: {
            task: tuple(_read_score(score) for score in fields.sequence(scores, "trials, scores"))
            for task, scores in fields.mapping(trial, "trials, entry").items()
        }
        for name, trial in fields.mapping(value, "trials").items()
    }


STATE: dict[str, ReadState] = {TRIALS: _read_trials}
"""How the state of races is read from a file (as `Method.state`)."""
