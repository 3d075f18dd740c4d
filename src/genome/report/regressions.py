"""Table 11: score and time regressed on hyper-parameters (paper, section 6.3, Eq. 6)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.regression.linear_model import OLS

from genome.report import study, tables
from genome.report.study import OUTCOMES, RATES

PANELS = {"test": "Test performance", "ensemble": "Ensemble performance", "seconds": "Computational time (s)"}
CONSTANT = "Constant"


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write the table from the study's runs."""
    study.write_analysis(regressions, markdown, settings, inputs, outputs)


def regressions(runs: pd.DataFrame) -> pd.DataFrame:
    """Return Table 11: the least-squares fit of each outcome on a constant and the three rates (Eq. 6).

    Columns: outcome, variable, coefficient, standard_error, t, p, r_squared (of the whole fit), n_runs.
    """
    design = np.column_stack([np.ones(len(runs)), runs[[*RATES]]])
    determined = len(runs) > design.shape[1] and np.linalg.matrix_rank(design) == design.shape[1]
    rows = []
    for outcome in OUTCOMES:
        values: Any = np.full((4, design.shape[1]), np.nan)
        r_squared = np.nan
        if determined and runs[outcome].nunique() > 1:
            fit = OLS(runs[outcome].to_numpy(), design).fit()
            values, r_squared = (fit.params, fit.bse, fit.tvalues, fit.pvalues), fit.rsquared
        for variable, *numbers in zip((CONSTANT, *RATES), *values, strict=True):
            found = zip(("coefficient", "standard_error", "t", "p"), numbers, strict=True)
            rows.append({"outcome": outcome, "variable": variable, **dict(found), "r_squared": r_squared})
    return pd.DataFrame(rows).assign(n_runs=len(runs))


def markdown(table: pd.DataFrame, described: str) -> str:
    """Return Table 11 in Markdown, in the paper's form: a panel per outcome. `described` is the runs' description."""
    rows = []
    for letter, (outcome, panel) in zip("ABC", table.groupby("outcome", sort=False), strict=True):
        explained = panel["r_squared"].iloc[0]
        fit = "" if pd.isna(explained) else f" (*R²* = {explained:.3f})"
        rows.append([f"**Panel {letter}: {PANELS[str(outcome)]}**{fit}", *[""] * 4])
        rows += [
            [
                RATES.get(row.variable, row.variable),
                study.starred(row.coefficient, row.p, 2),
                study.number(row.standard_error, ".2f"),
                study.number(row.t, ".3f"),
                study.number(row.p, ".3f"),
            ]
            for row in tables.rows_of(panel)
        ]
    heading = ["Variable", "Coefficient", "Std. error", "*t*-statistic", "*p*-value"]
    title = "Table 11: score and time regressed on hyper-parameters (least squares with a constant)"
    units = "A coefficient is the change, in percentage points or seconds, from a rate of 0 to one of 1."
    return study.page(rows, heading, f"{title}, over {described} {units} {study.notes(table)}")
