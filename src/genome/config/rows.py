"""Rows of one's own: whether they are there, and hold the columns that a task names, before any job starts."""

import gzip
import json
import zlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from genome.errors import GenomeError, nearest
from genome.tasks import Task, parse_task
from genome.tasks.prompts import missing_columns
from genome.tasks.sources import is_published, local_files

BLANK = 100
"""Lines without a row at the start of a file, after which its first row is not looked for any more."""


def files_of(source: Mapping[str, Any], data_dir: str | None) -> list[Path]:
    """Return the local files that a source is read from; GenomeError where one is missing.

    Generators have none, nor what is published, unless `data_dir` has copies of it.
    """
    return local_files(source, Path(data_dir) if data_dir and is_published(source) else None)


def task_files(name: str, definition: Mapping[str, Any], data_dir: str | None) -> list[Path]:
    """Return the local files of a task's rows; GenomeError where one is missing or its first row lacks a column."""
    task = parse_task(name, definition)
    try:
        files = files_of(task.source, data_dir)
        own = files_of({key: value for key, value in task.source.items() if key != "join"}, data_dir)
    except GenomeError as error:
        raise GenomeError(f"task {name}: {error}") from error
    for file in own:
        _check_columns(task, file)
    return files


def _check_columns(task: Task, file: Path) -> None:
    row = first_row(file)
    absent = missing_columns(task, [{**row, **_added(task.source)}]) if row else None
    if absent:
        _, column = absent
        raise GenomeError(
            f"task {task.name}: {file}: row 1 has no column {column!r} ({nearest(column, map(str, row))})"
        )


def _added(source: Mapping[str, Any]) -> dict[str, None]:
    """Return the columns that reading a source adds to its rows."""
    config = source.get("config")
    names = [name for column in config for name in (column, f"{column}_name")] if isinstance(config, Mapping) else []
    return dict.fromkeys([*names, *(source.get("join") or {}), *(["history"] if source.get("conversation") else [])])


def first_row(file: Path) -> dict[str, Any] | None:
    """Return the first row of a JSON Lines file; None where it is not to be told: the job says what is wrong then."""
    try:
        with (
            gzip.open(file, "rt", encoding="utf-8-sig")
            if file.suffix == ".gz"
            else file.open(encoding="utf-8-sig") as lines
        ):
            row = json.loads(next((line for line in islice(lines, BLANK) if line.strip()), "null"))
    except (EOFError, OSError, ValueError, zlib.error):
        return None
    return row if isinstance(row, dict) else None
