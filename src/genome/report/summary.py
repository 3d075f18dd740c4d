"""Table 2 in short: each method's mean test score, its gains over what needs no evolution, and what it spends."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genome.engine.usage import TOKENS
from genome.files import write_text
from genome.report import tables
from genome.report.comparison import comparison
from genome.report.figures.summary import draw_cost, draw_scores
from genome.report.layout import BASELINES, MEAN, TASKS_LIKE, Column, Method, Style
from genome.report.summary_page import page
from genome.report.tables import chosen
from genome.report.timing import RUNS, records_of_runs
from genome.report.uncertainty import uncertainty

log = logging.getLogger("genome")

STYLE = Style("Summary of Table 2.", over=(), tested=tuple(BASELINES), mean=True)

Spent = Mapping[str, Mapping[str, int]]
"""The samples and tokens that each run has spent, by its path below results/runs."""


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write the summary as csv, as two pictures, and as a page that contains both."""
    blanks = settings.get("blanks", {})
    methods = [{**row, "blanks": blanks.get(row["label"], {})} for row in settings["methods"]]
    layout = methods, settings["columns"], settings["seeds"]
    scores = tables.collect(inputs["scores"])
    table = summary(scores, spent(inputs["records"], settings["stages"]), *layout)
    tables.write_csv(table, outputs["table"])
    draw_scores(table, [outputs["scores"]])
    draw_cost(table, [outputs["cost"]])
    pictures = [Path(outputs[name]).read_bytes() for name in ("scores", "cost")]
    sizes = scores.groupby("test_task")["n"].max().tolist()
    write_text(outputs["page"], page(table, pictures, len(settings["columns"]), settings["seeds"], sizes))
    log.info("%d methods on %d tests", *map(len, layout[:2]))


def spent(record_files: Iterable[Path | str], stages: Mapping[str, Sequence[str]]) -> Spent:
    """Return what the jobs of each run have spent on validation data; a training spends tokens only."""
    found = records_of_runs(record_files, stages, "samples", *TOKENS)
    return {
        run: {
            "samples": sum(record["samples"] for record in records),
            "tokens": sum(record[name] for record in records for name in TOKENS),
        }
        for run, records in found.items()
    }


def summary(
    scores: pd.DataFrame, spent: Spent, methods: Sequence[Method], columns: Sequence[Column], seeds: Sequence[int]
) -> pd.DataFrame:
    """Return a row per method, the best first: its mean test score in percent, its gains in points, what it spends.

    `low` and `high` are the 95 % interval of `score` on these tasks. For each reference R, which is a shown baseline or
    `best`, the best method, `R` is the gain over it, with its interval on these tasks (`R_low`, `R_high`) and on tasks
    like these (`R_like_low`, `R_like_high`; missing for one task), and whether it holds (`R_holds`, and `R_holds_holm`
    among all methods). `samples` and `tokens` are medians over runs, missing for methods that look at no validation
    sample. Methods that lack a score on some task have no numbers and come last.
    """
    means = comparison(scores, methods, columns, seeds, STYLE).set_index("method")[MEAN].astype(float)
    best = [row for row in methods if row["label"] == means.idxmax()] if means.notna().any() else []
    style = replace(STYLE, tested=(*BASELINES, *(row["name"] for row in best)))
    sure = uncertainty(scores, methods, columns, seeds, style)
    of = {(row.method, row.versus, row.test): row for row in tables.rows_of(sure)}
    references = [(row["name"], row["label"]) for row in STYLE.references(methods)]
    references += [("best", row["label"]) for row in best]
    rows = []
    for method in methods:
        label = method["label"]
        own = of.get((label, "", MEAN))
        runs = pd.concat([chosen(scores, method, column, seeds) for column in columns])
        costs = pd.DataFrame([spent[run] for run in runs["run"].str.removeprefix(RUNS) if run in spent])
        row = {
            "method": label,
            **{key: method[key] for key in ("name", "short", "shown")},
            **_ends("", own),
            **costs.reindex(columns=["samples", "tokens"]).median(),
        }
        for name, other in references:
            gain, like = of.get((label, other, MEAN)), of.get((label, other, TASKS_LIKE))
            row |= _ends(name, gain)
            row |= {
                f"{name}_like_low": like.low if like else np.nan,
                f"{name}_like_high": like.high if like else np.nan,
            }
            row |= {f"{name}_{word}": getattr(gain, word) if gain else "" for word in ("holds", "holds_holm")}
        rows.append({**row, "runs": own.runs if own else " ".join(runs["folder"])})
    table = pd.DataFrame(rows)
    return table.sort_values("score", ascending=False, kind="stable", na_position="last", ignore_index=True)


def _ends(name: str, found: Any) -> dict[str, float]:
    """Return the cells of a number with its interval, missing if there is none; a score has no `name`."""
    keys = (name, f"{name}_low", f"{name}_high") if name else ("score", "low", "high")
    return dict(zip(keys, (found.value, found.low, found.high) if found else (np.nan,) * 3, strict=True))
