"""Test scores as lines with intervals, one panel per test: what Figure 2 and the learning curve share."""

from collections.abc import Iterable
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genome.report.figures.style import COLUMN, INK, LEGEND, PAGE, SERIES, styled

WIDE = 3
"""Panels in a row on a page; up to two fit into a column."""

LEVELS = ("-", (0, (3, 2)))
"""Dashes of level lines."""


def draw_lines(table: pd.DataFrame, over: str, label: str, out: Iterable[Path | str], *, log: bool = False) -> None:
    """Draw a panel per test and a line per method over the numbers of column `over`; `label` names them.

    Bars are 95 % intervals, shifted sideways. A method without a number is a thin level line. `log`: the horizontal
    axis is logarithmic.
    """
    tests, numbers = list(table["test"].unique()), sorted(table[over].dropna().unique())
    of_lines = table[table[over].notna()]
    methods = list(of_lines["method"].unique())
    levels = [method for method in table["method"].unique() if method not in methods]
    wide = min(len(tests), WIDE)
    high = ceil(len(tests) / wide)
    with styled(out, 0.6 + 1.9 * high, COLUMN if wide < WIDE else PAGE) as figure:
        panels = figure.subplots(high, wide, squeeze=False)
        for axes, test in zip(panels.flat, tests, strict=False):
            for i, method in enumerate(methods):
                line = of_lines[(of_lines["test"] == test) & (of_lines["method"] == method)]
                axes.errorbar(
                    _shifted(line[over], numbers, 2 * i - len(methods) + 1, log=log),
                    line["value"],
                    # The best BLEU exceeds 100 by rounding.
                    yerr=[(line["value"] - line["low"]).clip(0), (line["high"] - line["value"]).clip(0)],
                    **SERIES[i % len(SERIES)],
                    lw=1.2, ms=4, mec="white", mew=0.4, elinewidth=0.7, capsize=1.5, capthick=0.7, label=method,
                )  # fmt: skip
            for i, method in enumerate(levels):
                values = table[(table["test"] == test) & (table["method"] == method)]["value"]
                for value in values:
                    axes.axhline(value, color=INK, lw=0.7, ls=LEVELS[i % len(LEVELS)], zorder=1.5, label=method)
            axes.set(title=test, xlabel=label, xscale="log" if log else "linear")
            axes.set_xticks(numbers, map(str, numbers))
            axes.minorticks_off()
            axes.margins(x=0.08)
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        for axes in panels.flat[len(tests) :]:
            axes.set_visible(False)
        for axes in panels[:, 0]:
            axes.set_ylabel("Test score, %")
        _legend(figure, panels.flat)


def _legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """Name the lines of all panels below them, in as many columns as fit into the figure's width."""
    named = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels]
    handles = {name: handle for entries in named for handle, name in entries}
    for columns in range(min(6, len(handles)), 0, -1):
        legend = figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, **LEGEND)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def _shifted(places: pd.Series, numbers: list[int], steps: int, *, log: bool) -> np.ndarray:
    """Return places shifted by a number of small steps of the axis, so that bars do not cover each other."""
    places, ends = places.to_numpy(float), np.array([numbers[0], numbers[-1]], float)
    if log:
        return np.exp(np.log(places) + 0.012 * steps * (np.log(ends[1] / ends[0]) or 1))
    return places + 0.012 * steps * (ends[1] - ends[0] or 1)
