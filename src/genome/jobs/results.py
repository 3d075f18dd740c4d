"""Tables and figures: each is written by the function `write` of its module in `genome.report`.

`write(settings, inputs, outputs)` gets the rule's settings and its input and output files by name. A new table
`ranking` is a row `ranking` of `genome.workflow.tables` and a module `genome.report.ranking`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol

MODULES = {
    "table1": "splits",
    "compare": "comparison",
    "correlate": "correlations",
    "regress": "regressions",
    "protocol": "public_scoring",
    "across": "cross_base",
    "figure2": "figures.scaling",
    "learning_curve": "figures.learning_curve",
    "figure3": "figures.capabilities",
    "front": "figures.front",
    "plot_ensemble": "figures.ensembles",
    "portrait": "figures.portraits",
    "portrait_diversity": "figures.diversity",
    "table_page": "page",
}
"""Modules with names other than their rules."""


class Files(Protocol):
    """The input or output of a rule, as Snakemake gives it: paths, some of which have names."""

    def __iter__(self) -> Iterator[str]:
        """Iterate over all paths."""
        ...

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return the names, each with a path or a list of paths."""
        ...


def write_result(name: str, settings: str | None, inputs: Files, outputs: Files) -> None:
    """Write a table or figure. `inputs["files"]` are all its inputs; a single output is its `table`."""
    module = import_module(f"genome.report.{MODULES.get(name, name)}")
    given: Mapping[str, Any] = {"files": list(inputs), **dict(inputs.items())}
    made: Mapping[str, str] = dict(outputs.items()) or dict(zip(("table",), outputs, strict=True))
    module.write(json.loads(settings or "{}"), given, made)
