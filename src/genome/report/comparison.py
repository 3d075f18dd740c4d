"""Methods compared on tasks: Tables 2 to 6 and 8.

All comparisons have one form: a row per method and a column per test, with gains in points and in percent below a row.
`STYLES` in `genome.report.layout` lists how the tables differ. Scores are percentages; relative gains are percentages
of the score they are compared with.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genome.errors import GenomeError
from genome.files import write_text
from genome.report import captions, rendering, tables
from genome.report.layout import MEAN, STYLES, Column, Method, Style
from genome.report.tables import chosen
from genome.report.traces import minus, versus, with_runs
from genome.report.uncertainty import uncertainty
from genome.search.records import read_contents

log = logging.getLogger("genome")


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write one of the tables, the score of each of its runs, and the intervals of its numbers.

    Intervals are computed from the answers next to the score files. The populations in `inputs["best_single"]` name
    the experts that Best Single is. `settings["blanks"]` gives reasons for empty cells by row and column.
    """
    style, blanks = STYLES[settings["table"]], settings.get("blanks", {})
    methods = [{**row, "blanks": blanks.get(row["label"], {})} for row in settings["methods"]]
    scores = with_experts(tables.collect(inputs["scores"]), inputs.get("best_single", ()))
    layout = methods, settings["columns"], settings["seeds"], style
    table = comparison(scores, *layout)
    sure = uncertainty(scores, *layout)
    tables.write_csv(scores, outputs["scores"])
    tables.write_csv(sure, outputs["uncertainty"])
    tables.write_csv(with_runs(table, sure), outputs["table"])
    text = rendering.markdown(table, sure, *layout[:2], style)
    notes = captions.notes(scores, *layout[:3])
    caption = f"{captions.caption(scores, sure, *layout)} Intervals and runs: {Path(outputs['uncertainty']).name}."
    write_text(outputs["markdown"], "\n".join([text, *(f"{note}\n" for note in [*notes, caption])]))
    log.info("%d methods on %d tests from %d score files", *map(len, layout[:2]), len(inputs["scores"]))


def with_experts(scores: pd.DataFrame, populations: Sequence[str]) -> pd.DataFrame:
    """Return scores with a column `expert`: the one that Best Single is, from its population; empty for others."""
    names = {Path(path).parent.as_posix(): read_contents(path)["best"]["name"] for path in populations}
    return scores.assign(expert=[names.get(run, "") for run in scores["run"]])


def comparison(
    scores: pd.DataFrame, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int], style: Style
) -> pd.DataFrame:
    """Return a table: a row per method in the given order, a column per test, optionally their mean, in percent.

    A cell is the mean over `seeds` of the runs that its column names; a method without randomness repeats its value.
    A row is followed by its gains, in points (`A − B`) and in percent (`A vs B`), which are computed from seed means;
    the `mean` of a gain is the mean of the columns' gains. A cell is missing if a seed is, or if a gain would divide by
    zero; such a gain is left out of its mean. A mean is missing if a score of its row is.
    """
    labels = [row["label"] for row in methods]
    if len({*labels}) < len(labels):
        raise GenomeError(f"two rows of a table have one label ({', '.join(labels)}); give each its own under `labels`")
    names = [column["name"] for column in columns]
    means = {
        row["label"]: pd.Series(
            {column["name"]: chosen(scores, row, column, seeds)["score"].mean() for column in columns}, dtype=float
        )
        for row in methods
    }
    gains = style.gains(methods)
    rows = []
    for row in methods:
        values = means[row["label"]]
        rows.append({"method": row["label"], **values, MEAN: values.mean(skipna=False)})
        for compared, reference in gains:
            if compared is row:
                pair, other = (row["label"], reference["label"]), means[reference["label"]]
                points = values - other
                relative = 100.0 * points / other.where(other != 0)
                mean = points.mean(skipna=False)
                rows.append({"method": minus(*pair), **points, MEAN: mean})
                rows.append({"method": versus(*pair), **relative, MEAN: relative.mean() if pd.notna(mean) else None})
    return pd.DataFrame(rows, columns=["method", *names, *([MEAN] if style.mean else [])])
