"""What a forecast needs to know of planned jobs, which only Snakemake knows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from genome.forecast import STAGES, Job, Setting, tasks_of
from genome.workflow.plan import Plan, unique


class PlannedJob(Protocol):
    """A job of Snakemake."""

    rule: Any
    wildcards_dict: Mapping[str, str]
    params: Any


def jobs_of(planned: Iterable[PlannedJob]) -> list[Job]:
    """Return planned jobs as the forecast knows them, with settings only if they decide what a job costs."""
    return [
        Job(job.rule.name, job.wildcards_dict, job.params.settings if job.rule.name in STAGES else "{}")
        for job in planned
    ]


def setting_of(plan: Plan, jobs: Sequence[Job]) -> Setting:
    """Return what the planned jobs share."""
    named = [part for job in jobs for part in (*tasks_of(job), job.parts.get("test_task", ""))]
    return Setting(
        base=plan.base,
        experts=list(plan.experts),
        generations=plan.config.generations,
        adapters=plan.config.adapters,
        splits=plan.config.splits.model_dump(),
        tasks={name: plan.definition(name) for name in unique(named) if name},
    )


def hand_over(plan: Plan, planned: Iterable[PlannedJob], path: str) -> None:
    """Write the planned jobs and what they share to a JSON file, for `genome plan`."""
    jobs = jobs_of(planned)
    content = {"jobs": [vars(job) for job in jobs], "setting": vars(setting_of(plan, jobs))}
    Path(path).write_text(json.dumps(content))
