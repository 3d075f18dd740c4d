"""Choices and labels: which of the named options a text means.

An option may be given by its letter, in any usual form ("B", "(b)", "B.", "Option B: scale"), or by its text. A
letter outside the options, two letters, or a text that is none of the options mean nothing: None, never a default.
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
# "b, c or d" behind a first letter: several are named.
_ANOTHER = re.compile(r"[(\[]?([^\W_]{1,2})[)\]]?(?=\s*(?:[,/&]|$|and\b|or\b))")
_WORDS = re.compile(r"\s+[(–—-]|[;:]|,\s+(?:because|since|as|for)\b")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lettered(options: object) -> dict[str, str]:
    """Return options in order as {letter: text}: a list gets A, B, C …, a mapping keeps its own letters.

    ValueError says what is wrong with options that are neither, are empty, or are more than the alphabet.
    """
    if isinstance(options, Mapping):
        found = {str(letter).strip(): _option(letter, text) for letter, text in options.items()}
        if len({letter.casefold() for letter in found}) < len(options):
            raise ValueError(f"two of the letters {', '.join(map(str, options))} are the same but for case and space")
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
    """Return the options that a question lists below its line "Options:", as BIG-Bench Hard does; none is {}.

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


@lru_cache(maxsize=16384)  # candidates of one population mostly answer alike
def _choose(text: str, options: tuple[tuple[str, str], ...]) -> str | None:
    table = _table(options)
    # What an unclosed \text{ leaves, and what says how sure the model is.
    whole = plain(text).lstrip("} ")
    # A whole text before all else: options begin with letters ("(i) and (ii)") and with words of certainty, too.
    named = table.exact.get(_key(whole)) or table.folded.get(_folded(whole))
    if named and len(_key(whole)) > 3:
        return named
    hedge = _HEDGE.match(whole)
    whole = whole[hedge.end() :] if hedge else whole
    # "The answer is (B). Because …" and "Answer: joy. He laughs." go on after the answer.
    first_sentence = whole.split(". ")[0]
    for part in dict.fromkeys((whole, first_sentence)):
        found = _by_letter(part, table) or table.exact.get(_key(part)) or table.folded.get(_folded(part))
        if found:
            return found
    # "joy, because she laughs", "joy (B)": words that say which, and more of them.
    words = _folded(_WORDS.split(whole)[0])
    return table.folded.get(words) if len(words) > 2 else None


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
        for names, key in ((exact, _key(plain(text))), (folded, _folded(plain(text)))):
            # An option without text is named by its letter only, or else silence would name it.
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
    # Also where the text begins with what parts it from its letter: "(A) -5".
    if table.texts[letter] == rest or (table.texts[letter] and _folded(text).endswith(table.texts[letter])):
        return letter
    # "A dog" is a text that begins with a letter; "B, because …" is a letter, "A, B" and "A. scale" are two options.
    other = _LETTER.fullmatch(rest)
    names_another = rest in table.folded or (other and not other[3] and other[1] in table.letters) or _AND.match(rest)
    another = _ANOTHER.match(rest)
    names_another = names_another or (another and another[1] in table.letters and another[1] != letter.casefold())
    # A letter in brackets needs no mark behind it: "(C) because …".
    bracketed = text[: match.start(2)].rstrip()[-1:] in ")]}"
    return letter if (match[2].strip() or bracketed) and not names_another else None


def folded(text: str) -> str:
    """Return what of an option's text counts: case, spaces and the marks around it do not."""
    return _folded(plain(text))


def plain(text: str) -> str:
    """Return `text` without the marks of Markdown and TeX around words."""
    return _WRAPPERS.sub(lambda match: match[1] or "", unicodedata.normalize("NFKC", text)).strip()


def _key(text: str) -> str:
    return " ".join(text.split()).strip(" .,;:!)'。")


def _folded(text: str) -> str:
    return _key(text.casefold())
