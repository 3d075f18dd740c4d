r"""Mathematical answers: equal if they mean the same (1/2, \frac12, 0.5), by the library math-verify.

math-verify uses sympy, which takes a second to import and may never finish on a hostile expression. So simple
comparisons are decided here, and the others in a separate process (`math_worker`), which the operating system ends when
a comparison exceeds its time limit.
"""

import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction

from genome.errors import GenomeError
from genome.tasks.extraction import boxed

LIMIT_S = 5

# The second of two backslashes, which end a row of a matrix, does not start a space.
_SPACES = re.compile(r"(?<!\\)\\[,;:! ]|\\q?quad\b|~")
_DIGITS_APART = re.compile(r"\d \d")
_BASE = re.compile(r"\d_\{?(\d+)\}?$")
_THOUSANDS = re.compile(r",\\!\s*|\{,\}|(?<=\d)(?:\\[,;: ]|\{ \})(?=\d{3}(?!\d))")
_GROUPED = re.compile(r"-?\d{1,3}(?: \d{3})+")
_UNIT = re.compile(
    r"(-?(?:[\d.,]*\d|\\frac\{[^{}]+\}\{[^{}]+\}))\s*"
    r"(?:\\(?:text|mbox|mathrm)\s*\{[^{}]*\}| (?!sin|cos|tan|log|exp|sqrt|inf|or\b|and\b)[A-Za-z]{3,})(?:\^\{?\d\}?)?"
)
_DECORATION = re.compile(r"\\(?:left|right|displaystyle|big|Big|bigl|bigr|bf|large|Large)(?![a-zA-Z])\s*")
_INSIDE = re.compile(r"(?<=[(\[{]) | (?=[)\]}])")
_WRAPPED = re.compile(
    r"\\(?:text|mbox|mathrm|textbf|mathbf|boldsymbol|bm|underline|color\{\w+\})\s*\{(.*)\}", re.DOTALL
)
_DELIMITED = re.compile(r"\s*(?:\$\$?([^$]*)\$\$?|\\\((.*?)\\\)|\\\[(.*?)\\\])\s*\.?\s*", re.DOTALL)
# A formula in a sentence; 5$ is money.
_FORMULA = re.compile(r"(?<!\\)\$([^$]+?)(?<!\\)\$|\\\((.+?)\\\)")
_REASON = re.compile(r",?[ ]+(?:because|since|as|where|when|so|by|if|which|after|for)\b")
_LEADING = re.compile(r"^(?:(minus|negative)|about|approximately|roughly|exactly|simply)[ ]+(?=\S)", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z]{2,}")
_PLAIN = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)?(?:\.\d+)?|[+-]?\d+\s*/\s*\d+")
_FRACTION = re.compile(r"(-?)\\frac(?:\{(-?\d+)\}\{(-?\d+)\}|(\d)(\d))")
_REPEATING = re.compile(r"(-?)(\d*)\.(\d*)\\(?:overline|bar|dot)\s*(?:\{(\d+)\}|(\d))")
_UNICODE = {"−": "-", "π": "\\pi ", "∞": "\\infty ", "×": "\\times ", "·": "\\cdot ", "÷": "\\div ", "≤": "\\le "}
_UNICODE |= {"≥": "\\ge ", "∪": "\\cup ", "∩": "\\cap ", "±": "\\pm ", "°": "^\\circ ", "θ": "\\theta ", "²": "^2"}
_UNICODE |= {"³": "^3", "½": "\\frac{1}{2}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "\u200b": "", "＝": "="}
_TO_TEX = str.maketrans(_UNICODE)
# Formulas as programs write them.
_STAR = re.compile(r"(?<=[\w)])\s*\*\s*(?=[\w(\\])")
_NAME = re.compile(r"(?<![\\A-Za-z])(pi|infinity|oo|infty)(?![A-Za-z])")
_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+))|√\s*(?:\(([^()]*)\)|(\d+|[a-z]))")
_WORD = re.compile(r"[A-Za-z][a-z]{2,}")
_OPTION = re.compile(r"(\([A-Z]\))[.:]?\s+(?!(?:and|or|is)\b|.*\([A-Z]\))[^,;]+")
_FORMS = re.compile(r"\s+or\s+|,?\s+(?:when|in|after)\s+(?:simpl|lowest|reduc)[a-z ]+$")
# A decimal with a larger denominator was computed by a program.
_FLOATING = 10**12
_ARTICLE = re.compile(r"^(?:an?|the)\s+(?=[a-z]+(?:\s[a-z]+)?$)", re.IGNORECASE)
_NOTHING = re.compile(
    r"(?:(?:therefore|thus|then|also|now|indeed|not)[ ,]+)*(?:correct|right|wrong|clear|obvious|below|above"
    r"|as (?:follows|desired|required|expected|claimed|stated|shown|given|above|below)"
    r"|found|given|in [a-z ]{1,60}\.?$|verified|confirmed|consistent|the same|straightforward|reasonable)"
    r"(?:$|[.,;!:]|[ ](?:and|because|since|in|by|that|to|as|for|with)\b)[^\d$\\]*",
    re.IGNORECASE,
)


def says_result(text: str) -> bool:
    """Return whether `text` may be a result; "correct" in "so the answer is correct" is not."""
    return _NOTHING.fullmatch(text) is None


def simplify(text: str) -> str:
    r"""Return `text` without marks that have no meaning, so that most equal answers become equal strings.

    >>> simplify(r"$\dfrac{1}{2}$."), simplify(r"\boxed{1{,}000}")
    ('\\frac{1}{2}', '1,000')
    """
    text = text.strip()
    inner = boxed(text)
    text = _formula(text) if inner is None else inner
    delimited = _DELIMITED.fullmatch(text)
    if delimited:
        text = next(group for group in delimited.groups() if group is not None)
    text = _THOUSANDS.sub(",", text).replace("\\!", "").replace("\\$", "").strip("*`")
    if not text.isascii():
        text = _roots(text).translate(_TO_TEX)
    text = re.sub(r"\\[dt]frac(?![a-zA-Z])", r"\\frac", text)
    text = _DECORATION.sub("", _SPACES.sub(" ", text))
    while (alone := _WRAPPED.fullmatch(text.strip())) and _is_balanced(alone[1]):
        text = alone[1]
    text = _NAME.sub(lambda m: "\\pi" if m[1] == "pi" else "\\infty", _roots(_STAR.sub(" ", text.replace("**", "^"))))
    text = _LEADING.sub(lambda m: "-" if m[1] else "", text.strip())
    measured = _UNIT.fullmatch(text.strip().rstrip("."))
    text = measured[1] if measured else text
    text = _INSIDE.sub("", " ".join(text.split())).rstrip(".").strip()
    text = text.replace(" ", "") if _GROUPED.fullmatch(text) else text
    return _ARTICLE.sub("", text)


def _formula(text: str) -> str:
    """Return the only formula of a sentence, "$12$ because the sum is 7", or the text."""
    first = _FORMULA.match(text)
    if first and _REASON.match(text, first.end()):
        return first[1] or first[2]
    formulas = _FORMULA.findall(text)
    if len(formulas) != 1 or not _WORDS.search(_FORMULA.sub("", text)):
        return text
    # "12 or $x$": something besides words is outside of the formula.
    outside = _FORMULA.sub("", text)
    before = text[: _FORMULA.search(text).start()]  # pyright: ignore[reportOptionalMemberAccess]
    if any(map(str.isdigit, before)) or "\\" in outside or re.match(r"\s*(?:or|and)\b", outside[len(before) :]):
        return text
    return formulas[0][0] or formulas[0][1]


def _roots(text: str) -> str:
    return _ROOT.sub(lambda m: f"\\sqrt{{{next(filter(None, m.groups()), '')}}}", text)


def _is_balanced(text: str) -> bool:
    """Return whether no brace in `text` closes one outside of it."""
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def plain_number(text: str) -> Fraction | None:
    r"""Return the value of simplified `text` if it is only a number or a fraction of integers, else None.

    A number may be given in two forms: "\frac{2}{4} or 0.5".
    """
    forms = list(filter(None, _FORMS.split(text)))
    if forms != [text]:
        values = set(map(plain_number, forms))
        return values.pop() if len(values) == 1 else None
    bare = text.removeprefix("$").removesuffix("%").removesuffix("\\").strip()
    if len(bare) > 300:  # int() refuses thousands of digits
        return None
    repeating = _REPEATING.fullmatch(bare)
    if repeating:
        return _repeating(*repeating.groups())
    fraction = _FRACTION.fullmatch(bare)
    if fraction:
        sign, above, below = fraction[1], fraction[2] or fraction[4], fraction[3] or fraction[5]
        return Fraction(int(sign + "1") * int(above), int(below)) if int(below) else None
    if not any(map(str.isdigit, bare)) or not _PLAIN.fullmatch(bare) or not bare.isascii():
        return None
    above, _, below = bare.replace(",", "").replace(" ", "").partition("/")
    return None if below and int(below) == 0 else Fraction(above) / (int(below) if below else 1)


def _repeating(sign: str, whole: str, fixed: str, several: str | None, one: str | None) -> Fraction:
    r"""Return the value of a decimal whose last digits repeat, 0.1\overline{6}."""
    period = several or one or ""
    scale = 10 ** len(fixed)
    value = Fraction(int(f"{whole}{fixed}" or 0), scale)
    value += Fraction(int(period), scale * (10 ** len(period) - 1))
    return -value if sign else value


def percent(text: str) -> Fraction | None:
    r"""Return the value of "50\%" as a part of one, else None."""
    number = plain_number(text) if text.endswith("%") else None
    return None if number is None else number / 100


def equal(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Return for each (reference, answer), both simplified, whether they mean the same."""
    verdicts = [_at_once(reference, answer) for reference, answer in pairs]
    open_pairs = list(dict.fromkeys(pair for pair, v in zip(pairs, verdicts, strict=True) if v is None))
    verified = dict(zip(open_pairs, _verify(open_pairs), strict=True))
    return [verified[pair] if v is None else v for pair, v in zip(pairs, verdicts, strict=True)]


def _bare(text: str) -> str:
    return text.replace(" ", "").replace("\\varnothing", "\\emptyset")


def _at_once(reference: str, answer: str) -> bool | None:
    """Return the verdict if it needs no computation, else None."""
    if reference == answer or (_bare(reference) == _bare(answer) and not _DIGITS_APART.search(reference + answer)):
        return True
    if _WORD.fullmatch(reference) and _WORD.fullmatch(answer):
        return reference.lower() == answer.lower()
    # "(C) Plane" names option (C); "(C) or (D)" does not.
    option = _OPTION.fullmatch(answer)
    if option and option[1] == reference:
        return True
    base, other_base = _BASE.search(reference), _BASE.search(answer)
    if base and other_base and base[1] != other_base[1]:
        return False
    number = plain_number(reference)
    if number is None:
        return None
    other = plain_number(answer)
    if other is not None:
        # A percentage may be given with or without its sign, or as a part of one.
        return number in (other, percent(answer)) or (other.denominator >= _FLOATING and math.isclose(number, other))
    # Words without a digit or a TeX command are never a number.
    return None if "\\" in answer or any(map(str.isdigit, answer)) else False


def _verify(pairs: list[tuple[str, str]]) -> list[bool]:
    """Return math-verify's verdicts; a comparison that ends its process (time, memory) counts as not equal."""
    verdicts: list[bool] = []
    while len(verdicts) < len(pairs):
        rest = pairs[len(verdicts) :]
        worker = subprocess.run(
            [sys.executable, "-P", "-m", "genome.tasks.math_worker", str(LIMIT_S)],
            input="".join(json.dumps(pair) + "\n" for pair in rest),
            capture_output=True,
            text=True,
            check=False,
        )
        answered = [line == "1" for line in worker.stdout.splitlines()]
        verdicts += answered
        if len(answered) < len(rest):
            # A negative code: ended by a signal, from the timer, or for lack of memory.
            if worker.returncode >= 0:
                reason = (worker.stderr.strip().splitlines() or ["no message"])[-1]
                raise GenomeError(f"math-verify failed on {rest[len(answered)]}: {reason}")
            verdicts.append(False)
    return verdicts
