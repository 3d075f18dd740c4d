r"""Mathematical answers: equal if they mean the same (1/2, \frac12, 0.5), by the library math-verify.

math-verify uses sympy, which takes a second to import and may never finish on a hostile expression. So simple
comparisons are decided here, and the others in a separate process (`math_worker`), which the operating system ends when
a comparison exceeds its time limit.
"""

import json
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
_THOUSANDS = re.compile(r",\\!\s*|\{,\}")
_UNIT = re.compile(
    r"(-?(?:[\d.,]*\d|\\frac\{[^{}]+\}\{[^{}]+\}))\s*"
    r"(?:\\(?:text|mbox|mathrm)\s*\{[^{}]*\}| (?!sin|cos|tan|log|exp|sqrt|inf)[A-Za-z]{3,})(?:\^\{?\d\}?)?"
)
_DECORATION = re.compile(r"\\(?:left|right|displaystyle|big|Big|bigl|bigr)(?![a-zA-Z])\s*")
_INSIDE = re.compile(r"(?<=[(\[{]) | (?=[)\]}])")
_WRAPPED = re.compile(r"\\(?:text|mbox|mathrm|textbf|mathbf)\s*\{([^{}]*)\}")
_DELIMITED = re.compile(r"\s*(?:\$\$?([^$]*)\$\$?|\\\((.*?)\\\)|\\\[(.*?)\\\])\s*\.?\s*", re.DOTALL)
_PLAIN = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)?(?:\.\d+)?|[+-]?\d+\s*/\s*\d+")
_FRACTION = re.compile(r"(-?)\\frac(?:\{(-?\d+)\}\{(-?\d+)\}|(\d)(\d))")


def simplify(text: str) -> str:
    r"""Return `text` without marks that have no meaning, so that most equal answers become equal strings.

    >>> simplify(r"$\dfrac{1}{2}$."), simplify(r"\boxed{1{,}000}")
    ('\\frac{1}{2}', '1,000')
    """
    text = text.strip()
    inner = boxed(text)
    text = inner if inner is not None else text
    delimited = _DELIMITED.fullmatch(text)
    if delimited:
        text = next(group for group in delimited.groups() if group is not None)
    text = _THOUSANDS.sub(",", text).replace("\\!", "").replace("\\$", "").replace("−", "-").strip("*`")
    text = re.sub(r"\\[dt]frac(?![a-zA-Z])", r"\\frac", text)
    text = _DECORATION.sub("", _SPACES.sub(" ", text))
    alone = _WRAPPED.fullmatch(text.strip())
    text = alone[1] if alone else text
    measured = _UNIT.fullmatch(text.strip().rstrip("."))
    text = measured[1] if measured else text
    return _INSIDE.sub("", " ".join(text.split())).rstrip(".").strip()


def plain_number(text: str) -> Fraction | None:
    """Return the value of simplified `text` if it is only a number or a fraction of integers, else None."""
    bare = text.removeprefix("$").removesuffix("%").removesuffix("\\").strip()
    if len(bare) > 300:  # int() refuses thousands of digits
        return None
    fraction = _FRACTION.fullmatch(bare)
    if fraction:
        sign, above, below = fraction[1], fraction[2] or fraction[4], fraction[3] or fraction[5]
        return Fraction(int(sign + "1") * int(above), int(below)) if int(below) else None
    if not any(map(str.isdigit, bare)) or not _PLAIN.fullmatch(bare) or not bare.isascii():
        return None
    above, _, below = bare.replace(",", "").replace(" ", "").partition("/")
    return None if below and int(below) == 0 else Fraction(above) / (int(below) if below else 1)


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
    base, other_base = _BASE.search(reference), _BASE.search(answer)
    if base and other_base and base[1] != other_base[1]:
        return False
    number = plain_number(reference)
    if number is None:
        return None
    other = plain_number(answer)
    if other is not None:
        return number == other
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
            # A negative code: ended by a signal, from the alarm, or for lack of memory.
            if worker.returncode >= 0:
                reason = (worker.stderr.strip().splitlines() or ["no message"])[-1]
                raise GenomeError(f"math-verify failed on {rest[len(answered)]}: {reason}")
            verdicts.append(False)
    return verdicts
