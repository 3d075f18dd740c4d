"""The probability that a race promises: a candidate as good as the last one selected is seldom stopped.

Scores are drawn so that candidates are exactly as good as each other on all samples, which is the hardest case. A race
keeps its promise for each candidate, so the share of stopped candidates is compared with what the promise allows.
"""

from itertools import product

import numpy as np
import pytest

from genome.genotype import Genotype
from genome.search.population import Fitness, Individual
from genome.search.racing import Course, Known, race
from genome.search.settings import Racing

SIZE = 200
CMA_ES, GENOME_PLUS = (20, 40, 80, 120), (25, 50, 100)


def equals(chance, count, share, correlation):
    """Return right and wrong answers of `count` models, all with the same share of right ones, shape (count, SIZE)."""
    difficulty = chance.standard_normal(SIZE)
    noise = chance.standard_normal((count, SIZE))
    ease = np.sqrt(correlation) * difficulty + np.sqrt(1 - correlation) * noise
    order = ease.argsort(axis=1).argsort(axis=1)
    return (order < round(share * SIZE)).astype(float)


def stopped(table, rules, selected, rivals=(), *, likelihood=False):
    """Return the names of the rows of a table of scores that a race among them and with `rivals` stops."""

    def evaluate(individuals, start, stop):
        return [{"t": tuple(table[int(each.name), start:stop].tolist())} for each in individuals]

    entries = {str(i): Individual(str(i), Genotype((1.0,)), "") for i in range(len(table))}
    course = Course({"t": SIZE}, {"t": 1.0}, evaluate, lambda scores: Fitness(scores["t"], scores), likelihood)
    trials = race(entries, {}, rivals, selected, rules, course)
    return {int(name) for name, trial in trials.items() if len(trial["t"]) < SIZE}


def share_stopped(races, seed, looks, confidence, selected, equal, better=0, share=0.7, correlation=0.5, means=0):
    """Return the share of equal candidates that are stopped in simulated races in which `selected` win.

    `better` candidates are better than these, and fewer than are selected; of `means` further rivals, as good as the
    candidates, only the mean score is known.
    """
    rivals = [Known(means={"t": round(share * SIZE) / SIZE})] * means
    lost = 0
    for number in range(races):
        chance = np.random.default_rng([seed, number])
        table = equals(chance, equal + better, share, correlation)
        table[equal:] = chance.random((better, SIZE)) < 1.05 * share
        lost += len({name for name in stopped(table, Racing(looks, confidence, 1), selected, rivals) if name < equal})
    return lost / races / equal


def error(share, races):
    """Return three standard errors of a share of stopped candidates; those of one race may all depend on each other."""
    return 3 * np.sqrt(share * (1 - share) / races)


def test_candidates_as_good_as_the_others_are_not_stopped_more_often_than_promised():
    found = share_stopped(40, 1, CMA_ES, 0.7, selected=1, equal=10)
    assert 0 < found <= 0.3 + error(0.3, 40)


def test_promise_holds_against_a_single_rival_of_known_mean():
    found = share_stopped(400, 2, (50, 100), 0.8, selected=1, equal=1, means=1)
    assert 0 < found <= 0.2 + error(0.2, 400)


def test_the_best_of_differing_candidates_is_kept_and_most_others_are_stopped():
    """Ten candidates with 20 to 95 % right answers answer a third of the samples."""
    kept, spent = 0, 0
    for number in range(20):
        chance = np.random.default_rng([3, number])
        table = (chance.random((10, SIZE)) < np.linspace(0.2, 0.95, 10)[:, None]).astype(float)
        best, lost = int(table.sum(axis=1).argmax()), stopped(table, Racing(CMA_ES, 0.7, 0.1), 1)
        kept += best not in lost
        spent += 10 - len(lost)
    assert kept == 20
    assert spent / 200 < 0.35


@pytest.mark.slow
@pytest.mark.parametrize(
    ("equal", "better", "share", "correlation", "means"),
    [
        *product((2, 10, 30), [0], (0.5, 0.8, 0.95), (0.0, 0.5, 0.9), [0]),
        *product([5], [4, 9], (0.5, 0.8), [0.5], [0, 5]),
        *product([1], [0], (0.05, 0.5, 0.95), [0.0], [1, 10]),
    ],
)
@pytest.mark.parametrize(("looks", "confidence"), [(CMA_ES, 0.7), (GENOME_PLUS, 0.95)])
def test_promise_is_kept_for_all_numbers_of_rivals_and_correlations(
    equal, better, share, correlation, means, looks, confidence
):
    """With `better` candidates and one place more, the equal ones compete for the last place."""
    found = share_stopped(150, 4, looks, confidence, better + 1, equal, better, share, correlation, means)
    assert found <= 1 - confidence + error(1 - confidence, 150)


@pytest.mark.slow
@pytest.mark.parametrize("draw", ["exponential", "lognormal"])
def test_races_by_likelihood_keep_the_promise_for_moderate_tails(draw):
    lost = 0
    for number in range(300):
        chance = np.random.default_rng([5, number])
        losses = chance.exponential(1.0, (10, SIZE)) if draw == "exponential" else chance.lognormal(0, 1.5, (10, SIZE))
        table = -losses / losses.mean(axis=1, keepdims=True)
        lost += len(stopped(table, Racing(CMA_ES, 0.95, 0.1), 1, likelihood=True))
    assert lost / 3000 <= 0.05
