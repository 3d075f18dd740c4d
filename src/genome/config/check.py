"""All checks of a config, in the order in which one needs the others; within each step all problems come at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from shlex import quote
from typing import Any

from genome.config.names import name_problems
from genome.config.paths import missing_problems, overlap_problems
from genome.config.references import named_tasks, reference_problems
from genome.config.schema import schema_problems
from genome.config.values import overlay, unreadable
from genome.config.variants import resolve_variant, variant_problems
from genome.errors import GenomeError, nearest
from genome.tasks import parse_task
from genome.yaml_files import check_yaml, read_yaml

Config = Mapping[str, Any]
Tasks = Mapping[str, Mapping[str, Any]]


def check_config(config: Config, schema: Mapping[str, Any], task_files: Tasks) -> None:
    """Raise GenomeError, a problem a line, unless the workflow can be read with this config; no file is looked at.

    `config` is settled (`genome.config.values.settled`); `task_files` are the contents of config/tasks by their stems.
    """
    steps: list[Callable[[], list[str]]] = [
        lambda: unreadable(config),
        lambda: schema_problems(config, schema),
        lambda: _base_problems(config),
        lambda: [
            *name_problems(config, task_files),
            *(variant_problems(config, schema) or _references(config, task_files)),
            *_task_problems(config, task_files),
        ],
    ]
    for step in steps:
        refuse(step())


def check_paths(config: Config, task_files: Tasks) -> None:
    """Raise GenomeError, a problem a line, where a path of the config would be lost, is missing, or does not fit."""
    refuse(overlap_problems(config, task_definitions(config, task_files), task_files))
    refuse(missing_problems(config, task_files))


def refuse(problems: list[str]) -> None:
    """Raise GenomeError where there are problems."""
    if problems:
        # A name of the user's may hold anything, ends of lines too.
        lines = [problem.replace("\n", "\\n") for problem in dict.fromkeys(problems)]
        raise GenomeError("The config is not valid:\n" + "\n".join(f"  {line}" for line in lines))


def check_python(python: str) -> None:
    """Raise GenomeError for a Python that Snakemake's jobs cannot start: they name it to a shell without quotes."""
    if quote(python) != python:
        raise GenomeError(
            f"{python}: Snakemake cannot start jobs with a Python whose path holds spaces or signs that a shell reads; "
            "make the environment in a folder without them"
        )


def check_files(files: Iterable[Path]) -> None:
    """Raise GenomeError, a problem a line, where a file that a config is laid over from says two things or none."""
    problems = []
    for file in files:
        try:
            check_yaml(file)
        except GenomeError as error:
            problems.append(str(error))
    refuse(problems)


def profile_files(arguments: Sequence[str], project: Path) -> list[Path]:
    """Return the files of the profiles that Snakemake has been called with, where they are named by folder."""
    named: dict[str, list[str]] = {"--profile": [], "--workflow-profile": []}
    for argument, following in pairwise([*arguments, ""]):
        option, equals, value = argument.partition("=")
        if option in named:
            named[option].append(value if equals else following)
    folders = [*named["--profile"], *(named["--workflow-profile"] or [project / "profiles/default"])]
    return [file for folder in folders if (file := Path(folder, "config.yaml")).is_file()]


def read_task_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the contents of a folder's task files by their stems; GenomeError unless all are mappings of names."""
    tasks = {}
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
    names = dict.fromkeys([*task_files, *config["tasks"]])
    return {name: overlay(task_files.get(name, {}), config["tasks"].get(name) or {}) for name in names}


def _base_problems(config: Config) -> list[str]:
    base = config["base"]
    if base not in config["bases"]:
        return [f"config.base: unknown base {base!r}; {nearest(base, config['bases'])}"]
    chosen = [name for name, source in config["bases"][base]["experts"].items() if source]
    if len(chosen) < 2:
        return [f"config.bases.{base}.experts: {len(chosen)} expert(s) given, at least 2 are needed; add experts"]
    return []


def _references(config: Config, task_files: Tasks) -> list[str]:
    variants = {name: resolve_variant(config, name, changes or {}) for name, changes in config["variants"].items()}
    return reference_problems(config, task_files, variants)


def _task_problems(config: Config, task_files: Tasks) -> list[str]:
    """Return what is wrong with the tasks that the config defines, changes, or names."""
    problems = []
    definitions = task_definitions(config, task_files)
    for name in dict.fromkeys([*config["tasks"], *(name for name in named_tasks(config) if name in definitions)]):
        try:
            parse_task(name, definitions[name])
        except GenomeError as error:
            problems.append(str(error))
    return problems
