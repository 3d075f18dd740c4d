"""Metrics: the answers of one model to all samples become one number in [0, 1].

The mean of the samples' scores serves most tasks. Weighted F1 and BLEU belong to the whole set of samples; their
standard errors are bootstrapped. An unparsed answer is a separate class and wrong, or an empty translation.
This module also has what is reported in addition to a metric: F1 of spans, and the signature of a BLEU.

BLEU counts words as sacrebleu cuts them, or pieces as the base model's own tokenizer does (`base`; FLORES's
spBLEU uses a separate tokenizer): then languages without spaces between words need no special rules.
"""

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from genome.rng import stream
from genome.tasks import spans
from genome.tasks.task import Task

Sample = Mapping[str, Any]
Answers = Sequence[str | None]

_RESAMPLES = 1000
# Those of sacrebleu's tokenizers that need neither a download nor another package.
TOKENIZERS = ("13a", "intl", "char", "zh", "none")
BASE = "base"
"""The base model's own tokenizer: `genome.tasks.scoring.for_base` puts its tokenizer.json in this name's place."""
_CHINESE = ("zho", "zh", "cmn", "yue")
_WITHOUT_SPACES = ("jpn", "ja", "tha", "th", "lao", "lo", "khm", "km", "mya", "my")


def mean(scores: Sequence[float]) -> float:
    """Return the mean score, computed exactly so that it does not depend on the order of samples."""
    return math.fsum(scores) / len(scores)


def confusion(references: Sequence[str], answers: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return references and answers as class numbers, shape (samples,); -1 for an answer without a class."""
    classes, truth = np.unique(references, return_inverse=True)
    numbers: dict[str | None, int] = {str(label): number for number, label in enumerate(classes)}
    return truth, np.array([numbers.get(answer, -1) for answer in answers])


def weighted_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the F1 scores of the reference classes, weighted by their share of the samples.

    As `sklearn.metrics.f1_score(average="weighted")`, with which it is tested: importing scikit-learn costs a second
    in every generation's job. Classes that only answers name have no weight, but their samples are missed.
    """
    # A draw of samples may lack a class that an answer names.
    classes = max(truth.max(), predicted.max()) + 1
    support = np.bincount(truth, minlength=classes)
    hits = np.bincount(truth[truth == predicted], minlength=classes)
    named = np.bincount(predicted[predicted >= 0], minlength=classes)
    return float(support @ (2 * hits / np.maximum(support + named, 1)) / len(truth))


def sentence_counts(task: Task, sample: Sample, answer: str | None) -> tuple[float, ...]:
    """Return the `bleu_counts` of one answer to one sample of `task`."""
    reference = sample["reference"]
    references = reference if isinstance(reference, str) else tuple(reference)
    return bleu_counts(answer or "", references, tokenizer_of(task, sample))


def tokenizer_of(task: Task, sample: Sample) -> str:
    """Return what cuts this sample's texts: one of sacrebleu's TOKENIZERS, or the path of a tokenizer.json.

    Without a base model, `base` is sacrebleu's choice for the sample's `language`, that of its reference
    (zho_simpl, zho_Hans, deu, …): zh for Chinese, char for other scripts without spaces between words, else 13a.
    """
    if task.tokenizer != BASE:
        return task.tokenizer
    language = re.split("[_-]", str(sample.get("language") or ""))[0].lower()
    return "zh" if language in _CHINESE else "char" if language in _WITHOUT_SPACES else "13a"


@lru_cache(maxsize=200_000)
def bleu_counts(hypothesis: str, references: str | tuple[str, ...], tokenizer: str) -> tuple[float, ...]:
    """Return what BLEU counts in one sentence: matches and totals of 1- to 4-grams, both lengths, its own BLEU."""
    targets = [references] if isinstance(references, str) else list(references)
    if tokenizer.endswith(".json"):
        hypothesis, *targets = (pieces(text, tokenizer) for text in (hypothesis, *targets))
        tokenizer = "none"
    score = _sentence_bleu(tokenizer).sentence_score(hypothesis, targets)
    return (*score.counts, *score.totals, score.sys_len, score.ref_len, min(score.score / 100, 1.0))


@lru_cache(maxsize=20_000)
def pieces(text: str, tokenizer: str) -> str:
    """Return the pieces of `text`, with spaces between them, as the tokenizer.json at path `tokenizer` cuts it.

    A piece is two things: its name in the vocabulary, which distinguishes the bytes of one character and whether there
    was a space before it, and the text it was cut from, which distinguishes unknown words, and the first bytes of
    different characters. So pieces are equal when the model and a reader take them for the same.
    """
    encoding = _tokenizer(tokenizer).encode(text.rstrip(), add_special_tokens=False)
    return " ".join(
        _piece(name, text[start:end]) for name, (start, end) in zip(encoding.tokens, encoding.offsets, strict=True)
    )


_SPACE = re.compile(r"\s")


def _piece(name: str, text: str) -> str:
    # The sign of a space on its own has no text: put before a sentence, its place is the next character.
    piece = f"{name}\0{text.strip()}" if name.strip("▁Ġ") else name
    return _SPACE.sub(_hexadecimal, piece)


def _hexadecimal(space: re.Match) -> str:
    return f"<0x{ord(space[0]):02X}>"


@lru_cache
def _tokenizer(path: str) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    # Files keep the settings of their last use; a text that is cut off would have a BLEU of its beginning.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def bleu(counts: np.ndarray) -> float:
    """Return corpus BLEU / 100 from the sentences' counts, shape (samples, 11): sacrebleu's default."""
    from sacrebleu.metrics.bleu import BLEU

    sums = [int(total) for total in counts[:, :10].sum(axis=0)]
    score = BLEU.compute_bleu(sums[:4], sums[4:8], sums[8], sums[9], smooth_method="exp")
    # 100 is reached through exponentials of logarithms.
    return min(score.score / 100, 1.0)


def bleu_signature(task: Task, samples: Sequence[Sample], answers: Answers) -> dict[str, str]:
    """Return sacrebleu's signature of the corpus BLEU: what it was made of, so that others can make the same.

    A tokenizer file is named by its folder, which is the model's name, and the beginning of its SHA-256.
    """
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU()
    sizes = {1 if isinstance(sample["reference"], str) else len(sample["reference"]) for sample in samples}
    bleu.num_refs = sizes.pop() if len(sizes) == 1 else -1  # sacrebleu's word for "it varies"
    signature = bleu.get_signature()
    signature.update("tok", "+".join(sorted({_signed(tokenizer_of(task, sample)) for sample in samples})))
    return {"signature": str(signature)}


def _signed(tokenizer: str) -> str:
    if not tokenizer.endswith(".json"):
        return tokenizer
    path = Path(tokenizer).absolute()
    return f"{path.parent.name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


def span_f1(task: Task, samples: Sequence[Sample], answers: Answers) -> dict[str, float]:
    """Return DROP's mean F1, which it reports in addition to exact match; a sample without an answer scores 0."""
    pairs = zip(answers, samples, strict=True)
    return {"f1": mean([0.0 if answer is None else spans.f1(answer, sample["reference"]) for answer, sample in pairs])}


def _f1_of(task: Task, samples: Sequence[Sample], answers: Answers) -> tuple:
    return confusion([sample["reference"] for sample in samples], answers)


def _bleu_of(task: Task, samples: Sequence[Sample], answers: Answers) -> tuple:
    return (np.array([sentence_counts(task, sample, answer) for sample, answer in zip(samples, answers, strict=True)]),)


@lru_cache
def _sentence_bleu(tokenizer: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=tokenizer, effective_order=True)


# name: (what it needs of the samples, as arrays; the metric of these arrays). None: the mean of the samples' scores.
METRICS: dict[str, tuple[Callable[..., tuple], Callable[..., float]] | None] = {
    "accuracy": None,
    "exact_match": None,
    "mean": None,  # of another metric of lm-evaluation-harness
    "pass@1": None,
    "weighted_f1": (_f1_of, weighted_f1),
    "bleu": (_bleu_of, bleu),
}


def evaluate(task: Task, samples: Sequence[Sample], answers: Answers, scores: Sequence[float]) -> float:
    """Return the task's metric in [0, 1]."""
    return of_parts(task.metric, _columns(task, samples, answers, scores))


def parts(task: Task, samples: Sequence[Sample], answers: Answers) -> list[list] | None:
    """Return what a metric of all samples is computed from, one list per sample; None if it is the mean of scores.

    `of_parts` accepts their columns: with them a score is resampled without samples, tokenizers or texts.
    """
    if METRICS[task.metric] is None:
        return None
    columns = _columns(task, samples, answers, ())
    return [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def of_parts(metric: str, columns: Sequence[np.ndarray]) -> float:
    """Return a metric from its columns, each with one entry per sample; a mean has one column, the samples' scores."""
    corpus = METRICS[metric]
    return mean([float(score) for score in columns[0]]) if corpus is None else corpus[1](*columns)


def resampled(metric: str, columns: Sequence[np.ndarray], draws: np.ndarray) -> np.ndarray:
    """Return a metric of each draw of samples; `draws` has shape (draws, samples) and holds sample numbers."""
    if METRICS[metric] is None:
        return np.asarray(columns[0], dtype=float)[draws].mean(axis=1)
    return np.array([of_parts(metric, [column[draw] for column in columns]) for draw in draws])


def standard_error(task: Task, samples: Sequence[Sample], answers: Answers, scores: Sequence[float]) -> float:
    """Return the standard error of the metric over samples.

    For a mean it is s/√n with the unbiased s, 0 for a single sample; for weighted F1 and BLEU it is the standard
    deviation over 1000 seeded bootstrap resamples of the samples.
    """
    n = len(samples)
    if METRICS[task.metric] is None:
        return float(np.std(scores, ddof=1) / math.sqrt(n)) if n > 1 else 0.0
    draws = stream(0, "standard_error", task.name).integers(n, size=(_RESAMPLES, n))
    return float(np.std(resampled(task.metric, _columns(task, samples, answers, scores), draws), ddof=1))


def _columns(task: Task, samples: Sequence[Sample], answers: Answers, scores: Sequence[float]) -> tuple:
    corpus = METRICS[task.metric]
    return (scores,) if corpus is None else corpus[0](task, samples, answers)
