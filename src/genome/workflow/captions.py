"""Texts of the report: sections, and captions as params."""

from collections.abc import Callable, Mapping

from genome.workflow.figures import EFFICIENCY, FIGURES, PORTRAITS
from genome.workflow.rules import Wildcards
from genome.workflow.summary import SUMMARY
from genome.workflow.tables import TABLES


class Captions:
    """Texts of the report: sections, and captions as params.

    A caption's function takes the job's output, which it does not read: Snakemake leaves the params of such functions
    out when it decides whether a job has to run again.
    """

    figures: Mapping[str, str] = {
        **{figure.name: figure.text for figure in (*FIGURES.values(), EFFICIENCY, SUMMARY)},
        **{portrait.name: portrait.caption for portrait in PORTRAITS.values()},
    }

    def section(self, wildcards: Wildcards) -> str:
        """Return the section of a table."""
        return TABLES[wildcards.table].section

    def table(self, wildcards: Wildcards, output: object) -> str:
        """Return the caption of a table."""
        return TABLES[wildcards.table].text

    def portrait(self, wildcards: Wildcards, output: object) -> str:
        """Return the caption of a figure of one run."""
        return self.figures[wildcards.kind]

    def of(self, figure: str) -> Callable[[Wildcards, object], str]:
        """Return the function of a figure's caption."""
        return lambda wildcards, output: self.figures[figure]
