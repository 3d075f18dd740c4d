"""Test scores against the size of the population: the paper's Figure 2."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genome.report import tables
from genome.report.figures.lines import draw_lines
from genome.report.figures.style import pictures
from genome.report.layout import Column, Method, Style
from genome.report.uncertainty import uncertainty

log = logging.getLogger("genome")

WITHOUT_GAINS = Style("Figure 2: test scores against population size.", over=())


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
    draw_lines(table, "population_size", "Population size N", out)
