"""How an ensemble's test score depends on how many of the fittest members it has."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from genome.report.figures import style
from genome.report.figures.style import MUTED, styled
from genome.scoring import statistics
from genome.scoring.statistics import Answered
from genome.tasks import Task

MEAN = "mean"
CONFIGURED = {"color": style.MEAN, "lw": 0.8, "ls": (0, (2, 2)), "zorder": 1}


def by_size(
    task: Task,
    samples: Sequence[Mapping[str, Any]],
    members: Sequence[Sequence[str | None]],
    size: int,
    similarity: Mapping[str, Any],
) -> list[Answered]:
    """Return what the ensembles of the 1, 2, … `size` fittest members of a run are worth on a test.

    members: each member's answers, fittest first; where there are fewer than `size` distinct ones, all of them are the
    ensemble from there on. An ensemble of one is the fittest member.
    """
    return statistics.of_ensembles(task, samples, [members[:k] for k in range(1, size + 1)], similarity)


def table(tests: Mapping[str, Sequence[Sequence[Answered]]], seeds: Sequence[int]) -> pd.DataFrame:
    """Return the score of each ensemble in percent, with its 95 % interval, by task and size, and the mean over tasks.

    `tests` holds for each task, and for each seed of its runs, what `by_size` found.
    """
    rows, drawn = [], []
    for task, runs in tests.items():
        n = len(runs[0][0].samples)
        draws = statistics.draw_samples(task, n)
        drawn.append([])
        for k, by_seed in enumerate(zip(*runs, strict=True), start=1):
            values = statistics.over_seeds([statistics.replicates(run, draws) for run in by_seed])
            drawn[-1].append(values)
            interval = statistics.interval(by_seed, values)
            rows.append(
                {"task": task, "k": k, "score": np.mean([run.value for run in by_seed]), **_ends(interval), "n": n}
            )
    by_task = pd.DataFrame(rows)
    means = by_task.groupby("k")["score"].mean()
    rows += [
        {"task": MEAN, "k": k, "score": means[k], **_ends(statistics.of_scores(values))}
        for k, values in enumerate(np.mean(drawn, axis=0), start=1)
    ]
    found = pd.DataFrame(rows).assign(seeds=" ".join(map(str, seeds)))
    found[["score", "low", "high"]] *= 100
    found["n"] = found["n"].astype("Int64")
    return found


def _ends(interval: statistics.Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high}


def draw(found: pd.DataFrame, k: int, out: Iterable[Path | str]) -> None:
    """Draw a `table`: the mean over tasks with its interval, and below it what each task gains; size `k` is marked."""
    scores = {task: rows.set_index("k") for task, rows in found.groupby("task", sort=False)}
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
