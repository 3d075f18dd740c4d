"""Numbers in words: English ("twenty-one", "two and a half", "half") and Chinese or Japanese (一千二百三十四, 3万).

Words are replaced by digits, so that `genome.tasks.numbers` reads both.
"""

import math
import re
from fractions import Fraction

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
_ONES += "seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: value for value, word in enumerate(_ONES.split())}
_SMALL |= {word: 10 * value for value, word in enumerate(_TENS.split(), start=2)}
_LARGE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}
_PARTS |= {f"{word}s": value for word, value in _PARTS.items() if word not in ("half", "halves")}

_WORD = "|".join(sorted((*_SMALL, *_LARGE), key=len, reverse=True))
_PART = "|".join(sorted(_PARTS, key=len, reverse=True))
_ENGLISH = re.compile(
    rf"(?<![\w-])(?:an?[ -](?=(?:{'|'.join(_LARGE)})\b))?(?:{_WORD})"
    rf"(?:(?:[ -]|[ ]and[ ])(?:{_WORD}))*(?!\w|-(?!(?:{_PART})\b))",
    re.IGNORECASE,
)
_AND_PART = re.compile(r"(\d)[ -]+and[ -]+(?:an?|one|1)[ -](half|third|quarter|fourth|fifth)\b", re.IGNORECASE)
_OF_PARTS = re.compile(rf"(?<![\d.,/])(\d{{1,3}})[ -]({_PART})\b", re.IGNORECASE)
_ALONE = re.compile(rf"(?:(?:an?[ ]|one[ -])(?={_PART})|(?=half))({_PART})(?=$|[.,;!]|[ ]of\b|[ ]an?\b)", re.IGNORECASE)
_NONE_LEFT = re.compile(
    r"(?:there (?:is|are) |(?:he|she|it|they) (?:has|have|will have) )?"
    r"(?:no|nothing|none)(?: [a-z]+){0,3}? (?:left|remain(?:s|ing)?|more)\b"
    r"[ a-z]*[.!]?",
    re.IGNORECASE,
)

_CJK_DIGITS = {
    c: value
    for value, row in enumerate(("〇零", "一壹", "二两兩", "三", "四", "五", "六", "七", "八", "九"))
    for c in row
}
_CJK_UNITS = {"十": 10, "百": 100, "千": 1000}
_CJK_LARGE = {"万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8, "兆": 10**12}
_CJK_ALL = "".join((*_CJK_DIGITS, *_CJK_UNITS, *_CJK_LARGE))
_CJK = re.compile(rf"(?:\d[\d,.]*)?[{_CJK_ALL}](?:[{_CJK_ALL}\d]|点(?=[{_CJK_ALL}]))*")
_CJK_FRACTION = re.compile(rf"([{_CJK_ALL}\d]+)分之([{_CJK_ALL}\d]+)")
_COUNTERS = "個个元円圓只隻本枚人名名歳岁分秒年月日天回次匹头頭冊册公里米キロドル美元 。.！!$"

_ANY = re.compile(rf"(?<![a-z])(?:{_WORD}|half|third|thirds|quarter|quarters)(?![a-z])|[{_CJK_ALL}]", re.IGNORECASE)


def has_number_word(text: str) -> bool:
    """Return whether `text` may hold a number in words."""
    return _ANY.search(text) is not None or _NONE_LEFT.match(text) is not None


def in_digits(text: str) -> str:
    """Return `text` with digits in place of numbers in words.

    English words are replaced only if there are no digits, since 18 is the number of "18 in one week".

    >>> in_digits("twenty-one days"), in_digits("2 and a half"), in_digits("一千二百三十四元")
    ('21 days', '2 1/2', '1234元')
    """
    if not text.isascii():
        text = _cjk(text)
    if not any(map(str.isdigit, text)):
        if _NONE_LEFT.fullmatch(text):
            return "0"
        alone = _ALONE.match(text)
        if alone:
            return f"1/{_PARTS[alone[1].lower()]}{text[alone.end() :]}"
        # "one" is mostly a pronoun.
        text = _ENGLISH.sub(lambda m: m[0] if m.start() and m[0].lower() == "one" else _english(m[0]), text)
        text = _OF_PARTS.sub(lambda m: f"{m[1]}/{_PARTS[m[2].lower()]}", text)
    return _AND_PART.sub(lambda m: f"{m[1]} 1/{_PARTS[m[2].lower()]}", text)


def _english(words: str) -> str:
    """Return the value of English number words, or the words if they do not form one, such as "five six"."""
    total, current, least = 0, 0, math.inf
    for word in re.split(r"[ -]+", words.lower()):
        if word in ("a", "an", "and"):
            continue
        if word == "hundred":
            if current >= 100:
                return words
            current = (current or 1) * 100
        elif word in _LARGE:
            # Neither "six million thousand" nor "two thousand million" is a number.
            if _LARGE[word] >= least or (total and not current):
                return words
            total, current, least = total + (current or 1) * _LARGE[word], 0, _LARGE[word]
        else:
            value = _SMALL[word]
            low = current % 100
            if (current and not value) or (low and (low < 20 or low % 10 or value >= 10)):
                return words
            current += value
    return str(total + current)


def _cjk(text: str) -> str:
    def fraction(match: re.Match[str]) -> str:
        below, above = _cjk_value(match[1]), _cjk_value(match[2])
        if below is None or above is None:
            return match[0]
        return str(above) if below == 100 else f"{above}/{below}"

    def number(match: re.Match[str]) -> str:
        # One character is mostly a part of a word (一共), unless it is all that is counted.
        if len(match[0]) == 1 and (match.start() or text[match.end() :].strip(_COUNTERS)):
            return match[0]
        value = _cjk_value(match[0])
        return match[0] if value is None else _decimal(value)

    return _CJK.sub(number, _CJK_FRACTION.sub(fraction, text))


def _decimal(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else str(float(value))


def _cjk_value(text: str) -> Fraction | None:
    """Return the value of 一千二百三十四, 二〇二四, 3万5千 or 三点五; None if it is none of these forms."""
    whole, point, part = text.partition("点")
    if point:
        digits = _plain_digits(part)
        above = _cjk_value(whole)
        return None if digits is None or above is None else above + Fraction(int(digits), 10 ** len(digits))
    digits = _plain_digits(whole)
    if digits is not None:
        return Fraction(int(digits))
    total, section, current = Fraction(0), Fraction(0), None
    for token in re.findall(r"\d[\d,.]*|\D", whole):
        if token[0].isdigit() or token in _CJK_DIGITS:
            if current:
                return None
            current = (
                Fraction(token.replace(",", "").rstrip(".")) if token[0].isdigit() else Fraction(_CJK_DIGITS[token])
            )
        elif token in _CJK_UNITS:
            section, current = section + (Fraction(1) if current is None else current) * _CJK_UNITS[token], None
        else:
            section += current or 0
            if not section:
                return None
            total, section, current = total + section * _CJK_LARGE[token], Fraction(0), None
    return total + section + (current or 0)


def _plain_digits(text: str) -> str | None:
    """Return the digits of 二〇二四, a number written digit by digit, else None."""
    if not text or not all(c in _CJK_DIGITS or c.isdecimal() for c in text):
        return None
    return "".join(str(_CJK_DIGITS.get(c, c)) for c in text)
