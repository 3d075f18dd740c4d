"""Estimates: paired differences and means."""

import numpy as np

from genome.report.estimates import Estimate, mean_score
from genome.scoring.statistics import percentiles


def estimate(value, draws):
    draws = np.array(draws)
    return Estimate(value, percentiles(draws), draws)


def test_a_difference_is_paired_draw_by_draw():
    one, other = estimate(60.0, [0.5, 0.6, 0.7]), estimate(50.0, [0.4, 0.5, 0.6])
    difference = one - other
    assert difference.value == 10.0
    assert difference.draws.tolist() == [0.5 - 0.4, 0.6 - 0.5, 0.7 - 0.6]
    assert difference.interval.holds == "yes"
    assert (one - one).interval.holds == "no"


def test_interval_of_a_mean_score_stays_within_0_and_1():
    mean = mean_score([estimate(90.0, [0.9, 1.3]), estimate(100.0, [1.0, 1.3])])
    assert mean.value == 95.0
    assert mean.interval.high == 1.0
