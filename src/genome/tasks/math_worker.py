"""The process in which math-verify compares answers: it reads one JSON pair per line and prints 1 or 0 per line.

Run as `python -m genome.tasks.math_worker SECONDS`, of processor time, so that verdicts do not depend on what else the
machine does. The timer's signal keeps its default action, which ends the process even inside a computation that never
returns to Python. The parent process counts that comparison as not equal.
"""

import json
import re
import resource
import signal
import sys

from math_verify import parse, verify

_MEMORY_BYTES = 4 << 30

_OR = re.compile(r"\\text\s*\{\s*or\s*\}|\bor\b|\\lor\b|\\vee\b|\\cup\b")
_BOUND = re.compile(r"([a-z])\s*(<|>|\\leq?|\\geq?)(?![a-z])\s*([^<>=,]+)")


def equivalent(reference: str, answer: str) -> bool:
    """Return whether `answer` means the same as `reference`; False if either cannot be read as mathematics."""
    # Without dollar signs, math-verify searches for formulas in running text.
    # pyright: ignore below: None switches the library's own alarm off, which its annotation does not say.
    reference, answer = intervals(reference), intervals(answer)
    gold = parse(f"${reference}$", parsing_timeout=None)  # pyright: ignore[reportArgumentType]
    found = parse(f"${answer}$", parsing_timeout=None)  # pyright: ignore[reportArgumentType]
    # An interval may also be given as an inequality.
    return bool(gold and found and verify(gold, found, timeout_seconds=None, allow_set_relation_comp=True))


def intervals(text: str) -> str:
    r"""Return a choice of inequalities, which math-verify does not read, as a union of intervals.

    >>> intervals(r"x < -2 \text{ or } x \ge 3")
    '(-\\infty,-2) \\cup [3,\\infty)'
    """
    found = [_BOUND.fullmatch(part.strip()) for part in _OR.split(text)]
    bounds = [match.groups() for match in found if match]
    if len(bounds) < 2 or len(bounds) < len(found) or len({name for name, _, _ in bounds}) > 1:
        return text
    return " \\cup ".join(
        f"(-\\infty,{end}{')' if sign == '<' else ']'}"
        if sign in ("<", "\\le", "\\leq")
        else f"{'(' if sign == '>' else '['}{end},\\infty)"
        for _, sign, end in bounds
    )


def main() -> None:
    """Answer every line of standard input, each within the seconds of processor time in the first argument."""
    if sys.platform == "linux":  # macOS does not support this limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, int(sys.argv[1]))
        try:
            verdict = equivalent(*json.loads(line))
        except MemoryError:
            verdict = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(int(verdict), flush=True)


if __name__ == "__main__":
    main()
