"""Runs to draw: real ones of each method, on a made-up fitness instead of an engine."""

import math
from functools import cache

import pytest

from builders import fake_experts, initial_population, next_generation, paper_settings
from genome.report.figures import style
from genome.search.driver import score_experts
from genome.search.population import Fitness
from genome.search.records import read_contents, write_population

EXPERTS = fake_experts(4)
TARGET = (0.0, 0.6, 0.5, -0.1)


def evaluate(individuals):
    """Score by the distance to a point that no mixture of two experts reaches; coarse, so that there are ties."""
    scores = [max(0.05, 1 - math.dist(each.genotype.coefficients, TARGET)) for each in individuals]
    return [Fitness(round(score, 1), {"task": round(score, 1)}) for score in scores]


@cache
def evolved(method, generations=4, **changes):
    """Return the populations of a run of six individuals, from generation 0 on."""
    settings = paper_settings(method, **changes)
    start = score_experts(EXPERTS, evaluate)
    populations = [initial_population(EXPERTS, start, settings, 6, 1, evaluate)]
    for _ in range(generations):
        populations.append(next_generation(populations[-1], settings, 1, EXPERTS, evaluate))
    return populations


@pytest.fixture
def run(tmp_path):
    """Return a function that gives a run as its population.json files have it."""

    def contents(method, **changes):
        for population in evolved(method, **changes):
            write_population(tmp_path / f"{population.generation}.json", population, EXPERTS)
        return [read_contents(tmp_path / f"{g}.json") for g in range(len(evolved(method, **changes)))]

    return contents


@pytest.fixture
def drawn(monkeypatch):
    """Keep the figures that are made."""
    made = []

    class Kept(style.Figure):
        def __init__(self, **settings):
            super().__init__(**settings)
            made.append(self)

    monkeypatch.setattr(style, "Figure", Kept)
    return made
