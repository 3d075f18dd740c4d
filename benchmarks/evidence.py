"""What does a search add to simpler things?

`python benchmarks/evidence.py` in a project with a finished Table 2 prints, in Markdown, each of its rows with the
samples that it evaluates, its means over all tasks, over those whose answers follow at once and over those that need
working, and its differences from rows that need no search. Test samples, seeds, intervals and marks are those of the
table (docs/statistics.md).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import pandas as pd
import typer
from snakemake.utils import update_config
from tabulate import tabulate

from genome.report import tables
from genome.report.layout import MEAN, Style
from genome.report.uncertainty import uncertainty
from genome.search.records import read_contents
from genome.workflow.plan import Plan
from genome.workflow.reading import read_plan
from genome.workflow.results import TABLES
from genome.yaml_files import read_yaml

WORKING = {"sums", "polyglot_sums", "puzzles", "reading"}
AGAINST = ("best_single", "task_arithmetic", "validation_lora")


def rows(plan: Plan, project: Path) -> list[dict[str, Any]]:
    """Return the rows of the page's table."""
    settings = json.loads(json.dumps(TABLES["table2"].settings_of(plan)))
    methods, columns, seeds = settings["methods"], settings["columns"], settings["seeds"]
    tests = pd.read_csv(project / "results/tables/table2_scores.csv")["folder"].unique()
    scores = tables.collect([f"{folder}/scores.json" for folder in tests])  # the csv file is rounded
    blanks = settings.get("blanks", {})
    complete = [row for row in methods if not blanks.get(row["label"])]
    tasks = [column["name"] for column in columns]
    parts = {
        "all": tasks,
        "at once": [task for task in tasks if task not in WORKING],
        "working": [task for task in tasks if task in WORKING],
    }
    labels = {row["name"]: row["label"] for row in complete}
    against = {labels[name]: _compared(scores, complete, columns, seeds, name) for name in AGAINST if name in labels}
    values = next(iter(against.values())).query("versus == ''").pivot(index="method", columns="test", values="value")
    return [
        {
            "Method": row["shown"],
            "Samples": _samples(scores, row, project),
            **{
                f"Mean, {part}": f"{round(values.loc[row['label'], of_part].mean(), 2):.1f}"
                for part, of_part in parts.items()
            },
            **{f"− {other}": _gain(found, row["label"], other) for other, found in against.items()},
        }
        for row in complete
    ]


def _compared(
    scores: pd.DataFrame, methods: Sequence[Any], columns: Sequence[Any], seeds: Sequence[int], name: str
) -> pd.DataFrame:
    """Return the scores of all rows, and their differences from the row of a method."""
    ordered = sorted(methods, key=lambda row: row["name"] != name)
    return uncertainty(scores, ordered, columns, seeds, Style("", over_first_row=True, mean=True))


def _gain(found: pd.DataFrame, label: str, other: str) -> str:
    """Return the difference of two rows' means with its interval, and a star if it holds with Holm's correction."""
    shown = found[(found["method"] == label) & (found["versus"] == other) & (found["test"] == MEAN)]
    for row in shown.itertuples():
        return f"{row.value:+.1f} [{row.low:+.1f}, {row.high:+.1f}]{'*' if row.holds_holm == 'yes' else ''}"
    return ""


def _samples(scores: pd.DataFrame, row: Mapping[str, Any], project: Path) -> str:
    """Return how many validation samples a run of a row evaluates, with those that scored the experts."""
    folders = [project / run for run in scores.loc[scores["method"] == row["variant"], "run"].unique()]
    spent = [max((read_contents(x)["samples"] for x in run.rglob("population.json")), default=0) for run in folders]
    return f"{fmean(spent):,.0f}" if any(spent) else "–"


def plan_of(project: Path, config_file: Path | None) -> Plan:
    """Return the plan of a project, run with its config.yaml and another file."""
    files = [project / "config.yaml", *([config_file] if config_file else [])]
    config: dict[str, Any] = {}
    for file in files:
        update_config(config, read_yaml(file))
    return read_plan(config, project, files, check_sources=False)


def main(
    project: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
    configfile: Annotated[Path | None, typer.Option(help="What the project was run with.")] = None,
) -> None:
    """Print the table."""
    print(tabulate(rows(plan_of(project, configfile), project), "keys", "pipe"))


if __name__ == "__main__":
    typer.run(main)
