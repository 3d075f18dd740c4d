"""What users bring: the local files of bases, adapters, corpora and tasks. What is generated or published has none."""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from genome.config import paths, rows
from genome.workflow.plan import JSON, Plan


@cache
def task_rows(plan: Plan, task: str) -> list[Path]:
    """Return the files of a task's rows; GenomeError if one is missing or lacks a column."""
    return rows.task_files(task, plan.definition(task), plan.config.data_folder)


def corpus_files(plan: Plan, corpus: str) -> list[Path]:
    """Return the files that a corpus is made from."""
    return rows.files_of(plan.suite.corpora[corpus].given(), plan.config.data_folder)


def base_files(plan: Plan, base: str) -> list[Path]:
    """Return the files of a base given by path."""
    return paths.base_files(f"config.bases.{base}", plan.config.bases[base].model.given())


def adapter_files(plan: Plan, adapter: str) -> list[Path]:
    """Return the files of a fine-tune given by path."""
    return paths.adapter_files(plan.adapters[adapter])


def corpora_of(plan: Plan, adapter: str) -> list[str]:
    """Return the corpora that an adapter is trained on; those that the workflow writes by the names of its outputs."""
    corpora = paths.corpora_of(plan.adapters[adapter])
    return [plan.own_corpora.get(paths.resolved(corpus), os.path.expanduser(corpus)) for corpus in corpora]  # noqa: PTH111


def users_corpora(plan: Plan, adapter: str) -> list[Path]:
    """Return those corpora of an adapter that no rule writes."""
    return [Path(corpus) for corpus in corpora_of(plan, adapter) if paths.resolved(corpus) not in plan.own_corpora]


def fingerprint(files: Iterable[Path]) -> dict[str, JSON]:
    """Return what distinguishes a user's files from others that replace them, as a part of settings.

    The others may be older than what was made from the first, and Snakemake looks for newer files only.
    """
    files = list(files)
    return {"files": paths.fingerprint(files)} if files else {}
