"""How sure a score is: 95 % intervals, and paired differences between methods, over test samples and seeds.

Everything is computed from the answers that scoring keeps (answers.jsonl), without test data or engine. All runs on a
test get the same draws of its samples and of the seeds, so that comparisons of two methods are paired. Corpus metrics
(BLEU, weighted F1) are recomputed on each draw.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.rng import stream
from genome.scoring import results
from genome.scoring.ensemble import combine_each
from genome.tasks import Task, metrics
from genome.tasks.scoring import judge

RESAMPLES = 2000
LEVEL = 0.95
_Z = 1.959963984540054  # the normal quantile of LEVEL, on both sides


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and its kind: wilson or bootstrap."""

    low: float
    high: float
    kind: str

    @property
    def significant(self) -> bool:
        """Whether a difference with this interval is significant: the interval excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def holds(self) -> str:
        """Whether a difference is significant, in the words of the tables: yes or no."""
        return "yes" if self.significant else "no"


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


def draw_samples(test_task: str, n: int) -> np.ndarray:
    """Return the bootstrap's draws of n test samples, shape (RESAMPLES, n): the same for all runs on that test."""
    return stream(0, "bootstrap", test_task).integers(n, size=(RESAMPLES, n), dtype=np.int32)


def replicates(answered: Answered, draws: np.ndarray) -> np.ndarray:
    """Return a model's metric on each draw of samples, shape (RESAMPLES,)."""
    return metrics.resampled(answered.metric, answered.columns, draws)


def over_seeds(by_seed: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over seeds on each draw of samples and seeds, from each seed's replicates.

    Seeds are drawn with replacement, as many as there are. All methods get the same draws, so that runs of the same
    seed stay paired. A bootstrap of S seeds underestimates the variance by (S - 1) / S, which matters for the few seeds
    of a table; deviations from the mean are scaled up to correct it. With a single seed only samples are drawn.

    Samples contribute to the variation between seeds and are drawn with them, so intervals over several seeds tend to
    be too wide rather than too narrow (the pigeonhole bootstrap: Owen 2007), except for two seeds that differ widely.
    """
    values = np.stack(by_seed)
    count, draws = values.shape
    mean = values.mean(axis=0)
    if count == 1:
        return mean
    chosen = stream(0, "bootstrap", "seeds").integers(count, size=(count, draws))
    return mean + math.sqrt(count / (count - 1)) * (np.take_along_axis(values, chosen, axis=0).mean(axis=0) - mean)


def seed_mean(runs: Sequence[Answered], draws: np.ndarray) -> np.ndarray:
    """Return the mean of runs, one per seed, on each draw of samples and seeds (`over_seeds`)."""
    return over_seeds([replicates(run, draws) for run in runs])


def percentiles(values: np.ndarray) -> Interval:
    """Return the percentile interval of a bootstrap."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high), "bootstrap")


def of_scores(values: np.ndarray) -> Interval:
    """Return the percentile interval of scores, which stay in [0, 1]."""
    found = percentiles(values)
    return Interval(max(found.low, 0.0), min(found.high, 1.0), found.kind)


def wilson(successes: float, n: int) -> Interval:
    """Return Wilson's interval of a share (Wilson 1927), which has a width even if all answers are correct."""
    share, spread = successes / n, _Z**2 / n
    centre = share + spread / 2
    width = math.sqrt(share * (1 - share) * spread + spread**2 / 4)
    low, high = (centre - width) / (1 + spread), (centre + width) / (1 + spread)
    # Rounding must neither leave [0, 1] nor exclude the share itself: the interval of n of n ends at 1.
    return Interval(min(max(low, 0.0), share), max(min(high, 1.0), share), "wilson")


def interval(runs: Sequence[Answered], values: np.ndarray) -> Interval:
    """Return the interval of a mean over runs, one per seed, given its replicates.

    Wilson's interval is used for the share of correct answers of a single run, and if all samples of all runs are
    correct, or all are wrong: the bootstrap then has no variance. Otherwise it is bootstrapped over samples and seeds.
    """
    scores = {score for run in runs for score in run.scores}
    if (len(runs) == 1 and runs[0].binary) or scores in ({0.0}, {1.0}):
        return wilson(sum(runs[0].scores), len(runs[0].scores))
    return of_scores(values)


def same_samples(runs: Iterable[tuple[str, Answered]]) -> int:
    """Return how many samples the named runs answered; GenomeError if they did not answer the same ones."""
    (first, answered), *others = runs
    for name, other in others:
        if other.samples != answered.samples:
            raise GenomeError(f"{name} and {first} answered different samples; delete the older to have it made again")
    return len(answered.samples)
