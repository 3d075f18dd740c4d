"""Test scores against the size of the population: the paper's Figure 2."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from genome.report import tables
from genome.report.figures.style import COLUMN, LEGEND, PAGE, SERIES, pictures, styled
from genome.report.layout import Column, Method, Style
from genome.report.uncertainty import uncertainty

log = logging.getLogger("genome")

WITHOUT_GAINS = Style("Figure 2: test scores against population size.", over=())
WIDE = 3
"""Panels in a row on a page; up to two fit into a column."""


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Draw test scores against population size; intervals are computed from the answers next to the score files."""
    layout = settings["methods"], settings["columns"], settings["sizes"], settings["seeds"]
    table = scaling(tables.collect(inputs["scores"]), *layout)
    tables.write_csv(table, outputs["table"])
    draw_scaling(table, pictures(outputs))
    log.info("%d methods on %d tests at %d sizes", *map(len, layout[:3]))


def scaling(
    scores: pd.DataFrame,
    methods: Sequence[Method],
    columns: Sequence[Column],
    sizes: Sequence[int],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Return the score of each method on each test by population size, with its 95 % interval and its runs, in percent.

    A score is the mean over seeds. A method without population has the same score at all sizes. A score has no row if
    one of its seeds is missing.
    """
    found = []
    for size in sizes:
        of_size = scores[(scores["population_size"] == size) | scores["population_size"].isna()]
        sure = uncertainty(of_size, methods, columns, seeds, WITHOUT_GAINS)
        found.append(sure[sure["versus"] == ""].assign(population_size=size))
    order = ["test", "method", "population_size", "value", "low", "high", "interval", "n", "tasks", "seeds", "runs"]
    return pd.concat(found)[order].reset_index(drop=True)


def draw_scaling(table: pd.DataFrame, out: Iterable[Path | str]) -> None:
    """Draw a panel per test and a line per method; bars are 95 % intervals, shifted sideways."""
    tests, methods = list(table["test"].unique()), list(table["method"].unique())
    sizes = sorted(table["population_size"].unique())
    wide = min(len(tests), WIDE)
    high = ceil(len(tests) / wide)
    apart = 0.012 * (sizes[-1] - sizes[0] or 1)
    with styled(out, 0.6 + 1.9 * high, COLUMN if wide < WIDE else PAGE) as figure:
        panels = figure.subplots(high, wide, squeeze=False)
        for axes, test in zip(panels.flat, tests, strict=False):
            for i, method in enumerate(methods):
                line = table[(table["test"] == test) & (table["method"] == method)]
                axes.errorbar(
                    line["population_size"] + apart * (2 * i - len(methods) + 1),
                    line["value"],
                    # The best BLEU exceeds 100 by rounding.
                    yerr=[(line["value"] - line["low"]).clip(0), (line["high"] - line["value"]).clip(0)],
                    **SERIES[i % len(SERIES)],
                    lw=1.2, ms=4, mec="white", mew=0.4, elinewidth=0.7, capsize=1.5, capthick=0.7, label=method,
                )  # fmt: skip
            axes.set(title=test, xlabel="Population size N")
            axes.set_xticks(sizes)
            axes.margins(x=0.08)
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        for axes in panels.flat[len(tests) :]:
            axes.set_visible(False)
        for axes in panels[:, 0]:
            axes.set_ylabel("Test score, %")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, **LEGEND)
