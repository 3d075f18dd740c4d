"""Stages that read scores only: tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from genome.errors import GenomeError
from genome.files import write_text
from genome.jobs import log
from genome.report import efficiency as costs
from genome.report import rendering, tables
from genome.report.figures.efficiency import draw_efficiency
from genome.report.page import page
from genome.report.traces import with_runs
from genome.scoring.results import read_scores, read_split
from genome.search.records import read_contents
from genome.tasks import parse_task


def table1(settings: str, provenance: Sequence[str], table: str, markdown: str) -> None:
    """Write Table 1 from the provenance files of the splits."""
    tasks = [parse_task(*each) for each in json.loads(settings)["tasks"]]
    result = tables.table1(tasks, [read_split(path, "pool", "draw") for path in provenance])
    tables.write_csv(result.assign(split=[Path(path).parent.as_posix() for path in provenance]), table)
    write_text(markdown, tables.table1_markdown(result))


def compare(
    settings: str, score_files: Sequence[str], table: str, markdown: str, scores: str, uncertainty: str
) -> None:
    """Write a table of methods for machines and for people, every run's score in it, and how sure its numbers are.

    The answers that intervals are computed from stand beside the score files.
    """
    resolved = json.loads(settings)
    style = tables.STYLES[resolved["table"]]
    collected = tables.collect(score_files)
    layout = resolved["methods"], resolved["columns"], resolved["seeds"], style
    result = tables.comparison(collected, *layout)
    sure = tables.uncertainty(collected, *layout)
    tables.write_csv(collected, scores)
    tables.write_csv(sure, uncertainty)
    tables.write_csv(with_runs(result, sure), table)
    caption = f"{rendering.caption(collected, *layout)} Intervals and runs: {Path(uncertainty).name}."
    text = rendering.markdown(result, sure, *layout[:2], style, caption)
    write_text(markdown, text)
    log.info("%d methods on %d tests from %d score files", *map(len, layout[:2]), len(score_files))


def reachable(score_files: Sequence[str], table: str) -> None:
    """Write what Data Merge reaches of a LoRA trained on each task's own generator."""
    tables.write_csv(tables.reachable(tables.collect(score_files)), table)


def table_page(name: str, markdown: str, out: str) -> None:
    """Write a table's Markdown as a web page, for the report."""
    write_text(out, page(name, Path(markdown).read_text(encoding="utf-8")))


def efficiency(settings: str, out: Mapping[str, str]) -> None:
    """Write what each method spends to get how far, as a table and a figure; `settings` name the files of all runs.

    `out` are the paths of `table`, `markdown`, `curves` (csv) and the pictures `svg` and `png`.
    """
    resolved = json.loads(settings)
    labels, reference = resolved["labels"], resolved["reference"]
    runs = []
    for run in resolved["runs"]:
        by_report = {row["report"]: row["score"] for row in read_scores(run["scores"])}
        if run["report"] not in by_report:
            raise GenomeError(
                f"{run['scores']}: no score of the {run['report']}; delete the file to have it made again"
            )
        test, populations = by_report[run["report"]], map(read_contents, run["populations"])
        runs.append(costs.read_run(run["label"], run["tasks"], run["seed"], populations, test, run["folder"]))
    table, curves = costs.efficiency(runs, labels, reference), costs.curves(runs, labels)
    tables.write_csv(table, out["table"])
    folders = {label: " ".join(run.folder for run in runs if run.label == label) for label in labels}
    tables.write_csv(curves.assign(runs=curves["method"].map(folders)), out["curves"])
    write_text(out["markdown"], costs.markdown(table, reference, runs))
    draw_efficiency(curves, [out["svg"], out["png"]])
    log.info("%d runs of %d methods", len(runs), len(labels))
