"""Rows of a task and their division into validation and test (SPEC: split rule).

Nothing here depends on a run's seed: a split belongs to its task. Rows are refused before anything else starts when
a column or rows are missing.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genome import files
from genome.errors import GenomeError
from genome.tasks import prompts
from genome.tasks.prompts import ORIGIN, Row, columns_of, place_row
from genome.tasks.sources import SIDES, is_local, place, read_source
from genome.tasks.task import Task, nearest
from genome.tasks.values import fault

SEED = 42
"""The seed of the published draws, and of the rule's own."""

_SIDE = ("side",)
"""Key of rows that can stand on one side only, since validation and test come from tables of their own."""


def read_rows(task: Task, data_dir: Path | str | None = None) -> list[Row]:
    """Return all rows of the task's source, in the source's order, each with its `ORIGIN` for messages.

    What is published is read from its copy in `data_dir` where a folder is given (and the source names its `path`
    there), and fetched otherwise. GenomeError: a missing or damaged file, a missing column, a table without rows, a
    value that no prompt can be made of in a column that the task uses.
    """
    if "generator" in task.source:
        # Imported here because the library serves tasks on real data without the micro world.
        from genome.micro.world import task_rows

        return _checked(task, task_rows(task.name), "the micro world")
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
            raise GenomeError(f"task {task.name}: for none of the {len(rows)} rows holds {task.where!r}")
        rows = chosen
    _check_values(task, rows)
    return rows


def _checked(task: Task, rows: Sequence[Row], where: str) -> list[Row]:
    """Return rows that have all columns which the task uses, each with its `ORIGIN`."""
    if not rows:
        raise GenomeError(f"task {task.name}: {where} holds no rows")
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        absent = prompts.missing_columns(task, rows)
    except GenomeError as error:
        raise GenomeError(f"{error}{prompts.unreadable(task, names)}") from error
    if absent is not None:
        number, column = absent
        hint = prompts.unreadable(task, names, column) or nearest(column, map(str, rows[number]))
        raise GenomeError(f"task {task.name}: {where}: row {number + 1} has no column {column!r}{hint}")
    hidden = sorted(prompts.printed_constants(task) & set(names))
    if hidden:
        raise GenomeError(
            f"task {task.name}: {where}: {hidden[0]} in a template is no column but a constant; write the column as "
            f"row[{hidden[0]!r}]"
        )
    return [{**row, ORIGIN: f"{where}, row {number}"} for number, row in enumerate(rows, start=1)]


def _check_values(task: Task, rows: Sequence[Row]) -> None:
    """Raise GenomeError where a column that the task uses holds what no prompt can be made of."""
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

    Every row that is drawn has a prompt and a reference that its kind can read. The pool is permuted by
    `numpy.random.default_rng(seed)`. No prompt stands on both sides, nor twice in validation; the value of `distinct`,
    where a task has it, stands once in all. Where the task names its published draw and the
    pool is the one it was made from, that draw is followed instead, repeats included. `test`: a number, or None or
    "rest" for all that is left; the task's `test_samples` stands above it. GenomeError when the pool holds fewer rows
    than asked for.
    """
    test = task.test_samples if task.test_samples is not None else test
    wanted = None if test in (None, "rest") else int(test)
    keys = _keys(task, rows)
    first, second = _sides(task, rows, keys, validation, wanted, seed)
    if len(first) < validation or len(second) < (1 if wanted is None else wanted):
        raise GenomeError(
            f"task {task.name}: {len(rows)} rows are too few for {validation} of validation and "
            f"{wanted or 'at least 1'} of test (found {len(first)} and {len(second)} with distinct prompts); "
            "ask for fewer, or give the source more rows"
        )
    taken = {keys[index] for index in (*first, *second)}
    free = [index for index, row in enumerate(rows) if keys[index] not in taken and row.get(_SIDE) != "test"]
    shots = _examples(task, rows, free, seed)

    def placed(index: int) -> dict[str, Any]:
        row, examples = rows[index], shots(index)
        # Whatever is wrong with a row is said here, where its file and number are known.
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
    """Return what a split's provenance file says; `written` names the files of the sides ("validation", "test").

    The other arguments are those of `read_rows` and `split`.
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
    """Return what may stand once in a split: the value of `distinct`, by default the prompt without examples."""
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
    # A prompt that the source repeats is chosen last: its other rows would be lost to the test.
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
    """Return a row without what no file of rows can hold, such as pictures, in columns that the task does not use."""
    return {key: value for key, value in row.items() if _is_json(value)}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (RecursionError, TypeError, ValueError):
        return False
    return True


def _examples(task: Task, rows: Sequence[Row], free: Sequence[int], seed: int) -> Callable[[int], list[int]]:
    """Return a function from a row to its examples, both by position: the first of the `free` rows of its group."""
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
                "ask for smaller splits or fewer shots"
            )
        return found

    return of


def _group(task: Task, row: Row) -> str:
    return "" if task.examples_by is None else str(prompts.evaluate(task, row, "examples_by"))
