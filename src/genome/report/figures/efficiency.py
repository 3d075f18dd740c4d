"""Best validation fitness against the samples that methods spend."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from matplotlib.ticker import EngFormatter

from genome.report.figures.style import LEGEND, SERIES, styled


def draw_efficiency(table: pd.DataFrame, out: Iterable[Path | str]) -> None:
    """Draw the rows of `genome.report.efficiency.curves`: a line per method, with its band over seeds."""
    with styled(out, 2.7) as figure:
        axes = figure.add_subplot()
        for i, (method, curve) in enumerate(table.groupby("method", sort=False)):
            look = SERIES[i % len(SERIES)]
            # A method of one stage is a single point, without a length to set markers along.
            line = {"markevery": 0.12 if len(curve) > 1 else 1, "ms": 3.6, "mec": "white", "mew": 0.4, "lw": 1.2}
            axes.plot(curve["samples"], curve["median"], **look, **line, label=method)
            axes.fill_between(curve["samples"], curve["low"], curve["high"], color=look["color"], alpha=0.15, lw=0)
        axes.set(xlabel="Validation samples answered", ylabel="Best validation fitness, %")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        figure.legend(loc="outside lower center", ncols=3, **LEGEND)
