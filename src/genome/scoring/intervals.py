"""How sure a score is: 95 % intervals over test samples and seeds, or over tasks. docs/statistics.md explains them.

A method has S runs, one per seed, on the same n test samples. What samples and seeds contribute is estimated apart:

    samples   V1 = variance of the samples' mean scores over runs, by n
    seeds     V2 = variance of the runs' scores, by S, with S - 1 degrees of freedom

V2 also contains V12, the variation of answers to single samples from run to run, which V1 contains already. What seeds
add is V2 less what V12 alone would exceed in two cases of three. Both are combined as the limits of a sum of two
independent parts (Zou and Donner 2008, 10.1002/sim.3095): the half-width is √(z² V1 + t² seeds), with Student's t for
seeds. Of the ways that were simulated it is the narrowest that covers with two seeds (benchmarks/coverage.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from genome.scoring.statistics import Answered

LEVEL = 0.95
_Z = 1.959963984540054  # the normal quantile of LEVEL, on both sides
_EXPLAINED = 2 / 3
"""How often the variation of single answers alone exceeds what is subtracted of the variance between seeds."""

SAMPLES, SEEDS, TASKS = "samples", "samples and seeds", "tasks"
"""What an interval is over."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, and what it is over."""

    low: float
    high: float
    over: str

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference with this interval is not 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Estimate:
    """A score in [0, 1], or a difference of two, and what contributes to its variation.

    below, above: the half-widths of its 95 % interval over test samples alone
    between: the variance between seeds (V2), or between tasks
    within: the part of it that the variation of single answers explains (V12)
    freedom: the degrees of freedom of `between`; infinite if nothing but samples varies
    over: what the interval is over
    score: whether it is a score, which cannot leave [0, 1]; a difference cannot leave [-1, 1]
    """

    value: float
    below: float
    above: float
    between: float = 0.0
    within: float = 0.0
    freedom: float = math.inf
    over: str = SAMPLES
    score: bool = True

    @property
    def added(self) -> float:
        """What seeds, or tasks, add to the variance."""
        if math.isinf(self.freedom):
            return 0.0
        from scipy.special import chdtri

        return max(self.between - self.within * chdtri(self.freedom, _EXPLAINED) / self.freedom, 0.0)

    @property
    def interval(self) -> Interval:
        """The 95 % interval."""
        seeds = _quantile(_Z, self.freedom) * math.sqrt(self.added)
        low, high = self.value - math.hypot(self.below, seeds), self.value + math.hypot(self.above, seeds)
        return Interval(max(low, 0.0 if self.score else -1.0), min(high, 1.0), self.over)

    @property
    def p(self) -> float:
        """The p-value of a difference: 1 minus the level of the widest interval that excludes 0."""
        from scipy.optimize import brentq
        from scipy.special import ndtr

        samples, seeds = (self.below if self.value > 0 else self.above) / _Z, math.sqrt(self.added)

        def reaches_zero(z: float) -> float:
            return math.hypot(z * samples, _quantile(z, self.freedom) * seeds) - abs(self.value)

        furthest = 8.0  # quantiles of t are not computed further out; p is below 1e-14 there
        if self.value == 0:
            return 1.0
        z = float(cast("float", brentq(reaches_zero, 0, furthest))) if reaches_zero(furthest) > 0 else furthest
        return float(2 * ndtr(-z))


def of_score(runs: Sequence[Answered]) -> Estimate:
    """Return the mean score of a method's runs, one per seed, or of the single run of a method without randomness.

    Over samples it has Wilson's interval (1927), with as many samples as a share of this variance would have: for the
    share of correct answers of one run these are its samples. It has a width even if all answers are correct.
    """
    scores = np.stack([run.shares for run in runs])
    n, value = scores.shape[1], float(np.mean([run.value for run in runs]))
    variance = _variance(scores.mean(axis=0))
    varies = variance > 0 and 0 < value < 1
    alone = wilson(value, value * (1 - value) / variance * n / (n - 1) if varies else n)
    return Estimate(value, value - alone.low, alone.high - value, *_between_seeds(scores))


def of_difference(own: Sequence[Answered], other: Sequence[Answered]) -> Estimate:
    """Return the paired difference of two methods' mean scores on the same samples.

    Runs are paired in their order, as those of one seed; a single run is compared with each of the other's. Shares of
    correct answers get half a sample more in favour of either side and two in all, so that an interval has a width
    even if few or no samples differ (Agresti and Min 2005, 10.1002/sim.1781).
    """
    scores = np.stack([run.shares for run in own]) - np.stack([run.shares for run in other])
    value = float(np.mean([run.value for run in own]) - np.mean([run.value for run in other]))
    means, n = scores.mean(axis=0), scores.shape[1]
    if all(run.binary for run in (*own, *other)):
        variance = (((means**2).sum() + 1) / (n + 2) - (means.sum() / (n + 2)) ** 2) / (n + 2)
    else:
        variance = _variance(means)
    width = _Z * math.sqrt(variance)
    return Estimate(value, width, width, *_between_seeds(scores), score=False)


def of_mean(tasks: Sequence[Estimate]) -> Estimate:
    """Return the mean over these tasks: other samples of them and other seeds would have been drawn.

    Tasks have separate samples, and seeds are taken to act on each task separately: their variances add up, with
    Welch's degrees of freedom (1947).
    """
    count = len(tasks)
    squares = [task.between**2 / (task.freedom + 2) for task in tasks]
    finite = [task.freedom for task in tasks if not math.isinf(task.freedom)]
    between = sum(task.between for task in tasks)
    freedom = math.inf
    if finite:
        freedom = max(between**2 / sum(squares) - 2, min(finite)) if between > 0 else sum(finite)
    return Estimate(
        float(np.mean([task.value for task in tasks])),
        math.hypot(*(task.below for task in tasks)) / count,
        math.hypot(*(task.above for task in tasks)) / count,
        between / count**2,
        sum(task.within for task in tasks) / count**2,
        freedom,
        SEEDS if finite else SAMPLES,
        tasks[0].score,
    )


def of_tasks_like(tasks: Sequence[Estimate]) -> Estimate:
    """Return the mean over tasks like these, of which these are two or more drawn at random.

    Samples and seeds are drawn with their task, so that the variance between tasks contains theirs. If few tasks
    happen to be nearly equal, the interval is as wide as that over these tasks.
    """
    values, these, freedom = np.array([task.value for task in tasks]), of_mean(tasks), len(tasks) - 1
    width = max(these.interval.high - these.value, these.value - these.interval.low)
    between = max(_variance(values), (width / _quantile(_Z, freedom)) ** 2)
    return Estimate(these.value, 0.0, 0.0, between, 0.0, freedom, TASKS, these.score)


def wilson(share: float, n: float) -> Interval:
    """Return Wilson's interval of a share of n samples (Wilson 1927)."""
    spread = _Z**2 / n
    centre = share + spread / 2
    width = math.sqrt(share * (1 - share) * spread + spread**2 / 4)
    low, high = (centre - width) / (1 + spread), (centre + width) / (1 + spread)
    # Rounding must neither leave [0, 1] nor exclude the share itself: the interval of n of n ends at 1.
    return Interval(min(max(low, 0.0), share), max(min(high, 1.0), share), SAMPLES)


def _between_seeds(scores: np.ndarray) -> tuple[float, float, float, str]:
    """Return V2, V12, the degrees of freedom and what the interval is over; scores have shape (seeds, samples).

    Seeds with the same scores on all samples are one run: only samples vary.
    """
    seeds, n = scores.shape
    if np.all(scores == scores[0]):
        return 0.0, 0.0, math.inf, SAMPLES
    by_seed, by_sample = scores.mean(axis=1, keepdims=True), scores.mean(axis=0, keepdims=True)
    rest = scores - by_seed - by_sample + scores.mean()
    within = float((rest**2).sum() / max(n - 1, 1) / (seeds - 1) / (n * seeds))
    return _variance(by_seed), within, seeds - 1, SEEDS


def _variance(values: np.ndarray) -> float:
    """Return the variance of a mean of values, with the unbiased variance of these; 0 for a single value."""
    return float(values.var(ddof=1) / values.size) if values.size > 1 else 0.0


def _quantile(z: float, freedom: float) -> float:
    """Return the quantile of Student's t at the level at which the normal distribution has z."""
    if math.isinf(freedom):
        return z
    from scipy.special import ndtr, stdtrit

    return float(-stdtrit(freedom, ndtr(-z)))
