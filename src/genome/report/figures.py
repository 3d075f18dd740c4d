"""Figures: from a run's populations to SVG (for papers) and PNG (for pages), the same bytes for the same run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from genome.files import replacing

COLUMN = 3.4
"""Width of a figure in inches: one column of a two-column page, so that text is read at its printed size."""

INK, MUTED, FAINT = "#1a1a1a", "#6b6b6b", "#e4e4e4"
BEST, MEAN, MEMBER = "#0b4f8a", "#c2571a", "#7fa8cc"

STYLE = {
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
    "savefig.dpi": 300,
    "svg.fonttype": "path",
    # SVG names its parts by hashes; without a fixed salt each run would name them anew.
    "svg.hashsalt": "genome",
}

MEMBERS = {"ls": "", "marker": "o", "ms": 3.4, "mfc": MEMBER, "mec": "white", "mew": 0.35, "zorder": 4}
DISCARDED = {"ls": "", "marker": "o", "ms": 2.8, "mfc": "white", "mec": MUTED, "mew": 0.5, "zorder": 2}

METADATA = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}
"""What matplotlib would write into the file by itself and we leave out: the same figure is the same bytes."""


@contextmanager
def styled(height: float, out: Iterable[Path | str]) -> Iterator[Axes]:
    """Yield axes one column wide and `height` inches high, in the project's style; then write them to each of `out`.

    A reader's own matplotlib settings have no effect. The format follows from a file's suffix, .svg or .png.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(COLUMN, height), layout="constrained")
        yield figure.add_subplot()
        for path in map(Path, out):
            with replacing(path) as temporary:
                figure.savefig(temporary, format=path.suffix[1:], metadata=METADATA[path.suffix])


def evolution(populations: Sequence[Mapping[str, Any]], out: Iterable[Path | str], title: str = "") -> None:
    """Draw a run: validation fitness by generation, members and discarded candidates as dots, best and mean as lines.

    `populations` are the contents of a run's `population.json` files, in any order.
    """
    populations = sorted(populations, key=lambda population: population["generation"])
    generations = [population["generation"] for population in populations]
    best = [population["best"]["fitness"] for population in populations]
    members = [[member["fitness"] for member in population["members"]] for population in populations]
    means = [sum(values) / len(values) for values in members]
    discarded = [_discarded(population) for population in populations]
    everything = [*best, *(value for values in (*members, *discarded) for value in values)]
    # A dot is about 1/40 of the axes high: values closer than that would cover each other.
    height = (max(everything) - min(everything)) / 40
    x, y, kept = [], [], []
    for generation, inside, outside in zip(generations, members, discarded, strict=True):
        values = inside + outside
        x += [generation + offset for offset in _swarm(values, height)]
        y += values
        kept += [True] * len(inside) + [False] * len(outside)
    with styled(2.5, out) as axes:
        axes.plot(generations, best, color=BEST, lw=1.7, solid_capstyle="round", zorder=3, label="best so far")
        axes.plot(generations, means, color=MEAN, lw=1.2, ls=(0, (3, 1.5)), zorder=5, label="mean of members")
        for label, shown, look in (("member", True, MEMBERS), ("discarded", False, DISCARDED)):
            chosen = [index for index, is_kept in enumerate(kept) if is_kept is shown]
            axes.plot([x[index] for index in chosen], [y[index] for index in chosen], **look, label=label)
        # Lines that end close together have their labels pushed apart.
        near = best[-1] - means[-1] < 3 * height
        _end_label(axes, best[-1], BEST, "bottom" if near else "center")
        _end_label(axes, means[-1], MEAN, "top" if near else "center")
        axes.set(
            xlabel="Generation",
            ylabel="Validation fitness",
            title=title,
            xlim=(generations[0] - 0.6, generations[-1] + 0.6),
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.figure.legend(
            loc="outside lower center", ncols=4, fontsize=6.5, handlelength=1.8, handletextpad=0.5, columnspacing=1.1
        )


def _discarded(population: Mapping[str, Any]) -> list[float]:
    """Return the fitness of what a generation tried and did not keep."""
    kept = {member["name"] for member in population["members"]}
    return [individual["fitness"] for individual in population["created"] if individual["name"] not in kept]


def _swarm(values: Sequence[float], height: float) -> list[float]:
    """Return a horizontal offset for each dot of a generation, in generations, so that near values lie side by side.

    Dots are seated from the highest down, each as near to the middle as those within `height` above it allow.
    """
    seats: list[int] = [0] * len(values)
    seated: list[int] = []
    for index in sorted(range(len(values)), key=lambda index: -values[index]):
        taken = {seats[other] for other in seated if values[other] - values[index] <= height}
        seats[index] = next(seat for seat in _from_the_middle() if seat not in taken)
        seated.append(index)
    width = 2 * max(map(abs, seats)) + 1
    # Neighbouring generations must stay apart however many dots share a seat row.
    return [seat * min(0.2, 0.85 / width) for seat in seats]


def _from_the_middle() -> Iterator[int]:
    yield 0
    for distance in count(1):
        yield from (distance, -distance)


def _end_label(axes: Axes, value: float, colour: str, va: str) -> None:
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
