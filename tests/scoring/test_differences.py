"""Which differences hold: the exact test against McNemar's and all changes of signs, and Holm's correction."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genome.scoring.differences import difference, difference_on_tasks_like, holm, mean_difference, signs_of
from genome.scoring.statistics import Answered


def accuracy(scores):
    scores = np.asarray(scores, dtype=float)
    return Answered("accuracy", tuple(range(len(scores))), tuple(scores.tolist()), (scores,))


def pair(wins, losses, n=80):
    """Two runs that differ on `wins` and `losses` samples."""
    same = n - wins - losses
    return accuracy([1] * wins + [0] * losses + [1] * same), accuracy([0] * wins + [1] * losses + [1] * same)


@pytest.mark.parametrize(("wins", "losses", "holds"), [(4, 0, False), (6, 0, True), (7, 2, False), (9, 1, True)])
def test_few_wins_hold_only_if_the_exact_test_agrees(wins, losses, holds):
    """Four wins and no loss of 80 held by their bootstrap."""
    own, other = pair(wins, losses)
    found = difference([own], [other])
    assert (found.signs.wins, found.signs.losses) == (wins, losses)
    assert found.holds == holds
    assert found.p == max(found.estimate.p, found.signs.p)


@given(st.integers(0, 40), st.integers(0, 40))
@settings(deadline=None)  # the first example imports scipy
def test_one_run_each_is_mcnemars_test_with_mid_p(wins, losses):
    """Golden: statsmodels' exact test, less half of the probability of what was observed, on both sides."""
    from scipy.stats import binom
    from statsmodels.stats.contingency_tables import mcnemar

    own, other = pair(wins, losses)
    exact = mcnemar([[0, wins], [losses, 0]], exact=True).pvalue
    observed = binom.pmf(min(wins, losses), wins + losses, 0.5)
    expected = exact - observed if wins != losses else 1.0
    assert signs_of([own], [other]).p == pytest.approx(expected, abs=1e-9)


@given(st.integers(2, 3), st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_pooled_seeds_are_tested_by_all_changes_of_signs(seeds, seed):
    rng = np.random.default_rng(seed)
    own, other = ((rng.random((seeds, 9)) < 0.6).astype(float) for _ in range(2))
    found = signs_of([accuracy(each) for each in own], [accuracy(each) for each in other])
    totals = (own - other).sum(axis=0)
    flipped = np.array([abs(np.dot(signs, totals)) for signs in product((-1, 1), repeat=9)])
    observed = abs(totals.sum())
    expected = (flipped > observed + 0.5).mean() + (abs(flipped - observed) < 0.5).mean() / 2
    assert found.p == pytest.approx(1.0 if observed == 0 else expected)
    assert (found.wins, found.losses) == ((totals > 0).sum(), (totals < 0).sum())


def test_a_single_run_is_compared_with_each_seed():
    own, other = pair(3, 0)
    assert signs_of([own, other], [other]).wins == 3
    assert signs_of([own, own], [other]).p == pytest.approx(signs_of([own], [other]).p)


def test_partial_scores_have_no_exact_test():
    partial = accuracy([0.5] * 40 + [1] * 40)
    found = difference([partial], [pair(4, 0)[0]])
    assert found.signs is None
    assert found.p == found.estimate.p


def test_means_over_tasks_have_no_exact_test():
    found = [difference([own], [other]) for own, other in (pair(9, 1), pair(8, 2))]
    mean, like = mean_difference(found), difference_on_tasks_like(found)
    assert mean.estimate.value == like.estimate.value == pytest.approx((8 + 6) / 160)
    assert mean.signs is like.signs is None


def test_holm_multiplies_by_the_number_of_p_values_left():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5]) == [0.5]
