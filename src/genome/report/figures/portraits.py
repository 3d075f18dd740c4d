"""Figures of one run that show its populations alone: evolution, family tree, experts' shares."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genome.report.figures import evolution, lineage, shares
from genome.report.figures.style import Row, pictures, write_rows
from genome.search.records import read_contents

PORTRAITS = {
    "evolution": (evolution.evolution, evolution.draw_evolution),
    "family_tree": (lineage.family_tree, lineage.draw_family_tree),
    "expert_shares": (shares.expert_shares, shares.draw_expert_shares),
}
"""Each figure's two functions: from populations to rows, and from rows to files."""

FIGURES = "results/figures/"


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Draw a figure of one run from its populations; the figure is named by the path results/figures/FIGURE/RUN."""
    figure, *_ = outputs["svg"].removeprefix(FIGURES).split("/")
    rows_of, draw = PORTRAITS[figure]
    contents = {path: read_contents(path) for path in inputs["files"]}
    rows = rows_of(list(contents.values()))
    write_rows(outputs["table"], with_runs(rows, {path: content["generation"] for path, content in contents.items()}))
    draw(rows, pictures(outputs), settings["title"])


def with_runs(rows: Sequence[Row], generations: Mapping[str, int]) -> list[Row]:
    """Return rows with the folder of the population that each comes from; `generations` are those of the files."""
    folders = {generation: Path(path).parent.as_posix() for path, generation in generations.items()}
    return [{**row, "run": folders[row["generation"]]} for row in rows]
