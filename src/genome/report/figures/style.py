"""The look that all figures share, and how they are written: the same bytes for the same numbers."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genome.files import replacing, write_text

COLUMN, PAGE = 3.4, 7.0
"""Widths in inches: one column of a two-column page, and the whole page, so that text is read at its printed size."""

INK, MUTED, FAINT = "#1a1a1a", "#6b6b6b", "#e4e4e4"
BEST, MEAN, MEMBER = "#0b4f8a", "#c2571a", "#7fa8cc"

SERIES = (
    {"color": MUTED, "marker": "s", "ls": (0, (1, 1))},
    {"color": MEAN, "marker": "^", "ls": (0, (4, 1.5))},
    {"color": BEST, "marker": "o", "ls": "-"},
    {"color": "#2e7d5b", "marker": "D", "ls": (0, (5, 1, 1, 1))},
    {"color": "#8e4a86", "marker": "v", "ls": (0, (7, 2))},
    {"color": INK, "marker": "X", "ls": (0, (1, 2.5))},
)
"""Looks of lines that differ in colour, marker and dashes."""

LEGEND = {"fontsize": 6.5, "handlelength": 1.8, "handletextpad": 0.5, "columnspacing": 1.1}

RC_PARAMS = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "hatch.linewidth": 0.4,
    "savefig.dpi": 300,
    "svg.fonttype": "path",
    # SVG names its parts by hashes; without a fixed salt the names would differ between runs.
    "svg.hashsalt": "genome",
}

METADATA = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}
"""Metadata of matplotlib that is left out, so that the same figure is the same bytes."""

Row = Mapping[str, Any]
"""A row of the numbers that a figure draws, and of its csv."""


def pictures(outputs: Mapping[str, str]) -> list[str]:
    """Return the pictures among a result's outputs."""
    return [outputs["svg"], outputs["png"]]


@contextmanager
def styled(out: Iterable[Path | str], height: float, width: float = COLUMN) -> Iterator[Figure]:
    """Yield a figure of `width` by `height` inches in the project's style; then write it to each of `out`.

    A reader's own matplotlib settings have no effect. The format follows from a file's suffix, .svg or .png.
    """
    with matplotlib.style.context(["default", RC_PARAMS]):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        for path in map(Path, out):
            with replacing(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], metadata=METADATA[path.suffix])


def write_rows(path: Path | str, rows: Sequence[Row]) -> None:
    """Write rows of one set of columns as csv; floats survive exactly."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, lines.getvalue())


def by_generation(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Return a run's rows by generation, the earliest first."""
    generations: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["generation"]):
        generations.setdefault(row["generation"], []).append(row)
    return generations


def generation_axis(axes: Axes, generations: Iterable[int]) -> None:
    """Label a horizontal axis of generations, whole numbers only."""
    generations = list(generations)
    axes.set(xlabel="Generation", xlim=(generations[0] - 0.6, generations[-1] + 0.6))
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))


def end_label(axes: Axes, value: float, colour: str, va: str) -> None:
    """Write a line's last value at the right edge, in the line's colour."""
    axes.annotate(
        f"{value:.3f}",
        (1, value),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va=va,
        color=colour,
        fontweight="bold",
        annotation_clip=False,
    )
