"""Whether a method is better than another on the same samples: intervals, exact tests, many comparisons.

docs/statistics.md explains the columns and marks of the tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from genome.scoring.intervals import LEVEL, Estimate, of_difference, of_mean, of_tasks_like
from genome.scoring.statistics import Answered


@dataclass(frozen=True)
class Signs:
    """On how many samples a method is better and worse than another, and the p-value of these differences.

    wins, losses: samples on which the mean over seeds is higher, and lower
    p: of the exact test on signs with mid-p (`signs_of`)
    """

    wins: int
    losses: int
    p: float


@dataclass(frozen=True)
class Difference:
    """The paired difference of two methods: its estimate and, for shares of correct answers of a task, its signs."""

    estimate: Estimate
    signs: Signs | None = None

    @cached_property
    def p(self) -> float:
        """The p-value: the larger of the interval's and of the exact test's."""
        return max(self.estimate.p, self.signs.p if self.signs else 0.0)

    @property
    def holds(self) -> bool:
        """Whether the difference holds: its interval excludes 0, and the exact test, if there is one, agrees."""
        return self.p < 1 - LEVEL


def difference(own: Sequence[Answered], other: Sequence[Answered]) -> Difference:
    """Return the difference of two methods on a task; runs are paired as in `intervals.of_difference`."""
    exact = all(run.binary for run in (*own, *other))
    return Difference(of_difference(own, other), signs_of(own, other) if exact else None)


def mean_difference(tasks: Sequence[Difference]) -> Difference:
    """Return the mean difference over these tasks."""
    return Difference(of_mean([each.estimate for each in tasks]))


def difference_on_tasks_like(tasks: Sequence[Difference]) -> Difference:
    """Return the mean difference over tasks like these, of which these are drawn."""
    return Difference(of_tasks_like([each.estimate for each in tasks]))


def signs_of(own: Sequence[Answered], other: Sequence[Answered]) -> Signs:
    """Return the exact test of whether two methods answer samples correctly equally often.

    If nothing distinguishes them, each sample's difference, summed over seeds, is as likely to have the other sign. The
    distribution of the total under all changes of signs is computed exactly; half of the probability of the observed
    total counts (mid-p). For one run each this is McNemar's test (1947) with mid-p (Fagerland et al. 2013,
    10.1186/1471-2288-13-91). It says nothing about other seeds: the interval does.
    """
    scores = np.stack([run.shares for run in own]) - np.stack([run.shares for run in other])
    differences = np.rint(scores.sum(axis=0)).astype(int)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return Signs(wins, losses, _flipped(differences))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's method (1979)."""
    from statsmodels.stats.multitest import multipletests

    _, adjusted, *_ = multipletests(p_values, method="holm")
    return [float(p) for p in np.asarray(adjusted)]


def _flipped(differences: np.ndarray) -> float:
    """Return the two-sided mid-p of whole numbers' total under random signs."""
    from scipy.stats import binom

    observed = abs(int(differences.sum()))
    if observed == 0:
        return 1.0
    chances = np.ones(1)
    for size in np.unique(np.abs(differences[differences != 0])):
        count = int((np.abs(differences) == size).sum())
        # The total of `count` numbers of one size is -count·size, …, in steps of twice the size.
        own = np.zeros(2 * size * count + 1)
        own[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, own)
    middle = len(chances) // 2
    return float(min(2 * chances[middle + observed + 1 :].sum() + chances[middle + observed], 1.0))
