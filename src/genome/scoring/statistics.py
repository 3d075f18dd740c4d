"""The scores of models on the samples of a test: what intervals and paired differences are computed from.

Everything is read from the answers that scoring keeps (answers.jsonl), without test data or engine. Intervals are in
`genome.scoring.intervals`, differences of methods in `genome.scoring.differences`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.scoring import results
from genome.scoring.ensemble import combine_each
from genome.tasks import Task, metrics
from genome.tasks.scoring import judge


@dataclass(frozen=True, eq=False)
class Answered:
    """The scores of one model on the samples of a test, and the columns that its metric is computed from."""

    metric: str
    samples: tuple
    scores: tuple[float, ...]
    columns: tuple[np.ndarray, ...]

    @property
    def binary(self) -> bool:
        """Whether the metric is the share of correct answers."""
        return metrics.METRICS[self.metric] is None and {*self.scores} <= {0.0, 1.0}

    @property
    def value(self) -> float:
        """The metric, in [0, 1]."""
        return metrics.of_parts(self.metric, self.columns)

    @cached_property
    def shares(self) -> np.ndarray:
        """What each sample contributes to the metric, shape (samples,); their mean is the metric.

        These are the scores, or for a metric of all samples (BLEU, weighted F1) its jackknife pseudo-values, centred
        on the metric (Tukey 1958): the variance of a mean of them is that of the metric, and of a difference of
        metrics on the same samples.
        """
        if metrics.METRICS[self.metric] is None:
            return self.columns[0]
        n = len(self.samples)
        # Samples with equal columns, such as all right answers of a class, leave the same metric behind.
        table = np.column_stack([column.reshape(n, -1) for column in self.columns])
        _, first, kind = np.unique(table, axis=0, return_index=True, return_inverse=True)
        without = [
            metrics.of_parts(self.metric, [np.delete(column, place, axis=0) for column in self.columns])
            for place in first
        ]
        left = np.array(without)[kind.ravel()] if n > 1 else np.full(n, self.value)
        return self.value - (n - 1) * (left - left.mean())


def read_report(path: Path | str, metric: str, report: str, n: int, score: float) -> Answered:
    """Return the answers behind a row of a test's scores; GenomeError if their number or their metric is another."""
    answered = read_answers(path, metric)
    found = len(answered[report].scores) if report in answered else 0
    if found != n or abs(answered[report].value - score) > 1e-6:
        worth = f", worth {answered[report].value:.6g}" if found else ""
        raise GenomeError(
            f"{path}: {found} answers of {report}{worth}, its scores.json says {n}, worth {score:.6g}; "
            "delete both files to have them made again"
        )
    return answered[report]


def read_answers(path: Path | str, metric: str) -> dict[str, Answered]:
    """Return the scores in an answers file by what is reported: best, ensemble."""
    answered = {}
    for report, rows in results.read_answers(path).items():
        sizes = {len(row.get("parts", ())) for row in rows}
        if metrics.METRICS[metric] is not None and (0 in sizes or len(sizes) > 1):
            raise GenomeError(f"{path}: rows without the parts of {metric}; delete the file to have it made again")
        samples, scores = [row["sample"] for row in rows], [row["score"] for row in rows]
        answered[report] = in_columns(metric, samples, scores, [row.get("parts") for row in rows])
    return answered


def in_columns(metric: str, samples: Sequence, scores: Sequence[float], parts: Sequence[Any] | None) -> Answered:
    """Return one model's scores; corpus metrics are computed from `parts` (`genome.tasks.metrics`)."""
    if metrics.METRICS[metric] is None:
        columns = (np.array(scores, dtype=float),)
    else:
        columns = tuple(np.array(column) for column in zip(*(parts or ()), strict=True))
    return Answered(metric, tuple(samples), tuple(scores), columns)


def of_answers(
    task: Task, samples: Sequence[Mapping[str, Any]], answers: Sequence[str | None], scores: Sequence[float]
) -> Answered:
    """Return one model's scores on samples, from its answers and the score of each."""
    parts = metrics.parts(task, samples, answers)
    return in_columns(task.metric, [sample["id"] for sample in samples], scores, parts)


def of_ensembles(
    task: Task,
    samples: Sequence[Mapping[str, Any]],
    ensembles: Sequence[Sequence[Sequence[str | None]]],
    similarity: Mapping[str, Any],
) -> list[Answered]:
    """Return the scores of each ensemble on samples, from its members' answers, fittest first (`scoring.ensemble`)."""
    combined = combine_each(task, samples, ensembles, similarity)
    return [
        of_answers(task, samples, answers, result.scores)
        for answers, result in zip(combined, judge(task, samples, combined), strict=True)
    ]


def same_samples(runs: Iterable[tuple[str, Answered]]) -> int:
    """Return how many samples the named runs answered; GenomeError if they did not answer the same ones."""
    (first, answered), *others = runs
    for name, other in others:
        if other.samples != answered.samples:
            raise GenomeError(f"{name} and {first} answered different samples; delete the older to have it made again")
    return len(answered.samples)
