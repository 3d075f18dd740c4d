"""Choices and labels: which of the given options a text names.

A text may name an option by its letter, in any usual form ("B", "(b)", "B.", "Option B: scale"), or by its text. For a
letter outside the options, two letters, or another text the result is None, never a default.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_WRAPPERS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed|fbox)\{([^{}]*)\}|[*_`$\"“”]|\\[()\[\]]")
_LETTER = re.compile(
    r"(?:the\s+)?(?:correct\s+)?(?:(?:option|choice|answer|letter)\s+)?[(\[{]?\s*([^\W_]{1,2})\s*[)\]}]?(?:$|([\s.:,;)\-–—]+)(.*))",
    re.IGNORECASE | re.DOTALL,
)
_OPTION = re.compile(r"^(?:\(([A-Z])\)|-) (.*)$", re.MULTILINE)
_HEDGE = re.compile(r"(?:(?:most\s+)?(?:likely|probably)|definitely|clearly)\s+(?:to\s+be\s+)?", re.IGNORECASE)
_AND = re.compile(r"(?:and|or|&)\b")
# "b, c or d" after a first letter: several options are named.
_ANOTHER = re.compile(r"[(\[]?([^\W_]{1,2})[)\]]?(?=\s*(?:[,/&]|$|and\b|or\b))")
_WORDS = re.compile(r"\s+[(–—-]|[;:]|,\s+(?:because|since|as|for)\b")
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


def choose(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the option that `text` names, or None.

    >>> choose("(b) scale.", {"A": "fur", "B": "scale"}), choose("Fur", {"A": "fur", "B": "scale"})
    ('B', 'A')
    """
    return _choose(text, tuple(options.items()))


@lru_cache(maxsize=16384)  # candidates of one population give mostly the same answers
def _choose(text: str, options: tuple[tuple[str, str], ...]) -> str | None:
    table = _table(options)
    # Remove the rest of an unclosed \text{.
    whole = plain(text).lstrip("} ")
    # Compare the whole text first: options may begin with letters ("(i) and (ii)") or with words of certainty.
    named = table.exact.get(_key(whole)) or table.folded.get(_folded(whole))
    if named and len(_key(whole)) > 3:
        return named
    hedge = _HEDGE.match(whole)
    whole = whole[hedge.end() :] if hedge else whole
    # "The answer is (B). Because …" and "Answer: joy. He laughs." continue after the answer.
    first_sentence = whole.split(". ")[0]
    for part in dict.fromkeys((whole, first_sentence)):
        found = _by_letter(part, table) or table.exact.get(_key(part)) or table.folded.get(_folded(part))
        if found:
            return found
    # "joy, because she laughs", "joy (B)": the option's text, followed by more words.
    words = _folded(_WORDS.split(whole)[0])
    return table.folded.get(words) if len(words) > 2 else None


@dataclass(frozen=True)
class _Table:
    """Options by folded letter, exact text and folded text; a text that two options share names neither of them."""

    letters: Mapping[str, str]
    exact: Mapping[str, str | None]
    folded: Mapping[str, str | None]
    texts: Mapping[str, str]


@lru_cache(maxsize=4096)
def _table(options: tuple[tuple[str, str], ...]) -> _Table:
    exact: dict[str, str | None] = {}
    folded: dict[str, str | None] = {}
    for letter, text in options:
        for names, key in ((exact, _key(plain(text))), (folded, _folded(plain(text)))):
            # An option without text is named by its letter only; otherwise an empty answer would name it.
            if key:
                names[key] = None if key in names else letter
    texts = {letter: _folded(plain(text)) for letter, text in options}
    return _Table({letter.casefold(): letter for letter, _ in options}, exact, folded, texts)


def _by_letter(text: str, table: _Table) -> str | None:
    match = _LETTER.fullmatch(text)
    letter = table.letters.get(match[1].casefold()) if match else None
    if match is None or letter is None or not match[3]:
        return letter
    rest = _folded(match[3])
    # Also if the text begins with a character that separates letter and text: "(A) -5".
    if table.texts[letter] == rest or (table.texts[letter] and _folded(text).endswith(table.texts[letter])):
        return letter
    # "A dog" is a text that begins with a letter; "B, because …" is a letter, "A, B" and "A. scale" are two options.
    other = _LETTER.fullmatch(rest)
    names_another = rest in table.folded or (other and not other[3] and other[1] in table.letters) or _AND.match(rest)
    another = _ANOTHER.match(rest)
    names_another = names_another or (another and another[1] in table.letters and another[1] != letter.casefold())
    # A letter in brackets needs no mark after it: "(C) because …".
    bracketed = text[: match.start(2)].rstrip()[-1:] in ")]}"
    return letter if (match[2].strip() or bracketed) and not names_another else None


def folded(text: str) -> str:
    """Return an option's text for comparison, without case, extra spaces and surrounding marks."""
    return _folded(plain(text))


def plain(text: str) -> str:
    """Return `text` without the marks of Markdown and TeX around words."""
    return _WRAPPERS.sub(lambda match: match[1] or "", unicodedata.normalize("NFKC", text)).strip()


def _key(text: str) -> str:
    return " ".join(text.split()).strip(" .,;:!)'。")


def _folded(text: str) -> str:
    return _key(text.casefold())
