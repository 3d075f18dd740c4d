"""Test scores of runs in long form, and tables as csv files.

Nothing here chooses anything: which method, seed or individual is shown was decided by validation or by the config.
Scores are percentages.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genome.errors import GenomeError
from genome.files import write_text
from genome.report.layout import Column, Method
from genome.scoring.results import SCORE, read_scores
from genome.search.population import described
from genome.workflow.names import STATIC

SCORE_COLUMNS = [*SCORE, "engine"]
"""The fields of a row of scores.json that tables read."""

HANDED_OUT = "handed_out"
"""The optional field that says what a run hands out."""


def collect(score_files: Iterable[Path | str]) -> pd.DataFrame:
    """Return every row of the score files in long form, sorted; score and standard_error in percentage points.

    `folder` holds a row's responses, answers and scores, `run` names the run whose models answered, and `engine` the
    engine.
    `seed` and `population_size` are missing (<NA>) for methods that have none. `handed_out` is what a run hands out,
    empty if that is not recorded.
    """
    rows = []
    for path in score_files:
        for row in read_scores(path):
            values = {**row, "engine": described(row.get("engine"))}
            cells = [values[column] for column in SCORE_COLUMNS]
            rows.append([*cells, row.get(HANDED_OUT, ""), Path(path).parent.as_posix()])
    scores = pd.DataFrame(rows, columns=[*SCORE_COLUMNS, HANDED_OUT, "folder"])
    scores[["score", "standard_error"]] = 100.0 * scores[["score", "standard_error"]].astype(float)
    whole = ["population_size", "seed", "n", "unparsed"]
    scores[whole] = scores[whole].astype("Int64")
    order = ["method", "report", "tasks", "test_task", "population_size", "seed"]
    return scores.sort_values(order, ignore_index=True)


def rows_of(table: pd.DataFrame) -> Iterable[Any]:
    """Return the rows of a table as named tuples."""
    return table.itertuples(index=False)


def write_csv(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as csv: numbers with two decimals, missing ones empty, the same bytes for the same table."""
    # Adding zero turns the -0.00 of a tiny loss into 0.00.
    numbers = table.select_dtypes("float").round(2) + 0.0
    write_text(
        path,
        table.assign(**{str(name): column for name, column in numbers.items()}).to_csv(
            index=False, float_format="%.2f", lineterminator="\n"
        ),
    )


def read_csv(path: Path | str, columns: Sequence[str], numbers: Sequence[str], remedy: str) -> pd.DataFrame:
    """Return a table that this package wrote; GenomeError if it lacks one of `columns` or a number in `numbers`."""
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise GenomeError(f"{path}: not a table ({error}); {remedy}") from error
    absent = [column for column in columns if column not in table]
    if absent:
        raise GenomeError(f"{path}: no column {absent[0]!r}; {remedy}")
    for column in numbers:
        if not np.isfinite(pd.to_numeric(table[column], errors="coerce")).all():
            raise GenomeError(f"{path}: column {column!r} has entries that are not numbers; {remedy}")
    return table


def chosen(scores: pd.DataFrame, method: Method, column: Column, seeds: Sequence[int]) -> pd.DataFrame:
    """Return the runs behind a cell: one per seed, one of a method without randomness, or none if a seed is missing.

    They evolved on all of the column's tasks and were tested on its test; a static merge evolved on none. A blank cell
    has no runs.
    """
    if column["name"] in method.get("blanks", ()):
        return scores.iloc[:0]
    runs = scores[
        (scores["method"] == method["variant"])
        & (scores["report"] == method["report"])
        & scores["tasks"].isin((column["tasks"], STATIC))
        & (scores["test_task"] == column["test_task"])
    ]
    seedless = runs[runs["seed"].isna()]
    found = seedless if len(seedless) else runs[runs["seed"].isin(seeds)]
    expected = 1 if len(seedless) else len(seeds)
    if len(found) > expected:
        raise GenomeError(
            f"{method['label']}, task {column['name']}: {len(found)} scores where {expected} belong; "
            f"give the table one population size only (runs: {', '.join(found['run'])})"
        )
    return found if len(found) == expected else found.iloc[:0]
