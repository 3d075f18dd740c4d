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
        if n == 1:
            return np.array([self.value])
        left = _bleu_without(*self.columns) if self.metric == "bleu" else _metric_without(self.metric, self.columns)
        return self.value - (n - 1) * (left - left.mean())


def _metric_without(metric: str, columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return a metric without each sample in turn, shape (samples,)."""
    # Samples with equal columns, such as all right answers of a class, leave the same metric behind.
    _, first, kind = np.unique(np.column_stack(columns), axis=0, return_index=True, return_inverse=True)
    without = [metrics.of_parts(metric, [np.delete(column, place) for column in columns]) for place in first]
    return np.array(without)[kind.ravel()]


def _bleu_without(counts: np.ndarray) -> np.ndarray:
    """Return BLEU without each sentence in turn, from all sentences' counts, shape (samples, 11): all at once."""
    left = counts[:, :10].sum(axis=0) - counts[:, :10]
    matched, totals, ours, theirs = left[:, :4], left[:, 4:8], left[:, 8], left[:, 9]
    usual = (matched > 0).all(axis=1)  # otherwise sacrebleu smooths
    found = np.zeros(len(left))
    precision = np.exp(np.log(matched[usual] / totals[usual]).mean(axis=1))
    found[usual] = precision * np.exp(np.minimum(1 - theirs[usual] / ours[usual], 0))
    found[~usual] = [metrics.bleu(row[None]) for row in left[~usual]]
    return found


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
