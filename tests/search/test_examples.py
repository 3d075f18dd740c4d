"""The examples in the docstrings of the library's core run and show what they print."""

import doctest
import importlib
import pkgutil

import pytest

from genome import search

MODULES = ["genome.rng", "genome.genotype", *(m.name for m in pkgutil.walk_packages(search.__path__, "genome.search."))]
WITH_EXAMPLES = {"genome", "model_swarms", "cma_es", "baselines", "method"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_module_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted > 0 or name.rpartition(".")[2] not in WITH_EXAMPLES
