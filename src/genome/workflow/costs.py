"""What a forecast needs to know of planned jobs, which only Snakemake knows."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from genome.forecast import STAGES, TRAININGS, Job, Setting, tasks_of
from genome.workflow.plan import Plan, unique

WILDCARD = re.compile(r"\{(\w+)(?:,(?:[^{}]|\{[^{}]*\})*)?\}(?=(/)?)")
"""A wildcard of Snakemake and its constraint, which may contain braces; the second group: it names a folder."""


class PlannedJob(Protocol):
    """A job of Snakemake."""

    rule: Any
    wildcards_dict: Mapping[str, str]
    params: Any


def jobs_of(plan: Plan, planned: Iterable[PlannedJob]) -> list[Job]:
    """Return planned jobs as the forecast knows them, with settings only if they decide what a job costs."""
    return [
        Job(
            job.rule.name,
            job.wildcards_dict,
            job.params.settings if job.rule.name in (*STAGES, *TRAININGS) else "{}",
            plan.space_of(job.wildcards_dict),
            _matching(job.rule.benchmark),
        )
        for job in planned
    ]


def _matching(benchmark: str | None) -> str:
    """Return what matches the benchmark files of a rule, given their name with wildcards; "" if it has none.

    Snakemake has put the constraints of wildcards into the name.

    >>> _matching("results/benchmarks/test/{test_task,[a-z]{1,3}}/{run}/scores.tsv")
    'results/benchmarks/test/*/**/scores.tsv'
    >>> _matching("results/benchmarks/export/{run}.tsv")
    'results/benchmarks/export/**/*.tsv'
    """

    def matching(found: re.Match[str]) -> str:
        if found[1] != "run":
            return "*"
        return "**" if found[2] else "**/*"

    return WILDCARD.sub(matching, benchmark or "")


def setting_of(plan: Plan, jobs: Sequence[Job], configfiles: Iterable[Path | str] = ()) -> Setting:
    """Return what the planned jobs share."""
    named = [part for job in jobs for part in (*tasks_of(job), job.parts.get("test_task", ""))]
    return Setting(
        base=plan.base,
        experts=list(plan.experts),
        generations=plan.config.generations,
        adapters=plan.config.adapters,
        splits=plan.config.splits.model_dump(),
        tasks={name: plan.definition(name) for name in unique(named) if name},
        engine=plan.of_scripts["engine"],
        configfiles=[os.path.relpath(path) for path in configfiles],
    )


def hand_over(plan: Plan, planned: Iterable[PlannedJob], configfiles: Iterable[Path | str], path: str) -> None:
    """Write the planned jobs and what they share to a JSON file, for `genome plan`."""
    jobs = jobs_of(plan, planned)
    content = {"jobs": [vars(job) for job in jobs], "setting": vars(setting_of(plan, jobs, configfiles))}
    Path(path).write_text(json.dumps(content))
