"""The user's rows: whether they exist and have the columns that a task names, before any job starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome.errors import GenomeError, nearest
from genome.tasks import Task, harness, parse_task
from genome.tasks.prompts import missing_columns
from genome.tasks.row_files import first_row
from genome.tasks.sources import is_published, local_files
from genome.validation.readable import is_mapping


def files_of(source: Mapping[str, Any], data_dir: str | None) -> list[Path]:
    """Return the local files that a source is read from; GenomeError if one is missing.

    Generators have none, nor what is published, unless `data_dir` has copies of it.
    """
    return local_files(source, Path(data_dir) if data_dir and is_published(source) else None)


def task_files(name: str, definition: Mapping[str, Any], data_dir: str | None) -> list[Path]:
    """Return the local files of a task's rows; GenomeError if one is missing or its first row lacks a column."""
    task = parse_task(name, definition)
    if "lm_eval" in task.source:
        return harness.own_files(task)
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
    if row and absent:
        _, column = absent
        raise GenomeError(
            f"task {task.name}: {file}: row 1 has no column {column!r} ({nearest(column, map(str, row))})"
        )


def _added(source: Mapping[str, Any]) -> dict[str, None]:
    """Return the columns that reading a source adds to its rows."""
    config = source.get("config")
    names = [name for column in config for name in (column, f"{column}_name")] if is_mapping(config) else []
    return dict.fromkeys([*names, *(source.get("join") or {}), *(["history"] if source.get("conversation") else [])])
