"""Names that a user chooses: they become parts of paths, so a name must not be a path, or one that we use."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from genome.config.config import Config
from genome.experts.expert import ENDING
from genome.search.settings import OTHER_SETS
from genome.workflow.names import whole_of

PATTERNS = {
    "task": (r"[A-Za-z0-9_]+", "contains only letters, digits and _"),
    "variant": (
        r"[A-Za-z0-9_][A-Za-z0-9_-]*",
        "begins with a letter, a digit or _ and contains only letters, digits, _ and -",
    ),
    "": (
        r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
        "begins with a letter, a digit or _ and contains only letters, digits, _, . and -",
    ),
}
"""What the wildcards of each kind of name admit, with its words; the last is for all other kinds."""

LONGEST = 180
"""Bytes of a single name; names of files have up to 60 bytes more."""

LONGEST_FILE = 255
"""Bytes that file systems allow for the name of a file or folder."""

RESERVED_TASKS = ("static", "method", "mean", "runs")
"""static replaces the tasks of a merge that looks at none; the others are columns of tables."""

SCHEME = (
    r"(pairs|experts|populated|uniform)(-factors|-product|-shared-[1-9][0-9]*)?(-likelihood(-calibrated)?)?"
    r"(-s[1-9][0-9]*)?"
)
"""How generation 0 is made, in which space if the config names one, and how it is scored if not by the metric."""

SETS = "|".join(OTHER_SETS)
"""Sets of experts that are made from the given ones."""

SCHEMES = rf"{SCHEME}(-({SETS}))?"
"""How generation 0 is made, and of which set of experts if not the given ones."""

RESERVED_VARIANTS = re.compile(rf"experts(-({SETS}))?|initial-{SCHEMES}|study-.*")
"""Other folders next to those of variants, and the points of a study."""

RESERVED_BASES = ("vote",)
"""The row of all bases together in the table `across`."""


def check_name(place: str, kind: str, name: str) -> list[str]:
    """Return what is wrong with a name, with its place in front: one line, or none."""
    pattern, meant = PATTERNS.get(kind, PATTERNS[""])
    if not re.fullmatch(pattern, name):
        return [f"{place}: {name!r} cannot be the name of {_a(kind)}, which {meant}; rename it"]
    if len(name) > LONGEST:
        return [f"{place}: the name {name[:20]}… has {len(name)} characters, at most {LONGEST} are allowed; shorten it"]
    return []


def name_problems(config: Config, task_files: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the names that a config gives, and with those of task files (by their stems)."""
    problems: list[str] = []
    for stem in task_files:
        problems += check_name(f"config/tasks/{stem}.yaml", "task", stem)
        problems += _reserved_task(f"config/tasks/{stem}.yaml", stem)
    for name in config.tasks:
        problems += check_name("config.tasks", "task", name) or _reserved_task("config.tasks", name)
    for name in config.changes:
        problems += check_name("config.variants", "variant", name)
        if RESERVED_VARIANTS.fullmatch(name):
            problems.append(
                f"config.variants: {name!r} is the name of a folder that the workflow writes; rename the variant"
            )
    for base, suite in config.bases.items():
        problems += check_name("config.bases", "base", base)
        for key, kind, names in (("experts", "expert", suite.experts), ("corpora", "corpus", suite.corpora)):
            for name in names:
                problems += check_name(f"config.bases.{base}.{key}", kind, name)
    for name in config.across.beside if config.across else ():
        problems += check_name("config.across.beside", "base", name)
        if name in (config.base, *RESERVED_BASES):
            problems.append(f"config.across.beside: {name!r} is taken; give the other base another name")
    return [*problems, *_taken_experts(config, task_files), *_taken_variants(config)]


def part_problem(config: Config, number: int) -> str | None:
    """Return why a run cannot be on the first `number` validation samples of a task; None if it can."""
    most = config.splits.validation
    if 2 <= number <= most:
        return None
    return f"a part has 2 or more of the {most} validation samples (config.splits.validation), not {number}"


def joined_problems(place: str, tasks: Sequence[str]) -> list[str]:
    """Return why a run cannot be over some tasks: their names, joined, name its folder."""
    whole = list(map(whole_of, tasks))
    problems = [
        f"{place}: task {task!r} is listed twice in one run; keep one"
        for task in dict.fromkeys(whole)
        if whole.count(task) > 1
    ]
    joined = "+".join(tasks)
    if len(joined) > LONGEST_FILE:
        problems.append(
            f"{place}: a run over {len(tasks)} tasks is stored in a folder of their names, which would have "
            f"{len(joined)} characters, {LONGEST_FILE} at most; use fewer tasks or shorter names"
        )
    return problems


def _reserved_task(place: str, name: str) -> list[str]:
    if name not in RESERVED_TASKS:
        return []
    return [f"{place}: {name!r} is reserved ({', '.join(RESERVED_TASKS)}); rename the task"]


def micro_tasks(task_files: Mapping[str, Any]) -> list[str]:
    """Return the tasks whose rows are generated."""
    sources = {name: task.get("source") for name, task in task_files.items()}
    return [name for name, source in sources.items() if isinstance(source, Mapping) and "generator" in source]


def oracles(task_files: Mapping[str, Any]) -> dict[str, str]:
    """Return the adapters that are trained on a micro task itself, by name, and the task of each."""
    return {f"oracle_{name}": name for name in micro_tasks(task_files)}


def _taken_experts(config: Config, task_files: Mapping[str, Any]) -> list[str]:
    """All adapters share one folder: those of other bases, Data Merge, and the micro suite's oracles."""
    ours = {"data_merge", *oracles(task_files)}
    place = f"config.bases.{config.base}.experts"
    problems: list[str] = []
    for name, source in config.suite.experts.items():
        if name in ours:
            problems.append(f"{place}: {name!r} is the name of an adapter that the workflow makes; rename the expert")
        if name.endswith(ENDING):
            problems.append(f"{place}: {name!r} ends as the files of experts do; rename the expert")
        for other, suite in config.bases.items():
            theirs = suite.experts.get(name)
            if other != config.base and source and theirs and theirs != source:
                problems.append(
                    f"{place}: {name!r} is also an expert of base {other}, from another source, and both would be "
                    f"stored in resources/experts/{name}; rename yours"
                )
    return problems


def _taken_variants(config: Config) -> list[str]:
    """A variant of Data Merge is tested by its name alone, as single adapters are."""
    return [
        f"config.variants: {name!r} is the name of an expert; rename the variant"
        for name, changes in config.changes.items()
        if name in config.suite.experts and name != "data_merge" and (changes or {}).get("method", name) == "data_merge"
    ]


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
