"""Rows of a task and their division into validation and test (SPEC: split rule).

Nothing here depends on a run's seed: a split belongs to its task. Rows come from local JSON Lines, from the
micro world, or from the hub, and are refused before anything else starts when a column or rows are missing.
"""

import glob
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genome import files
from genome.errors import GenomeError
from genome.tasks import prompts
from genome.tasks.task import Task, nearest

Row = dict[str, Any]


def read_rows(task: Task, data_dir: Path | str | None = None) -> list[Row]:
    """Return all rows of the task's source, in the source's order.

    A source that names a hub dataset and a path is read from `data_dir`/path where a data folder is given, and from
    the hub otherwise. GenomeError: a missing or damaged file, a missing column, a source without rows.
    """
    source = task.source
    if "generator" in source:
        # Imported here because the library serves tasks on real data without the micro world.
        from genome.micro.world import task_rows

        rows, where = task_rows(task.name), "the micro world"
    elif "hub" in source and (data_dir is None or "path" not in source):
        rows, where = _hub_rows(task), f"hub dataset {source['hub']}"
    else:
        paths = _paths(task, Path(data_dir or "."))
        rows, where = [row for path in paths for row in _file_rows(task, path)], ", ".join(map(str, paths))
    if not rows:
        raise GenomeError(f"task {task.name}: {where} holds no rows")
    absent = prompts.missing_columns(task, rows)
    if absent is not None:
        number, column = absent
        hint = nearest(column, map(str, rows[number]))
        raise GenomeError(f"task {task.name}: {where}: row {number + 1} has no column {column!r}{hint}")
    return rows


def split(
    task: Task,
    rows: Sequence[Mapping[str, Any]],
    validation: int = 200,
    test: int | str | None = 1000,
    seed: int = 42,
) -> tuple[list[Row], list[Row]]:
    """Return the rows of validation and test, each with its `id` and, for tasks with shots, its `examples`.

    The pool is permuted by `numpy.random.default_rng(seed)`; rows whose prompt stood before in that order are left
    out, so no prompt stands on both sides. Where the task names its published draw and the pool is the one it was
    made from, that draw is followed instead, repeats included. `test`: a number, or None or "rest" for all that is
    left. GenomeError when the pool holds fewer rows than asked for.
    """
    wanted = None if test in (None, "rest") else int(test)
    first, second = _sides(task, rows, validation, wanted, seed)
    if len(first) < validation or len(second) < (1 if wanted is None else wanted):
        raise GenomeError(
            f"task {task.name}: {len(rows)} rows are too few for {validation} of validation and "
            f"{wanted or 'at least 1'} of test (found {len(first)} and {len(second)} with distinct prompts); "
            "ask for fewer, or give the source more rows"
        )
    numbered = [{**row, "id": f"{task.name}-{index}"} for index, row in enumerate(rows)]
    examples = _examples(task, numbered, {*first, *second}, seed)
    sides = ([{**numbered[index], **examples(numbered[index])} for index in side] for side in (first, second))
    return next(sides), next(sides)


def provenance(
    task: Task,
    rows: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    test: Sequence[Mapping[str, Any]],
    written: Mapping[str, Path | str],
) -> dict[str, Any]:
    """Return what a split's provenance file says; `written` names the files of the sides ("validation", "test")."""
    keys = [prompts.render(task, row) for row in rows]
    first, second = ({prompts.render(task, {**row, "examples": ()}) for row in side} for side in (validation, test))
    return {
        "task": task.name,
        "version": task.version,
        "source": dict(task.source),
        "draw": "published" if _published(task, rows) else "seeded",
        "pool": len(rows),
        "repeated_prompts": len(keys) - len(set(keys)),
        "prompts_on_both_sides": len(first & second),
        "validation": len(validation),
        "test": len(test),
        "sha256": {side: files.sha256(path) for side, path in written.items()},
    }


def _published(task: Task, rows: Sequence[Any]) -> bool:
    return task.draw is not None and task.draw["pool"] == len(rows)


def _sides(
    task: Task, rows: Sequence[Mapping[str, Any]], validation: int, test: int | None, seed: int
) -> tuple[list[int], list[int]]:
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    if _published(task, rows):
        first, second = (order[slice(*task.draw[side])] for side in ("validation", "test"))
        return first[:validation], second[:test]
    seen: set[str] = set()
    distinct = []
    for index in order:
        key = prompts.render(task, rows[index])
        if key not in seen:
            seen.add(key)
            distinct.append(index)
    rest = distinct[validation:]
    return distinct[:validation], rest[:test]


def _examples(task: Task, rows: Sequence[Row], taken: set[int], seed: int) -> Any:
    """Return a function from a row to its {"examples": …}: the first rows of its group in neither side."""
    if task.shots == 0:
        return lambda row: {}
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    groups: dict[str, list[Row]] = {}
    for index in order:
        if index not in taken:
            groups.setdefault(_group(task, rows[index]), []).append(rows[index])

    def of(row: Row) -> dict[str, list[Row]]:
        found = groups.get(_group(task, row), [])[: task.shots]
        if len(found) < task.shots:
            group = f" with {task.examples_by} like {row['id']}" if task.examples_by else ""
            raise GenomeError(
                f"task {task.name}: {task.shots} examples{group} are needed outside the splits, found {len(found)}; "
                "ask for smaller splits or fewer shots"
            )
        return {"examples": found}

    return of


def _group(task: Task, row: Row) -> str:
    return "" if task.examples_by is None else str(prompts.evaluate(task, row, "examples_by"))


def _paths(task: Task, base: Path) -> list[Path]:
    """Return the files that the source names, in order; a name with wildcards stands for all its matches, sorted."""
    named = task.source["path"]
    paths: list[Path] = []
    for name in [named] if isinstance(named, str) else named:
        path = base / name
        wild = glob.has_magic(str(name))
        # Path.glob takes no absolute patterns.
        matches = sorted(map(Path, glob.glob(str(path)))) if wild else [path]  # noqa: PTH207
        missing = [str(match) for match in matches if not match.is_file()] if matches else [str(path)]
        if missing:
            raise GenomeError(
                f"task {task.name}: no file {missing[0]}; put the rows there as JSON Lines, "
                "or correct source.path or data_dir"
            )
        paths += matches
    return paths


def _file_rows(task: Task, path: Path) -> list[Row]:
    """Return the rows of a .jsonl or .jsonl.gz file."""
    rows: list[Row] = []
    number = 1
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):  # noqa: B007
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError("expected a mapping of columns")
                    rows.append(row)
    except (EOFError, OSError, ValueError) as error:
        raise GenomeError(f"task {task.name}: {path}, line {number}: not a row of JSON Lines ({error})") from error
    return rows


def _hub_rows(task: Task) -> list[Row]:
    """Return the rows of a hub dataset at its pinned revision; the library `datasets` runs no code of theirs."""
    import datasets

    source = task.source
    try:
        table = datasets.load_dataset(
            source["hub"], source.get("config"), split=source["split"], revision=source["revision"]
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GenomeError(
            f"task {task.name}: cannot load {source['hub']} ({source.get('config', 'default')}, {source['split']}) "
            f"from the hub: {reason}; without a network, set data_dir to a folder that holds its rows"
        ) from error
    return [dict(row) for row in table]
