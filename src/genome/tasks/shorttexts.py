"""Short texts, as the answers of BIG-Bench Hard: yes or no, true or false, a number, words in order, closing brackets.

A text is read without knowing what is asked for: it becomes the number, the yes or no, or the words that it consists
of. It is compared with a reference of which the form is known, so that a sentence may contain the answer: "I have 8
objects" is 8, and "The sentence is plausible: yes" is yes.
"""

import re
from functools import lru_cache

from genome.tasks.numbers import parse_number
from genome.tasks.options import plain

_POLAR_WORDS = "yes|no|true|false|valid|invalid"
_POLAR = re.compile(
    rf"({_POLAR_WORDS})\b(?=\s*(?:[.,;:!*()–—]|[-=]\s|$|because\b|since\b|as\b|for\b|it\b|that\b))", re.IGNORECASE
)
_ANY_POLAR = re.compile(rf"(?<![\w-])({_POLAR_WORDS})(?![\w-])", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|isn't|never|cannot|can't|hardly)\b|n[’']t\b", re.IGNORECASE)
_FIGURE = re.compile(r"[-+−]?\s?[$€£]?\d[\d,. ]*%?")
_BRACKETS = "()[]{}<>"
_PAIRS = dict(zip(")]}>", "([{<", strict=True))
_UNITS: tuple[str, ...] = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_LIST_MARK = re.compile(r"(?:^|(?<=\s))\d{1,2}[.)]\s+(?=[^\W\d])")
_OPPOSITE = {"yes": "no", "no": "yes", "true": "false", "false": "true", "valid": "invalid", "invalid": "valid"}
_MEANING = {"plausible": "yes", "implausible": "no", "correct": "yes", "incorrect": "no"}
_ABOUT = re.compile(r"(?:it|this|that|the (?:sentence|statement|argument))(?: is|'s)?\s+", re.IGNORECASE)


@lru_cache(maxsize=16384)
def read(text: str) -> str | None:
    """Return the canonical form of a short text, or None if it has no content.

    >>> read("**No**, it is not"), read("= -24.0"), read("[Costume, 'oven']"), read("} ] )"), read(" ")
    ('no', '-24', 'costume oven', '}])', None)
    """
    bare = plain(text).strip(" .\n\"'")
    if bare and all(character in f"{_BRACKETS}, '\"" for character in bare):
        return "".join(character for character in bare if character in _BRACKETS) or None
    bare = re.sub(r"^(?:[=>•→]|[-–—](?=\s[^\W\d]))\s*", "", bare)
    polar = _POLAR.match(bare)
    if polar:
        return polar[1].lower()
    if _FIGURE.fullmatch(bare):
        number = parse_number(bare)
        return None if number is None else str(number)
    if bare.casefold() in _UNITS:
        return str(_UNITS.index(bare.casefold()))
    # Commas and list marks separate the words of a list, and brackets have spaces around them or not.
    if bare[:1] in "[(" and bare[-1:] in "])" and ("," in bare or "'" in bare):
        bare = " ".join(word.strip("'\" ") for word in bare[1:-1].split(","))
    words = _LIST_MARK.sub("", bare).casefold().replace(",", " ").split()
    return (" ".join(words) if any(map(str.isalnum, bare)) else "".join(words)) or None


def same(answer: str, reference: str) -> bool:
    """Return whether a text as `read` returns it gives `reference`, of whichever form that is."""
    if answer == reference:
        return True
    if reference in _OPPOSITE:
        return _polar(answer, reference) == reference
    if reference.removeprefix("-").replace("/", "").isdigit():
        number = parse_number(answer)
        return number is not None and str(number) == reference
    if reference and all(character in _BRACKETS for character in reference):
        # The opening brackets were repeated: "([{}])" for "}])".
        return answer == "".join(_PAIRS.get(character, "") for character in reversed(reference)) + reference
    return False


def _polar(answer: str, reference: str) -> str | None:
    """Return what a sentence says of a yes or no, true or false, valid or invalid: the pair of `reference`."""
    pair = {reference, _OPPOSITE[reference]}
    after = answer.rpartition("=")[2]
    bare = _ABOUT.sub("", after.strip(" ."), count=1)
    bare, denied = (bare[4:], True) if bare.startswith("not ") else (bare, False)
    meant = _MEANING.get(bare, bare)
    if meant in pair:
        return _OPPOSITE[meant] if denied and bare != meant else None if denied else meant
    found = {word.casefold() for word in _ANY_POLAR.findall(after)} & pair
    return found.pop() if len(found) == 1 and not _DENIED.search(after) else None
