"""Spans of text, compared by the official rules of DROP (Dua et al. 2019, section 5 and its evaluation script).

A span is lower-cased, cut at spaces and hyphens, and each token loses its punctuation and articles; a token that is a
number is compared as one. An answer of several spans is a bag: the same spans in any order.
"""

import re
import string
from collections.abc import Sequence
from functools import lru_cache

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_BETWEEN_SPANS = re.compile(r"\s*(?:,\s*and\b|[,;\n]|\band\b|&|\|)\s*", re.IGNORECASE)


@lru_cache(maxsize=16384)
def normalise(span: str) -> str:
    """Return `span` as DROP compares it.

    >>> normalise("The 12,000-man army.")
    '12000.0 man army'
    """
    tokens = (_ARTICLES.sub(" ", _number(_without_punctuation(token))) for token in re.split(" |-", span.lower()))
    return " ".join(" ".join(tokens).split())


def exact_match(answer: str, gold: Sequence[str | Sequence[str]]) -> float:
    """Return 1.0 when `answer` equals any of the gold answers, each a span or a list of spans, else 0.0.

    A response is one text. Against a gold answer of several spans it is also read as a list, cut at commas,
    semicolons and "and": the official script is given such lists by systems that mark spans themselves.
    """
    whole = [normalise(answer)]
    parts = [normalise(part) for part in _BETWEEN_SPANS.split(answer) if part.strip()]
    for spans in gold:
        bag = [normalise(spans)] if isinstance(spans, str) else [normalise(span) for span in spans]
        readings = [whole, parts] if len(bag) > 1 else [whole]
        # The official script compares the sets and the lengths, not the bags themselves.
        if any(set(reading) == set(bag) and len(reading) == len(bag) for reading in readings):
            return 1.0
    return 0.0


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
