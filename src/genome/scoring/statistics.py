"""How sure a score is: 95 % intervals, and paired differences between methods, over test samples and seeds.

Everything is computed from the answers that scoring keeps (answers.jsonl); no test data, no engine. The test samples of
all runs are drawn alike, and so are their seeds, so that two methods are always compared on the same draws: paired.
Metrics of all samples (BLEU, weighted F1) are computed anew on each draw.
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
    """What one model scored on the samples of a test, sample by sample: columns that its metric is computed from."""

    metric: str
    samples: tuple
    scores: tuple[float, ...]
    columns: tuple[np.ndarray, ...]

    @property
    def binary(self) -> bool:
        """Whether the metric is the share of samples that were answered rightly."""
        return metrics.METRICS[self.metric] is None and {*self.scores} <= {0.0, 1.0}

    @property
    def value(self) -> float:
        """The metric, in [0, 1]."""
        return metrics.of_parts(self.metric, self.columns)


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and how it was found: wilson or bootstrap."""

    low: float
    high: float
    kind: str

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference with this interval holds."""
        return self.low > 0 or self.high < 0


def read_report(path: Path | str, metric: str, report: str, n: int, score: float) -> Answered:
    """Return the answers behind a row of a test's scores: of `report`, to `n` samples, worth `score` in [0, 1]."""
    answered = read_answers(path, metric)
    found = len(answered[report].scores) if report in answered else 0
    if found != n or abs(answered[report].value - score) > 1e-6:
        worth = f", worth {answered[report].value:.6g}" if found else ""
        raise GenomeError(
            f"{path}: {found} answers of {report}{worth}, the scores beside it say {n}, worth {score:.6g}; "
            "delete both files to have them made again"
        )
    return answered[report]


def read_answers(path: Path | str, metric: str) -> dict[str, Answered]:
    """Return what an answers file holds of each model that it reports: best, ensemble."""
    answered = {}
    for report, rows in results.read_answers(path).items():
        sizes = {len(row.get("parts", ())) for row in rows}
        if metrics.METRICS[metric] is not None and (0 in sizes or len(sizes) > 1):
            raise GenomeError(f"{path}: rows without the parts of {metric}; delete the file to have it made again")
        samples, scores = [row["sample"] for row in rows], [row["score"] for row in rows]
        answered[report] = in_columns(metric, samples, scores, [row.get("parts") for row in rows])
    return answered


def in_columns(metric: str, samples: Sequence, scores: Sequence[float], parts: Sequence[Sequence] | None) -> Answered:
    """Return what one model scored; `parts` is what a metric that is no mean is made of (`genome.tasks.metrics`)."""
    if metrics.METRICS[metric] is None:
        columns = (np.array(scores, dtype=float),)
    else:
        columns = tuple(np.array(column) for column in zip(*parts, strict=True))
    return Answered(metric, tuple(samples), tuple(scores), columns)


def of_answers(
    task: Task, samples: Sequence[Mapping[str, Any]], answers: Sequence[str | None], scores: Sequence[float]
) -> Answered:
    """Return what one model scored on samples, from its answers and the score of each."""
    parts = metrics.parts(task, samples, answers)
    return in_columns(task.metric, [sample["id"] for sample in samples], scores, parts)


def of_ensembles(
    task: Task,
    samples: Sequence[Mapping[str, Any]],
    ensembles: Sequence[Sequence[Sequence[str | None]]],
    similarity: Mapping[str, Any],
) -> list[Answered]:
    """Return what each ensemble scored on samples, from its members' answers, fittest first (`scoring.ensemble`)."""
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

    Seeds are drawn with replacement, as many as there are, and the same for every method, so that its runs stay paired
    with those of the same seed. A draw of S seeds has (S - 1) / S of the variance that it stands for: with the few
    seeds of a table that is too little, and the deviation from their mean is scaled up accordingly. One seed says
    nothing about others: then samples alone are drawn.

    Since what samples do to a seed's score is drawn along with the seeds, intervals over several seeds are rather too
    wide than too narrow (the pigeonhole bootstrap: Owen 2007), save with two seeds that differ much.
    """
    values = np.stack(by_seed)
    count, draws = values.shape
    mean = values.mean(axis=0)
    if count == 1:
        return mean
    chosen = stream(0, "bootstrap", "seeds").integers(count, size=(count, draws))
    return mean + math.sqrt(count / (count - 1)) * (np.take_along_axis(values, chosen, axis=0).mean(axis=0) - mean)


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
    """Return Wilson's interval of a share (Wilson 1927): unlike a bootstrap's, it has a width where all is right."""
    share, spread = successes / n, _Z**2 / n
    centre = share + spread / 2
    width = math.sqrt(share * (1 - share) * spread + spread**2 / 4)
    low, high = (centre - width) / (1 + spread), (centre + width) / (1 + spread)
    # Rounding must not leave the unit interval, nor leave out the share itself: n of n reach up to 1.
    return Interval(min(max(low, 0.0), share), max(min(high, 1.0), share), "wilson")


def interval(runs: Sequence[Answered], values: np.ndarray) -> Interval:
    """Return the interval of a mean over runs, one a seed, given its replicates.

    A single run's share of right answers has Wilson's interval; so has what is right, or wrong, in every sample of
    every run, where the bootstrap knows no other outcome. All else is bootstrapped over samples and seeds.
    """
    scores = {score for run in runs for score in run.scores}
    if (len(runs) == 1 and runs[0].binary) or scores in ({0.0}, {1.0}):
        return wilson(sum(runs[0].scores), len(runs[0].scores))
    return of_scores(values)


def same_samples(runs: Iterable[tuple[str, Answered]]) -> int:
    """Return how many samples the named runs answered; GenomeError where they are not the same."""
    (first, answered), *others = runs
    for name, other in others:
        if other.samples != answered.samples:
            raise GenomeError(f"{name} and {first} answered different samples; delete the older to have it made again")
    return len(answered.samples)
