"""Every row of a comparison names the runs behind it."""

import pandas as pd

from genome.report.traces import answered_by, joined, with_runs


def test_what_stands_in_several_lists_stands_once():
    assert joined(["a b", "", "b c"]) == "a b c"


def test_a_row_names_its_runs_and_a_gain_those_of_both_methods():
    table = pd.DataFrame({"method": ["A", "B", "B vs A", "missing"], "t": [1.0, 2.0, 100.0, None]})
    sure = pd.DataFrame(
        [("A", "", "t/a1 t/a2"), ("B", "", "t/b"), ("B", "A", "t/b"), ("A", "", "u/a")],
        columns=["method", "versus", "runs"],
    )
    assert with_runs(table, sure)["runs"].tolist() == ["t/a1 t/a2 u/a", "t/b", "t/b t/a1 t/a2 u/a", ""]


def test_rows_of_several_engines_are_told_apart():
    rows = [("GENOME", "sums", "vllm"), ("GENOME", "facts", "vllm"), ("Best Single", "sums", "transformers")]
    assert answered_by(rows[:2]) == "Answered by vllm."
    assert answered_by(rows) == (
        "Answered by different engines, which alone may change scores: "
        "vllm (GENOME on sums, facts); transformers (Best Single on sums)."
    )
