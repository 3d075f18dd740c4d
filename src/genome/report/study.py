"""The runs of the study of hyper-parameters (paper, section 6.3), and what its two tables share."""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from genome.errors import GenomeError
from genome.files import write_text
from genome.report import tables
from genome.report.markdown import minus, pipe_table
from genome.report.tables import read_csv
from genome.report.timing import RUNS, Cost, costs, named
from genome.report.traces import answered_by
from genome.scoring.results import REPORTS

log = logging.getLogger("genome")

RATES = {
    "crossover_rate": "Crossover rate",
    "individual_mutation_rate": "Individual mutation rate",
    "gene_mutation_rate": "Gene mutation rate",
}
OUTCOMES = {"test": "Test", "ensemble": "Ensemble", "seconds": "Time"}

STARS = {0.01: "***", 0.05: "**", 0.1: "*"}
"""The paper's marks of p-values below these bounds."""


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write the study's runs: rates, scores and cost."""
    points = settings["runs"]
    spent = costs(inputs["records"], {point["run"]: point["stages"] for point in points})
    tables.write_csv(runs(tables.collect(inputs["scores"]), spent, points), outputs["table"])
    log.info("%d runs", len(points))


def runs(scores: pd.DataFrame, spent: Mapping[str, Cost], points: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per run: its rates, the test scores (percent) of its best and of its ensemble, and its cost."""
    by_run = scores.set_index(["run", "report"])["score"]
    engines = dict(zip(scores["run"], scores["engine"], strict=True))
    rows = []
    for point in points:
        absent = [report for report in REPORTS if (f"{RUNS}{point['run']}", report) not in by_run]
        if absent:
            raise GenomeError(f"{RUNS}{point['run']}: no test score of its {absent[0]}; delete its scores.json")
        run, cost = f"{RUNS}{point['run']}", spent[point["run"]]
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
    """Return the runs of a study from the csv of `runs`."""
    numbers = [*RATES, *OUTCOMES]
    return read_csv(path, [*numbers, "machine", "engine", "run"], numbers, "delete the file to have it made again")


def write_analysis(
    analyse: Callable[[pd.DataFrame], pd.DataFrame],
    markdown: Callable[[pd.DataFrame, str], str],
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    outputs: Mapping[str, str],
) -> None:
    """Write a table that `analyse` makes from the study's runs; `markdown` gets it and the runs' description."""
    [path] = inputs["files"]
    found = read(path)
    table = analyse(found)
    tables.write_csv(as_text(table).assign(runs=path), outputs["table"])
    write_text(outputs["markdown"], markdown(table, described(found, settings)))


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its numbers as text of six significant digits, and empty cells for missing ones."""
    numbers = table.select_dtypes("float")
    return table.assign(
        **{str(name): numbers[name].map(lambda x: "" if pd.isna(x) else f"{x:.6g}") for name in numbers}
    )


def described(study: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """Return the sentences that describe a study's runs and their outcomes, and name the engine that answered.

    `settings` are the task, the label of the method, the seed, the population's size and the number of generations.
    """
    count, machines = len(study), ", ".join(study["machine"].unique())
    engines = answered_by(
        (run, settings["task"], engine) for run, engine in zip(study["run"], study["engine"], strict=True)
    )
    return (
        f"{count} {'run' if count == 1 else 'runs'} of {settings['label']} on {settings['task']} with seed "
        f"{settings['seed']}, a population of {settings['population_size']} and {settings['generations']} generations. "
        "The runs differ in their three rates alone, which were drawn from 0.1, 0.2 … 1.0 without repeats, and share "
        "their initial population. Test is the test score of the best individual by validation and Ensemble that of "
        f"the three best, in percent; Time is the wall time of a run's jobs in seconds, on {machines}. Runs that are "
        "made side by side wait for one another's answers, so times compare only where all were made alike. Each run: "
        f"study.csv.{engines and f' {engines}'}"
    )


def notes(table: pd.DataFrame) -> str:
    """Return the sentences that explain a table's stars and its empty cells."""
    marks = ", ".join(f"{_escaped(stars)} p < {bound}" for bound, stars in STARS.items())
    empty = " An empty cell cannot be computed: its outcome never differs, or the runs are too few."
    corrected = "the stars are not corrected for the number of comparisons."
    return f"{marks}; {corrected}{empty if table.isna().any(axis=None) else ''}"


def page(rows: list[list[str]], heading: list[str], caption: str) -> str:
    """Return a table in Markdown with its caption."""
    alignment = ["left" if name in ("Hyper-parameter", "Metric", "Variable") else "right" for name in heading]
    return f"{pipe_table(rows, heading, alignment)}\n\n{caption}\n"


def starred(value: float, p: float, digits: int) -> str:
    """Return a number with the stars of its p-value."""
    stars = next((stars for bound, stars in STARS.items() if p < bound), "")
    return number(value, f".{digits}f") + _escaped(stars)


def number(value: float, form: str) -> str:
    """Return a number in a format, with a minus sign unless it has an exponent; nothing for a missing one."""
    text = "" if pd.isna(value) else f"{value:{form}}"
    return minus(text) if form[-1] == "f" else text


def _escaped(stars: str) -> str:
    """Return stars that Markdown prints."""
    return stars.replace("*", r"\*")
