"""How an ensemble's test score depends on how many of the fittest members it has."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from genome.report.figures import style
from genome.report.figures.style import MUTED, pictures, styled
from genome.report.layout import MEAN
from genome.report.run_files import answered_tests
from genome.report.tables import write_csv
from genome.report.traces import joined
from genome.scoring import intervals, statistics
from genome.scoring.intervals import Estimate
from genome.scoring.statistics import Answered
from genome.tasks import Task

CONFIGURED = {"color": style.MEAN, "lw": 0.8, "ls": (0, (2, 2)), "zorder": 1}
"""The line at the configured size."""


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Draw the score of the ensemble of the k fittest members for every k, and write its numbers."""
    tests: dict[str, list[list[Answered]]] = {}
    folders: dict[str, list[str]] = {}
    for run, task, samples, (_, *members) in answered_tests(settings, inputs):
        answers = [member.answers for member in members]
        scored = by_size(task, samples, answers, settings["size"], settings["similarity"])
        tests.setdefault(task.name, []).append(scored)
        folders.setdefault(task.name, []).append(run.folder)
    result = table(tests, settings["seeds"])
    behind = {task: joined(each) for task, each in folders.items()} | {MEAN: joined(chain(*folders.values()))}
    write_csv(result.assign(runs=result["task"].map(behind)), outputs["table"])
    draw(result, settings["k"], pictures(outputs))


def by_size(
    task: Task,
    samples: Sequence[Mapping[str, Any]],
    members: Sequence[Sequence[str | None]],
    size: int,
    similarity: Mapping[str, Any],
) -> list[Answered]:
    """Return the scores of the ensembles of the 1, 2, … `size` fittest members of a run on a test.

    members: each member's answers, fittest first; if there are fewer than `size`, larger ensembles have all of them. An
    ensemble of one is the fittest member.
    """
    return statistics.of_ensembles(task, samples, [members[:k] for k in range(1, size + 1)], similarity)


def table(tests: Mapping[str, Sequence[Sequence[Answered]]], seeds: Sequence[int]) -> pd.DataFrame:
    """Return the score of each ensemble in percent, with its 95 % interval, by task and size, and the mean over tasks.

    `tests` contains the scores of `by_size` for each task and each seed of its runs.
    """
    rows, estimates = [], []
    for task, runs in tests.items():
        n = len(runs[0][0].samples)
        estimates.append([intervals.of_score(by_seed) for by_seed in zip(*runs, strict=True)])
        rows += [{"task": task, "k": k, **_score(each), "n": n} for k, each in enumerate(estimates[-1], start=1)]
    means = map(intervals.of_mean, zip(*estimates, strict=True))
    rows += [{"task": MEAN, "k": k, **_score(mean)} for k, mean in enumerate(means, start=1)]
    found = pd.DataFrame(rows).assign(seeds=" ".join(map(str, seeds)))
    found[["score", "low", "high"]] *= 100
    found["n"] = found["n"].astype("Int64")
    return found


def _score(estimate: Estimate) -> dict[str, float]:
    return {"score": estimate.value, "low": estimate.interval.low, "high": estimate.interval.high}


def draw(found: pd.DataFrame, k: int, out: Iterable[Path | str]) -> None:
    """Draw a `table`: the mean over tasks with its interval, and the gains of each task below; size `k` is marked."""
    scores = {str(task): rows.set_index("k") for task, rows in found.groupby("task", sort=False)}
    mean = scores.pop(MEAN)
    columns = min(4, len(scores))
    rows = math.ceil(len(scores) / columns)
    heights = (1.5, 0.15 + 0.55 * rows)
    with styled(out, 0.6 + sum(heights)) as figure:
        grid = figure.add_gridspec(2, 1, height_ratios=heights)
        axes = figure.add_subplot(grid[0])
        panels = grid[1].subgridspec(rows, columns).subplots(sharex=True, sharey=True, squeeze=False)
        _draw_mean(axes, mean, k)
        for (task, by_size), panel in zip(scores.items(), panels.flat, strict=False):
            _draw_task(panel, task, by_size["score"] - by_size["score"].iloc[0], k)
        for panel in panels.flat[len(scores) :]:
            panel.set_visible(False)
        figure.supxlabel("Each task: points gained over the fittest member alone", fontsize=7.5)


def _draw_mean(axes: Axes, mean: pd.DataFrame, k: int) -> None:
    axes.fill_between(
        mean.index, mean["low"], mean["high"], color=style.MEMBER, alpha=0.35, lw=0, label="95 % interval"
    )
    axes.plot(mean.index, mean["score"], color=style.BEST, lw=1.7, marker="o", ms=3, label="mean over tasks")
    axes.axvline(k, **CONFIGURED, label=f"configured: {k}")
    axes.set(xlabel="Members of the ensemble, fittest first", ylabel="Test score, percent")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=6.5, handlelength=1.6, columnspacing=1.2)


def _draw_task(panel: Axes, task: str, gains: pd.Series, k: int) -> None:
    panel.axhline(0, color=MUTED, lw=0.6)
    panel.axvline(k, **CONFIGURED)
    panel.plot(gains.index, gains, color=style.BEST, lw=1)
    panel.set_title(task, fontsize=6, pad=2)
    panel.set_xticks(gains.index[[0, -1]])
    panel.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    panel.tick_params(labelsize=5.5)
