"""What a table or figure shows of methods: its rows, its columns, and which rows are compared (Tables 2 to 8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MEAN = "mean"
"""The name of the row, or the column, of means over tasks."""

COMPARED = ("genome", "genome_plus")
REFERENCES = ("best_single", "model_swarms")
"""Methods that all others are compared with, in every table of scores that shows them."""

BASELINES = {"base": "the base model", "best_single": "the best expert", "validation_lora": "the Validation LoRA"}
"""What the summary compares all methods with, by variant, and what sentences call it."""

TASKS_LIKE = "mean of tasks like these"
"""The name of the mean that other tasks would change too: `mean` is over these tasks."""

Method = Mapping[str, Any]
"""A row of a table: {name, variant, label, report, shown, group}. `name` is a variant of the config, and `variant` the
one whose runs are shown: another one if its search is the same. `label` is the name for people; `report` is best or
ensemble; `shown` is the label in Markdown, which says what is reported; `group` is one of GROUPS. Optionally `blanks`:
the columns that do not apply to it, each with the reason."""

GROUPS = {
    "control": "Controls",
    "expert": "Experts alone",
    "paper": "The paper's methods",
    "beyond": "Beyond the paper",
}
"""Headings of groups of rows, in their order."""

Column = Mapping[str, str]
"""A column of a table: {name, tasks, test_task, metric} of runs that evolved on `tasks`; optionally its `group`."""


@dataclass(frozen=True)
class Style:
    """How a table compares its rows.

    about: what the table shows, in a sentence
    over: the variants that gains are relative to
    tested: the variants that all others are tested against
    over_first_row: gains, and all differences, are relative to the table's first row instead
    compared: the variants that have gains; None: all but the one compared with
    inline: in Markdown, gains follow scores in parentheses; otherwise they have separate rows
    mean: whether there is a mean over columns
    """

    about: str
    over: tuple[str, ...] = ("best_single",)
    tested: tuple[str, ...] = REFERENCES
    over_first_row: bool = False
    compared: tuple[str, ...] | None = None
    inline: bool = True
    mean: bool = False

    def references(self, methods: Sequence[Method]) -> list[Method]:
        """Return the rows that all others are tested against."""
        return [methods[0]] if self.over_first_row else [row for row in methods if row["name"] in self.tested]

    def gains(self, methods: Sequence[Method]) -> list[tuple[Method, Method]]:
        """Return which rows' gains over which are shown, in the table's order."""
        over = [methods[0]] if self.over_first_row else [row for row in methods if row["name"] in self.over]
        return [
            (row, reference)
            for row in methods
            if self.compared is None or row["name"] in self.compared
            for reference in over
            if row is not reference
        ]


STYLES = {
    "table2": Style(
        "Table 2: single tasks, each evolved on and tested by itself.",
        over=REFERENCES,
        compared=COMPARED,
        inline=False,
        mean=True,
    ),
    "table3": Style("Table 3: knowledge and reasoning."),
    "table4": Style(
        "Table 4: several tasks at once; one run a domain, whose fitness is the mean of its tasks, tested on each.",
        over=("model_swarms",),
        compared=COMPARED,
        inline=False,
    ),
    "table5": Style("Table 5: transfer; evolved on one task, tested on another of which no sample was seen.", over=()),
    "table6": Style("Table 6: languages that the base model has seen, and languages that it has not."),
    "table8": Style(
        "Table 8: ablations; a method, and the same without each of its parts.", over_first_row=True, mean=True
    ),
}
