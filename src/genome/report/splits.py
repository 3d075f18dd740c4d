"""Table 1: the sizes and the origin of each task's split."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genome.files import write_text
from genome.report import tables
from genome.report.run_files import by_task
from genome.scoring.results import read_split
from genome.tasks import Task, parse_task


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write Table 1 from the provenance files of the splits."""
    tasks = [parse_task(*each) for each in settings["tasks"]]
    files = by_task(inputs["files"], [task.name for task in tasks])
    table = split_sizes(tasks, [read_split(path, "pool", "draw") for path in files.values()])
    tables.write_csv(table.assign(split=[Path(path).parent.as_posix() for path in files.values()]), outputs["table"])
    write_text(outputs["markdown"], markdown(table))


def split_sizes(tasks: Sequence[Task], provenance: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return Table 1: the sizes of each task's split, from the provenance of the splits in the same order."""
    rows = [
        {
            "task": task.name,
            "category": task.category,
            "metric": task.metric,
            "shots": split.get("harness", {}).get("shots", task.shots),
            **{column: split[column] for column in ("validation", "test", "pool", "draw")},
        }
        for task, split in zip(tasks, provenance, strict=True)
    ]
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """Return Table 1 for reading."""
    numbers = {"shots", "validation", "test", "pool"}
    text = table.to_markdown(
        index=False, colalign=["right" if column in numbers else "left" for column in table.columns]
    )
    return (
        f"{text}\n\nSamples by task. `pool` counts the rows that the source has; `draw` is `published` where the "
        "paper's own split was rebuilt, and `seeded` where the split rule drew it.\n"
    )
