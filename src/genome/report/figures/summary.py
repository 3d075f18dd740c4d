"""The two pictures of the summary: mean test scores with intervals, and scores against tokens."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from genome.report.figures.style import BEST, MEAN, MUTED, styled
from genome.report.layout import BASELINES
from genome.report.tables import rows_of

SIZE = {"width": 4.6, "height": 2.5}
"""Inches; half of a wide page."""

MOST, FEW = 14, 8
"""Methods that fit below each other, and so few that their names are printed larger."""

APART = 0.075
"""The least distance of names below each other, as a part of the axis."""


def draw_scores(table: pd.DataFrame, out: Iterable[Path | str]) -> None:
    """Draw the mean test scores of `genome.report.summary` with their intervals, the best at the top.

    Of many methods, only the best are drawn, and those that others are compared with.
    """
    scored = table[table["score"].notna()].reset_index(drop=True)
    shown = scored[(scored.index < MOST) | scored["name"].isin(BASELINES)]
    with styled(out, SIZE["height"], SIZE["width"]) as figure:
        axes = figure.add_subplot()
        places = np.arange(len(shown))[::-1]
        for place, row in zip(places, rows_of(shown), strict=True):
            colour = _colour(row, shown)
            axes.plot([row.low, row.high], [place, place], color=colour, lw=1.4, solid_capstyle="butt")
            axes.plot(row.score, place, "o", color=colour, ms=3.6)
        axes.set_yticks(places, shown["short"], fontsize=6.5 if len(shown) > FEW else 7.5)
        axes.set(ylim=(-0.7, len(shown) - 0.3), xlabel="Mean test score, % (95 % interval)")
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")


def draw_cost(table: pd.DataFrame, out: Iterable[Path | str]) -> None:
    """Draw mean test scores against the tokens spent on a task, naming methods that nothing cheaper beats."""
    scored = table[table["score"].notna()]
    # What spends nothing has no place on a logarithmic axis: it is drawn left of the cheapest.
    spending = scored["tokens"][scored["tokens"] > 0]
    least, most = (spending.min(), spending.max()) if len(spending) else (1.0, 10.0)
    nothing = least / 3
    placed = scored.assign(place=scored["tokens"].where(scored["tokens"] > 0, nothing))
    front = not_beaten(placed["place"], placed["score"])
    with styled(out, SIZE["height"], SIZE["width"]) as figure:
        axes = figure.add_subplot()
        axes.set(xscale="log", xlabel="Tokens spent on a task, median", ylabel="Mean test score, %")
        axes.set_xlim(nothing / 1.4, most * 1.3)
        ticks = [tick for tick in _round_numbers(least, most) if tick > 1.5 * nothing]
        axes.set_xticks([nothing, *ticks], ["none", *map(EngFormatter(sep=""), ticks)])
        axes.minorticks_off()
        axes.margins(y=0.1)
        for row, is_named in zip(rows_of(placed), front | placed["name"].isin(BASELINES), strict=True):
            size, alpha = (4, 1.0) if is_named else (3, 0.5)
            axes.plot(row.place, row.score, "o", color=_colour(row, scored), ms=size, alpha=alpha)
        _name(axes, placed[front], placed[~front & placed["name"].isin(BASELINES)], nothing)


def not_beaten(costs: pd.Series, scores: pd.Series) -> np.ndarray:
    """Return which methods no other one beats: with at least their score for less, or a higher one for as much."""
    cost, score = costs.to_numpy(float)[:, None], scores.to_numpy(float)[:, None]
    beats = ((cost < cost.T) & (score >= score.T)) | ((cost == cost.T) & (score > score.T))
    return ~beats.any(axis=0)


def _colour(row: Any, scored: pd.DataFrame) -> str:
    """Return a method's colour: the best's, that of what others are compared with, or that of all others."""
    return BEST if row.score == scored["score"].max() else MEAN if row.name in BASELINES else MUTED


def _round_numbers(least: float, most: float) -> list[float]:
    """Return round numbers of a logarithmic axis: 1, 2, 5, 10 … within two powers of ten, otherwise those powers."""
    powers = 10.0 ** np.arange(np.floor(np.log10(least)), np.ceil(np.log10(most)) + 1)
    numbers = np.outer(powers, (1, 2, 5) if most / least < 100 else (1,)).ravel()
    return [float(number) for number in numbers if least / 2 < number < 1.2 * most]


def _name(axes: Axes, front: pd.DataFrame, others: pd.DataFrame, nothing: float) -> None:
    """Write the names of the front that spends something in the right margin, and other names next to their points."""
    spending = front[front["place"] > nothing].sort_values("score", ascending=False)
    low, high = axes.get_ylim()
    last = high + APART * (high - low)
    for row in rows_of(spending):
        last = min(row.score, last - APART * (high - low))
        line = {"arrowstyle": "-", "color": MUTED, "lw": 0.4, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            row.short,
            (row.place, row.score),
            (1.03, last),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=6.5,
            color=_colour(row, front),
            arrowprops=line,
            annotation_clip=False,
        )
    for row in rows_of(pd.concat([front[front["place"] <= nothing], others])):
        axes.annotate(row.short, (row.place, row.score), (4, 0), textcoords="offset points", va="center", fontsize=6.5)
