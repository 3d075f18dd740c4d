"""Stages that read scores and what runs cost: Table 7, and the study of hyper-parameters with its Tables 10 and 11."""

import json
from collections.abc import Sequence

from genome.files import write_text
from genome.jobs import log
from genome.report import study as report
from genome.report import tables
from genome.report.timing import costs, table7, table7_markdown, with_others


def timing(
    settings: str,
    score_files: Sequence[str],
    record_files: Sequence[str],
    beside: Sequence[str],
    table: str,
    markdown: str,
) -> None:
    """Write Table 7, for machines and for people: what runs took and scored here, and on other machines beside."""
    resolved = json.loads(settings)
    spent = costs(record_files, resolved["stages"])
    layout = resolved["methods"], resolved["columns"], resolved["seeds"]
    result = with_others(table7(tables.collect(score_files), spent, *layout), beside)
    tables.write_csv(result, table)
    write_text(markdown, table7_markdown(result, resolved["seeds"]))


def study(settings: str, score_files: Sequence[str], record_files: Sequence[str], table: str) -> None:
    """Collect the study's runs: rates, scores and cost."""
    points = json.loads(settings)["runs"]
    spent = costs(record_files, {point["run"]: point["stages"] for point in points})
    tables.write_csv(report.runs(tables.collect(score_files), spent, points), table)
    log.info("%d runs", len(points))


def correlate(settings: str, study: str, table: str, markdown: str) -> None:
    """Write Table 10 from the study's runs."""
    runs = report.read(study)
    result = report.correlations(runs)
    tables.write_csv(report.significant(result).assign(runs=study), table)
    about = json.loads(settings)
    machines = runs["machine"].unique()
    write_text(markdown, report.correlations_markdown(result, about, machines, report.engines(runs, about)))


def regress(settings: str, study: str, table: str, markdown: str) -> None:
    """Write Table 11 from the study's runs."""
    runs = report.read(study)
    result = report.regressions(runs)
    tables.write_csv(report.significant(result).assign(runs=study), table)
    about = json.loads(settings)
    machines = runs["machine"].unique()
    write_text(markdown, report.regressions_markdown(result, about, machines, report.engines(runs, about)))
