"""Spans of text, compared by the official rules of DROP (Dua et al. 2019, section 5 and its evaluation script).

A span is lower-cased and cut at spaces and hyphens; punctuation and articles are removed from each token, and a token
that is a number is compared as one. An answer of several spans is a bag: the order does not matter. Exact match
requires exactly the same spans. F1 pairs each span with at most one other, so that the overlap of words is largest.
"""

import re
import string
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_BETWEEN_SPANS = re.compile(r"\s*(?:,\s*and\b|[,;\n]|\band\b|&|\|)\s*", re.IGNORECASE)

Spans = str | Sequence[str]
"""An answer: one span, or several that belong together."""


@lru_cache(maxsize=16384)
def normalise(span: str) -> str:
    """Return `span` in the form in which DROP compares it.

    >>> normalise("The 12,000-man army.")
    '12000.0 man army'
    """
    tokens = (_ARTICLES.sub(" ", _number(_without_punctuation(token))) for token in re.split(" |-", span.lower()))
    return " ".join(" ".join(tokens).split())


def em_and_f1(predicted: Spans, gold: Spans) -> tuple[float, float]:
    """Return exact match and F1 of one prediction and one gold answer, F1 rounded to two decimals as in the script.

    >>> em_and_f1(["Kantakouzenos", "ottomans"], ["the Ottomans", "army of Kantakouzenos"])
    (0.0, 0.75)
    """
    ours, theirs = _normalised(predicted), _normalised(gold)
    return float(_same(ours, theirs)), _aligned_f1(ours, theirs)


def best_em_and_f1(predicted: Spans, golds: Sequence[Spans]) -> tuple[float, float]:
    """Return the best exact match and the best F1 over several gold answers; blank answers are left out.

    As in the official script, the two may come from different gold answers.
    """
    found = [em_and_f1(predicted, gold) for gold in golds if (gold if isinstance(gold, str) else gold[0]).strip()]
    return max((em for em, _ in found), default=0.0), max((f1 for _, f1 in found), default=0.0)


# "Which two players …", "What are …", "Which groups were …": the answer has several spans.
_SEVERAL = re.compile(
    r"\b(?:which|what|who|whose|name|list)\s+(?:\w+\s+){0,3}?(?:two|three|four|five|six|both)\s+\w+|\bwho\s+all\b"
    r"|\b(?:which|what)\s+(?:\w+\s+)?(?:\w{2,}[^su\W]s|people|countries)\s+(?:are|were|have|had|do|did|each|that|with)\b"
    r"|\bwhat\s+(?:are|were)\b",
    re.IGNORECASE,
)


def gold_spans(answers: Mapping[str, Sequence[str]], question: str = "") -> list[str | list[str]]:
    """Return the gold answers of a row of DROP on the hub: each is a span, or a list of spans that belong together.

    The hub's `answers_spans` lists the spans of all annotators' answers in one list, with their types. A number or a
    date is an answer. Spans are one answer of several if they are repeated as a group, or if the question asks for
    several and they have no word in common; otherwise each of them is an answer.

    >>> spans = {"spans": ["Ann", "Bo", "Ann", "Bo", "2"], "types": ["span"] * 4 + ["number"]}
    >>> gold_spans(spans), gold_spans({"spans": ["Ann", "Bo"], "types": ["span", "span"]})
    ([['Ann', 'Bo'], '2'], ['Ann', 'Bo'])
    """
    given = list(zip(answers["spans"], answers.get("types") or ["span"] * len(answers["spans"]), strict=True))
    alone = [span for span, kind in given if kind != "span"]
    groups: list[list[str]] = []
    for span in (span for span, kind in given if kind == "span"):
        words = set(normalise(span).split())
        if not groups or any(words & set(normalise(other).split()) for other in groups[-1]):
            groups.append([])
        groups[-1].append(span)
    repeated = len(groups) > 1 and all(_same(_normalised(group), _normalised(groups[0])) for group in groups)
    several = _SEVERAL.search(question) and " or " not in question
    # A span with "and" is itself the list of an annotator's spans, as other copies of the data have them.
    joined = any(" and " in span for group in groups for span in group)
    if (repeated or several) and not joined:
        return [*(group if len(group) > 1 else group[0] for group in (groups[:1] if repeated else groups)), *alone]
    return [span for span, _ in given]


def exact_match(answer: str, gold: Sequence[Spans]) -> float:
    """Return 1.0 if `answer` equals any of the gold answers, each a span or a list of spans, else 0.0.

    A response is one text. For a gold answer of several spans, it is also read as a list, cut at commas, semicolons and
    "and". The official script gets such lists from systems that mark spans themselves.
    """
    return float(
        any(_same(_normalised(reading), _normalised(spans)) for spans in gold for reading in _readings(answer, spans))
    )


def f1(answer: str, gold: Sequence[Spans]) -> float:
    """Return the best F1 of `answer` over the gold answers; `answer` is read as in `exact_match`."""
    return max(
        _aligned_f1(_normalised(reading), _normalised(spans)) for spans in gold for reading in _readings(answer, spans)
    )


def _readings(answer: str, gold: Spans) -> list[Spans]:
    if isinstance(gold, str) or len(gold) == 1:
        return [answer]
    return [answer, [part for part in _BETWEEN_SPANS.split(answer) if part.strip()]]


def _normalised(spans: Spans) -> list[str]:
    return [normalise(span) for span in ([spans] if isinstance(spans, str) else spans)]


def _same(predicted: list[str], gold: list[str]) -> bool:
    # The official script compares sets and lengths, not bags.
    return len(predicted) == len(gold) and set(predicted) == set(gold)


def _aligned_f1(predicted: list[str], gold: list[str]) -> float:
    """Return the mean F1 of the best one-to-one alignment; a span without a partner counts 0."""
    from scipy.optimize import linear_sum_assignment  # slow to import: a third of a second

    table = np.array([[_overlap(set(ours.split()), set(theirs.split())) for ours in predicted] for theirs in gold])
    rows, columns = linear_sum_assignment(table, maximize=True)
    aligned = np.zeros(max(table.shape))
    aligned[rows] = table[rows, columns]
    return float(round(aligned.mean(), 2))  # rounded by numpy, as in the script


def _overlap(predicted: set[str], gold: set[str]) -> float:
    """Return the F1 of two sets of words, 0 if the gold set has numbers and the prediction has none of them."""
    numbers = {word for word in gold if _is_number(word)}
    if numbers and not numbers & predicted:
        return 0.0
    precision = len(predicted & gold) / len(predicted) if predicted else 1.0
    recall = len(predicted & gold) / len(gold) if gold else 1.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _without_punctuation(token: str) -> str:
    return token if _is_number(token) else token.translate(_PUNCTUATION)


def _number(token: str) -> str:
    return str(float(token)) if _is_number(token) else token


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True
