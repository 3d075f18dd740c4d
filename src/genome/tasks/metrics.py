"""Metrics: the answers of one model to all samples become one number in [0, 1].

The mean of the samples' scores serves most tasks. Weighted F1 and BLEU belong to the whole set of samples; their
standard errors are bootstrapped. An unparsed answer is a class of its own and wrong, or an empty translation.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from genome.rng import stream

if TYPE_CHECKING:
    from genome.tasks.task import Task

_RESAMPLES = 1000
# Those of sacrebleu's tokenizers that need neither a download nor another package.
TOKENIZERS = ("13a", "intl", "char", "zh", "none")


def mean(scores: Sequence[float]) -> float:
    """Return the mean score, computed exactly so that it does not depend on the order of samples."""
    return math.fsum(scores) / len(scores)


def confusion(references: Sequence[str], answers: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return references and answers as class numbers, shape (samples,); what is no reference class is -1."""
    classes, truth = np.unique(references, return_inverse=True)
    numbers = {str(label): number for number, label in enumerate(classes)}
    return truth, np.array([numbers.get(answer, -1) for answer in answers])


def weighted_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the F1 scores of the reference classes, weighted by their share of the samples.

    As `sklearn.metrics.f1_score(average="weighted")`, with which it is tested: importing scikit-learn costs a second
    in every generation's job. Classes that only answers name have no weight, but their samples are missed.
    """
    support = np.bincount(truth)
    hits = np.bincount(truth[truth == predicted], minlength=len(support))
    named = np.bincount(predicted[predicted >= 0], minlength=len(support))
    return float(np.sum(support / len(truth) * 2 * hits / np.maximum(support + named, 1)))


@lru_cache(maxsize=200_000)
def bleu_counts(hypothesis: str, references: str | tuple[str, ...], tokenizer: str) -> tuple[float, ...]:
    """Return what BLEU counts in one sentence: matches and totals of 1- to 4-grams, both lengths, its own BLEU."""
    references = (references,) if isinstance(references, str) else references
    score = _sentence_bleu(tokenizer).sentence_score(hypothesis, list(references))
    return (*score.counts, *score.totals, score.sys_len, score.ref_len, score.score / 100)


def bleu(counts: np.ndarray) -> float:
    """Return corpus BLEU / 100 from the sentences' counts, shape (samples, 11): sacrebleu's default."""
    from sacrebleu.metrics import BLEU

    sums = [int(total) for total in counts[:, :10].sum(axis=0)]
    score = BLEU.compute_bleu(sums[:4], sums[4:8], sums[8], sums[9], smooth_method="exp")
    # 100 is reached through exponentials of logarithms.
    return min(score.score / 100, 1.0)


def _f1_of(task: "Task", samples: Sequence[Mapping[str, Any]], answers: Sequence[str | None], _: Any) -> tuple:
    return confusion([sample["reference"] for sample in samples], answers)


def _bleu_of(task: "Task", samples: Sequence[Mapping[str, Any]], answers: Sequence[str | None], _: Any) -> tuple:
    pairs = zip(answers, samples, strict=True)
    rows = [bleu_counts(answer or "", hashable(sample["reference"]), task.tokenizer) for answer, sample in pairs]
    return (np.array(rows),)


@lru_cache
def _sentence_bleu(tokenizer: str) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=tokenizer, effective_order=True)


def hashable(reference: str | Sequence[str]) -> str | tuple[str, ...]:
    """Return one or several reference translations as a key of `bleu_counts`."""
    return reference if isinstance(reference, str) else tuple(reference)


# name: (what it needs of the samples, as arrays; the metric of these arrays). None: the mean of the samples' scores.
METRICS: dict[str, tuple[Callable[..., tuple], Callable[..., float]] | None] = {
    "accuracy": None,
    "exact_match": None,
    "pass@1": None,
    "weighted_f1": (_f1_of, weighted_f1),
    "bleu": (_bleu_of, bleu),
}


def evaluate(
    task: "Task", samples: Sequence[Mapping[str, Any]], answers: Sequence[str | None], scores: Sequence[float]
) -> float:
    """Return the task's metric in [0, 1]."""
    corpus = METRICS[task.metric]
    if corpus is None:
        return mean(scores)
    arrays, metric = corpus
    return metric(*arrays(task, samples, answers, scores))


def standard_error(
    task: "Task", samples: Sequence[Mapping[str, Any]], answers: Sequence[str | None], scores: Sequence[float]
) -> float:
    """Return the standard error of the metric over samples.

    For a mean it is s/√n with the unbiased s, 0 for a single sample; for weighted F1 and BLEU it is the standard
    deviation over 1000 seeded bootstrap resamples of the samples.
    """
    n = len(samples)
    corpus = METRICS[task.metric]
    if corpus is None:
        return float(np.std(scores, ddof=1) / math.sqrt(n)) if n > 1 else 0.0
    arrays, metric = corpus
    columns = arrays(task, samples, answers, scores)
    draws = stream(0, "standard_error", task.name).integers(n, size=(_RESAMPLES, n))
    return float(np.std([metric(*(column[draw] for column in columns)) for draw in draws], ddof=1))
