"""What evolution costs: how far a method gets for the validation samples that it spends.

A sample is one prompt answered by one candidate: the unit that every engine bills, and the only one in which a method
that stops candidates early can be compared with one that does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from genome.report.traces import answered_by
from genome.rng import stream
from genome.scoring.statistics import RESAMPLES, percentiles
from genome.search.population import described


@dataclass(frozen=True)
class Run:
    """One run of a method: what it had spent and reached after each generation, and the test score of its result.

    samples, fitness: one value a generation, the first of which is generation 0; fitness in [0, 1]
    test: in [0, 1]
    engine: who answered
    """

    label: str
    tasks: str
    seed: int
    samples: tuple[int, ...]
    fitness: tuple[float, ...]
    test: float
    folder: str
    engine: str = ""

    def to_reach(self, fitness: float) -> float:
        """Return the samples spent when the run had first reached a fitness; infinite when it never does."""
        return next((s for s, f in zip(self.samples, self.fitness, strict=True) if f >= fitness), np.inf)

    def at(self, samples: float) -> float:
        """Return the best fitness for so many samples; NaN before the first candidates are scored."""
        place = int(np.searchsorted(self.samples, samples, side="right"))
        return self.fitness[place - 1] if place else np.nan


def read_run(
    label: str, tasks: str, seed: int, populations: Sequence[Mapping[str, Any]], test: float, folder: str
) -> Run:
    """Return a run from the contents of its population files, in any order."""
    ordered = sorted(populations, key=lambda population: population["generation"])
    samples = tuple(population["samples"] for population in ordered)
    fitness = tuple(population["best"]["fitness"] for population in ordered)
    return Run(label, tasks, seed, samples, fitness, test, folder, described(ordered[-1].get("engine")))


def efficiency(runs: Sequence[Run], labels: Sequence[str], reference: str) -> pd.DataFrame:
    """Return a row a method: what it reached, what it spent, and what it spent to reach the reference's last fitness.

    `relative` is the median over tasks and seeds of that cost divided by all that the reference spent on the same task
    and seed; both are missing where half of the runs or more never reach it. Scores are in percent, means over tasks
    and seeds; `difference` is that of the test score to the reference's, with a 95 % interval bootstrapped over the
    pairs of runs (each task and seed once).
    """
    references = {(run.tasks, run.seed): run for run in runs if run.label == reference}
    rows = []
    for label in labels:
        own = [run for run in runs if run.label == label]
        paired = [(run, references[run.tasks, run.seed]) for run in own]
        costs = np.array([run.to_reach(other.fitness[-1]) for run, other in paired])
        shares = np.array([cost / other.samples[-1] for cost, (_, other) in zip(costs, paired, strict=True)])
        differences = 100 * np.array([run.test - other.test for run, other in paired])
        draws = stream(0, "bootstrap", "efficiency").integers(len(paired), size=(RESAMPLES, len(paired)))
        interval = percentiles(differences[draws].mean(axis=1))
        rows.append(
            {
                "method": label,
                "validation": 100 * np.mean([run.fitness[-1] for run in own]),
                "test": 100 * np.mean([run.test for run in own]),
                "difference": differences.mean(),
                "difference_low": interval.low,
                "difference_high": interval.high,
                "samples": float(np.median([run.samples[-1] for run in own])),
                "samples_to_reach": _median(costs),
                "relative": _median(shares),
                "reached": 100 * np.isfinite(costs).mean(),
                "n": len(own),
                "runs": " ".join(run.folder for run in own),
            }
        )
    return pd.DataFrame(rows)


def _median(values: np.ndarray) -> float:
    """Return the median, missing where it is infinite: the mean of a finite and an infinite one is no number."""
    middle = np.sort(values)[len(values) // 2]
    return float(np.median(values)) if np.isfinite(middle) else np.nan


def curves(runs: Sequence[Run], labels: Sequence[str], points: int = 60) -> pd.DataFrame:
    """Return each method's best fitness against samples spent, in long form: median, lowest and highest over seeds.

    A seed's value is the mean over its tasks, in percent; a run that has ended keeps its last. A method begins where
    all of its runs have scored their first candidates.
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


def markdown(table: pd.DataFrame, reference: str, runs: Sequence[Run] = ()) -> str:
    """Return the table for reading, with its caption."""
    shown = pd.DataFrame(
        {
            "Method": table["method"],
            "Validation": table["validation"].map("{:.2f}".format),
            "Test": table["test"].map("{:.2f}".format),
            f"Test − {reference}": [
                "" if row.method == reference else _signed(row.difference, row.difference_low, row.difference_high)
                for row in table.itertuples(index=False)
            ],
            "Samples": table["samples"].map("{:,.0f}".format),
            f"To reach {reference}": table["samples_to_reach"].map(_count),
            "Share of its samples": table["relative"].map(lambda value: "" if pd.isna(value) else f"{value:.2f}"),
            "Runs that reach it": [
                f"{round(row.reached * row.n / 100)} of {row.n}" for row in table.itertuples(index=False)
            ],
        }
    )
    text = shown.to_markdown(index=False, colalign=["left"] + ["right"] * 7, disable_numparse=True)
    caption = (
        "Scores in percent, means over tasks and seeds; in brackets the 95 % interval of a difference, bootstrapped "
        "over pairs of runs (same task and seed). Samples are validation prompts answered by candidates, medians over "
        "tasks and seeds; methods without generations count those of the experts, from which they start; "
        f"“to reach {reference}” is what a method had spent at the end of the generation in which its "
        f"best validation fitness first was that with which {reference} ends there, and the share is "
        f"that of all samples that {reference} spends. Nothing stands there where half of the runs or more fail to. "
    )
    answered = answered_by((run.label, run.tasks, run.engine) for run in runs)
    return f"{text}\n\n{(caption + answered).strip()}\n"


def _count(value: float) -> str:
    return "" if pd.isna(value) else f"{value:,.0f}"


def _signed(*values: float) -> str:
    value, low, high = (f"{value:+.2f}".replace("-", "−") for value in values)
    return f"{value} [{low}, {high}]"
