"""A vote of runs with different base models: their weights cannot be mixed, their answers can.

Each base brings the members of its own ensemble. All of them answer together, fittest first by validation, as the
members of one ensemble do (`genome.scoring.ensemble`); each base's ensemble alone is what that is compared with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from genome.report.traces import joined
from genome.scoring import statistics
from genome.scoring.statistics import Answered
from genome.tasks import Task

VOTE = "vote"
MEAN = "mean"
COLUMNS = [
    "task", "model", "validation", "score", "low", "high", "over", "difference", "difference_low", "difference_high",
    "holds", "n", "seeds", "runs",
]  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A member of an ensemble: its validation fitness in [0, 1], and its answers to a test."""

    fitness: float
    answers: Sequence[str | None]


@dataclass(frozen=True)
class Run:
    """One run of one base on a test: the members of its ensemble, fittest first, and the folder of its responses."""

    base: str
    seed: int
    members: Sequence[Member]
    folder: str


Test = tuple[Task, Sequence[Mapping[str, Any]], Sequence[Run]]
"""A task, its test samples, and the runs of every base and seed."""


def vote(tests: Sequence[Test], similarity: Mapping[str, Any]) -> pd.DataFrame:
    """Return what each base's ensemble scores on each task, and what all of them score together; in percent.

    The vote's difference is to the base `over` whose members have the highest validation fitness on average: whom one
    would have chosen. The mean over tasks is to the one that was chosen on each.
    """
    rows = [row for test in tests for row in _compared(*test, similarity)]
    if len(tests) > 1:
        models = dict.fromkeys(row["model"] for row in rows)
        rows += [_mean([row for row in rows if row["model"] == model]) for model in models]
    table = pd.DataFrame([row | _difference(row) for row in rows], columns=COLUMNS)
    table["n"] = table["n"].astype("Int64")
    return table


def _compared(
    task: Task, samples: Sequence[Mapping[str, Any]], runs: Sequence[Run], similarity: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a row for each base and one for the vote; `draws` are replicates of its score, `chosen` the base's."""
    bases = list(dict.fromkeys(run.base for run in runs))
    seeds = list(dict.fromkeys(run.seed for run in runs))
    drawn = statistics.draw_samples(task.name, len(samples))
    rows = []
    for model in [*bases, VOTE]:
        behind = [run for run in runs if model in (run.base, VOTE)]
        answered = _answered(task, samples, [[run for run in behind if run.seed == seed] for seed in seeds], similarity)
        replicates = statistics.over_seeds([statistics.replicates(each, drawn) for each in answered])
        interval = statistics.interval(answered, replicates)
        rows.append(
            {
                "task": task.name,
                "model": model,
                "validation": 100 * fmean(member.fitness for run in behind for member in run.members),
                "score": 100 * fmean(each.value for each in answered),
                "low": 100 * interval.low,
                "high": 100 * interval.high,
                "n": len(samples),
                "seeds": " ".join(map(str, seeds)),
                "runs": joined(run.folder for run in behind),
                "draws": 100 * replicates,
            }
        )
    *alone, together = rows
    chosen = max(alone, key=lambda row: row["validation"])
    return [*alone, together | {"over": chosen["model"], "chosen": (chosen["score"], chosen["draws"])}]


def _answered(
    task: Task, samples: Sequence[Mapping[str, Any]], ensembles: Sequence[Sequence[Run]], similarity: Mapping[str, Any]
) -> list[Answered]:
    """Return what the members of the runs in each ensemble answer together."""
    members = [
        sorted((member for run in runs for member in run.members), key=lambda member: -member.fitness)
        for runs in ensembles
    ]
    answers = [[member.answers for member in each] for each in members]
    return statistics.of_ensembles(task, samples, answers, similarity)


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of one model's rows over tasks."""
    draws = np.mean([row["draws"] for row in rows], axis=0)
    interval = statistics.percentiles(draws)
    mean = {
        "task": MEAN,
        "model": rows[0]["model"],
        **{key: fmean(row[key] for row in rows) for key in ("validation", "score")},
        "low": interval.low,
        "high": interval.high,
        **{key: joined(row[key] for row in rows) for key in ("seeds", "runs")},
        "draws": draws,
    }
    if "chosen" not in rows[0]:
        return mean
    scores, chosen = zip(*(row["chosen"] for row in rows), strict=True)
    return mean | {"over": joined(row["over"] for row in rows), "chosen": (fmean(scores), np.mean(chosen, axis=0))}


def _difference(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the paired difference to the base that was chosen, of a row that has one."""
    if "chosen" not in row:
        return {}
    score, draws = row["chosen"]
    interval = statistics.percentiles(row["draws"] - draws)
    return {
        "difference": row["score"] - score,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "holds": "yes" if interval.excludes_zero else "no",
    }


def markdown(table: pd.DataFrame, variant: str, answered: str = "") -> str:
    """Return the table for reading: a row a base and the vote's, a column a task."""
    tasks, models = list(dict.fromkeys(table["task"])), list(dict.fromkeys(table["model"]))
    cells = {(row.task, row.model): row for row in table.itertuples()}
    lines = [[model, *(f"{cells[task, model].score:.2f}" for task in tasks)] for model in models]
    lines.append(["– vs the base chosen by validation", *(_points(cells[task, VOTE]) for task in tasks)])
    text = tabulate(
        lines,
        ["Ensemble", *tasks],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left"] + ["right"] * len(tasks),
    )
    caption = (
        f"Ensembles of {variant} on several base models, in percent, and the vote of all their members, "
        "fittest first. The difference, in points, is to the base with the higher validation fitness on each task; "
        "n.s. where its paired 95 % interval, over test samples and seeds, includes 0. "
    )
    return f"{text}\n\n{(caption + answered).strip()}\n"


def _points(cell: Any) -> str:
    shown = f"{cell.difference:+.2f}".replace("-", "−")
    return shown + (" n.s." if cell.holds == "no" else "")
