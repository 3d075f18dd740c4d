"""A plan from the config that Snakemake has read and from the project's own files; refused if no job could run."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genome.config.anchors import anchored, anchored_config
from genome.config.check import check_files, check_paths, check_python, profile_files, read_config, read_task_files
from genome.project import TASKS
from genome.workflow.plan import Plan
from genome.yaml_files import read_yaml


def read_plan(
    config: Mapping[str, Any],
    project: str | Path,
    files: Iterable[str | Path],
    *,
    check_sources: bool,
    folder: str | Path = "",
) -> Plan:
    """Return the plan of a config; GenomeError, a problem per line, for a config or environment with which no job runs.

    `files` are those that the config was read from; `check_sources` also looks at the files that the config names.
    Tasks are those of the project and, laid over them, those of `folder`, by default the working folder.
    """
    project = Path(project)
    check_python(sys.executable)
    read = [*map(Path, files)]
    check_files([*read, *profile_files(sys.argv, project)])
    tasks = {**read_task_files(project / TASKS), **_own_tasks(Path(folder), project)}
    versions = read_yaml(project / "workflow/internal.yaml")["versions"]
    placed = anchored_config(config, read, project / "config.yaml", folder)
    plan = Plan(read_config(placed, tasks), tasks, versions)
    if check_sources:
        check_paths(plan.config, tasks)
    return plan


def _own_tasks(folder: Path, project: Path) -> dict[str, dict[str, Any]]:
    """Return the tasks of a folder that is not the project's."""
    if folder.resolve() == project.resolve():
        return {}
    tasks = read_task_files(folder / TASKS)
    return {name: anchored(task, folder / TASKS / f"{name}.yaml", folder) for name, task in tasks.items()}
