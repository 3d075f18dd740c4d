"""Racing: candidates answer growing parts of the validation samples, and those that cannot be selected stop early.

Not in the paper. The candidates of a `Contest` answer the first samples of a seeded order, then more of them, up to
the next look. After each look, each candidate still in the race is compared with all others and with the already scored
rivals. A candidate is stopped if as many of them are significantly better as the race selects (successive elimination;
Even-Dar, Mannor and Mansour 2006, with paired differences instead of a bound for each mean). It gets no fitness, so it
is never ranked, never the best and never a member. All others answer every sample, so no candidate is selected by luck.
A run whose best individual scores 100 % ends.

A comparison uses paired differences. With d_i the difference of the two on sample i, m of M samples seen, and tasks of
weight w_t, the difference in fitness has the estimate `sum w_t mean(d)` and the standard error
`sqrt(sum w_t^2 s^2/m (M - m)/(M - 1))`, since samples are drawn without replacement. One win and one loss are added to
the squares in s^2, so that a few equal samples do not give a variance of 0. A rival is significantly better if the
candidate is more than z standard errors behind, with z the normal quantile of `1 - (1 - confidence) / (L C)`. L is the
number of looks and C the number of candidates and rivals less those that the race selects. If a rival's scores per
sample are not known (generation 0 is shared with runs without races), its mean score per task is used for each sample.

This level makes the probability in the settings true. A candidate is as good as the last one selected if b of the R
others, fewer than the k selected, are better than it on all samples. It is only stopped if at least k - b of the R - b
others are wrongly found to be significantly better. If each is with probability a at each look, this happens with a
probability of at most `L a (R - b) / (k - b)`, by Markov's inequality and a union over looks. That is at most
`L a (R - k + 1) = L C a`. The probability is over the order of samples, for given candidates. It is taken from the
normal distribution, whose error is less than the slack of these inequalities for samples that are right or wrong
(`tests/search/test_racing_probability.py`).

Races by likelihood compare log-probabilities, since the score of a task is the exponential of their mean. The
difference of two such scores is `mean(d)` times the slope of the line between the two means on the curve of the
exponential, and so is its standard error. Log-probabilities have no natural scale, in which a win could count 1: here
the win and the loss that are added are as large as the largest difference. They have no bound either, so no rule can
promise a probability: a candidate may be a little worse on nearly all samples, and much better on a few that it has not
seen. In simulations of ten equal candidates, four looks and a confidence of 0.95, a candidate was stopped in 2 % of
races if the samples' losses were exponential, in 4 % if they were log-normal (sigma 1.5), and in 11 % with a Pareto
tail of 1.5.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean
from typing import Any

import numpy as np

from genome import fields
from genome.errors import GenomeError
from genome.search.method import Reader, ReadState
from genome.search.population import Fitness, Individual
from genome.search.settings import Racing

TRIALS = "trials"
"""The part of a population's state in which races keep scores per sample, by identity and task: those of members, and
those of stopped individuals, which have no fitness and are listed nowhere else."""

RACED_AS = "raced_as"
"""The part of a population's state that has, for each identity in TRIALS, the names of the individuals that answered
its samples: a stopped genotype that races again in a later generation has another name there."""

VERSION = 3
"""Raised when the results of runs with races change; 2: a run ends when its best individual scores 100 %; 3: `selected`
competitors must be significantly better, at a level for all comparisons."""

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

    def slope(self, first: float, second: np.ndarray) -> np.ndarray:
        """Return how much a task's score changes per change of its mean, between one mean and others."""
        if not self.likelihood:
            return np.ones(len(second))
        change = first - second
        return np.exp(second) * np.divide(np.expm1(change), change, out=np.ones(len(second)), where=change != 0)

    def fits(self, trial: Trial) -> bool:
        """Return whether a trial can be from this course: on its tasks, and with at most as many samples."""
        return {*trial} == {*self.sizes} and all(len(trial[task]) <= size for task, size in self.sizes.items())

    def finished(self, trial: Trial) -> bool:
        """Return whether an individual has answered every sample."""
        return all(len(trial.get(task, ())) == size for task, size in self.sizes.items())


@dataclass(frozen=True)
class Races:
    """The races of a run: when they stop candidates, their course, and the trials and names so far by identity."""

    rules: Racing
    course: Course
    trials: Mapping[str, Trial]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

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


def errors_allowed(confidence: float, looks: int, rivals: int) -> float:
    """Return z: a rival is significantly better than a candidate that is more than z standard errors behind.

    `rivals` is the number of competitors less those that the race selects, and at least 1.
    """
    return NormalDist().inv_cdf(1 - (1 - confidence) / (looks * rivals))


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
    looks = [look for look in rules.looks if look < last_look]
    surplus = len(entries) + len(rivals) - selected
    for look in looks if surplus > 0 else ():
        _answer(entries, trials, running, look, course)
        allowed = errors_allowed(rules.confidence, len(looks), surplus)
        table = seen([*(Known(trials[name]) for name in running), *rivals], look, course)
        running = [
            name
            for row, name in enumerate(running)
            if behind({task: scores[row] for task, scores in table.items()}, table, allowed, course).sum() < selected
        ]
    _answer(entries, trials, running, last_look, course)
    return trials


def standing(trial: Trial, course: Course) -> tuple[int, float]:
    """Return a sort key for stopped individuals: those that came further first, then those with better scores."""
    answered = max(map(len, trial.values()))
    return -answered, -_estimate(Known(trial), answered, course)


def seen(competitors: Sequence[Known], look: int, course: Course) -> dict[str, np.ndarray]:
    """Return the scores of the first `look` samples of each task, in arrays of shape (competitors, samples)."""
    return {
        task: np.array([each.first(task, min(look, size)) for each in competitors])
        for task, size in course.sizes.items()
    }


def behind(
    own: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], allowed: float, course: Course
) -> np.ndarray:
    """Return whether a candidate is more than `allowed` standard errors behind each rival, shape (rivals,).

    `own` are its scores of each task's first samples, shape (samples,), and `theirs` those of the rivals, as `seen`.
    """
    gap, variance = 0.0, 0.0
    for task, size in course.sizes.items():
        differences = own[task] - theirs[task]
        rivals, number = differences.shape
        mean = differences.mean(axis=1)
        win = (differences**2).max(axis=1) if course.likelihood else np.ones(rivals)
        spread = (((differences - mean[:, None]) ** 2).sum(axis=1) + 2 * win) / (number + 1)
        weight = course.weights[task] * course.slope(own[task].mean(), theirs[task].mean(axis=1))
        gap += weight * mean
        if number < size:
            variance += weight**2 * spread / number * (size - number) / (size - 1)
    return gap < -allowed * np.sqrt(variance)


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


def _read_names(value: Any, file: Reader) -> dict[str, tuple[str, ...]]:
    return {
        identity: tuple(fields.text(name, RACED_AS) for name in fields.sequence(names, f"{RACED_AS}, entry", 1))
        for identity, names in fields.mapping(value, RACED_AS).items()
    }


STATE: dict[str, ReadState] = {TRIALS: _read_trials, RACED_AS: _read_names}
"""How the state of races is read from a file (as `Method.state`)."""
