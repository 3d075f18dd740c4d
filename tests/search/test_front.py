"""The Pareto front of individuals scored on several tasks, and its knee."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import fake_experts
from genome.genotype import Genotype, identity
from genome.search.driver import sha256_of
from genome.search.front import FRONT, front, knee, two_errors, with_knee
from genome.search.population import Fitness, Individual, new_population
from genome.search.records import read_population, write_population

EXPERTS = fake_experts(2)


def individuals(*scores):
    """Return an individual x0, x1, … for each tuple of scores; its fitness is their mean."""
    return [
        Individual(
            f"x{i}",
            Genotype((float(i), 1.0)),
            "mutation",
            fitness=Fitness(sum(each) / len(each), {f"t{k}": score for k, score in enumerate(each)}),
        )
        for i, each in enumerate(scores)
    ]


def names(found):
    return sorted(each.name for each in found)


def in_steps(tasks, low=0, high=10):
    """Scores in steps of a tenth, so that many are equal."""
    scores = st.integers(low, high).map(lambda step: step / 10)
    return st.lists(st.tuples(*[scores] * tasks), min_size=1, max_size=40)


@given(st.integers(1, 4).flatmap(in_steps))
def test_front_is_what_nothing_dominates(scores):
    def dominates(one, other):
        return all(a >= b for a, b in zip(one, other, strict=True)) and one != other

    expected = [f"x{i}" for i, own in enumerate(scores) if not any(dominates(each, own) for each in scores)]
    assert names(front(individuals(*scores))) == sorted(expected)


@given(in_steps(2))
def test_front_has_the_best_mean_first(scores):
    """So that the best weighted mean, with positive weights, is never lost."""
    assert front(individuals(*scores))[0].score == max(sum(each) / 2 for each in scores)


def test_front_has_each_genotype_once():
    first, second = individuals((0.5, 0.1), (0.1, 0.5))
    found = front([first, second, replace(first, name="again")])
    assert [each.name for each in found] == ["x0", "x1"]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([(0.9, 0.0), (0.8, 0.6), (0.3, 0.7), (0.0, 0.8)], "x1"),  # bulges out
        ([(0.9, 0.1), (0.35, 0.45), (0.1, 0.8)], "x0"),  # is dented: its best mean
        ([(0.1, 0.9), (0.5, 0.5), (0.6, 0.4), (0.9, 0.1)], "x0"),  # is straight: its best mean, the first of equals
        ([(0.4, 0.6)], "x0"),
        ([(0.4, 0.6), (0.4, 0.6)], "x0"),
        ([(0.7,)], "x0"),
        ([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0.6, 0.1), (0.5, 0.5, 0.5)], "x4"),
        ([(0.5, 1, 0.2), (0.5, 0.9, 0.7), (0.5, 0.1, 0.8)], "x1"),  # one task is equal for all
    ],
)
def test_knee_of_known_fronts(scores, expected):
    assert knee(individuals(*scores)).name == expected


@given(in_steps(2, 1, 9), st.sampled_from([0.5, 0.25, 0.125]))
def test_knee_does_not_depend_on_the_scale_of_a_task(scores, factor):
    """But for ties, of which the weighted mean decides; with both ends there, the distance is that of the sum."""
    everyone = [(0.0, 1.0), (0.6, 0.65), (1.0, 0.0), *scores]
    chosen = knee(front(individuals(*everyone)))
    again = knee(front(individuals(*((a, factor * b) for a, b in everyone))))
    sums = {f"x{i}": a + b for i, (a, b) in enumerate(everyone)}
    assert sums[chosen.name] == pytest.approx(sums[again.name]) == pytest.approx(max(sums.values()))


def test_differences_that_chance_can_make_are_not_blown_up():
    """Without a least unit, three right answers of 200 on one task would count as much as fifteen on the other."""
    found = front(individuals((0.55, 0.925), (0.595, 0.92), (0.67, 0.905)))
    assert knee(found).name == "x1"
    assert knee(found, {"t0": two_errors(200), "t1": two_errors(200)}).name == "x2"
    assert two_errors(200) == pytest.approx(2 * math.sqrt(0.5 * 0.5 / 200))


def test_result_is_the_knee_of_all_and_survives_its_file(tmp_path):
    everyone = individuals((0.9, 0.0), (0.7, 0.06), (0.3, 0.07), (0.0, 0.08), (0.1, 0.01), (0.8, 0.02))
    digests = sha256_of(EXPERTS)
    decided = replace(
        new_population(everyone[:1] + everyone[4:]),
        scored={identity(each.genotype, digests): each.required_fitness for each in everyone},
    )
    found = with_knee(decided, everyone, {})
    assert (found.best.name, names(found.members)) == ("x1", ["x1"])
    assert names(found.state[FRONT]) == ["x0", "x1", "x2", "x3", "x5"]
    assert names(found.created) == ["x0", "x4", "x5"], "what was compared is still what was asked"
    assert found.best.score < max(each.score for each in found.created), "the best mean has been turned down"
    write_population(tmp_path / "population.json", found, EXPERTS)
    assert read_population(tmp_path / "population.json", EXPERTS) == found
