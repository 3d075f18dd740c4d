r"""Numbers as people and models write them, read exactly.

Supported are thousands separators (1,234, 1.234.567, 1 234, 1{,}234, १,२३४), decimals with a point, or with a comma
that cannot separate thousands (3,5), currency and percent signs, units and words after the number, fractions (3/4,
1 1/2, ½, \frac{3}{4}), powers (10^3, 6 \times 10^3, 1.5e3), square roots of squares, scales (100k, 2 million, 3万),
signs ("minus 3"), words ("twenty-one"), and the digits of every script in Unicode. Numbers are compared as fractions,
so 0.5 equals 1/2 and nothing depends on rounding.

Two numbers are not an answer: ranges (18-20), lists (18, 20), bounds (more than 18), sums without a result (18 + 20),
two units (5 hours 30 minutes) and times (5:30) are not read.
"""

import math
import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from genome.tasks.languages import JOINS, SCALES
from genome.tasks.number_words import has_number_word, in_digits

# Longer than any answer; int() refuses thousands of digits.
_LONGEST = 300

# Several groups of three with the same mark; Indian groups of two; one group of three, except 1.234, a decimal.
_DIGITS = (
    r"(?:\d{1,3}(?P<mark>[,.' ])\d{3}(?:(?P=mark)\d{3})+(?!\d)"
    r"|\d{1,3}(?:\.\d{3})+(?=,\d{1,2}(?!\d))|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)|\d{1,3}[,' ]\d{3}(?!\d)|\d+)"
)
_NUMBER = re.compile(
    rf"(?:(?P<sign>[+-]|(?:minus|negative)\b)\s?)?(?P<whole>{_DIGITS}|(?=[.,]\d))(?P<part>[.,]\d+)?"
    r"(?P<exponent>[eE][+-]?\d{1,3}(?!\d))?"
    r"(?:(?P<mixed>\s+(?:and\s+)?\d+)?\s?[/⁄]\s?(?P<below>\d+))?",
    re.IGNORECASE,
)
_POWER = re.compile(r"\s?\^\s?\{?\s?(-?\d{1,3})\s?\}?(?!\d)")
_POWER_WORDS = re.compile(
    r"(?<=\d)\s+(?:(squared)|(cubed)|(?:raised\s+)?to\s+the\s+(?:power\s+(?:of\s+)?(-?\d{1,3})"
    r"|(\d{1,3})(?:st|nd|rd|th)(?:\s+power)?))\b",
    re.IGNORECASE,
)
_TIMES = re.compile(r"\s*(?:\\times|\\cdot|[×x·])\s*")

_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}|\\[dt]?frac\s*(\d)\s*(\d)")
_ROOT = re.compile(r"(?:\\sqrt\s*|√)(?:\{\s*(\d{1,30})\s*\}|\(\s*(\d{1,30})\s*\)|(\d{1,30}))")
_IGNORED = re.compile(r"\\[$%()\[\]]|\{,\}|\\[,!;]|[*_`~≈]")
_TEX = re.compile(r"\\(?:boxed|fbox|framebox|text|textbf|mathrm|mathbf|bf|underline)\s*\{([^{}]*)\}")
_CURRENCIES = re.compile(
    r"(?:(?:US|A|C|HK|NZ|S|R)(?=\$)"
    r"|\b(?:USD|EUR|GBP|INR|JPY|CNY|RMB|CHF|AUD|CAD|KES|THB|RUB|BDT|Rs|KSh|TSh|Sh)\b\.?|\b(?:Rs|KSh|TSh|USD|EUR)\.?(?=\d))",
    re.IGNORECASE,
)
# "18*2" is a product, while the stars of "*18*" are emphasis.
_POWER_STARS = re.compile(r"(?<=\d)\s*\*\*\s*(?=-?\d)")
_ABOUT = re.compile(r"(?<=\d)\s*[~～]\s*(?=\d)")
_HTML = re.compile(r"</?(?:b|br|code|em|i|p|span|strong|sub|u)\b[^<>]*>")
_PRODUCT_STAR = re.compile(r"(?<=[\d)])\s*\*\s*(?=[\d(-])")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT = re.compile(r"(?<=\d)[⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_STRONG = re.compile(r"\*\*([^*\n]+)\*\*")

_JOIN = "|".join(map(re.escape, sorted(JOINS, key=len, reverse=True)))
_OR = "or|oder|ou|или|eller|lub"
_FIRST_DIGIT = r"[-−+]?\s?[$€£¥₹]?[-−]?\.?\d"
# What follows a number and makes it one of two, or none.
_ANOTHER = re.compile(
    rf"[^\w.]{{0,3}}(?:and/)?(?:{_OR})\b[^\d.]{{0,20}}{_FIRST_DIGIT}|"  # 18, or maybe 20
    rf"\s*(?:(?:(?<=[\s\d])|(?<!\w))(?:{_JOIN})\s*(?:{_FIRST_DIGIT})"  # 18 or 20
    rf"|[,;&]\s+{_FIRST_DIGIT}"  # 18, 20
    rf"|(?:[-+−–—×·x:/^|]|\\times|\\cdot|\\div|\\pm|\\sim|÷|±|\.\.+|\)|['\"′″])"  # 18-20
    rf"\s*(?:{_FIRST_DIGIT}|[({{]\s?\d)"
    rf"|\s{_FIRST_DIGIT}|\.\d"  # 1 8
    r"|(?:\\pi|π|pi\b|\\sqrt|√|\\infty|∞)|\+(?=$|[\s.])"  # 18π
    r"|(?:(?:or|and)\s+(?:more|less|fewer|above|below|so|over|under)|at\s+(?:least|most)|minimum|maximum)\b)",
    re.IGNORECASE,
)
# One unit and then another number: "5 hours 30 minutes", "18 apples and 3 pears".
_UNITS = re.compile(
    r"\s*(?!(?:for|in|per|of|out|on|at|by|from|with|because|since|as|after|before|every|each|if|when|is|are|a|an)\b)"
    rf"[^\W\d_]+\.?(?:\s+(?:{_JOIN})\s+|\s*[,;&]\s*|\s+){_FIRST_DIGIT}"
    r"|\s?[a-z]{1,3}(?![23]\b)\d",  # 1h30, but not 5m2
    re.IGNORECASE,
)
# What gives a reason or a condition: "earned 1000 from selling 200 bags", "has 250 left if the month has 30 days".
_CLAUSE = re.compile(
    r"\s+(?:if|because|since|assuming|(?:from|by|after|for)\s+[a-z]+ing)\s"
    r"(?!.*(?:[,;:=\n]|[.!?]\s|\b(?:and|but|or|otherwise|so|then|therefore|total)\b))",
    re.IGNORECASE | re.DOTALL,
)
# What comes before a number and makes it a bound.
_BOUND = re.compile(
    r"(?:\b(?:not|isn't|(?:more|less|fewer|greater|higher|lower|larger|smaller|bigger)\s+than|at\s+least|at\s+most|up\s+to|between"
    r"|from|over|under|above|below|almost|nearly|mehr\s+als|weniger\s+als|mindestens|höchstens|plus\s+de|moins\s+de|más\s+de"
    r"|menos\s+de|более|менее|больше|меньше)"
    r"|[<>≤≥≠±]=?|\\(?:l|g)(?:e|t)q?(?:slant)?|\\neq?|\\pm)\s*[$€£]?$",
    re.IGNORECASE,
)
_ASSIGNMENTS = re.compile(r"[A-Za-z]\w*\s?=[^=]*\d[^=]*(?:[,;]|\b(?:and|or)\b)\s*[A-Za-z]\w*\s?=")
_SUFFIX = re.compile(
    rf"(?P<letter>[kK]|bn|[BM])(?![\w^])|\s?(?P<word>{'|'.join(sorted(SCALES, key=len, reverse=True))})(?!\w)",
    re.IGNORECASE,
)
_LETTERS = {"k": 3, "K": 3, "M": 6, "B": 9, "bn": 9}
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.,]*\d)")
_REFUSAL = re.compile(
    r"\b(?:unknown|undefined|impossible|undetermined|insufficient|unclear|none|n/a)\b"
    r"|\bnot (?:possible|enough|known|given|provided)\b|\b(?:can ?not|can't) be\b|\bnot be determined\b",
    re.IGNORECASE,
)


def says_number(text: str) -> bool:
    """Return whether `text` may hold a number, or says that there is none; "correct" does neither."""
    return any(map(str.isnumeric, text)) or has_number_word(text) or _REFUSAL.search(text) is not None


@lru_cache(maxsize=16384)  # a population gives few distinct answers to a sample
def parse_number(text: str, integers: bool = False) -> Fraction | None:
    r"""Return the number in `text`, or None if there is none or it is ambiguous.

    It is the number at the start (after a currency or `≈`) or after the last `=`, or else the only number in the text.
    Units, periods and percent signs after a number do not change it. With `integers`, 1.234 is 1234.

    >>> parse_number("$1,234.50 per year"), parse_number("३/४"), parse_number("about 3 to 4")
    (Fraction(2469, 2), Fraction(3, 4), None)
    """
    # The usual case, a plain integer, is handled first.
    if text.isascii() and text.isdigit() and len(text) < _LONGEST:
        return Fraction(int(text))
    if len(text) > _LONGEST:
        return None
    plain = _western(text)
    if integers:
        plain = _GROUPED.sub(lambda match: match[0].replace(".", ""), plain)
    if _ASSIGNMENTS.search(plain):
        return None
    first, *others = plain.split("=")
    value = _only(others[-1] if others else first)
    if value is None and others:
        # "36 = 18 × 2"
        value = _only(first) if _sum(others[-1]) else None
    if value is None and "**" in text:
        # "He sells 3 of 21, so **18** are left."
        strong = _STRONG.findall(text)
        value = parse_number(strong[0], integers) if len(strong) == 1 and len(strong[0]) < len(text) - 4 else None
    return value


def _sum(text: str) -> bool:
    """Return whether `text` is a calculation without its result."""
    return re.search(r"\d\s*(?:[-+×÷x/·]|\\times|\\cdot)\s*\(?\d", text) is not None


def _only(plain: str) -> Fraction | None:
    """Return the number at the start of `plain`, or the only one of its main clause."""
    plain = plain.strip()
    match = _NUMBER.match(plain)
    if match is None:
        plain = _CLAUSE.split(plain, maxsplit=1)[0]
        matches = [found for found in _NUMBER.finditer(plain) if not _is_name(plain, found)]
        if len({found[0] for found in matches}) != 1:
            return None
        match = matches[0]
        if _BOUND.search(plain, 0, match.start()):
            return None
    return _value(match, plain)


def _is_name(plain: str, match: re.Match[str]) -> bool:
    """Return whether a letter directly before a digit makes it a name (x2, B12)."""
    before = plain[match.start() - 1] if match.start() else " "
    return before.isascii() and before.isalpha()


def _value(match: re.Match[str], plain: str) -> Fraction | None:
    """Return the value of the number that `match` begins, with its power and scale; None if another one follows."""
    value, end = _unsigned(match), match.end()
    if value is None:
        return None
    power = _POWER.match(plain, end)
    if power and not match["below"]:
        value, end = _raised(value, power), power.end()
    times = _TIMES.match(plain, end)
    factor = _NUMBER.match(plain, times.end()) if times else None
    if factor and not factor["sign"] and value is not None:
        other, end_of_other = _unsigned(factor), factor.end()
        raised = _POWER.match(plain, end_of_other)
        if raised and other is not None:
            other, end_of_other = _raised(other, raised), raised.end()
        # A product is a number in scientific notation, or a calculation without its result.
        if other is None or not (power or raised):
            return None
        value, end = value * other, end_of_other
    if value is None:
        return None
    scale = _SUFFIX.match(plain, end)
    if scale:
        exponent = _LETTERS.get(scale["letter"], 0) if scale["letter"] else SCALES[scale["word"].lower()]
        value, end = (value * 10**exponent, scale.end()) if exponent else (value, end)
    if _ANOTHER.match(plain, end) or _UNITS.match(plain, end):
        return None
    return value if match["sign"] in (None, "+") else -value


def _raised(base: Fraction, power: re.Match[str]) -> Fraction | None:
    exponent = int(power[1])
    size = max(abs(base.numerator), base.denominator)
    if (base == 0 and exponent < 0) or math.log10(size or 1) * abs(exponent) > _LONGEST:
        return None
    return base**exponent


def _western(text: str) -> str:
    """Return `text` with ASCII digits, signs and separators, without currency, emphasis and TeX around a number."""
    if "\\" in text:
        for _ in range(2):  # one in another
            text = _TEX.sub(r"\1", text)
        text = _FRACTION.sub(lambda m: f" {m[1] or m[3]}/{m[2] or m[4]} ", text)
    if "√" in text or "\\sqrt" in text:
        text = _ROOT.sub(_root, text)
    if "*" in text:
        text = _PRODUCT_STAR.sub(" × ", _POWER_STARS.sub("^", text))
    if "<" in text or ">" in text:
        text = _HTML.sub("", text.replace("<sup>", "^").replace("</sup>", ""))
        text = text.replace(">=", "≥").replace("<=", "≤")
    text = _ABOUT.sub(" - ", text) if "~" in text or "～" in text else text
    text = _IGNORED.sub(lambda match: "," if match[0] == "{,}" else "", text)
    if not text.isascii():
        text = _SUPERSCRIPT.sub(lambda match: "^" + match[0].translate(_SUPERSCRIPTS), text)
        # A fraction character after a digit (1½) makes a mixed number, which NFKC would join into one.
        text = "".join(f" {c}" if "⁄" in unicodedata.normalize("NFKC", c) else c for c in text)
        text = "".join(map(_ascii, unicodedata.normalize("NFKC", text)))
    text = _POWER_WORDS.sub(_power_sign, in_digits(text))
    text = _CURRENCIES.sub("", text).replace("$", "").strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1].strip()
    return text


def _power_sign(match: re.Match[str]) -> str:
    return f"^{2 if match[1] else 3 if match[2] else match[3] or match[4]}"


def _root(match: re.Match[str]) -> str:
    """Return the root of a square, with a space before it; the one of another number is infinite, so never read."""
    square = int(match[1] or match[2] or match[3])
    root = math.isqrt(square)
    return f" {root}" if root * root == square else " ∞"


def _ascii(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(character) == "Sc":
        return ""
    return {"−": "-", "–": "-", "٬": ",", "٫": ".", "،": ",", "’": "'", "\u202f": " ", "⁄": "/"}.get(
        character, character
    )


def _unsigned(match: re.Match[str]) -> Fraction | None:
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
    return value
