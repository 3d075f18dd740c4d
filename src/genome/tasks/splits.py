"""Rows of a task and their division into validation and test (SPEC: split rule).

A split belongs to its task and does not depend on a run's seed. If a column or rows are missing, rows are refused
before anything else starts.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genome import files
from genome.errors import GenomeError, nearest
from genome.tasks import prompts
from genome.tasks.prompts import ORIGIN, Row, columns_of, place_row
from genome.tasks.sources import SIDES, is_local, place, read_source
from genome.tasks.task import Task
from genome.tasks.values import fault

SEED = 42
"""The seed of the published draws and of the split rule."""

_SIDE = ("side",)
"""Key of rows that belong to one side only, because validation and test come from separate tables."""


def read_rows(task: Task, data_dir: Path | str | None = None) -> list[Row]:
    """Return all rows of the task's source, in the source's order, each with its `ORIGIN` for messages.

    Published data is read from its copy in `data_dir` if that is given (and the source names its `path` there), and
    fetched otherwise. GenomeError: a missing or damaged file, a missing column, a table without rows, or a value that a
    prompt cannot use in a column of the task.
    """
    if "generator" in task.source:
        # Imported here because tasks on real data do not need the micro world.
        from genome.micro.world import task_rows

        return _checked(task, task_rows(task.name), "the micro world")
    if "lm_eval" in task.source:
        from genome.tasks import harness

        return _checked(task, harness.read_rows(task), "lm-evaluation-harness")
    folder = None if data_dir is None else Path(data_dir)
    try:
        tables = read_source(task.source, folder)
    except GenomeError as error:
        raise GenomeError(f"task {task.name}: {error}") from error
    rows: list[Row] = []
    for table, found in tables:
        checked = _checked(task, found, place(task.source, table, folder))
        rows += [{**row, _SIDE: table.side} for row in checked] if table.side else checked
    if task.where is not None:
        chosen = [row for row in rows if prompts.evaluate(task, row, "where")]
        if not chosen:
            raise GenomeError(f"task {task.name}: `where` {task.where!r} is true for none of the {len(rows)} rows")
        rows = chosen
    _check_values(task, rows)
    return rows


def _checked(task: Task, rows: Sequence[Row], where: str) -> list[Row]:
    """Return the rows with their `ORIGIN`, after checking that they have all columns that the task uses."""
    if not rows:
        raise GenomeError(f"task {task.name}: {where} contains no rows")
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        absent = prompts.missing_columns(task, rows)
    except GenomeError as error:
        raise GenomeError(f"{error}{prompts.unreadable(task, names)}") from error
    if absent is not None:
        number, column = absent
        hint = prompts.unreadable(task, names, column) or f" ({nearest(column, map(str, rows[number]))})"
        raise GenomeError(f"task {task.name}: {where}: row {number + 1} has no column {column!r}{hint}")
    hidden = sorted(prompts.printed_constants(task) & set(names))
    if hidden:
        raise GenomeError(
            f"task {task.name}: {where}: {hidden[0]} in a template is a constant, not a column; write the column as "
            f"row[{hidden[0]!r}]"
        )
    return [{**row, ORIGIN: f"{where}, row {number}"} for number, row in enumerate(rows, start=1)]


def _check_values(task: Task, rows: Sequence[Row]) -> None:
    """Raise GenomeError if a column that the task uses has a value that a prompt cannot use."""
    used = sorted(prompts.columns(task))
    for row in rows:
        for column in used:
            wrong = fault(row[column], f"column {column!r}")
            if wrong:
                raise GenomeError(
                    f"task {task.name}, {row[ORIGIN]}: {wrong}; correct the row, or leave it out by the task's `where`"
                )


def split(
    task: Task,
    rows: Sequence[Row],
    validation: int = 200,
    test: int | str | None = 1000,
    seed: int = SEED,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of validation and test, each with its `id` and, for tasks with shots, its `examples`.

    Every drawn row has a prompt and a reference that its kind can read. The pool is permuted by
    `numpy.random.default_rng(seed)`. No prompt occurs on both sides, or twice in validation; if a task has `distinct`,
    each of its values occurs only once in the whole split. If the task names its published draw and the pool is the one
    that the draw was made from, that draw is used instead, including repeats. `test` is a number, or None or "rest" for
    all remaining rows; the task's `test_samples` overrides it. GenomeError if the pool has too few rows.
    """
    test = task.test_samples if task.test_samples is not None else test
    wanted = None if test in (None, "rest") else int(test)
    keys = _keys(task, rows)
    first, second = _sides(task, rows, keys, validation, wanted, seed)
    if len(first) < validation or len(second) < (1 if wanted is None else wanted):
        raise GenomeError(
            f"task {task.name}: {len(rows)} rows are too few for {validation} of validation and "
            f"{wanted or 'at least 1'} of test (found {len(first)} and {len(second)} with distinct prompts); "
            "reduce them, or give the source more rows"
        )
    taken = {keys[index] for index in (*first, *second)}
    free = [index for index, row in enumerate(rows) if keys[index] not in taken and row.get(_SIDE) != "test"]
    shots = _examples(task, rows, free, seed)

    def placed(index: int) -> dict[str, Any]:
        row, examples = rows[index], shots(index)
        # Check the row here, where its file and number are known.
        prompts.render(task, row, [rows[example] for example in examples])
        prompts.facts(task, row)
        named = [place_row(_writable(rows[example]), f"{task.name}-{example}") for example in examples]
        return place_row(_writable(row), f"{task.name}-{index}", named if task.shots else None)

    return [placed(index) for index in first], [placed(index) for index in second]


def provenance(
    task: Task,
    rows: Sequence[Row],
    validation: Sequence[Mapping[str, Any]],
    test: Sequence[Mapping[str, Any]],
    written: Mapping[str, Path | str],
    seed: int = SEED,
    data_dir: Path | str | None = None,
) -> dict[str, Any]:
    """Return the content of a split's provenance file; `written` has the files of the sides ("validation", "test").

    The other arguments are the same as in `read_rows` and `split`.
    """
    local = is_local(task.source, None if data_dir is None else Path(data_dir))
    keys = _keys(task, rows)
    first, second = (set(_keys(task, list(map(columns_of, side)))) for side in (validation, test))
    return {
        "task": task.name,
        "version": task.version,
        "source": dict(task.source),
        "read_from": "local files" if local else "the source",
        "draw": "published" if _published(task, rows, seed) else "seeded",
        "pool": len(rows),
        "repeated_prompts": len(keys) - len(set(keys)),
        "prompts_on_both_sides": len(first & second),
        "validation": len(validation),
        "test": len(test),
        "sha256": {side: files.sha256(path) for side, path in written.items()},
    }


def _keys(task: Task, rows: Sequence[Row]) -> list[str]:
    """Return the value of each row that must be unique in a split: `distinct`, or the prompt without examples."""
    if task.distinct is None:
        return [prompts.render(task, row) for row in rows]
    values = [prompts.evaluate(task, row, "distinct") for row in rows]
    if None in values:
        row = rows[values.index(None)]
        where = row.get(ORIGIN, f"row {values.index(None) + 1}")
        raise GenomeError(f"task {task.name}, {where}: distinct: null; leave such rows out by the task's `where`")
    return [str(value) for value in values]


def _published(task: Task, rows: Sequence[Any], seed: int) -> bool:
    return task.draw is not None and task.draw["pool"] == len(rows) and seed == SEED


def _sides(
    task: Task, rows: Sequence[Row], keys: Sequence[str], validation: int, test: int | None, seed: int
) -> tuple[list[int], list[int]]:
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    chosen: list[int] = []
    if task.draw is not None and _published(task, rows, seed):
        match task.draw:
            case {"validation": {"sample": size}}:
                chosen = random.Random(SEED).sample(range(len(rows)), size)[:validation]
            case draw:
                first, second = (order[slice(*draw[side])] for side in ("validation", "test"))
                return first[:validation], second[:test]
    may = {side: [i for i in order if rows[i].get(_SIDE) in (None, side)] for side in SIDES}
    # Prompts that the source repeats are chosen last, because their other rows are then lost for the test.
    times = Counter(keys) if task.distinct is None else Counter()
    singles_first = sorted(_once(may["validation"], keys), key=lambda index: times[keys[index]] > 1)
    first = chosen or singles_first[:validation]
    taken = {keys[index] for index in first}
    second = [index for index in may["test"] if keys[index] not in taken]
    return first, (second if task.distinct is None else _once(second, keys))[:test]


def _once(order: Sequence[int], keys: Sequence[str]) -> list[int]:
    """Return the first position of each key."""
    first: dict[str, int] = {}
    for index in order:
        first.setdefault(keys[index], index)
    return list(first.values())


def _writable(row: Row) -> dict[str, Any]:
    """Return a row without values that JSON cannot represent, such as pictures, which the task does not use."""
    return {key: value for key, value in row.items() if _is_json(value)}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (RecursionError, TypeError, ValueError):
        return False
    return True


def _examples(task: Task, rows: Sequence[Row], free: Sequence[int], seed: int) -> Callable[[int], list[int]]:
    """Return a function from a row's position to its examples' positions, the first of the `free` rows of its group."""
    if task.shots == 0:
        return lambda index: []
    order = np.random.default_rng(seed).permutation(len(free)).tolist()
    groups: dict[str, list[int]] = {}
    for index in (free[position] for position in order):
        groups.setdefault(_group(task, rows[index]), []).append(index)

    def of(index: int) -> list[int]:
        found = groups.get(_group(task, rows[index]), [])[: task.shots]
        if len(found) < task.shots:
            group = f" with {task.examples_by} like {task.name}-{index}" if task.examples_by else ""
            raise GenomeError(
                f"task {task.name}: {task.shots} examples{group} are needed outside the splits, found {len(found)}; "
                "use smaller splits or fewer shots"
            )
        return found

    return of


def _group(task: Task, row: Row) -> str:
    return "" if task.examples_by is None else str(prompts.evaluate(task, row, "examples_by"))
