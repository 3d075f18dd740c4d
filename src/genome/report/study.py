"""The study of hyper-parameters (paper, section 6.3): its runs, correlations (Table 10) and regressions (Table 11).

What cannot be computed is empty: a correlation with an outcome that never differs, a regression on too few runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr
from statsmodels.regression.linear_model import OLS
from tabulate import tabulate

from genome.errors import GenomeError
from genome.report.tables import read_csv
from genome.report.timing import RUNS, Cost, named
from genome.report.traces import answered_by
from genome.scoring.results import REPORTS

RATES = {
    "crossover_rate": "Crossover rate",
    "individual_mutation_rate": "Individual mutation rate",
    "gene_mutation_rate": "Gene mutation rate",
}
OUTCOMES = {"test": "Test", "ensemble": "Ensemble", "seconds": "Time"}
PANELS = {"test": "Test performance", "ensemble": "Ensemble performance", "seconds": "Computational time (s)"}
CONSTANT = "Constant"

STARS = {0.01: "***", 0.05: "**", 0.1: "*"}
"""The paper's marks of p-values below these bounds."""


def runs(scores: pd.DataFrame, costs: Mapping[str, Cost], points: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row a run: its rates, the test scores (percent) of its best and of its ensemble, and what it took."""
    by_run = scores.set_index(["run", "report"])["score"]
    engines = dict(zip(scores["run"], scores["engine"], strict=True))
    rows = []
    for point in points:
        absent = [report for report in REPORTS if (f"{RUNS}{point['run']}", report) not in by_run]
        if absent:
            raise GenomeError(f"{RUNS}{point['run']}: no test score of its {absent[0]}; delete its scores.json")
        run, cost = f"{RUNS}{point['run']}", costs[point["run"]]
        rows.append(
            {
                **{rate: point[rate] for rate in RATES},
                "test": by_run[run, "best"],
                "ensemble": by_run[run, "ensemble"],
                "seconds": cost.seconds,
                "evaluations": cost.evaluations,
                "machine": named(cost.machines),
                "engine": engines[run],
                "run": run,
            }
        )
    return pd.DataFrame(rows).sort_values([*RATES], ignore_index=True)


def read(path: Path | str) -> pd.DataFrame:
    """Return the runs of a study, as `runs` has them, from its csv."""
    numbers = [*RATES, *OUTCOMES]
    return read_csv(path, [*numbers, "machine", "engine", "run"], numbers, "delete the file to have it made again")


def engines(study: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """Return the sentence that says which engine answered."""
    return answered_by((run, about["task"], engine) for run, engine in zip(study["run"], study["engine"], strict=True))


def correlations(study: pd.DataFrame) -> pd.DataFrame:
    """Return Table 10: Pearson's r and Spearman's rho of each rate with each outcome, and their two-sided p-values."""
    rows = []
    for rate in RATES:
        for outcome in OUTCOMES:
            x, y = study[rate], study[outcome]
            defined = len(study) > 2 and x.nunique() > 1 and y.nunique() > 1
            pearson = tuple(pearsonr(x, y)) if defined else (np.nan, np.nan)
            spearman = tuple(spearmanr(x, y)) if defined else (np.nan, np.nan)
            found = zip(("pearson_r", "pearson_p", "spearman_rho", "spearman_p"), (*pearson, *spearman), strict=True)
            rows.append({"hyperparameter": rate, "metric": outcome, **dict(found), "n_runs": len(study)})
    return pd.DataFrame(rows)


def regressions(study: pd.DataFrame) -> pd.DataFrame:
    """Return Table 11: of each outcome the least-squares fit on a constant and the three rates (Eq. 6).

    Columns: outcome, variable, coefficient, standard_error, t, p, r_squared (of the whole fit), n_runs.
    """
    design = np.column_stack([np.ones(len(study)), study[[*RATES]]])
    determined = len(study) > design.shape[1] and np.linalg.matrix_rank(design) == design.shape[1]
    rows = []
    for outcome in OUTCOMES:
        values: Sequence[Sequence[float]] = np.full((4, design.shape[1]), np.nan)
        r_squared = np.nan
        if determined and study[outcome].nunique() > 1:
            fit = OLS(study[outcome].to_numpy(), design).fit()
            values, r_squared = (fit.params, fit.bse, fit.tvalues, fit.pvalues), fit.rsquared
        for variable, *numbers in zip((CONSTANT, *RATES), *values, strict=True):
            found = zip(("coefficient", "standard_error", "t", "p"), numbers, strict=True)
            rows.append({"outcome": outcome, "variable": variable, **dict(found), "r_squared": r_squared})
    return pd.DataFrame(rows).assign(n_runs=len(study))


def significant(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its numbers as text of six significant digits, and nothing for those that are missing."""
    numbers = table.select_dtypes("float")
    return table.assign(**{name: numbers[name].map(lambda x: "" if pd.isna(x) else f"{x:.6g}") for name in numbers})


def correlations_markdown(
    table: pd.DataFrame, about: Mapping[str, Any], machines: Iterable[str], answered: str = ""
) -> str:
    """Return Table 10 for reading, in the paper's form."""
    rows = [
        [
            RATES[row.hyperparameter] if row.metric == next(iter(OUTCOMES)) else "",
            OUTCOMES[row.metric],
            _starred(row.pearson_r, row.pearson_p, 3),
            _number(row.pearson_p, ".3e"),
            _starred(row.spearman_rho, row.spearman_p, 3),
            _number(row.spearman_p, ".3e"),
        ]
        for row in table.itertuples()
    ]
    heading = ["Hyper-parameter", "Metric", "Pearson *r*", "*p*-value", "Spearman *ρ*", "*p*-value"]
    title = "Table 10: correlation of hyper-parameters with score and time"
    return _page(rows, heading, f"{title}, over {_described(table, about, machines, answered)} {_notes(table)}")


def regressions_markdown(
    table: pd.DataFrame, about: Mapping[str, Any], machines: Iterable[str], answered: str = ""
) -> str:
    """Return Table 11 for reading, in the paper's form: a panel an outcome."""
    rows = []
    for letter, (outcome, panel) in zip("ABC", table.groupby("outcome", sort=False), strict=True):
        explained = panel["r_squared"].iloc[0]
        fit = "" if pd.isna(explained) else f" (*R²* = {explained:.3f})"
        rows.append([f"**Panel {letter}: {PANELS[outcome]}**{fit}", *[""] * 4])
        rows += [
            [
                RATES.get(row.variable, row.variable),
                _starred(row.coefficient, row.p, 2),
                _number(row.standard_error, ".2f"),
                _number(row.t, ".3f"),
                _number(row.p, ".3f"),
            ]
            for row in panel.itertuples()
        ]
    heading = ["Variable", "Coefficient", "Std. error", "*t*-statistic", "*p*-value"]
    title = "Table 11: score and time regressed on hyper-parameters (least squares with a constant)"
    units = "A coefficient is the change, in percentage points or seconds, from a rate of 0 to one of 1."
    return _page(rows, heading, f"{title}, over {_described(table, about, machines, answered)} {units} {_notes(table)}")


def _described(table: pd.DataFrame, about: Mapping[str, Any], machines: Iterable[str], answered: str = "") -> str:
    """Return the sentences that say which runs a table of the study is made of, and what its outcomes are."""
    count = table["n_runs"].iloc[0]
    return (
        f"{count} {'run' if count == 1 else 'runs'} of {about['label']} on {about['task']} with seed {about['seed']}, "
        f"a population of {about['population_size']} and {about['generations']} generations. The runs differ in their "
        "three rates alone, which were drawn from 0.1, 0.2 … 1.0 without repeats, and share their initial population. "
        "Test is the test score of the best individual by validation and Ensemble that of the three best, in percent; "
        f"Time is the wall time of a run's jobs in seconds, on {', '.join(machines)}. Runs that are made side by side "
        "wait for one another's answers, so times compare only where all were made alike. Each run: study.csv."
        f"{answered and f' {answered}'}"
    )


def _notes(table: pd.DataFrame) -> str:
    marks = ", ".join(f"{_escaped(stars)} p < {bound}" for bound, stars in STARS.items())
    empty = " An empty cell cannot be computed: its outcome never differs, or the runs are too few."
    corrected = "the stars are not corrected for the number of comparisons."
    return f"{marks}; {corrected}{empty if table.isna().any(axis=None) else ''}"


def _page(rows: list[list[str]], heading: list[str], caption: str) -> str:
    alignment = ["left" if name in ("Hyper-parameter", "Metric", "Variable") else "right" for name in heading]
    text = tabulate(rows, heading, tablefmt="pipe", disable_numparse=True, colalign=alignment)
    return f"{text}\n\n{caption}\n"


def _starred(value: float, p: float, digits: int) -> str:
    stars = next((stars for bound, stars in STARS.items() if p < bound), "")
    return _number(value, f".{digits}f") + _escaped(stars)


def _escaped(stars: str) -> str:
    """Return stars that Markdown shows."""
    return stars.replace("*", r"\*")


def _number(value: float, form: str) -> str:
    return "" if pd.isna(value) else f"{value:{form}}".replace("-", "−" if form[-1] == "f" else "-")
