"""Stages that draw: from scores, populations and validation answers to SVG, PNG and the numbers drawn."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from genome.experts.peft import load_experts
from genome.jobs import log
from genome.report import tables
from genome.report.figures import PORTRAITS
from genome.report.figures.capabilities import capabilities, draw_capabilities
from genome.report.figures.diversity import diversity, draw_diversity
from genome.report.figures.scaling import draw_scaling, scaling
from genome.report.figures.style import Row, write_rows
from genome.scoring.results import read_evaluations, read_manifest
from genome.search.records import read_contents, read_population


def figure2(settings: str, score_files: Sequence[str], pictures: Sequence[str], table: str) -> None:
    """Draw test scores against population size; the answers that intervals come from stand beside the score files."""
    resolved = json.loads(settings)
    layout = resolved["methods"], resolved["columns"], resolved["sizes"], resolved["seeds"]
    found = scaling(tables.collect(score_files), *layout)
    tables.write_csv(found, table)
    draw_scaling(found, pictures)
    log.info("%d methods on %d tests at %d sizes", *map(len, layout[:3]))


def figure3(settings: str, scored_experts: Sequence[str], pictures: Sequence[str], table: str) -> None:
    """Draw what each expert is good at, from the experts' populations on each task in `settings`, in that order."""
    categories = dict(json.loads(settings)["tasks"])
    files = dict(zip(categories, scored_experts, strict=True))
    found = capabilities({task: read_contents(path) for task, path in files.items()}, categories)
    folders = {task: Path(path).parent.as_posix() for task, path in files.items()}
    write_rows(table, [{**row, "runs": " ".join(folders[task] for task in row["tasks"].split())} for row in found])
    draw_capabilities(found, pictures)


def portrait(kind: str, settings: str, populations: Sequence[str], pictures: Sequence[str], table: str) -> None:
    """Draw a figure of one run from its populations alone; `kind` is a name in `PORTRAITS`."""
    rows_of, draw = PORTRAITS[kind]
    contents = {path: read_contents(path) for path in populations}
    rows = rows_of(list(contents.values()))
    write_rows(table, _with_runs(rows, {path: content["generation"] for path, content in contents.items()}))
    draw(rows, pictures, json.loads(settings)["title"])


def portrait_diversity(
    settings: str,
    manifest: str,
    populations: Sequence[str],
    evaluations: Sequence[str],
    pictures: Sequence[str],
    table: str,
) -> None:
    """Draw how unlike the members of a run are, and how far from the base; its experts are those of the manifest."""
    experts = load_experts(read_manifest(manifest)["experts"])
    contents = {path: read_population(path, experts) for path in populations}
    answers = (row for path in evaluations for row in read_evaluations(path))
    rows = diversity(contents.values(), answers, experts)
    write_rows(table, _with_runs(rows, {path: content.generation for path, content in contents.items()}))
    draw_diversity(rows, pictures, json.loads(settings)["title"])


def _with_runs(rows: Sequence[Row], generations: Mapping[str, int]) -> list[Row]:
    """Return rows with the folder of the population that each comes from; `generations` are those of the files."""
    folders = {generation: Path(path).parent.as_posix() for path, generation in generations.items()}
    return [{**row, "run": folders[row["generation"]]} for row in rows]
