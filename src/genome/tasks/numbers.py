r"""Numbers as people and models write them, read exactly.

Supported are thousands separators (1,234, 1.234.567, 1 234, 1{,}234, १,२३४), decimals with a point, or with a comma
that cannot separate thousands (3,5), currency and percent signs, units and words after the number, fractions (3/4,
1 1/2, ½, \frac{3}{4}), exponents (1.5e3), signs, and the digits of every script in Unicode. Numbers are compared as
fractions, so 0.5 equals 1/2 and nothing depends on rounding.
"""

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

# Longer than any answer; int() refuses thousands of digits.
_LONGEST = 300

# Several groups of three with the same mark; Indian groups of two; one group of three, except 1.234, a decimal.
_DIGITS = (
    r"(?:\d{1,3}(?P<mark>[,.' ])\d{3}(?:(?P=mark)\d{3})+(?!\d)"
    r"|\d{1,3}(?:\.\d{3})+(?=,\d{1,2}(?!\d))|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)|\d{1,3}[,' ]\d{3}(?!\d)|\d+)"
)
_NUMBER = re.compile(
    rf"(?:(?P<sign>[+-])\s?)?(?P<whole>{_DIGITS}|(?=[.,]\d))(?P<part>[.,]\d+)?(?P<exponent>[eE][+-]?\d{{1,3}}(?!\d))?"
    r"(?:(?P<mixed>\s+(?:and\s+)?\d+)?\s?[/⁄]\s?(?P<below>\d+))?"
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}|\\[dt]?frac\s*(\d)\s*(\d)")
_IGNORED = re.compile(r"\\[$%()\[\]]|\{,\}|\\[,!;]|[*_`~≈]")
_TEX = re.compile(r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_CURRENCIES = re.compile(r"(?:(?:US|A|C|HK|NZ|S)(?=\$)|\b(?:USD|EUR|GBP|INR|JPY|CNY|Rs)\b\.?)")


# "5 or 6", "5, 6": ambiguous.
_ANOTHER = re.compile(r"\s*(?:or\s+|[,;]\s+)[-−+$€£]?\d")
_SCALE = re.compile(
    r"\s*(?:(?P<word>thousand|million|billion)\b|(?:\\times|[×x*])\s*10\s*\^\s*\{?(?P<power>-?\d{1,3})\}?)"
)
_SCALES = {"thousand": 3, "million": 6, "billion": 9}
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.,]*\d)")


@lru_cache(maxsize=16384)  # a population gives few distinct answers to a sample
def parse_number(text: str, integers: bool = False) -> Fraction | None:
    r"""Return the number in `text`, or None if there is none or it is ambiguous.

    It is the number at the start (after a currency or `≈`) or after the last `=`, or else the only number in the text.
    Units, periods and percent signs after a number do not change it.

    >>> parse_number("$1,234.50 per year"), parse_number("३/४"), parse_number("about 3 to 4")
    (Fraction(2469, 2), Fraction(3, 4), None)
    """
    # The usual case, a plain integer, is handled first.
    if text.isascii() and text.isdigit() and len(text) < _LONGEST:
        return Fraction(int(text))
    if len(text) > _LONGEST:
        return None
    plain = _western(text).rpartition("=")[2].strip()
    if integers:
        plain = _GROUPED.sub(lambda match: match[0].replace(".", ""), plain)
    if plain.lower().startswith("not "):
        return None
    match = _NUMBER.match(plain)
    if match is None:
        matches = list(_NUMBER.finditer(plain))
        if len(matches) != 1:
            return None
        match = matches[0]
    # A letter directly before a digit makes it a name (x2, B12), not a number.
    if match.start() and plain[match.start() - 1].isalpha():
        return None
    if _ANOTHER.match(plain, match.end()):
        return None
    value, scale = _value(match), _SCALE.match(plain, match.end())
    if value is None or scale is None:
        return value
    return value * Fraction(10) ** (_SCALES.get(scale["word"] or "") or int(scale["power"] or 0))


def _western(text: str) -> str:
    """Return `text` with ASCII digits, signs and separators, without currency, emphasis and TeX around a number."""
    text = _TEX.sub(r"\1", text) if "\\" in text else text
    text = _FRACTION.sub(lambda m: f" {m[1] or m[3]}/{m[2] or m[4]} ", text) if "\\" in text else text
    text = _IGNORED.sub(lambda match: "," if match[0] == "{,}" else "", text)
    if not text.isascii():
        # A fraction character after a digit (1½) makes a mixed number, which NFKC would join into one.
        text = "".join(f" {c}" if "⁄" in unicodedata.normalize("NFKC", c) else c for c in text)
        text = "".join(_ascii(character) for character in unicodedata.normalize("NFKC", text))
    return _CURRENCIES.sub("", text).replace("$", "").strip()


def _ascii(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(character) == "Sc":
        return ""
    return {"−": "-", "–": "-", "٬": ",", "٫": ".", "،": ",", "’": "'", "\u202f": " ", "⁄": "/"}.get(
        character, character
    )


def _value(match: re.Match[str]) -> Fraction | None:
    whole, part = match["whole"], match["part"] or ""
    mark = match["mark"]
    if mark == "." or ("." in whole and part.startswith(",")):
        digits = whole.replace(".", "") + part.replace(",", ".")
    elif part.startswith(","):
        digits = f"{whole}.{part[1:]}"
    else:
        digits = whole + part
    digits = re.sub(r"[,' ]", "", digits)
    value = Fraction(f"{digits or '0'}{match['exponent'] or ''}")
    if match["below"]:
        below = int(match["below"])
        if below == 0:
            return None
        value = value + Fraction(int(match["mixed"].split()[-1]), below) if match["mixed"] else value / below
    return -value if match["sign"] == "-" else value
