"""The list of marks that a change of the statistics has changed (benchmarks/marks.py)."""

import importlib.util
import sys

import pandas as pd
import pytest

from pages import PROJECT

COLUMNS = ["method", "versus", "test", "value", "low", "high", "holds"]


@pytest.fixture(scope="module")
def marks():
    spec = importlib.util.spec_from_file_location("marks", PROJECT / "benchmarks/marks.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_only_marks_that_changed_are_listed(marks, tmp_path, capsys):
    before = [
        ("A", "", "t", 50, 40, 60, ""),
        ("A", "B", "t", 5, 1, 9, "yes"),
        ("A", "B", "u", 5, 1, 9, "yes"),
        ("C", "B", "t", 1, -1, 3, "no"),
    ]
    after = [
        ("A", "", "t", 50, 30, 70, ""),
        ("A", "B", "t", 5, -3, 13, "no"),
        ("A", "B", "u", 5, 0.5, 9.5, "yes"),
        ("A", "B", "mean of tasks like these", 5, 1, 9, "yes"),
    ]
    for name, rows in (("before", before), ("after", after)):
        pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / f"{name}.csv", index=False)
    files = tmp_path / "before.csv", tmp_path / "after.csv"
    found = marks.changed(*files)
    assert found[["method", "versus", "test", "holds_before", "holds_after"]].to_numpy().tolist() == [
        ["A", "B", "t", "yes", "no"]
    ]
    marks.main(*files)
    out = capsys.readouterr().out
    assert "+5.00 [-3.00, +13.00]" in out
    assert "1 marks differ" in out
