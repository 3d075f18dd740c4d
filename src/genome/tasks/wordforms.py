"""Words in the forms in which answers and options are compared: without case, articles, plurals and punctuation."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from genome.tasks.options import folded

_WORD = re.compile(r"[^\s,;:!?()\[\]{}/\"“”]+")
# "vitamin A" and "(A)" contain a letter.
_ARTICLE = re.compile(r"(?<![(\[])\b(?:an?|the)\s+(?=\w)")
# Endings that turn an adjective into its noun, a noun into its adjective, a verb into its participle.
_ENDINGS = ("fulness", "ness", "ful", "ity", "ing", "ous", "ed", "ly")


@lru_cache(maxsize=16384)
def words(text: str) -> str:
    """Return the words of `text`, each without case and the mark of a plural, separated by spaces, without articles.

    >>> words("The blue balls (two)")
    'blue ball two'
    """
    found = (word.strip(".'’‘`*_") for word in _WORD.findall(_ARTICLE.sub("", folded(text))))
    return " ".join(_singular(word) for word in found if word)


def loose(text: str) -> str:
    """Return `words`, with a hyphen or an underscore as a space.

    >>> loose("Very-positive")
    'very positive'
    """
    return words(re.sub(r"(?<=[^\W\d_])[-_‐‑](?=[^\W\d_])", " ", text))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def forms(label: str) -> list[str]:
    """Return other forms of a label of one word: its noun, adjective or participle, as far as endings make them.

    >>> "sad" in forms("sadness"), "joyful" in forms("joy"), "angry" in forms("anger"), forms("very sad")
    (True, True, True, [])
    """
    word = label.casefold().strip()
    if not word.isalpha() or len(word) < 3:
        return []
    stems = {
        word,
        *(word[: -len(ending)] for ending in _ENDINGS if word.endswith(ending) and len(word) - len(ending) > 2),
    }
    found: dict[str, None] = {}
    for stem in sorted(stems):
        stem = f"{stem[:-1]}y" if stem.endswith("i") else stem
        root = f"{stem[:-1]}i" if stem.endswith("y") and stem[-2] not in "aeiou" else stem
        found |= dict.fromkeys((stem, f"{stem}s", *(f"{root}{ending}" for ending in _ENDINGS)))
        if stem.endswith("e"):
            found |= dict.fromkeys((f"{stem}d", f"{stem[:-1]}ity", f"{stem[:-1]}ing"))
        if stem.endswith("ger"):
            found[f"{stem[:-2]}ry"] = None
    return [form for form in found if form != word]


def names_of(labels: Mapping[str, str], synonyms: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the other names of labels by their letters: the label, its synonyms, and the forms of each."""
    return {
        letter: [name for word in (label, *synonyms.get(label, ())) for name in (word, *forms(word))]
        for letter, label in labels.items()
    }
