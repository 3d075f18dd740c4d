"""Numbers with their 95 % interval, whose differences are paired: the bootstrap's draws of each are kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genome.scoring.statistics import Interval, of_scores, percentiles


@dataclass(frozen=True)
class Estimate:
    """A score, or the difference of two.

    draws: the bootstrap's draws of it, over the same samples and seeds for all estimates on a test
    interval: from the draws and on their scale, which may be shares where `value` is in percent
    """

    value: float
    interval: Interval
    draws: np.ndarray

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Return the paired difference."""
        draws = self.draws - other.draws
        return Estimate(self.value - other.value, percentiles(draws), draws)


def mean_score(scores: Sequence[Estimate]) -> Estimate:
    """Return the mean of scores, whose draws and interval are shares."""
    draws = np.mean([score.draws for score in scores], axis=0)
    return Estimate(float(np.mean([score.value for score in scores])), of_scores(draws), draws)
