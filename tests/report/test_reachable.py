"""Data Merge against the oracle of each task."""

import pandas as pd
import pytest

from builders import score_row
from genome.files import write_json
from genome.report import reachable


def test_reachable_compares_data_merge_with_each_task_s_oracle(tmp_path):
    rows = [
        score_row(method, task, score, tasks="static", seed=None, population_size=None)
        for task, merged, oracle in (("a", 0.45, 0.5), ("b", 0.9, 0.9))
        for method, score in (("data_merge", merged), (f"oracle_{task}", oracle))
    ]
    write_json(tmp_path / "scores.json", rows)
    out = tmp_path / "reachable.csv"
    reachable.write({}, {"files": [str(tmp_path / "scores.json")]}, {"table": str(out)})
    table = pd.read_csv(out).set_index("task")
    assert table.loc["a", ["data_merge", "reachable", "share"]].tolist() == [45.0, 50.0, 90.0]
    assert {*table["runs"]} == {str(tmp_path)}
    assert table.loc["mean", "share"] == pytest.approx(100 * 67.5 / 70, abs=0.01)
