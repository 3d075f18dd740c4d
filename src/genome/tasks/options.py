"""Choices and labels: which of the named options a text means.

An option may be given by its letter, in any usual form ("B", "(b)", "B.", "Option B: scale"), or by its text. A
letter outside the options, two letters, or a text that is none of the options mean nothing: None, never a default.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_WRAPPERS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed|fbox)\{([^{}]*)\}|[*_`$\"“”]|\\[()\[\]]")
_LETTER = re.compile(
    r"(?:the\s+)?(?:correct\s+)?(?:(?:option|choice|answer|letter)\s+)?[(\[{]?\s*([^\W_]{1,2})\s*[)\]}]?(?:$|([\s.:,;)\-–—]+)(.*))",
    re.IGNORECASE | re.DOTALL,
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lettered(options: object) -> dict[str, str]:
    """Return options in order as {letter: text}: a list gets A, B, C …, a mapping keeps its own letters.

    ValueError says what is wrong with options that are neither, are empty, or are more than the alphabet.
    """
    if isinstance(options, Mapping):
        found = {str(letter).strip(): str(text) for letter, text in options.items()}
    elif isinstance(options, list | tuple):
        if len(options) > len(LETTERS):
            raise ValueError(f"{len(options)} options are more than there are letters")
        found = {letter: str(text) for letter, text in zip(LETTERS, options, strict=False)}
    else:
        raise ValueError(f"expected options as a list or a mapping, found {options!r}")
    if not found:
        raise ValueError("there are no options")
    return found


def choose(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the option that `text` names, or None.

    >>> choose("(b) scale.", {"A": "fur", "B": "scale"}), choose("Fur", {"A": "fur", "B": "scale"})
    ('B', 'A')
    """
    return _choose(text, tuple(options.items()))


@lru_cache(maxsize=16384)  # candidates of one population mostly answer alike
def _choose(text: str, options: tuple[tuple[str, str], ...]) -> str | None:
    table = _table(options)
    whole = _plain(text)
    # "The answer is (B). Because …" and "Answer: joy. He laughs." go on after the answer.
    first_sentence = whole.split(". ")[0]
    for part in dict.fromkeys((whole, first_sentence)):
        found = _by_letter(part, table) or table.exact.get(_key(part)) or table.folded.get(_folded(part))
        if found:
            return found
    return None


@dataclass(frozen=True)
class _Table:
    """Options by letter (folded), text as written, and text folded; a text that two options share names neither."""

    letters: Mapping[str, str]
    exact: Mapping[str, str | None]
    folded: Mapping[str, str | None]
    texts: Mapping[str, str]


@lru_cache(maxsize=4096)
def _table(options: tuple[tuple[str, str], ...]) -> _Table:
    exact: dict[str, str | None] = {}
    folded: dict[str, str | None] = {}
    for letter, text in options:
        for names, key in ((exact, _key(_plain(text))), (folded, _folded(_plain(text)))):
            names[key] = None if key in names else letter
    texts = {letter: _folded(_plain(text)) for letter, text in options}
    return _Table({letter.casefold(): letter for letter, _ in options}, exact, folded, texts)


def _by_letter(text: str, table: _Table) -> str | None:
    match = _LETTER.fullmatch(text)
    letter = table.letters.get(match[1].casefold()) if match else None
    if letter is None or not match[3]:
        return letter
    rest = _folded(match[3])
    if table.texts[letter] == rest:
        return letter
    # "A dog" is a text that begins with a letter; "B, because …" is a letter, "A, B" and "A. scale" are two options.
    other = _LETTER.fullmatch(rest)
    names_another = rest in table.folded or (other and not other[3] and other[1] in table.letters)
    return letter if match[2].strip() and not names_another else None


def _plain(text: str) -> str:
    return _WRAPPERS.sub(lambda match: match[1] or "", text).strip()


def _key(text: str) -> str:
    return " ".join(text.split()).strip(" .,;:!")


def _folded(text: str) -> str:
    return _key(text.casefold())
