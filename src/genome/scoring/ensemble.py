"""The answers of an ensemble: one per sample, from the answers of several models.

Tasks with one right answer are decided by vote; for free text, the answer most similar to the others is chosen (paper,
appendix 6.2.1). Only answers are used here: no reference, score or test outcome. Models are given fittest first, and
ties go to the fittest.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

from genome.errors import GenomeError
from genome.tasks import KINDS, Task

Answers = Sequence[str | None]
Pair = tuple[str, str]

CHRF_ORDER, CHRF_BETA = 6, 2
# Digits of BERTScore that do not depend on the batch in float32 arithmetic: smaller differences are ties.
BERTSCORE_DIGITS = 5


def combine(
    task: Task, samples: Sequence[Any], answers_by_model: Sequence[Answers], similarity: Mapping[str, Any]
) -> list[str | None]:
    """Return the ensemble's answer to each sample, None if no model has one.

    answers_by_model: one answer per sample for each model, fittest first; None is a missing answer and is ignored. Only
    the number of `samples` is used. similarity: {"metric": "chrf"} or {"metric": "bertscore", "model": folder or hub
    id, "layer": number}, for the kinds that do not vote; GenomeError names a wrong setting.
    """
    return combine_each(task, samples, [answers_by_model], similarity)[0]


def combine_each(
    task: Task, samples: Sequence[Any], ensembles: Sequence[Sequence[Answers]], similarity: Mapping[str, Any]
) -> list[list[str | None]]:
    """Return the answers of several ensembles, as `combine` does of one; shared answers are compared once."""
    by_sample = [answers for models in ensembles for _, *answers in zip(samples, *models, strict=True)]
    if KINDS[task.kind].combine == "vote":
        chosen = [_vote(answers) for answers in by_sample]
    else:
        chosen = _most_similar(by_sample, similarity)
    return [chosen[start : start + len(samples)] for start in range(0, len(chosen), len(samples))]


def _vote(answers: Answers) -> str | None:
    """Return the most frequent answer; among equally frequent ones the first, which is the fittest model's."""
    votes = Counter(answer for answer in answers if answer is not None)
    return max(votes, key=votes.__getitem__, default=None)  # a Counter keeps the order of first votes


def _most_similar(by_sample: Sequence[Answers], similarity: Mapping[str, Any]) -> list[str | None]:
    """Return, for each sample, the answer with the highest mean similarity to the other answers.

    All pairs of all samples are scored in one call. Similarity is symmetric, so two answers always tie.
    """
    present = [[answer for answer in answers if answer and answer.strip()] for answers in by_sample]
    pairs = dict.fromkeys(
        pair for answers in present if len(answers) > 2 for pair in combinations(sorted(set(answers)), 2)
    )
    scores = dict(zip(pairs, _similarities(list(pairs), similarity), strict=True))

    def total_similarity(answer: str, answers: list[str]) -> float:
        # An answer's similarity to itself adds the same to all. fsum: equal sums must tie in any order.
        return math.fsum(
            1.0 if other == answer else scores[min(answer, other), max(answer, other)] for other in answers
        )

    chosen: list[str | None] = []
    for answers in present:
        if len(answers) > 2:
            chosen.append(max(answers, key=lambda answer, answers=answers: total_similarity(answer, answers)))
        else:
            chosen.append(answers[0] if answers else None)
    return chosen


def _similarities(pairs: list[Pair], similarity: Mapping[str, Any]) -> list[float]:
    """Return the similarity of the texts of each pair, in [0, 1], by the measure in the settings."""
    match similarity:
        case {"metric": "chrf"}:
            return _chrf(pairs)
        case {"metric": "bertscore", "model": str(model), "layer": int(layer)}:
            return _bertscore(pairs, model, layer) if pairs else []
    raise GenomeError(
        f"ensemble similarity: {dict(similarity)} is not a measure; use {{metric: chrf}} or "
        "{metric: bertscore, model: FOLDER OR HUB ID OF AN ENCODER, layer: NUMBER}"
    )


def _chrf(pairs: list[Pair]) -> list[float]:
    """Return the mean of sentence-level chrF (Popović 2015) in both directions; sacrebleu's numbers / 100.

    Implemented here because a text's n-grams are shared by all its pairs, which is five times faster.
    """
    ngrams = {text: _character_ngrams(text) for text in dict.fromkeys(text for pair in pairs for text in pair)}
    scores = []
    for a, b in pairs:
        precisions, recalls = [], []
        for ours, theirs in zip(ngrams[a], ngrams[b], strict=True):
            if ours and theirs:
                common = sum(min(count, theirs[gram]) for gram, count in ours.items() if gram in theirs)
                precisions.append(common / ours.total())
                recalls.append(common / theirs.total())
        precision, recall = math.fsum(precisions) / len(precisions), math.fsum(recalls) / len(recalls)
        scores.append((_f_score(precision, recall) + _f_score(recall, precision)) / 2)
    return scores


def _character_ngrams(text: str) -> list[Counter[str]]:
    text = "".join(text.split())
    return [
        Counter(text[start : start + order] for start in range(len(text) - order + 1))
        for order in range(1, CHRF_ORDER + 1)
    ]


def _f_score(precision: float, recall: float) -> float:
    weight = CHRF_BETA**2
    return (1 + weight) * precision * recall / (weight * precision + recall) if precision + recall else 0.0


def _bertscore(pairs: list[Pair], model: str, layer: int) -> list[float]:
    """Return BERTScore F1 (Zhang et al. 2020) of each pair, without idf and without baseline rescaling."""
    first, second = zip(*pairs, strict=True)
    f1: Any = _scorer(model, layer).score(list(first), list(second))[2]
    return [round(score, BERTSCORE_DIGITS) for score in f1.tolist()]


@lru_cache(maxsize=1)
def _scorer(model: str, layer: int) -> Any:
    """Return the scorer of an encoder, which is loaded once for all tasks of a team."""
    from bert_score import BERTScorer  # torch and transformers: seconds

    try:
        scorer = BERTScorer(model_type=model, num_layers=layer, rescale_with_baseline=False)
    except (OSError, ValueError, AssertionError) as error:
        raise GenomeError(
            f"ensemble similarity: layer {layer} of {model!r} cannot be used ({str(error).splitlines()[0]}); "
            "name the folder or hub id of an encoder and one of its layers"
        ) from error
    # Tokenizers without a maximum length do not truncate, and the encoder fails on longer texts.
    positions = getattr(scorer._model.config, "max_position_embeddings", 512) - 2
    scorer._tokenizer.model_max_length = min(scorer._tokenizer.model_max_length, positions)
    return scorer
