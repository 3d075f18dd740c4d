"""Tables of scores: every run's test score in long form, and methods compared on tasks (Tables 2 to 6 and 8).

Only test scores enter here and nothing here chooses anything: which method, seed or individual is shown was fixed by
validation or by the config. Scores are percentages; gains are percentages of the score they are compared with.

All comparisons have one form: a row a method, a column a test, below a row its relative gains. `STYLES` says where the
tables differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genome.errors import GenomeError
from genome.files import write_text
from genome.report.traces import joined, versus
from genome.scoring import statistics
from genome.scoring.results import read_scores
from genome.search.population import described
from genome.tasks import Task

COLUMNS = [
    "method",
    "report",
    "population_size",
    "tasks",
    "test_task",
    "seed",
    "score",
    "n",
    "standard_error",
    "unparsed",
    "run",
    "engine",
]
STATIC = "static"
"""What stands in `tasks` of a merge that looked at no task."""

COMPARED = ("genome", "genome_plus")
REFERENCES = ("best_single", "model_swarms")
"""Methods that every other is compared with, wherever a table shows them."""

Method = Mapping[str, str]
"""A row of a table: {name, variant, label, report}: a variant's name in the config, the variant whose runs are shown
(another, where that finds the same), its name for people, and whether its "best" individual or "ensemble" reports."""

Column = Mapping[str, str]
"""A column of a table: {name, tasks, test_task, metric} of runs that evolved on `tasks`, and the `group` it is in."""


@dataclass(frozen=True)
class Style:
    """How a table compares its rows.

    over: the variants that gains are relative to; None is the table's first row
    compared: the variants that have gains; None is all but the one compared with
    beside: gains stand in parentheses beside the scores, in Markdown; otherwise below them
    mean: whether there is a mean over columns
    about: what the table shows, in a sentence
    """

    about: str
    over: tuple[str, ...] | None = ("best_single",)
    compared: tuple[str, ...] | None = None
    beside: bool = True
    mean: bool = False

    def references(self, methods: Sequence[Method]) -> list[Method]:
        """Return the rows that all others are tested against."""
        return [row for row in methods if row["name"] in REFERENCES] if self.over is not None else [methods[0]]

    def gains(self, methods: Sequence[Method]) -> list[tuple[Method, Method]]:
        """Return which rows' gains over which are shown, in the table's order."""
        over = [row for row in methods if row["name"] in self.over] if self.over is not None else [methods[0]]
        return [
            (row, reference)
            for row in methods
            if self.compared is None or row["name"] in self.compared
            for reference in over
            if row is not reference
        ]


STYLES = {
    "table2": Style(
        "Table 2: single tasks, each evolved on and tested by itself.", REFERENCES, COMPARED, beside=False, mean=True
    ),
    "table3": Style("Table 3: knowledge and reasoning."),
    "table4": Style(
        "Table 4: several tasks at once; one run a domain, whose fitness is the mean of its tasks, tested on each.",
        ("model_swarms",),
        COMPARED,
        beside=False,
    ),
    "table5": Style("Table 5: transfer; evolved on one task, tested on another of which no sample was seen.", ()),
    "table6": Style("Table 6: languages that the base model has seen, and languages that it has not."),
    "table8": Style("Table 8: ablations; a method, and the same without each of its parts.", None, mean=True),
}


def collect(score_files: Iterable[Path | str]) -> pd.DataFrame:
    """Return every row of the score files in long form, sorted; score and standard_error in percentage points.

    `folder` is where a row's responses, answers and scores stand, `run` the run whose models they are of, and `engine`
    who answered.
    `seed` and `population_size` are missing (<NA>) for methods that have none.
    """
    rows = []
    for path in score_files:
        for row in read_scores(path):
            values = {**row, "engine": described(row.get("engine"))}
            rows.append([*(values[column] for column in COLUMNS), Path(path).parent.as_posix()])
    scores = pd.DataFrame(rows, columns=[*COLUMNS, "folder"])
    scores[["score", "standard_error"]] = 100.0 * scores[["score", "standard_error"]].astype(float)
    whole = ["population_size", "seed", "n", "unparsed"]
    scores[whole] = scores[whole].astype("Int64")
    order = ["method", "report", "tasks", "test_task", "population_size", "seed"]
    return scores.sort_values(order, ignore_index=True)


def table1(tasks: Sequence[Task], provenance: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return Table 1: what each task's split really holds, from the provenance files of the splits in that order."""
    rows = [
        {
            "task": task.name,
            "category": task.category,
            "metric": task.metric,
            "shots": task.shots,
            **{column: split[column] for column in ("validation", "test", "pool", "draw")},
        }
        for task, split in zip(tasks, provenance, strict=True)
    ]
    return pd.DataFrame(rows)


def table1_markdown(table: pd.DataFrame) -> str:
    """Return Table 1 for reading."""
    numbers = {"shots", "validation", "test", "pool"}
    text = table.to_markdown(
        index=False, colalign=["right" if column in numbers else "left" for column in table.columns]
    )
    return (
        f"{text}\n\nSamples by task. `pool` counts the rows that the source has; `draw` is `published` where the "
        "paper's own split was rebuilt, and `seeded` where the split rule drew it.\n"
    )


def comparison(
    scores: pd.DataFrame, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int], style: Style
) -> pd.DataFrame:
    """Return a table: a row a method in the given order, a column a test, perhaps their mean (percent, not rounded).

    A cell is the mean over `seeds` of the runs that its column names; a method without randomness repeats its value.
    Below a row stand its gains, relative, on seed means; the `mean` of a gain is the mean of the columns' gains. A cell
    is missing where a seed is, or where a gain would divide by zero.
    """
    labels = [row["label"] for row in methods]
    if len({*labels}) < len(labels):
        raise GenomeError(f"two rows of a table have one label ({', '.join(labels)}); give each its own under `labels`")
    names = [column["name"] for column in columns]
    means = {
        row["label"]: pd.Series(
            {column["name"]: _mean(chosen(scores, row, column, seeds)) for column in columns}, dtype=float
        )
        for row in methods
    }
    gains = style.gains(methods)
    rows = []
    for row in methods:
        values = means[row["label"]]
        rows.append({"method": row["label"], **values, "mean": values.mean(skipna=False)})
        for compared, reference in gains:
            if compared is row:
                relative = _gain(values, means[reference["label"]])
                name = versus(row["label"], reference["label"])
                rows.append({"method": name, **relative, "mean": relative.mean()})
    return pd.DataFrame(rows, columns=["method", *names, *(["mean"] if style.mean else [])])


def uncertainty(
    scores: pd.DataFrame, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int], style: Style
) -> pd.DataFrame:
    """Return how sure each number of a table is, in long form, in percentage points.

    A row is a score (`versus` is empty) with its 95 % interval, test samples and runs, or a method's paired difference
    from one of the table's references; `holds` says whether the interval of a difference excludes 0. The difference of
    `mean` is that of mean scores. Cells that are missing in the table have no row.
    """
    read = cache(statistics.read_report)
    references = style.references(methods)
    found: dict[tuple[str, str], np.ndarray] = {}
    rows = []
    for column in columns:
        shown = {row["label"]: chosen(scores, row, column, seeds) for row in methods}
        runs = {
            label: [
                read(f"{row.folder}/answers.jsonl", column["metric"], row.report, row.n, row.score / 100)
                for row in cell.itertuples()
            ]
            for label, cell in shown.items()
            if len(cell)
        }
        if not runs:
            continue
        n = statistics.same_samples(
            (folder, run) for label in runs for folder, run in zip(shown[label]["folder"], runs[label], strict=True)
        )
        draws = statistics.draw_samples(column["test_task"], n)
        for label, by_seed in runs.items():
            replicates = [statistics.replicates(run, draws) for run in by_seed]
            if len(replicates) == 1 and shown[label]["seed"].isna().all():
                replicates *= len(seeds)
            found[label, column["name"]] = statistics.over_seeds(replicates)
        for row in methods:
            label = row["label"]
            if label not in runs:
                continue
            cell = shown[label]
            about = {
                "test": column["name"],
                "tasks": column["tasks"],
                "n": n,
                "seeds": " ".join(map(str, cell["seed"].dropna())),
                "runs": " ".join(cell["folder"]),
            }
            interval = statistics.interval(runs[label], found[label, column["name"]])
            rows.append(_estimate(label, "", _mean(cell), interval) | about)
            rows += [
                _difference(row, reference, found, column["name"], _mean(cell) - _mean(shown[reference["label"]]))
                | about
                for reference in references
                if reference is not row and reference["label"] in runs
            ]
    if style.mean:
        rows += _of_means(methods, [column["name"] for column in columns], references, found, rows)
    order = ["method", "versus", "test", "value", "low", "high", "interval", "holds", "n", "tasks", "seeds", "runs"]
    table = pd.DataFrame(rows, columns=order)
    table["n"] = table["n"].astype("Int64")
    return table


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


def write_csv(table: pd.DataFrame, path: Path | str) -> None:
    """Write a table as csv: numbers with two decimals, missing ones empty, the same bytes for the same table."""
    # Adding zero turns the -0.00 of a tiny loss into 0.00.
    numbers = table.select_dtypes("float").round(2) + 0.0
    write_text(path, table.assign(**numbers).to_csv(index=False, float_format="%.2f", lineterminator="\n"))


def read_csv(path: Path | str, columns: Sequence[str], numbers: Sequence[str], remedy: str) -> pd.DataFrame:
    """Return a table of ours; GenomeError when it lacks one of `columns` or a value of one of `numbers`."""
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise GenomeError(f"{path}: not a table ({error}); {remedy}") from error
    absent = [column for column in columns if column not in table]
    if absent:
        raise GenomeError(f"{path}: no column {absent[0]!r}; {remedy}")
    for column in numbers:
        if not np.isfinite(pd.to_numeric(table[column], errors="coerce")).all():
            raise GenomeError(f"{path}: column {column!r} has entries that are no numbers; {remedy}")
    return table


def chosen(scores: pd.DataFrame, method: Method, column: Column, seeds: Sequence[int]) -> pd.DataFrame:
    """Return the runs behind a cell, one a seed, or one of a method without randomness; none where a seed is missing.

    They evolved on the column's tasks, all of them, and were tested on its test; a static merge evolved on none.
    """
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


def _mean(cell: pd.DataFrame) -> float:
    return float(cell["score"].mean())


def _gain(values: pd.Series, reference: pd.Series) -> pd.Series:
    """Return 100 * (values - reference) / reference, missing where the reference is 0 or missing."""
    return 100.0 * (values - reference) / reference.where(reference != 0)


def _estimate(label: str, versus: str, value: float, interval: statistics.Interval) -> dict[str, Any]:
    return {
        "method": label,
        "versus": versus,
        "value": value,
        "low": 100 * interval.low,
        "high": 100 * interval.high,
        "interval": interval.kind,
        "holds": ("yes" if interval.excludes_zero else "no") if versus else "",
    }


def _difference(row: Method, reference: Method, found: Mapping, name: str, value: float) -> dict[str, Any]:
    """Return the paired difference of two rows in a column; `found` has the replicates of both, drawn alike."""
    interval = statistics.percentiles(found[row["label"], name] - found[reference["label"], name])
    return _estimate(row["label"], reference["label"], value, interval)


def _of_means(
    methods: Sequence[Method], names: Sequence[str], references: Sequence[Method], found: dict, rows: Sequence[Mapping]
) -> list[dict[str, Any]]:
    """Return the mean column's rows, for the methods that have a score in every column; `found` is added to."""
    values = {(row["method"], row["test"]): row["value"] for row in rows if not row["versus"]}
    whole = [row for row in methods if all((row["label"], name) in found for name in names)]
    means = {row["label"]: float(np.mean([values[row["label"], name] for name in names])) for row in whole}
    own = {label: [row for row in rows if row["method"] == label and not row["versus"]] for label in means}
    for label in means:
        found[label, "mean"] = np.mean([found[label, name] for name in names], axis=0)
    rows = []
    for row in whole:
        label = row["label"]
        about = {"test": "mean", **{key: joined(each[key] for each in own[label]) for key in ("seeds", "runs")}}
        interval = statistics.of_scores(found[label, "mean"])
        rows.append(_estimate(label, "", means[label], interval) | about)
        rows += [
            _difference(row, reference, found, "mean", means[label] - means[reference["label"]]) | about
            for reference in references
            if reference is not row and reference["label"] in means
        ]
    return rows
