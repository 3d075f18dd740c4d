"""Options: from a row or a question to {letter: text}, and their texts in the forms in which they are compared."""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_WRAPPERS = re.compile(
    r"\\(?:text|textbf|mathrm|mathbf|boxed|fbox)\{([^{}]*)\}|[*_`$\"“”]|\\[()\[\]]|</\w+>|<[A-Za-z_]{2,}>|<[a-z]>(?=[^<]*</[a-z]>)|<\|[^|<>]*\|>"
)
# Invisible characters, and pictures such as ✅.
_UNSEEN = re.compile("[\u200b\u200e\u200f\u2060\ufeff\ufe0e\ufe0f\u2600-\u27bf\U0001f000-\U0001faff]")
_OPTION = re.compile(r"^(?:\(([A-Z])\)|-) (.*)$", re.MULTILINE)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lettered(options: object) -> dict[str, str]:
    """Return options in order as {letter: text}: a list gets A, B, C …, a mapping keeps its letters.

    ValueError if options are neither a list nor a mapping, are empty, or are more than the alphabet has letters.
    """
    if isinstance(options, Mapping):
        found = {str(letter).strip(): _option(letter, text) for letter, text in options.items()}
        if len({letter.casefold() for letter in found}) < len(options):
            raise ValueError(f"two of the letters {', '.join(map(str, options))} differ only in case or space")
    elif isinstance(options, list | tuple):
        if len(options) > len(LETTERS):
            raise ValueError(f"{len(options)} options are more than there are letters")
        found = {letter: _option(letter, text) for letter, text in zip(LETTERS, options, strict=False)}
    else:
        raise ValueError(f"expected options as a list or a mapping, found {options!r}")
    if not found:
        raise ValueError("there are no options")
    return found


def _option(letter: object, value: object) -> str:
    if not isinstance(value, str | int | float):
        found = "null" if value is None else f"a {type(value).__name__}"
        raise ValueError(f"option {letter} must be text or a number, found {found}")
    return str(value)


def options_in(question: str) -> dict[str, str]:
    """Return the options listed below a question's line "Options:", as in BIG-Bench Hard; {} if there are none.

    >>> options_in("Which?\\nOptions:\\n(A) fur\\n(B) scale"), options_in("So?\\nOptions:\\n- Yes\\n- No")
    ({'A': 'fur', 'B': 'scale'}, {'Yes': 'Yes', 'No': 'No'})
    """
    _, found, listed = question.partition("Options:\n")
    options = _OPTION.findall(listed) if found else []
    return {letter or text.strip(): text.strip() for letter, text in options}


def folded(text: str) -> str:
    """Return an option's text for comparison, without case, extra spaces and surrounding marks."""
    return key(plain(text).casefold())


@lru_cache(maxsize=16384)  # the same options are compared with each candidate's answer
def plain(text: str) -> str:
    """Return `text` without the marks of Markdown and TeX around words, tags, invisible characters and pictures."""
    text = _WRAPPERS.sub(lambda match: match[1] or "", unicodedata.normalize("NFKC", text))
    return (text if text.isascii() else _UNSEEN.sub("", text)).strip()


def key(text: str) -> str:
    """Return `text` with single spaces, without marks around it."""
    return " ".join(text.split()).strip(" .,;:!'‘’。")
