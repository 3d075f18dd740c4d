"""The rank of each expert among the experts on each category of tasks (the paper's Figure 3)."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, pi, sin
from pathlib import Path
from statistics import fmean
from textwrap import wrap
from typing import Any

from matplotlib.projections.polar import PolarAxes

from genome.errors import GenomeError
from genome.report.figures.style import BEST, FAINT, MEMBER, MUTED, PAGE, Row, pictures, styled, write_rows
from genome.report.run_files import by_task, task_of_run
from genome.search.records import read_contents

WIDE = 5
"""Radars in a row."""

LETTERS = 24
"""Letters of the key that fit under a radar."""


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Draw what each expert is good at, from the experts' populations on each task in `settings`."""
    categories = dict(settings["tasks"])
    files = by_task(inputs["files"], list(categories), task_of_run)
    rows = capabilities({task: read_contents(path) for task, path in files.items()}, categories)
    folders = {task: Path(path).parent.as_posix() for task, path in files.items()}
    behind = [" ".join(folders[task] for task in row["tasks"].split()) for row in rows]
    write_rows(outputs["table"], [{**row, "runs": runs} for row, runs in zip(rows, behind, strict=True)])
    draw_capabilities(rows, pictures(outputs))


def capabilities(scored: Mapping[str, Mapping[str, Any]], categories: Mapping[str, Sequence[str]]) -> list[Row]:
    """Return the score and rank of each expert in each category of tasks.

    A score is the mean validation fitness over the category's tasks; rank 1 is the best, equal scores share the mean of
    their ranks. `scored` contains, for each task, the content of the scored experts' `population.json`; `categories`
    lists those of each task, which may be several. Categories are in the order in which tasks name them first.
    """
    dimensions: dict[str, list[str]] = {}
    for task in scored:
        for category in categories[task]:
            dimensions.setdefault(category, []).append(task)
    fitness = {
        task: {expert["name"]: expert["fitness"] for expert in population["members"]}
        for task, population in scored.items()
    }
    experts = list(next(iter(fitness.values())))
    for task, of_task in fitness.items():
        if {*of_task} != {*experts}:
            raise GenomeError(
                f"results/runs/{task}/experts/population.json: experts {' '.join(of_task)}, other tasks have "
                f"{' '.join(experts)}; delete the file to have it made again"
            )
    rows = []
    for dimension, tasks in dimensions.items():
        # Rounded, so that equal means are equal numbers.
        scores = {expert: round(fmean(fitness[task][expert] for task in tasks), 9) for expert in experts}
        rows += [
            {
                "expert": expert,
                "dimension": dimension,
                "score": score,
                "rank": rank_of(score, scores.values()),
                "tasks": " ".join(tasks),
            }
            for expert, score in scores.items()
        ]
    return rows


def rank_of(score: float, scores: Iterable[float]) -> float:
    """Return the rank of `score` among `scores`, which contain it, from 1 on; equal scores share their mean rank."""
    scores = list(scores)
    return sum(other > score for other in scores) + (1 + scores.count(score)) / 2


def draw_capabilities(rows: Sequence[Row], out: Iterable[Path | str]) -> None:
    """Draw a small radar for each expert: a spoke per category, the outermost ring for the best of all experts."""
    experts = list(dict.fromkeys(row["expert"] for row in rows))
    dimensions = list(dict.fromkeys(row["dimension"] for row in rows))
    codes = short_names(dimensions)
    wide, high = min(WIDE, len(experts)), ceil(len(experts) / WIDE)
    with styled(out, 0.45 + 1.5 * high, PAGE * wide / WIDE) as figure:
        panels = figure.subplots(high, wide, squeeze=False, subplot_kw={"projection": "polar"})
        for axes, expert in zip(panels.flat, experts, strict=False):
            ranks = [row["rank"] for row in rows if row["expert"] == expert]
            _radar(axes, [len(experts) + 1 - rank for rank in ranks], codes, len(experts))
            axes.set_title(expert, loc="center", fontweight="bold", fontsize=7.5, pad=14)
        for axes in panels.flat[len(experts) :]:
            axes.set_visible(False)
        # Lines are not broken inside an entry.
        entries = (f"{code} = {name}" for code, name in zip(codes, dimensions, strict=True))
        key = ", ".join(entry.replace(" ", "\N{NO-BREAK SPACE}") for entry in entries)
        rings = f"Outermost ring: best of {len(experts)} experts; innermost: last."
        figure.supxlabel("\n".join([*wrap(key, LETTERS * wide), rings]), fontsize=6.5)


def short_names(names: Sequence[str]) -> list[str]:
    """Return an abbreviation of each name: initials of several words, the start of one; if two agree, the names."""
    codes = ["".join(word[0] for word in words) if len(words := name.split()) > 1 else name[:4] for name in names]
    return [name if codes.count(code) > 1 else code for name, code in zip(names, codes, strict=True)]


def _radar(axes: PolarAxes, heights: Sequence[float], codes: Sequence[str], count: int) -> None:
    """Draw one expert: heights from 1, the last of `count` experts, to `count`, the best."""
    angles = [2 * pi * i / len(codes) for i in range(len(codes))]
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_ylim(0, count)
    rings = [1, (count + 1) / 2, count]
    # Straight rings: a value between two spokes has no meaning.
    for ring in rings:
        axes.plot([*angles, angles[0]], [ring] * (len(angles) + 1), color=MUTED if ring == rings[-1] else FAINT, lw=0.6)
    axes.plot([*angles, angles[0]], [*heights, heights[0]], color=BEST, lw=1.3, marker="o", ms=2.6, clip_on=False)
    axes.fill(angles, heights, facecolor=MEMBER, alpha=0.45)
    for angle, code in zip(angles, codes, strict=True):
        side = round(sin(angle), 3)
        ha = "left" if side > 0 else "right" if side < 0 else "center"
        axes.text(angle, 1.14 * count, code, ha=ha, va="center", fontsize=6)
    axes.set_xticks(angles, [])
    axes.set_yticks([])
    axes.grid(color=FAINT, lw=0.6)
    axes.spines["polar"].set_visible(False)
