"""The names of runs and engines behind a row."""

import pandas as pd

from genome.report.traces import answered_by, joined, with_runs


def test_joined_lists_each_name_once():
    assert joined(["a b", "", "b c"]) == "a b c"


def test_with_runs_names_the_runs_of_a_row_and_of_both_rows_of_a_gain():
    table = pd.DataFrame({"method": ["A", "B", "B − A", "B vs A", "missing"], "t": [1.0, 2.0, 1.0, 100.0, None]})
    sure = pd.DataFrame(
        [("A", "", "t/a1 t/a2"), ("B", "", "t/b"), ("B", "A", "t/b"), ("A", "", "u/a")],
        columns=["method", "versus", "runs"],
    )
    assert with_runs(table, sure)["runs"].tolist() == [
        "t/a1 t/a2 u/a", "t/b", "t/b t/a1 t/a2 u/a", "t/b t/a1 t/a2 u/a", ""
    ]  # fmt: skip


def test_answered_by_lists_the_rows_of_each_engine():
    rows = [("GENOME", "sums", "vllm"), ("GENOME", "facts", "vllm"), ("Best Single", "sums", "transformers")]
    assert answered_by(rows[:2]) == "Answered by vllm."
    assert answered_by(rows) == (
        "Answered by different engines, which alone may change scores: "
        "vllm (GENOME on sums, facts); transformers (Best Single on sums)."
    )
