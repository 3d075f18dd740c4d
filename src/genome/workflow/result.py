"""What a row of a table or figure is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from genome.validation.section import Section
from genome.workflow.plan import JSON, Plan

Files = Mapping[str, str | Sequence[str]] | Sequence[str]
"""The inputs of a rule: by their names in the rule, or without names."""

RUN = "1 What was run"
SCORES = "2 What came out"
CERTAINTY = "3 How sure"
REASONS = "4 Why"
COST = "5 What it took"
"""The sections of the report, which shows them in the order of their names."""

Part = TypeVar("Part", bound=Section)


@dataclass(frozen=True)
class Result(Generic[Part]):
    """A table or figure.

    `config` is the class of the config's part that describes it, which `inputs` and `settings` get: the files that it
    is made from, and the settings that it depends on. `section` is that of the report. `key` names the part if it has
    another name. `rule` makes it: a table has the rule `table` unless it needs further files or outputs.
    """

    name: str
    config: type[Part]
    section: str
    title: str
    caption: str
    inputs: Callable[[Plan, Part], Files]
    settings: Callable[[Plan, Part], Mapping[str, JSON]]
    key: str = ""
    rule: str = "table"

    @property
    def part(self) -> str:
        """The key of the part of the config that describes it."""
        return self.key or self.name

    @property
    def text(self) -> str:
        """Title and caption."""
        return f"{self.title}. {self.caption}"

    def inputs_of(self, plan: Plan) -> Files:
        """Return the files that this result is made from; GenomeError if the config's part is null."""
        return self.inputs(plan, plan.section(self.part, self.config))

    def settings_of(self, plan: Plan) -> Mapping[str, JSON]:
        """Return the settings that this result depends on; GenomeError if the config's part is null."""
        return self.settings(plan, plan.section(self.part, self.config))


def by_name(*results: Result[Part]) -> Mapping[str, Result[Part]]:
    """Return rows by their names."""
    return {result.name: result for result in results}
