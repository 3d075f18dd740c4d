"""What merging the training data reaches: Data Merge compared with a LoRA trained on each micro task itself."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from genome.report import tables
from genome.report.traces import joined


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write the table from the score files of Data Merge and of each task's oracle."""
    tables.write_csv(reachable(tables.collect(inputs["files"])), outputs["table"])


def reachable(scores: pd.DataFrame) -> pd.DataFrame:
    """Return, for each task, the scores of Data Merge and of its oracle, and the first in percent of the second."""
    oracle = scores["method"].str.startswith("oracle_")
    by_task = pd.DataFrame(
        {
            "data_merge": scores[~oracle].set_index("test_task")["score"],
            "reachable": scores[oracle].set_index("test_task")["score"],
        }
    )
    by_task.loc["mean"] = by_task.mean()
    by_task["share"] = 100.0 * by_task["data_merge"] / by_task["reachable"]
    runs = scores.groupby("test_task")["folder"].agg(joined)
    by_task["runs"] = [joined(runs if task == "mean" else [runs[task]]) for task in by_task.index]
    return by_task.rename_axis("task").reset_index()
