"""Print what a run of config/smollm2-draws.yaml shows, as Markdown: `python docs/print_draws.py RESULTS`.

RESULTS is its results folder. Three tables: test scores, paired differences of Gauss-Newton from every other method,
and what its runs hand out. A run on TASK@NUMBER.DRAW is one on a draw of NUMBER validation samples.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from genome.files import REMAKE, read_json
from genome.report.markdown import pipe_table
from genome.report.tables import collect, rows_of
from genome.scoring.differences import difference
from genome.scoring.intervals import Estimate, of_score
from genome.scoring.statistics import Answered, read_report
from genome.workflow.names import draw_of, part_of

ROOT = Path(__file__).resolve().parent.parent

OURS = "gauss_newton"
OFFERED = ("base", "uniform", "uniform-calibrated", "best_single")
"""What there is without a search: Gauss-Newton hands one of these out if its search found nothing better."""

LABELS = {
    "base": "Base",
    "majority": "Majority",
    "uniform": "Uniform",
    "uniform-calibrated": "Uniform, calibrated",
    "best_single": "Best Single",
    "validation_lora": "Validation LoRA",
    OURS: "Gauss-Newton",
}
"""The variants in the order of the rows."""

LEVELS = ("base", "uniform")
"""Variants that look at no sample, so that they have one run per task."""

KINDS = {"base": "base", "expert": "best expert", "mixture": "mean of the experts"}
"""What a run hands out by the operator that made it; all other operators are the search's."""


class Cell(NamedTuple):
    """A variant on a task with a number of samples; None for a variant that looks at none."""

    variant: str
    task: str
    samples: int | None


Runs = Mapping[Cell, Mapping[int | None, Answered]]
"""The answers of a cell's runs by their draws."""


def section(results: Path) -> str:
    """Return the three tables."""
    runs = read_runs(results)
    tasks = list(dict.fromkeys(cell.task for cell in runs))
    sizes = sorted({cell.samples for cell in runs if cell.samples is not None})
    tables = scores(runs, tasks, sizes), gains(runs, tasks, sizes), handed_out(results, runs, tasks, sizes)
    return "\n\n".join(tables) + "\n"


def read_runs(results: Path) -> Runs:
    """Return the answers of all tests of variants that are shown."""
    found: dict[Cell, dict[int | None, Answered]] = {}
    for row in rows_of(collect(sorted((results / "test").glob("*/*/**/scores.json")))):
        if row.method in LABELS and row.report == "best" and (draw := draw_of(row.tasks)) is not None:
            level = row.method in LEVELS
            cell = Cell(row.method, row.test_task, None if level else part_of(row.tasks)[1])
            answered = read_report(
                f"{row.folder}/answers.jsonl", metric_of(row.test_task), row.report, row.n, row.score / 100
            )
            found.setdefault(cell, {})[None if level else draw] = answered
    return {cell: dict(sorted(by_draw.items(), key=lambda item: item[0] or 0)) for cell, by_draw in found.items()}


def metric_of(task: str) -> str:
    """Return the metric that a task's file names."""
    return yaml.safe_load((ROOT / f"config/tasks/{task}.yaml").read_text(encoding="utf-8"))["metric"]


def scores(runs: Runs, tasks: Sequence[str], sizes: Sequence[int]) -> str:
    """Return a table of test scores in percent, means over draws with 95 % intervals."""
    rows = [
        [label, *(_score(_of(runs, variant, task, size)) for task in tasks for size in sizes)]
        for variant, label in LABELS.items()
    ]
    return pipe_table(rows, ["Method", *_heading(tasks, sizes)])


def gains(runs: Runs, tasks: Sequence[str], sizes: Sequence[int]) -> str:
    """Return a table of the paired differences of Gauss-Newton from each other method; * marks those that hold."""
    rows = []
    for variant, label in LABELS.items():
        if variant == OURS:
            continue
        cells = []
        for task in tasks:
            for size in sizes:
                own, other = (_of(runs, name, task, size) for name in (OURS, variant))
                found = difference(own, other) if own and other else None
                cells.append("" if found is None else _signed(found.estimate) + (" *" if found.holds else ""))
        rows.append([label, *cells])
    return pipe_table(rows, ["Gauss-Newton −", *_heading(tasks, sizes)])


def handed_out(results: Path, runs: Runs, tasks: Sequence[str], sizes: Sequence[int]) -> str:
    """Return a table of what runs hand out, and how often nothing that there is without a search is surely better.

    Surely: the paired difference of the two models on the test holds. The last column counts the Validation LoRA, too.
    """
    rows = []
    for task in tasks:
        for size in sizes:
            own = runs.get(Cell(OURS, task, size), {})
            kinds = Counter(_kind(path) for path in _finalists(results, task, size))
            said = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
            counted = [_unbeaten(runs, own, task, size, names) for names in (OFFERED, (*OFFERED, "validation_lora"))]
            rows.append([_short(task), f"{size}", said, *(f"{number} of {len(own)}" for number in counted)])
    return pipe_table(rows, ["Task", "Samples", "Handed out", "Best or tied", "with the Validation LoRA"])


def _heading(tasks: Sequence[str], sizes: Sequence[int]) -> list[str]:
    return [f"{_short(task)}, {size}" for task in tasks for size in sizes]


def _short(task: str) -> str:
    return task.removesuffix("_by_likelihood")


def _unbeaten(runs: Runs, own: Mapping[int | None, Answered], task: str, size: int, names: Sequence[str]) -> int:
    """Return in how many draws none of the named variants is surely better."""

    def beaten(draw: int | None, answered: Answered) -> bool:
        for name in names:
            theirs = runs.get(Cell(name, task, None if name in LEVELS else size), {})
            other = theirs.get(None if name in LEVELS else draw)
            found = difference([answered], [other]) if other else None
            if found is not None and found.holds and found.estimate.value < 0:
                return True
        return False

    return sum(not beaten(draw, answered) for draw, answered in own.items())


def _finalists(results: Path, task: str, size: int) -> list[Path]:
    return sorted((results / "runs").glob(f"{task}@{size}.*/{OURS}/n*/seed*/finalists/population.json"))


def _kind(population: Path) -> str:
    return KINDS.get(read_json(population, REMAKE)["best"]["operator"], "search")


def _of(runs: Runs, variant: str, task: str, size: int) -> list[Answered]:
    return list(runs.get(Cell(variant, task, None if variant in LEVELS else size), {}).values())


def _score(answered: Sequence[Answered]) -> str:
    if not answered:
        return ""
    estimate = of_score(answered)
    low, high = estimate.interval.low, estimate.interval.high
    return f"{100 * estimate.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _signed(estimate: Estimate) -> str:
    low, high = estimate.interval.low, estimate.interval.high
    return f"{100 * estimate.value:+.1f} [{100 * low:.1f}, {100 * high:.1f}]".replace("-", "−")


if __name__ == "__main__":
    print(section(Path(sys.argv[1])), end="")
