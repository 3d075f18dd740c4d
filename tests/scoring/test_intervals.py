"""Intervals against scipy and closed forms, and what seeds and tasks add to them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genome.scoring.intervals import Estimate, of_difference, of_mean, of_score, of_tasks_like, wilson
from genome.scoring.statistics import Answered

Z = 1.959963984540054


def accuracy(scores):
    scores = np.asarray(scores, dtype=float)
    return Answered("accuracy", tuple(range(len(scores))), tuple(scores.tolist()), (scores,))


def constant(value, n=400):
    """A run whose samples all have one partial score."""
    return accuracy([value] * n)


@given(st.integers(1, 3000), st.data())
@settings(deadline=None)  # the first example imports scipy
def test_wilson_equals_scipys(n, data):
    from scipy.stats import binomtest

    right = data.draw(st.integers(0, n))
    theirs = binomtest(right, n).proportion_ci(method="wilson")
    ours = wilson(right / n, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= ours.low <= right / n <= ours.high <= 1


@pytest.mark.parametrize("n", [25, 1012])
def test_wilson_ends_at_1_if_all_are_correct(n):
    """Bars of a figure cannot end below their point, not by the last bit."""
    assert wilson(1, n).high == 1


def test_wilson_starts_at_0_if_all_are_wrong():
    """Rounding must not take an interval below 0."""
    assert {wilson(0, n).low for n in range(1, 1200)} == {0.0}


@pytest.mark.parametrize("right", [0, 1, 40, 79, 80])
def test_score_of_one_run_has_wilsons_interval(right):
    found, wilsons = of_score([accuracy([1] * right + [0] * (80 - right))]).interval, wilson(right / 80, 80)
    assert (found.low, found.high) == pytest.approx((wilsons.low, wilsons.high))
    assert found.over == "samples"


def test_interval_of_two_seeds_is_that_of_students_t_if_samples_add_nothing():
    """Golden: scipy's t interval of the mean of the runs' scores."""
    from scipy.stats import t

    for scores in ([0.4, 0.45], [0.5, 0.55, 0.4], [0.5, 0.52, 0.49, 0.6, 0.41]):
        found = of_difference([constant(score) for score in scores], [constant(0.3)]).interval
        theirs = t.interval(
            0.95, len(scores) - 1, np.mean(scores) - 0.3, np.std(scores, ddof=1) / math.sqrt(len(scores))
        )
        assert (found.low, found.high) == pytest.approx(theirs)
        assert found.over == "samples and seeds"


def test_difference_of_one_run_is_agresti_and_mins():
    """Golden: Wald's interval with half a pair added to each cell of the table of pairs."""
    own, other = accuracy([1] * 50 + [0] * 30), accuracy([1] * 44 + [0] * 8 + [1] * 28)
    wins, losses, n = 6, 28, 80 + 2
    own_more, other_more = wins + 0.5, losses + 0.5
    width = Z * math.sqrt((own_more + other_more) - (own_more - other_more) ** 2 / n) / n
    found = of_difference([own], [other])
    assert found.value == pytest.approx((wins - losses) / 80)
    assert found.interval.high - found.value == pytest.approx(width)


def test_difference_has_a_width_even_if_no_sample_differs():
    found = of_difference([accuracy([1] * 80)], [accuracy([1] * 80)])
    assert found.interval.high == pytest.approx(Z * math.sqrt(1 / 82) / math.sqrt(82))
    assert not found.interval.excludes_zero
    assert found.p == 1


def test_seeds_that_move_both_methods_equally_add_nothing_to_their_difference():
    rng = np.random.default_rng(0)
    scores = [rng.random(200) * 0.1 + level for level in (0.2, 0.5, 0.8)]
    own, other = [accuracy(each + 0.01) for each in scores], [accuracy(each) for each in scores]
    found = of_difference(own, other).interval
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))
    assert of_score(own).interval.high - of_score(own).interval.low > 0.5


def test_a_method_that_gives_all_seeds_the_same_result_has_one_run():
    once = [accuracy([1, 0, 1, 1] * 20)]
    other = [accuracy([1, 0] * 40), accuracy([1, 1, 0, 0] * 20)]
    for same, one in (
        (of_score(once * 3), of_score(once)),
        (of_difference(once * 2, once * 2), of_difference(once, once)),
        (of_difference(once * 2, other), of_difference(once, other)),
    ):
        assert same == one
    assert of_score(once * 3).interval.over == "samples"
    assert of_difference(once * 2, other).interval.over == "samples and seeds"


def test_interval_of_a_difference_stays_within_100_points():
    """Two seeds far apart have an interval of more than a hundred points to each side."""
    found = of_difference([constant(0.9), constant(0.4)], [constant(0.1), constant(0.2)]).interval
    assert (found.low, found.high) == (-1, 1)
    assert of_score([constant(0.9), constant(0.4)]).interval.low == 0


def test_variation_of_single_answers_does_not_count_as_seeds():
    """Runs of equal accuracy that answer different samples correctly: V2 is 0, V12 is not."""
    own = [accuracy([1, 0] * 50), accuracy([0, 1] * 50)]
    found = of_score(own)
    assert found.between == 0
    assert found.within > 0
    assert found.added == 0


@given(st.integers(1, 5), st.integers(5, 60), st.integers(0, 10**6))
@settings(deadline=None)
def test_interval_contains_its_score_and_stays_in_0_to_1(seeds, n, seed):
    rng = np.random.default_rng(seed)
    found = of_score([accuracy(rng.random(n) < rng.random()) for _ in range(seeds)])
    assert 0 <= found.interval.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.interval.high <= 1


@given(st.integers(1, 5), st.integers(0, 10**6))
@settings(deadline=None)
def test_p_is_below_5_percent_exactly_if_the_interval_excludes_0(seeds, seed):
    rng = np.random.default_rng(seed)
    own, other = ([accuracy(rng.random(60) < rate) for _ in range(seeds)] for rate in (0.5, rng.random()))
    found = of_difference(own, other)
    assert found.interval.excludes_zero == (found.p < 0.05)
    assert of_difference(other, own).p == pytest.approx(found.p)


def test_p_is_that_of_the_normal_distribution_or_of_t():
    from scipy.stats import norm, t

    samples = Estimate(0.3, 0.1 * Z, 0.1 * Z, score=False)
    assert samples.p == pytest.approx(2 * norm.sf(3))
    seeds = Estimate(-0.3, 0.0, 0.0, 0.01, 0.0, 2, score=False)
    assert seeds.p == pytest.approx(2 * t.sf(3, 2))
    assert 0 < replace(samples, value=10.0).p < 1e-14


def test_mean_over_these_tasks_adds_variances_and_has_welchs_degrees_of_freedom():
    one = Estimate(0.1, 0.03, 0.04, 0.0004, 0.0, 1, score=False)
    mean = of_mean([one, replace(one, value=0.3)])
    assert mean.value == pytest.approx(0.2)
    assert (mean.below, mean.above) == pytest.approx((0.03 / math.sqrt(2), 0.04 / math.sqrt(2)))
    assert mean.between == pytest.approx(0.0004 / 2)
    assert mean.freedom == pytest.approx(4 * 3 / 2 - 2)  # Welch 1947: (Σv)² / Σ(v² / (f + 2)) - 2
    assert of_mean([one]).freedom == pytest.approx(1)
    assert math.isinf(of_mean([replace(one, freedom=math.inf, between=0.0)]).freedom)


def test_mean_over_tasks_like_these_has_the_t_interval_of_tasks():
    from scipy.stats import t

    values = [0.1, 0.05, 0.2, 0.12]
    found = of_tasks_like([Estimate(value, 0.01, 0.01, score=False) for value in values]).interval
    theirs = t.interval(0.95, 3, np.mean(values), np.std(values, ddof=1) / 2)
    assert (found.low, found.high) == pytest.approx(theirs)
    assert found.over == "tasks"


def test_two_equal_tasks_do_not_make_the_mean_over_tasks_like_these_sure():
    one = Estimate(0.1, 0.05, 0.05, 0.0004, 0.0, 2, score=False)
    like, these = of_tasks_like([one, one]).interval, of_mean([one, one]).interval
    assert (like.low, like.high) == pytest.approx((these.low, these.high))
