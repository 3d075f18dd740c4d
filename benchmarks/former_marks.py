"""Which marks of a Table 2 did better statistics change?

    python benchmarks/former_marks.py [--project FOLDER] [--configfile FILE]

For a project with a finished Table 2, it computes the differences of all rows from the table's references by the
rules that this project had until December 2026, which were too sure (docs/statistics.md): one bootstrap over samples
and seeds, with seeds drawn as often as there are, no exact test on samples, no correction for the number of rows. It
prints, in Markdown, each difference of the same runs that held then and does not hold now, or the other way round.
"""

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from evidence import plan_of
from tabulate import tabulate

from genome.report import tables
from genome.report.layout import STYLES, TASKS_LIKE
from genome.report.uncertainty import uncertainty
from genome.rng import stream
from genome.scoring import differences
from genome.scoring.intervals import LEVEL, Interval
from genome.scoring.statistics import Answered
from genome.tasks import metrics
from genome.workflow.plan import Plan
from genome.workflow.results import TABLES

RESAMPLES = 2000
COMPARED = ["method", "versus", "test"]


@dataclass(frozen=True)
class Former:
    """A difference by the former rules: its value, and its values in the bootstrap, shape (RESAMPLES,)."""

    value: float
    drawn: np.ndarray
    signs = None

    @property
    def estimate(self) -> "Former":
        """Itself: interval and mark come from one bootstrap."""
        return self

    @property
    def interval(self) -> Interval:
        """The percentile interval."""
        low, high = np.quantile(self.drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(float(low), float(high), "bootstrap")

    @property
    def p(self) -> float:
        """0 if the interval excludes 0, otherwise 1: there was no p-value."""
        return 0.0 if self.holds else 1.0

    @property
    def holds(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval.excludes_zero


def former(own: Sequence[Answered], other: Sequence[Answered]) -> Former:
    """Return the difference of two methods on a task; all differences on as many samples get the same draws."""
    n = len(own[0].samples)
    draws = stream(0, "bootstrap", str(n)).integers(n, size=(RESAMPLES, n), dtype=np.int32)
    drawn = [_over_seeds([metrics.resampled(run.metric, run.columns, draws) for run in runs]) for runs in (own, other)]
    means = [float(np.mean([run.value for run in runs])) for runs in (own, other)]
    return Former(means[0] - means[1], drawn[0] - drawn[1])


def former_mean(tasks: Sequence[Former]) -> Former:
    """Return the mean difference over tasks; that of tasks like these was not told apart."""
    return Former(float(np.mean([each.value for each in tasks])), np.mean([each.drawn for each in tasks], axis=0))


def _over_seeds(by_seed: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over seeds, drawn with replacement, with deviations scaled up by √(S / (S − 1))."""
    values = np.stack(by_seed)
    seeds, drawn = values.shape
    mean = values.mean(axis=0)
    if seeds == 1:
        return mean
    chosen = stream(0, "bootstrap", "seeds").integers(seeds, size=(seeds, drawn))
    return mean + math.sqrt(seeds / (seeds - 1)) * (np.take_along_axis(values, chosen, axis=0).mean(axis=0) - mean)


def compared(plan: Plan, project: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the differences of Table 2 by the former rules and by today's."""
    settings = json.loads(json.dumps(TABLES["table2"].settings_of(plan)))
    blanks = settings.get("blanks", {})
    complete = [row for row in settings["methods"] if not blanks.get(row["label"])]
    folders = pd.read_csv(project / "results/tables/table2_scores.csv")["folder"].unique()
    layout = complete, settings["columns"], settings["seeds"], STYLES["table2"]
    scores = tables.collect([f"{folder}/scores.json" for folder in folders])
    today = uncertainty(scores, *layout)
    rules = differences.difference, differences.mean_difference, differences.difference_on_tasks_like
    # The table is laid out as today; only the rules for a difference are others.
    differences.difference, differences.mean_difference = former, former_mean  # pyright: ignore
    differences.difference_on_tasks_like = former_mean  # pyright: ignore
    try:
        then = uncertainty(scores, *layout)
    finally:
        differences.difference, differences.mean_difference, differences.difference_on_tasks_like = rules
    return then, today


def paired(then: pd.DataFrame, today: pd.DataFrame) -> pd.DataFrame:
    """Return each difference with both intervals, the mark of then, and the single and the double mark of today."""
    before, after = (
        table[(table["versus"] != "") & (table["test"] != TASKS_LIKE)][
            [*COMPARED, "value", "low", "high", "holds", "holds_holm"]
        ]
        for table in (then, today)
    )
    return pd.merge(before, after, on=COMPARED, suffixes=("_then", ""))


def main(
    project: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
    configfile: Annotated[Path | None, typer.Option(help="What the project was run with.")] = None,
) -> None:
    """Print the table."""
    plan = plan_of(project, configfile)
    with contextlib.chdir(project):
        found = paired(*compared(plan, Path()))
    single, double = (found[found["holds_then"] != found[mark]] for mark in ("holds", "holds_holm"))
    rows = [
        {
            "row": row.method,
            "against": row.versus,
            "test": row.test,
            "points": f"{row.value:+.1f}",
            "95 % before": f"[{row.low_then:+.1f}, {row.high_then:+.1f}]",
            "now": f"[{row.low:+.1f}, {row.high:+.1f}]",
            "held": row.holds_then,
            "holds": row.holds,
            "among all rows": row.holds_holm,
        }
        for row in single.itertuples()
    ]
    print(tabulate(rows, headers="keys", tablefmt="pipe"))
    print(
        f"\nOf {len(found)} differences {(found['holds_then'] == 'yes').sum()} held by the former rules. "
        f"{(found['holds'] == 'yes').sum()} hold by themselves today: the {len(single)} above changed. "
        f"{(found['holds_holm'] == 'yes').sum()} hold among all rows (Holm): {len(double)} changed."
    )


if __name__ == "__main__":
    typer.run(main)
