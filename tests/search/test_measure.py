"""Measures: their names in paths, and what differs from the paper's."""

import itertools
import re

import pytest

from genome.config.names import SCHEME
from genome.search.measure import OF_PAPER, Measure
from genome.search.methods import METHODS
from genome.search.settings import (
    EvolvingObjective,
    JointBasis,
    Objective,
    Shared,
    measure_of,
    named_scheme,
    scheme_name,
    space_name,
)

MEASURES = [
    Measure(*values)
    for values in itertools.product(("metric", "likelihood"), (None, 7, 200), (False, True))
    if values[0] == "likelihood" or not values[2]
]


@pytest.mark.parametrize("measure", MEASURES, ids=str)
@pytest.mark.parametrize("space", [None, "factors", "product", Shared(JointBasis(64))], ids=str)
def test_scheme_names_a_measure_and_is_read_again(space, measure):
    for initialisation in ("pairs", "experts", "populated"):
        scheme = scheme_name(initialisation, space, measure)
        assert named_scheme(scheme) == (initialisation, space_name(space), measure)
        assert re.fullmatch(SCHEME, scheme)


def test_schemes_of_different_measures_differ():
    names = {scheme_name("pairs", None, measure) for measure in MEASURES}
    assert len(names) == len(MEASURES)
    assert scheme_name("pairs", None, OF_PAPER) == "pairs"


def test_measure_gives_what_differs_from_the_paper():
    assert OF_PAPER.given() == {}
    assert Measure("likelihood", 50).given() == {"objective": "likelihood", "samples": 50}


def test_metric_is_never_calibrated():
    assert Objective(calibrated=True).measure == OF_PAPER
    assert Objective(objective="likelihood", calibrated=True).measure.calibrated


@pytest.mark.parametrize("name", ["genome", "genome_plus", "model_swarms", "cma_es", "lorahub"])
def test_searching_methods_have_an_objective(name):
    settings = METHODS[name].settings(objective="likelihood", samples=50)
    assert measure_of(settings) == Measure("likelihood", 50)
    assert isinstance(settings, EvolvingObjective) == (METHODS[name].stage == "generation")


def test_methods_without_a_choice_have_the_measure_of_the_paper():
    others = {name for name, method in METHODS.items() if measure_of(method.settings()) != OF_PAPER}
    assert others == {"gauss_newton"}, "it models likelihoods"
