"""Methods compared on tasks: Tables 2 to 6 and 8.

All comparisons have one form: a row per method and a column per test, with relative gains below a row. `STYLES` in
`genome.report.layout` lists how the tables differ. Scores are percentages; gains are percentages of the score they are
compared with.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from genome.errors import GenomeError
from genome.files import write_text
from genome.report import rendering, tables
from genome.report.estimates import Estimate, mean_score
from genome.report.layout import MEAN, STYLES, Column, Method, Style
from genome.report.tables import chosen, rows_of
from genome.report.traces import joined, versus, with_runs
from genome.scoring import statistics
from genome.scoring.statistics import Answered

log = logging.getLogger("genome")


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write one of the tables, the score of each of its runs, and the intervals of its numbers.

    Intervals are computed from the answers next to the score files.
    """
    style = STYLES[settings["table"]]
    scores = tables.collect(inputs["scores"])
    layout = settings["methods"], settings["columns"], settings["seeds"], style
    table = comparison(scores, *layout)
    sure = uncertainty(scores, *layout)
    tables.write_csv(scores, outputs["scores"])
    tables.write_csv(sure, outputs["uncertainty"])
    tables.write_csv(with_runs(table, sure), outputs["table"])
    caption = f"{rendering.caption(scores, *layout)} Intervals and runs: {Path(outputs['uncertainty']).name}."
    write_text(outputs["markdown"], rendering.markdown(table, sure, *layout[:2], style, caption))
    log.info("%d methods on %d tests from %d score files", *map(len, layout[:2]), len(inputs["scores"]))


def comparison(
    scores: pd.DataFrame, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int], style: Style
) -> pd.DataFrame:
    """Return a table: a row per method in the given order, a column per test, optionally their mean, in percent.

    A cell is the mean over `seeds` of the runs that its column names; a method without randomness repeats its value.
    A row is followed by its relative gains, which are computed from seed means; the `mean` of a gain is the mean of the
    columns' gains. A cell is missing if a seed is, or if a gain would divide by zero.
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
        rows.append({"method": row["label"], **values, MEAN: values.mean(skipna=False)})
        for compared, reference in gains:
            if compared is row:
                relative = _gain(values, means[reference["label"]])
                name = versus(row["label"], reference["label"])
                rows.append({"method": name, **relative, MEAN: relative.mean()})
    return pd.DataFrame(rows, columns=["method", *names, *([MEAN] if style.mean else [])])


def uncertainty(
    scores: pd.DataFrame, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int], style: Style
) -> pd.DataFrame:
    """Return the 95 % intervals of a table's numbers in long form, in percentage points.

    A row is a score (`versus` is empty) with its interval, test samples and runs, or a method's paired difference from
    one of the table's references; `holds` says whether that difference is significant. The difference of `mean` is
    between mean scores. Cells that are missing in the table have no row.
    """
    read = cache(statistics.read_report)
    estimates: dict[tuple[str, str], Estimate] = {}
    about: dict[tuple[str, str], dict[str, Any]] = {}
    for column in columns:
        shown = {row["label"]: chosen(scores, row, column, seeds) for row in methods}
        runs = {label: _answers(read, cell, column["metric"]) for label, cell in shown.items() if len(cell)}
        if not runs:
            continue
        n = statistics.same_samples(
            (folder, run) for label in runs for folder, run in zip(shown[label]["folder"], runs[label], strict=True)
        )
        drawn = statistics.draw_samples(column["test_task"], n)
        for label, by_seed in runs.items():
            cell, place = shown[label], (label, column["name"])
            # A method without randomness is drawn as if all seeds had given its score.
            repeats = len(seeds) if len(by_seed) == 1 and cell["seed"].isna().all() else 1
            draws = statistics.over_seeds([statistics.replicates(run, drawn) for run in by_seed] * repeats)
            estimates[place] = Estimate(_mean(cell), statistics.interval(by_seed, draws), draws)
            about[place] = {
                "n": n,
                "tasks": column["tasks"],
                "seeds": " ".join(map(str, cell["seed"].dropna())),
                "runs": " ".join(cell["folder"]),
            }
    labels, tests = [row["label"] for row in methods], [column["name"] for column in columns]
    if style.mean:
        for label in labels:
            parts = [(label, test) for test in tests]
            if all(part in estimates for part in parts):
                estimates[label, MEAN] = mean_score([estimates[part] for part in parts])
                about[label, MEAN] = {key: joined(about[part][key] for part in parts) for key in ("seeds", "runs")}
        tests = [*tests, MEAN]
    references = [row["label"] for row in style.references(methods)]
    rows = []
    for test in tests:
        for label in labels:
            if (label, test) not in estimates:
                continue
            own = estimates[label, test]
            rows.append({"versus": "", **_cells(own), "holds": "", "method": label, "test": test, **about[label, test]})
            for reference in references:
                if reference != label and (reference, test) in estimates:
                    difference = own - estimates[reference, test]
                    cells = {**_cells(difference), "holds": difference.interval.holds}
                    rows.append({"versus": reference, **cells, "method": label, "test": test, **about[label, test]})
    order = ["method", "versus", "test", "value", "low", "high", "interval", "holds", "n", "tasks", "seeds", "runs"]
    table = pd.DataFrame(rows, columns=order)
    table["n"] = table["n"].astype("Int64")
    return table


def _answers(read: Callable[..., Answered], cell: pd.DataFrame, metric: str) -> list[Answered]:
    """Return the answers behind the runs of a cell; `read` is `statistics.read_report`."""
    return [read(f"{row.folder}/answers.jsonl", metric, row.report, row.n, row.score / 100) for row in rows_of(cell)]


def _cells(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate's cells; its interval is of shares."""
    interval = estimate.interval
    return {
        "value": estimate.value, "low": 100 * interval.low, "high": 100 * interval.high, "interval": interval.kind,
    }  # fmt: skip


def _mean(cell: pd.DataFrame) -> float:
    return float(cell["score"].mean())


def _gain(values: pd.Series, reference: pd.Series) -> pd.Series:
    """Return 100 * (values - reference) / reference, missing where the reference is 0 or missing."""
    return 100.0 * (values - reference) / reference.where(reference != 0)
