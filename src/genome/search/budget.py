"""What a run may spend at most: `budget: 5000 samples`, or `2 M tokens`.

A batch of candidates, all that a search asks for at once, is evaluated if the most that it can cost is left; otherwise
the run ends. So a budget is never exceeded.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from genome.errors import GenomeError
from genome.search.method import setting

Unit = Literal["samples", "tokens"]

_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_TEXT = re.compile(
    r"\s*(?P<number>\d+|\d{1,3}(?:,\d{3})+|\d+\.\d+)\s*(?P<factor>[kMG]?)\s*(?P<unit>samples?|tokens?)\s*", re.ASCII
)


@dataclass(frozen=True)
class Budget:
    """A number, at least 1, of samples (prompts that candidates answer) or of tokens (read and generated for them)."""

    amount: int
    unit: Unit

    def __str__(self) -> str:
        """Return the text that `read_budget` reads: one for equal budgets.

        >>> print(Budget(5000, "samples"), Budget(2_000_000, "tokens"), sep="; ")
        5,000 samples; 2,000,000 tokens
        """
        return f"{self.amount:,} {self.unit}"


def read_budget(text: str) -> Budget:
    """Return the budget that a text describes: a number, k, M, G or nothing, and samples or tokens.

    GenomeError says what was expected if it describes none, or not a whole number.

    >>> read_budget("5000 samples"), read_budget("1.5 M tokens")
    (Budget(amount=5000, unit='samples'), Budget(amount=1500000, unit='tokens'))
    """
    found = _TEXT.fullmatch(text)
    amount = Fraction(found["number"].replace(",", "")) * _FACTORS[found["factor"]] if found else Fraction(0)
    if found is None or amount < 1 or amount.denominator != 1:
        raise GenomeError(
            f"expected a whole number of samples or tokens, such as `5000 samples` or `2 M tokens` (k, M, G), "
            f"found {text!r}"
        )
    return Budget(int(amount), "samples" if found["unit"].startswith("sample") else "tokens")


def budget() -> str | None:
    """Return the field of a run's budget."""
    return setting(
        None,
        "What a run may spend at most, such as `5000 samples` or `2 M tokens`: generation 0, generations, finalists, "
        "and the scores of the experts if it uses these. null: it ends with its last generation.",
    )


def until_done() -> bool:
    """Return the field that tells whether a run ends when it can hardly improve."""
    return setting(
        False,
        "Whether a run ends when its best has the highest possible fitness, or when its method has converged by the "
        "criteria of its library (CMA-ES).",
    )


@dataclass(frozen=True)
class Allowance:
    """What is left of a run's budget while a generation spends it.

    spent: returns what the run has spent so far; reserved: what its finalists cost at most
    each: the most that one evaluation costs
    """

    budget: Budget
    spent: Callable[[], int]
    reserved: int
    each: int

    def refusal(self, evaluations: int) -> str:
        """Return why this number of evaluations cannot be paid for; nothing if they can."""
        spent, needed = self.spent(), evaluations * self.each
        if spent + self.reserved + needed <= self.budget.amount:
            return ""
        kept = f", {self.reserved:,} are reserved for finalists" if self.reserved else ""
        return f"budget of {self.budget}: {spent:,} are spent{kept}, and the next batch may need {needed:,}"
