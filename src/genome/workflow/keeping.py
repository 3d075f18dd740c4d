"""Tables that would lose rows or columns when they are made again: their files are kept."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genome.files import copy_file, replacing_directory, sha256

KEPT = "kept"
"""The folder, next to a table, of its former files."""


def keep_larger(jobs: Iterable[Any]) -> list[Path]:
    """Copy the files of tables whose rows or columns the planned jobs will not make; return the copies' folders.

    A config of fewer methods or tasks makes a table in the place of a larger one. `jobs` are Snakemake's. The folder is
    named by the content of the table, so that the same one is kept once.
    """
    planned = [job for job in jobs if hasattr(job.output, "uncertainty") and Path(job.output.table).is_file()]
    return [
        _keep([Path(file) for file in job.output])
        for job in planned
        if _lost(Path(job.output.uncertainty), json.loads(job.params.settings))
    ]


def _lost(uncertainty: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether a table's scores, which this file lists, have a method or a test that the settings have not."""
    if not uncertainty.is_file():
        return False
    with uncertainty.open(encoding="utf-8", newline="") as file:
        scores = [row for row in csv.DictReader(file) if not row.get("versus") and row.get("tasks")]
    methods = {row["label"] for row in settings["methods"]}
    tests = {column["name"] for column in settings["columns"]}
    return any(row["method"] not in methods or row["test"] not in tests for row in scores)


def _keep(files: Iterable[Path]) -> Path:
    """Copy a table's files; the first is the table."""
    found = [file for file in files if file.is_file()]
    folder = found[0].parent / KEPT / sha256(found[0])[:8]
    if not folder.is_dir():
        with replacing_directory(folder) as new:
            for file in found:
                copy_file(file, new / file.name)
    return folder
