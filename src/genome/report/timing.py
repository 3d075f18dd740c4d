"""What runs cost: the records of their jobs, and Table 7, time and score by machine (paper, section 3.2.5)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from genome.errors import GenomeError
from genome.files import write_text
from genome.report import tables
from genome.report.layout import Column, Method
from genome.report.markdown import pipe_table
from genome.report.tables import chosen, read_csv
from genome.report.traces import answered_by
from genome.scoring.results import read_record

TIMING_COLUMNS = ["method", "task", "score", "seconds", "machine", "engine", "evaluations", "n_runs", "runs"]

RECORDS = Path("results/benchmarks/runs")
RUNS = "results/runs/"


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write Table 7: time and score of the runs here, and the rows of other machines in `beside`."""
    spent = costs(inputs["records"], settings["stages"])
    layout = settings["methods"], settings["columns"], settings["seeds"]
    table = with_others(table7(tables.collect(inputs["scores"]), spent, *layout), inputs["beside"])
    tables.write_csv(table, outputs["table"])
    write_text(outputs["markdown"], markdown(table, settings["seeds"]))


@dataclass(frozen=True)
class Cost:
    """The cost of a run: seconds of its jobs, genotypes that answered samples, and the machines that answered."""

    seconds: float
    evaluations: int
    machines: frozenset[str]


def costs(record_files: Iterable[Path | str], stages: Mapping[str, Sequence[str]]) -> dict[str, Cost]:
    """Return the cost of each run: the sum over the jobs of its `stages`, which are paths below results/runs.

    A stage has one record, STAGE.json, or one per generation, STAGE/generation_G.json. Runs of one seed share their
    first stage, which counts in full for each. Answering the test is not included.
    """
    records = records_of_runs(record_files, stages, "seconds", "evaluations")
    return {run: _cost(found) for run, found in records.items()}


def records_of_runs(
    record_files: Iterable[Path | str], stages: Mapping[str, Sequence[str]], *numbers: str
) -> dict[str, list[Mapping[str, Any]]]:
    """Return the records of each run's jobs, with `numbers`, as `costs` counts them."""
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for path in map(Path, record_files):
        stage = path.parent if path.name.startswith("generation_") else path.with_suffix("")
        by_stage.setdefault(stage.relative_to(RECORDS).as_posix(), []).append(read_record(path, *numbers))
    return {run: [record for stage in parts for record in by_stage[stage]] for run, parts in stages.items()}


def _cost(records: Sequence[Mapping[str, Any]]) -> Cost:
    return Cost(
        sum(record["seconds"] for record in records),
        sum(record["evaluations"] for record in records),
        frozenset(record["machine"] for record in records if record["machine"]),
    )


def named(machines: Iterable[str]) -> str:
    """Return the text of a cell that names the machines of one or several runs."""
    return " and ".join(sorted(machines))


def table7(
    scores: pd.DataFrame,
    spent: Mapping[str, Cost],
    methods: Sequence[Method],
    columns: Sequence[Column],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Return Table 7 in long form, a row per method and task: test score (percent) and seconds, means over seeds.

    A row is left out if one of its seeds is missing.
    """
    rows = []
    for method in methods:
        for column in columns:
            cell = chosen(scores, method, column, seeds)
            costs = [spent[run.removeprefix(RUNS)] for run in cell["run"]]
            if costs:
                rows.append(
                    {
                        "method": method["label"],
                        "task": column["name"],
                        "score": float(cell["score"].mean()),
                        "seconds": sum(cost.seconds for cost in costs) / len(costs),
                        "machine": named({machine for cost in costs for machine in cost.machines}),
                        "engine": " and ".join(sorted({*cell["engine"]})),
                        "evaluations": sum(cost.evaluations for cost in costs) / len(costs),
                        "n_runs": len(costs),
                        "runs": " ".join(cell["run"]),
                    }
                )
    return pd.DataFrame(rows, columns=TIMING_COLUMNS)


def with_others(table: pd.DataFrame, others: Iterable[Path | str]) -> pd.DataFrame:
    """Return the table with the rows of tables made elsewhere; GenomeError for two rows of one machine."""
    parts = [table]
    for path in others:
        numbers = ("score", "seconds", "evaluations", "n_runs")
        parts.append(read_csv(path, TIMING_COLUMNS, numbers, "name a table7.csv in table7.beside")[TIMING_COLUMNS])
    # A table that already contains another's rows repeats them.
    together = pd.concat(parts, ignore_index=True).drop_duplicates(ignore_index=True)
    twice = together[together.duplicated(["method", "task", "machine"])]
    if len(twice):
        row = twice.iloc[0]
        raise GenomeError(
            f"two rows for {row['method']} on {row['task']} with {row['machine']}; take one out of table7.beside"
        )
    return together


def markdown(table: pd.DataFrame, seeds: Sequence[int]) -> str:
    """Return Table 7 in Markdown, in the paper's form: score and time of each machine side by side."""
    machines = list(dict.fromkeys(table["machine"]))
    cells = {(row.method, row.task, row.machine): row for row in tables.rows_of(table)}
    rows, last = [["", "", *machines, *machines]], None
    for method, task in dict.fromkeys(zip(table["method"], table["task"], strict=True)):
        found = [cells.get((method, task, machine)) for machine in machines]
        rows.append(
            [
                method if method != last else "",
                task,
                *(f"{cell.score:.2f}" if cell else "" for cell in found),
                *(_seconds(cell.seconds) if cell else "" for cell in found),
            ]
        )
        last = method
    blank = [""] * (len(machines) - 1)
    heading = ["Method", "Task", "Score", *blank, "Time (s)", *blank]
    text = pipe_table(rows, heading, ["left"] * 2 + ["right"] * 2 * len(machines))
    listed = ", ".join(map(str, seeds))
    return (
        f"{text}\n\nTable 7: time and score by machine. Test scores in percent and seconds of a run, "
        f"{f'means over seeds {listed}' if len(seeds) > 1 else f'seed {listed}'}. A run's time is the sum of the wall "
        "times of its jobs on validation data: the start that methods of one seed share, which counts in full for "
        "each, and all generations. The test is not in it. Runs that are made side by side wait for one another's "
        "answers, and the first job of all for the engine's start. "
        f"{answered_by(zip(table['method'], table['task'], table['engine'], strict=True))}\n"
    )


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
