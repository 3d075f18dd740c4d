"""Tables in Markdown: the one place that writes pipes, minus signs and differences in points."""

from collections.abc import Iterable, Sequence

from tabulate import tabulate


def pipe_table(rows: Iterable[Sequence[str]], heading: Sequence[str], alignment: Sequence[str] | None = None) -> str:
    """Return rows of text as a table; by default the first column is aligned left and the others right."""
    columns = alignment or ["left"] + ["right"] * (len(heading) - 1)
    return tabulate(rows, heading, tablefmt="pipe", disable_numparse=True, colalign=columns)


def minus(text: str) -> str:
    """Return a number's text with a minus sign in place of the hyphen."""
    return text.replace("-", "−")


def yes_or_no(holds: bool) -> str:
    """Return whether something holds, in the words of the csv files."""
    return "yes" if holds else "no"


def signed(value: float) -> str:
    """Return a difference with two decimals and its sign."""
    return minus(f"{value:+.2f}")


def points(difference: float, significant: bool, *, zero: str | None = None) -> str:
    """Return a difference in points, marked n.s. unless significant; `zero` replaces one that rounds to 0."""
    if zero is not None and float(f"{difference:.2f}") == 0:
        return zero
    return signed(difference) + ("" if significant else " n.s.")
