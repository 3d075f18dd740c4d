"""Table 10: correlations of hyper-parameters with score and time (paper, section 6.3)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from genome.report import study, tables
from genome.report.study import OUTCOMES, RATES


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write the table from the study's runs."""
    study.write_analysis(correlations, markdown, settings, inputs, outputs)


def correlations(runs: pd.DataFrame) -> pd.DataFrame:
    """Return Table 10: Pearson's r and Spearman's rho of each rate with each outcome, and their two-sided p-values."""
    rows = []
    for rate in RATES:
        for outcome in OUTCOMES:
            x, y = runs[rate], runs[outcome]
            defined = len(runs) > 2 and x.nunique() > 1 and y.nunique() > 1
            pearson = tuple(pearsonr(x, y)) if defined else (np.nan, np.nan)
            spearman = tuple(spearmanr(x, y)) if defined else (np.nan, np.nan)
            found = zip(("pearson_r", "pearson_p", "spearman_rho", "spearman_p"), (*pearson, *spearman), strict=True)
            rows.append({"hyperparameter": rate, "metric": outcome, **dict(found), "n_runs": len(runs)})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame, described: str) -> str:
    """Return Table 10 in Markdown, in the paper's form. `described` is the runs' description."""
    rows = [
        [
            RATES[row.hyperparameter] if row.metric == next(iter(OUTCOMES)) else "",
            OUTCOMES[row.metric],
            study.starred(row.pearson_r, row.pearson_p, 3),
            study.number(row.pearson_p, ".3e"),
            study.starred(row.spearman_rho, row.spearman_p, 3),
            study.number(row.spearman_p, ".3e"),
        ]
        for row in tables.rows_of(table)
    ]
    heading = ["Hyper-parameter", "Metric", "Pearson *r*", "*p*-value", "Spearman *ρ*", "*p*-value"]
    title = "Table 10: correlation of hyper-parameters with score and time"
    return study.page(rows, heading, f"{title}, over {described} {study.notes(table)}")
