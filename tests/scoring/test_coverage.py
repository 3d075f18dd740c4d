"""How often intervals contain the true value, by the simulation whose figures are in docs/statistics.md."""

import importlib.util
import sys

import pytest

from pages import PROJECT


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("coverage_study", PROJECT / "benchmarks/coverage.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_two_seeds_that_differ_are_covered(study):
    """A bootstrap over samples and seeds covers 80 % here."""
    regime = {"seeds": 2, "samples": 200, "expected": 0.5, "spread": 0.05}
    found = study.repeated(study.accuracy, 300, **regime)
    assert 91 <= found["difference"] <= 99
    assert found["score"] >= 91
    assert found["holds"] <= 8
    assert study.repeated(study.accuracy, 300, **regime) == found, "another simulation for the same regime"


def test_one_run_is_covered_over_samples(study):
    found = study.repeated(study.accuracy, 300, seeds=1, samples=80, expected=0.9, spread=0.0)
    assert 91 <= found["score"] <= 99
    assert found["holds"] <= 8


def test_holm_keeps_false_alarms_rare_among_many_rows(study):
    found = study.repeated(study.family, 60, seeds=1, samples=200, rows=12)
    assert found["any holds (Holm)"] <= 12 < found["any holds"]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_accuracies_and_their_differences_are_covered(study, seeds, spread):
    for samples in (80, 1000):
        found = study.repeated(study.accuracy, 1000, seeds=seeds, samples=samples, expected=0.9, spread=spread)
        assert found["difference"] >= 92, samples
        assert found["score"] >= 91, samples


@pytest.mark.slow
def test_means_over_tasks_are_covered(study):
    regime = {"samples": 80, "tasks": 12, "spread": 0.05, "shared": False, "between": 0.05}
    found = study.repeated(study.table, 400, seeds=2, **regime)
    assert found["these tasks"] >= 92
    assert found["tasks like these"] >= 92
