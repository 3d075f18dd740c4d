"""What the wildcards of rules match."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from genome.config import names, paths
from genome.search.method import Stage
from genome.workflow import study
from genome.workflow.figures import PORTRAITS
from genome.workflow.plan import Plan
from genome.workflow.tables import TABLES


def one_of(names: Iterable[str], *patterns: str) -> str:
    """Return what matches just `names` and `patterns` (none of them: nothing)."""
    return "|".join([*map(re.escape, names), *patterns]) or "(?!)"


@dataclass(frozen=True, eq=False)
class Patterns:
    """What the wildcards of rules match."""

    plan: Plan

    def variants(self, stage: Stage, *, seeded: bool | None = None) -> str:
        """Return what matches the variants whose methods a rule runs."""
        names = self.plan.of_stage(stage, seeded=seeded)
        # A thousand names in a pattern are slow: each of a job's files is matched with it.
        listed = [name for name in names if name not in self.plan.grid]
        return one_of(listed, *([study.PATTERN] if len(listed) < len(names) else []))

    @property
    def bases(self) -> str:
        """What matches the names of bases."""
        return one_of(self.plan.config.bases)

    @property
    def corpora(self) -> str:
        """What matches the names of published corpora."""
        return one_of(self.plan.suite.corpora)

    @property
    def micro_corpora(self) -> str:
        """What matches the names of the corpora of the micro world."""
        return one_of(paths.micro_corpora(self.plan.task_files))

    @property
    def trained(self) -> str:
        """What matches the adapters that are trained here."""
        return one_of(self.plan.trained)

    @property
    def imported(self) -> str:
        """What matches the adapters that are imported from the hub or a folder."""
        return one_of(self.plan.imported)

    part = r"[1-9][0-9]*(\.(0|[1-9][0-9]*))?"
    """What matches a part of a task's validation samples: NUMBER, or NUMBER.DRAW."""

    task = rf"[A-Za-z0-9_]+(@{part})?"
    """What matches a task, or a part of its validation samples."""

    schemes = names.SCHEMES
    """What matches how generation 0 is made, and of which experts."""

    sets = names.SETS
    """What matches the sets of experts that are made from the given ones."""

    shared_ranks = "[1-9][0-9]*"
    """What matches the rank of a joint basis."""

    def tables_of(self, rule: str) -> str:
        """Return what matches the tables that a rule makes."""
        return one_of(name for name, table in TABLES.items() if table.rule == rule)

    tables = one_of(TABLES)
    """What matches all tables."""

    portraits = one_of(name for name, each in PORTRAITS.items() if not each.answers)
    """What matches the figures of one run that need its populations only."""
