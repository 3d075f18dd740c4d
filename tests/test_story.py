"""One generation of GENOME+ (Algorithm 2), with numbers that can be followed by hand.

Three members over two experts; an individual is a pair of coefficients (p, q). Its fitness is
1 - |p - 0.5| - |q - 0.5|, minus 0.05 if it has noise.
"""

from typing import Any

import pytest

from genome.genotype import Genotype
from genome.search.driver import Scoreboard, drive, score_all
from genome.search.methods.genome import GenomePlusSettings, generation
from genome.search.operators import Succession
from genome.search.population import Fitness, Individual, Population

SETTINGS = GenomePlusSettings(
    crossover_rate=1,  # each of the floor(3 / 2) = 1 crossovers happens
    individual_mutation_rate=0.25,  # of three members and one child, one mutates on average
    sigma=0.1,
    succession=Succession(phi_self=1, phi_best=2, phi_current=0, phi_worst=1, step=0.5),
    elite_ratio=0.34,  # floor(0.34 * 3) = 1 elite; the other two are drawn
)
SEED = 9


def evaluate(individuals: list[Individual]) -> list[Fitness]:
    points = [(*x.genotype.coefficients, bool(x.genotype.noise)) for x in individuals]
    return [Fitness(1 - abs(p - 0.5) - abs(q - 0.5) - 0.05 * noisy, {}) for p, q, noisy in points]


@pytest.fixture
def story() -> tuple[Population, Population]:
    """Generation 0 and generation 1."""
    board = Scoreboard({}, ["digest of expert 1", "digest of expert 2"], evaluate)
    points = {"a": (1.0, 0.0), "b": (0.5, 0.0), "c": (0.25, 0.5)}
    members = [Individual(name, Genotype(point), "initialisation") for name, point in points.items()]
    before = drive(score_all(members), board)
    return before, drive(generation(before, SETTINGS, SEED), board)


def described(individuals: tuple[Individual, ...]) -> list[tuple[Any, ...]]:
    return [(x.name, x.parents, x.genotype.coefficients, round(x.score, 5)) for x in individuals]


def test_one_generation_by_hand(story):
    before, after = story

    # Generation 0. Best ever is c, worst ever is a.
    assert described(before.members) == [
        ("a", (), (1.0, 0.0), 0.0),
        ("b", (), (0.5, 0.0), 0.5),
        ("c", (), (0.25, 0.5), 0.75),
    ]

    # Crossover. Parents are drawn by fitness share: 0, 2/5 and 3/5, so they are b and c.
    # t = 0.5 / (0.5 + 0.75) = 0.4; child = 0.4 b + 0.6 c = (0.2 + 0.15, 0.0 + 0.3).
    # Mutation. Of a, b, c and the child, chance has chosen the child, number 3. Its mutant has the same coefficients
    # and a noise term of sigma = 0.1, so its fitness is 0.65 - 0.05.
    child, mutant, *moved = after.created
    assert described((child, mutant)) == [
        ("g01-child0", ("b", "c"), (0.35, 0.3), 0.65),
        ("g01-mutant3", ("g01-child0",), (0.35, 0.3), 0.6),
    ]
    assert [term.coefficient for term in mutant.genotype.noise] == [0.1]

    # Succession (Eq. 5) with C = 1 + 2 + 0 + 1 = 4: e <- (e + 2 (c - x) - (a - x)) / 4, then x <- x + 0.5 e.
    # The first experience e of a member is the difference to another one: b - a, c - b and b - c.
    #   a: e = ((-0.5, 0) + 2 (-0.75, 0.5) - (0, 0)) / 4 = (-0.5, 0.25)
    #   b: e = ((-0.25, 0.5) + 2 (-0.25, 0.5) - (0.5, 0)) / 4 = (-0.3125, 0.375)
    #   c: e = ((0.25, -0.5) + 2 (0, 0) - (0.75, -0.5)) / 4 = (-0.125, 0)
    assert [x.experience.coefficients for x in moved] == [(-0.5, 0.25), (-0.3125, 0.375), (-0.125, 0.0)]
    assert described(tuple(moved)) == [
        ("g01-member0", ("a",), (0.75, 0.125), 0.375),
        ("g01-member1", ("b",), (0.34375, 0.1875), 0.53125),
        ("g01-member2", ("c",), (0.1875, 0.5), 0.6875),
    ]

    # Selection from the five. The elite is the fittest, member2. The other two are drawn by fitness share from
    # child0 (0.65), mutant3 (0.6), member1 (0.53) and member0 (0.375): chance has chosen mutant3 and member0.
    assert [x.name for x in after.members] == ["g01-member2", "g01-mutant3", "g01-member0"]

    # Nothing was better than c, which has moved: it stays the best ever.
    assert (after.best.name, after.worst.name) == ("c", "a")
    assert after.evaluations == 3 + 1 + 1 + 3
