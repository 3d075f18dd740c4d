"""All checks of a config, in the order in which one needs the others; within each step all problems come at once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import ValidationError

from genome.config.config import Config
from genome.config.methods import method_problems
from genome.config.names import name_problems
from genome.config.paths import chat_of, missing_problems, overlap_problems
from genome.config.references import named_tasks, reference_problems
from genome.config.values import overlay, settled
from genome.errors import GenomeError, nearest
from genome.tasks.chat_settings import laid_over
from genome.tasks.file import check_task
from genome.validation.explain import explained
from genome.validation.readable import unreadable
from genome.yaml_files import check_yaml, read_yaml

Tasks = Mapping[str, Mapping[str, Any]]


def read_config(raw: Mapping[str, Any], task_files: Tasks) -> Config:
    """Return the config that a user's files make together; GenomeError, one problem per line, if it is not valid.

    `task_files` are the contents of config/tasks by their stems. No other file is looked at.
    """
    meant = settled(raw)
    refuse(unreadable(meant))
    try:
        config = Config.model_validate_json(json.dumps(meant))
    except ValidationError as error:
        refuse([*explained(error, Config), *method_problems(meant.get("methods"))])
        raise
    refuse(method_problems(config.methods))
    refuse(_base_problems(config))
    refuse(
        [
            *name_problems(config, task_files),
            *(config.variant_problems or reference_problems(config, task_files)),
            *_task_problems(config, task_files),
        ]
    )
    return config


def check_paths(config: Config, task_files: Tasks) -> None:
    """Raise GenomeError, one problem per line, if a path of the config would be lost, is missing, or does not fit."""
    refuse(overlap_problems(config, task_definitions(config, task_files), task_files))
    check_present(config, task_files)


def check_present(config: Config, task_files: Tasks) -> None:
    """Raise GenomeError, one problem per line, if a path of the config is missing, or does not fit."""
    tasks = task_definitions(config, task_files)
    refuse(missing_problems(config, task_files, {name: tasks[name] for name in _used_tasks(config, tasks)}))


def refuse(problems: list[str]) -> None:
    """Raise GenomeError if there are problems."""
    if problems:
        # A user's name may contain anything, ends of lines too.
        lines = [problem.replace("\n", "\\n") for problem in dict.fromkeys(problems)]
        raise GenomeError("The config is not valid:\n" + "\n".join(f"  {line}" for line in lines))


def check_python(python: str) -> None:
    """Raise GenomeError for a Python that Snakemake's jobs cannot start: they name it to a shell without quotes."""
    if quote(python) != python:
        raise GenomeError(
            f"{python}: Snakemake cannot start jobs with a Python whose path contains spaces or characters that a "
            "shell interprets; create the environment in a folder without them"
        )


def check_files(files: Iterable[Path]) -> None:
    """Raise GenomeError, one problem per line, if a file that is part of a config is not a mapping of unique keys."""
    problems: list[str] = []
    for file in files:
        try:
            check_yaml(file)
        except GenomeError as error:
            problems.append(str(error))
    refuse(problems)


def profile_files(arguments: Sequence[str], project: Path) -> list[Path]:
    """Return the files of the profiles that Snakemake was called with, if they are named by folder."""
    named: dict[str, list[str]] = {"--profile": [], "--workflow-profile": []}
    for argument, following in pairwise([*arguments, ""]):
        option, equals, value = argument.partition("=")
        if option in named:
            named[option].append(value if equals else following)
    folders = [*named["--profile"], *(named["--workflow-profile"] or [project / "profiles/default"])]
    return [file for folder in folders if (file := Path(folder, "config.yaml")).is_file()]


def read_task_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the contents of a folder's task files by their stems; GenomeError unless all are mappings of names."""
    tasks: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.yaml")):
        value = read_yaml(file)
        if not isinstance(value, dict):
            raise GenomeError(f"{file}: expected a mapping of fields such as kind, source and prompt")
        problems = unreadable(value, str(file))
        if problems:
            raise GenomeError("; ".join(problems))
        tasks[file.stem] = value
    return tasks


def task_definitions(config: Config, task_files: Tasks) -> dict[str, dict[str, Any]]:
    """Return all tasks as their files define them, with the config's `tasks` laid over."""
    names = dict.fromkeys([*task_files, *config.tasks])
    return {name: task_definition(config, task_files, name) for name in names}


def task_definition(config: Config, task_files: Tasks, name: str) -> dict[str, Any]:
    """Return a task as its file defines it, with the config's `tasks` laid over."""
    return overlay(task_files.get(name, {}), config.tasks.get(name, {}))


def _base_problems(config: Config) -> list[str]:
    if config.base not in config.bases:
        return [f"config.base: unknown base {config.base!r}; {nearest(config.base, config.bases)}"]
    chosen = [name for name, source in config.suite.experts.items() if source]
    if len(chosen) < 2:
        return [
            f"config.bases.{config.base}.experts: {len(chosen)} expert(s) given, at least 2 are needed; add experts"
        ]
    return []


def _task_problems(config: Config, task_files: Tasks) -> list[str]:
    """Return what is wrong with the tasks that the config defines, changes, or names."""
    problems: list[str] = []
    definitions = task_definitions(config, task_files)
    for name in _used_tasks(config, definitions):
        try:
            laid_over(chat_of(config.suite), check_task(name, definitions[name]).chat, f"task {name}: ")
        except GenomeError as error:
            problems.append(str(error))
    return problems


def _used_tasks(config: Config, known: Tasks) -> list[str]:
    """Return the tasks that the config defines, changes, or names."""
    return list(dict.fromkeys([*config.tasks, *(name for name in named_tasks(config) if name in known)]))
