"""What evolution costs: the fitness that a method reaches against the validation samples that it spends.

A sample is one prompt answered by one candidate. It is what engines charge for, and the only unit in which methods that
stop candidates early can be compared with those that do not.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genome.engine.usage import TOKENS
from genome.errors import GenomeError
from genome.files import write_text
from genome.report import tables
from genome.report.figures.efficiency import draw_efficiency
from genome.report.figures.style import pictures
from genome.report.markdown import pipe_table, signed
from genome.report.traces import answered_by
from genome.scoring.intervals import Estimate, of_difference, of_mean, of_tasks_like
from genome.scoring.results import read_record, read_scores
from genome.scoring.statistics import Answered, read_report
from genome.search.population import described
from genome.search.records import read_contents

log = logging.getLogger("genome")


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write what each method spends and reaches, as a table and as a figure with its numbers (`curves`).

    `settings["runs"]` are the runs, each with the paths of its scores, its populations, and the records of its jobs.
    """
    labels, reference = settings["labels"], settings["reference"]
    runs = []
    for run in settings["runs"]:
        scores = {row["report"]: row for row in read_scores(run["scores"])}
        if run["report"] not in scores:
            raise GenomeError(
                f"{run['scores']}: no score of the {run['report']}; delete the file to have it made again"
            )
        populations, test = map(read_contents, run["populations"]), scores[run["report"]]
        answers = Path(run["scores"]).with_name("answers.jsonl")
        answered = read_report(answers, run["metric"], run["report"], test["n"], test["score"])
        progress = read_progress(run["label"], run["tasks"], run["seed"], populations, answered, run["folder"])
        runs.append(replace(progress, **tokens_of(run["records"])))
    table, lines = efficiency(runs, labels, reference), curves(runs, labels)
    tables.write_csv(table, outputs["table"])
    folders = {label: " ".join(run.folder for run in runs if run.label == label) for label in labels}
    tables.write_csv(lines.assign(runs=lines["method"].map(folders)), outputs["curves"])
    write_text(outputs["markdown"], markdown(table, reference, runs))
    draw_efficiency(lines, pictures(outputs))
    log.info("%d runs of %d methods", len(runs), len(labels))


@dataclass(frozen=True)
class Progress:
    """What a run had spent and reached after each generation, and the test score of its result.

    samples, fitness: one value per generation, from generation 0 on; fitness in [0, 1]
    answered: its scores on the test samples
    engine: the engine that answered
    prompt_tokens, response_tokens: what the engine has read and generated for all of it
    """

    label: str
    tasks: str
    seed: int
    samples: tuple[int, ...]
    fitness: tuple[float, ...]
    answered: Answered
    folder: str
    engine: str = ""
    prompt_tokens: int = 0
    response_tokens: int = 0

    def to_reach(self, fitness: float) -> float:
        """Return the samples spent when the run first reached a fitness; infinite if it never does."""
        return next((s for s, f in zip(self.samples, self.fitness, strict=True) if f >= fitness), np.inf)

    def at(self, samples: float) -> float:
        """Return the best fitness after a number of samples; NaN before the first candidates are scored."""
        place = int(np.searchsorted(self.samples, samples, side="right"))
        return self.fitness[place - 1] if place else np.nan


def read_progress(
    label: str, tasks: str, seed: int, populations: Iterable[Mapping[str, Any]], answered: Answered, folder: str
) -> Progress:
    """Return a run from the contents of its population files, in any order."""
    ordered = sorted(populations, key=lambda population: population["generation"])
    samples = tuple(population["samples"] for population in ordered)
    fitness = tuple(population["best"]["fitness"] for population in ordered)
    return Progress(label, tasks, seed, samples, fitness, answered, folder, described(ordered[-1].get("engine")))


def tokens_of(records: Iterable[str]) -> dict[str, int]:
    """Return the tokens in the records of a run's jobs."""
    read = [read_record(path, *TOKENS) for path in records]
    return {name: sum(record[name] for record in read) for name in TOKENS}


def efficiency(runs: Sequence[Progress], labels: Sequence[str], reference: str) -> pd.DataFrame:
    """Return a row per method: what it reached, what it spent, and its cost of reaching the reference's last fitness.

    `relative` is the median over tasks and seeds of that cost, divided by all that the reference spent on the same task
    and seed; both are missing if half of the runs or more never reach it. Scores are in percent, means over tasks and
    seeds; `difference` is the test score minus the reference's, with the 95 % interval for these tasks, over samples
    and seeds, and for tasks like these (`like_low`, `like_high`), drawn with all their runs; missing for one task.
    """
    references = {(run.tasks, run.seed): run for run in runs if run.label == reference}
    rows = []
    for label in labels:
        own = [run for run in runs if run.label == label]
        paired = [(run, references[run.tasks, run.seed]) for run in own]
        costs = np.array([run.to_reach(other.fitness[-1]) for run, other in paired])
        shares = np.array([cost / other.samples[-1] for cost, (_, other) in zip(costs, paired, strict=True)])
        by_task = _differences(paired)
        mean = of_mean(by_task)
        like = of_tasks_like(by_task).interval if len(by_task) > 1 else None
        rows.append(
            {
                "method": label,
                "validation": 100 * np.mean([run.fitness[-1] for run in own]),
                "test": 100 * np.mean([run.answered.value for run in own]),
                "difference": 100 * mean.value,
                "difference_low": 100 * mean.interval.low,
                "difference_high": 100 * mean.interval.high,
                "like_low": 100 * like.low if like else np.nan,
                "like_high": 100 * like.high if like else np.nan,
                "samples": float(np.median([run.samples[-1] for run in own])),
                "prompt_tokens": float(np.median([run.prompt_tokens for run in own])),
                "response_tokens": float(np.median([run.response_tokens for run in own])),
                "samples_to_reach": _median(costs),
                "relative": _median(shares),
                "reached": 100 * np.isfinite(costs).mean(),
                "n": len(own),
                "runs": " ".join(run.folder for run in own),
            }
        )
    return pd.DataFrame(rows)


def _differences(paired: Sequence[tuple[Progress, Progress]]) -> list[Estimate]:
    """Return the paired difference of each task, over its seeds."""
    tasks = dict.fromkeys(run.tasks for run, _ in paired)
    of_task = [[(run.answered, other.answered) for run, other in paired if run.tasks == task] for task in tasks]
    return [of_difference([own for own, _ in pairs], [other for _, other in pairs]) for pairs in of_task]


def _median(values: np.ndarray) -> float:
    """Return the median, missing if it is infinite, or would be the mean of a finite and an infinite value."""
    middle = np.sort(values)[len(values) // 2]
    return float(np.median(values)) if np.isfinite(middle) else np.nan


def curves(runs: Sequence[Progress], labels: Sequence[str], points: int = 60) -> pd.DataFrame:
    """Return each method's best fitness against samples spent, in long form: median, lowest and highest over seeds.

    A seed's value is the mean over its tasks, in percent; a run that has ended keeps its last value. A method's curve
    begins when all of its runs have scored their first candidates.
    """
    end = max(run.samples[-1] for run in runs)
    rows = []
    for label in labels:
        own = [run for run in runs if run.label == label]
        first, last = max(run.samples[0] for run in own), max(run.samples[-1] for run in own)
        seeds = sorted({run.seed for run in own})
        grid = [float(first)] if first == last else np.linspace(first, last, max(2, round(points * last / end)))
        for samples in grid:
            by_seed = [100 * np.mean([run.at(samples) for run in own if run.seed == seed]) for seed in seeds]
            rows.append(
                {
                    "method": label,
                    "samples": round(float(samples)),
                    "median": float(np.median(by_seed)),
                    "low": min(by_seed),
                    "high": max(by_seed),
                    "seeds": len(seeds),
                }
            )
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame, reference: str, runs: Sequence[Progress] = ()) -> str:
    """Return the table in Markdown, with its caption."""
    heading = [
        "Method", "Validation", "Test", f"Test − {reference}", "… on tasks like these", "Samples", "Prompt tokens",
        "Response tokens", f"To reach {reference}", "Share of its samples", "Runs that reach it",
    ]  # fmt: skip
    rows = [
        [
            row.method,
            f"{row.validation:.2f}",
            f"{row.test:.2f}",
            ""
            if row.method == reference
            else f"{signed(row.difference)} {_ends(row.difference_low, row.difference_high)}",
            "" if row.method == reference or pd.isna(row.like_low) else _ends(row.like_low, row.like_high),
            f"{row.samples:,.0f}",
            f"{row.prompt_tokens:,.0f}",
            f"{row.response_tokens:,.0f}",
            "" if pd.isna(row.samples_to_reach) else f"{row.samples_to_reach:,.0f}",
            "" if pd.isna(row.relative) else f"{row.relative:.2f}",
            f"{round(row.reached * row.n / 100)} of {row.n}",
        ]
        for row in tables.rows_of(table)
    ]
    text = pipe_table(rows, heading)
    caption = (
        "Scores in percent, means over tasks and seeds; in brackets the 95 % interval of a difference: on these tasks, "
        "over test samples and seeds, and on tasks like these, which are drawn with all their runs. Samples are "
        "validation prompts answered by candidates, medians over tasks and seeds, and so are the tokens that the "
        "engine has read and generated for them; methods without generations count those of the experts, from which "
        "they start; searches that do not maximise the metric on all samples are shown by the metric of their "
        "finalists, whose samples and those of the experts they count; "
        f"“to reach {reference}” is what a method had spent at the end of the generation in which its "
        f"best validation fitness first was that with which {reference} ends there, and the share is "
        f"that of all samples that {reference} spends. Nothing stands there where half of the runs or more fail to. "
    )
    answered = answered_by((run.label, run.tasks, run.engine) for run in runs)
    return f"{text}\n\n{(caption + answered).strip()}\n"


def _ends(low: float, high: float) -> str:
    """Return an interval of a difference."""
    return f"[{signed(low)}, {signed(high)}]"
