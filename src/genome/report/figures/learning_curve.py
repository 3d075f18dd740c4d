"""Test scores against the number of validation samples that a method has."""

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
from genome.workflow.names import draw_of

log = logging.getLogger("genome")

WITHOUT_GAINS = Style("Test scores against the number of validation samples.", over=())

ORDER = ["test", "method", "samples", "value", "low", "high", "interval", "n", "tasks", "seeds", "runs"]


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Draw the learning curve; intervals are computed from the answers next to the score files."""
    lines, levels, sizes = settings["lines"], settings["levels"], settings["sizes"]
    scores = tables.collect(inputs["scores"])
    table = learning_curve(scores, lines, levels, sizes, settings["whole"], settings["seeds"])
    tables.write_csv(table, outputs["table"])
    draw_learning_curve(table, pictures(outputs))
    log.info("%d methods on %d tests with %d numbers of samples", len(lines), len(settings["whole"]), len(sizes))


def by_draw(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores in which a run on TASK@NUMBER.DRAW is one on TASK@NUMBER, of the seed DRAW."""
    draws = scores["tasks"].map(draw_of).astype("Int64")
    parts = scores["tasks"].where(draws.isna(), scores["tasks"].str.rpartition(".")[0])
    return scores.assign(tasks=parts, seed=draws.fillna(scores["seed"]))


def learning_curve(
    scores: pd.DataFrame,
    lines: Sequence[Method],
    levels: Sequence[Method],
    sizes: Sequence[tuple[int, Sequence[Column]]],
    whole: Sequence[Column],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Return the score of each method on each test by validation samples, with its 95 % interval and runs, in percent.

    `sizes` are numbers of samples, each with the columns of runs on that many; levels are of the `whole` columns, and
    their `samples` are missing. A score is the mean over seeds; it has no row if one of its seeds is missing.
    """
    drawn = by_draw(scores)
    found = [uncertainty(drawn, lines, columns, seeds, WITHOUT_GAINS).assign(samples=size) for size, columns in sizes]
    found.append(uncertainty(scores, levels, whole, seeds, WITHOUT_GAINS).assign(samples=None))
    table = pd.concat([each[each["versus"] == ""] for each in found if len(each)])
    return table.astype({"samples": "Int64"})[ORDER].reset_index(drop=True)


def draw_learning_curve(table: pd.DataFrame, out: Iterable[Path | str]) -> None:
    """Draw a panel per test and a line per method over the number of samples, on a logarithmic scale."""
    draw_lines(table, "samples", "Validation samples", out, log=True)
