"""The files of runs, put together by what their paths say: the test, the run, and the results folder of a base."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from genome.errors import GenomeError
from genome.scoring.answers import ModelAnswers, read_model_answers
from genome.scoring.results import read_scored_task
from genome.tasks import Task
from genome.workflow.names import RunName, TestName

_POPULATION = re.compile(
    r"(?P<results>.+)/runs/(?P<run>[^/]+/[^/]+(/n\d+)?(/seed\d+)?)(/generation_\d+|/finalists)?/population\.json"
)

INITIAL = "initial-"
"""How the name of the shared generation 0 starts, where other runs have their variant."""


@dataclass(frozen=True)
class RunFiles:
    """A run's responses to a test, and its populations.

    test: the results folder, the task and the run that the paths name
    """

    test: TestName
    responses: str
    populations: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder of the test."""
        return PurePosixPath(self.responses).parent.as_posix()


def runs_of(responses: Iterable[str], populations: Iterable[str] = ()) -> list[RunFiles]:
    """Return a record for each file of responses, with those of the populations that are of the same run.

    Generation 0 belongs to all runs with its tasks, size and seed. GenomeError names a population of another run, and a
    second run of one seed on a test.
    """
    tests = {path: TestName.of(path) for path in responses}
    first: dict[tuple, str] = {}
    for path, test in tests.items():
        other = first.setdefault((test.results, test.task, test.run.seed), path)
        if other != path:
            raise GenomeError(f"{path}: a second run of seed {test.run.seed} on {test.task}, after {other}")
    kept: dict[str, list[str]] = {path: [] for path in tests}
    for population in populations:
        results, run = _run_of(population)
        owners = [path for path, test in tests.items() if test.results == results and _belongs(run, test.run)]
        if not owners:
            raise GenomeError(f"{population}: a population of {run}, of which no responses are given")
        for path in owners:
            kept[path].append(population)
    return [RunFiles(test, path, tuple(kept[path])) for path, test in tests.items()]


def answered_tests(
    settings: Mapping[str, Any], inputs: Mapping[str, Any]
) -> Iterator[tuple[RunFiles, Task, Sequence[Mapping[str, Any]], list[ModelAnswers]]]:
    """Yield the run of each task and seed in `settings`, its task and samples, and the answers of its best and members.

    GenomeError if a task and seed have no responses or two, or if a run is of another task or seed.
    """
    prompts = by_task(inputs["prompts"], [name for name, _ in settings["tasks"]])
    runs = {
        (run.test.task, run.test.run.seed): run for run in runs_of(inputs["responses"], inputs.get("populations", ()))
    }
    for name, definition in settings["tasks"]:
        task, samples = read_scored_task(name, definition, inputs["base"], prompts[name])
        for seed in settings["seeds"]:
            run = runs.pop((name, seed), None)
            if run is None:
                raise GenomeError(f"no responses of seed {seed} to the test of {name}")
            yield run, task, samples, read_model_answers(task, samples, run.responses)
    if runs:
        raise GenomeError(f"{next(iter(runs.values())).responses}: of a task or seed that is not shown")


def task_of(path: str) -> str:
    """Return the task in the path of a split or of prompts, whose folder is the task's."""
    return PurePosixPath(path).parent.name


def task_of_run(path: str) -> str:
    """Return the task in the path of a file of a run without size and seed, such as that of the experts."""
    return PurePosixPath(path).parent.parent.name


def task_of_test(path: str) -> str:
    """Return the task in the path of a file of a test, RESULTS/test/TASK/RUN."""
    return TestName.of(path).task


def by_task(paths: Iterable[str], tasks: Sequence[str], named: Callable[[str], str] = task_of) -> dict[str, str]:
    """Return one file per task, by task, in the order of `tasks`; `named` returns the task that a path names.

    GenomeError if a task has no file or two, or if a file is of another task.
    """
    found: dict[str, str] = {}
    for path in paths:
        task = named(path)
        if task not in tasks:
            raise GenomeError(f"{path}: of task {task}, expected one of {', '.join(tasks)}")
        if task in found:
            raise GenomeError(f"{path}: a second file of task {task}, after {found[task]}")
        found[task] = path
    missing = [task for task in tasks if task not in found]
    if missing:
        raise GenomeError(f"no file of task {missing[0]} among {', '.join(found.values()) or 'none'}")
    return {task: found[task] for task in tasks}


def _run_of(population: str) -> tuple[str, RunName]:
    """Return the results folder and the run in the path of a population."""
    found = _POPULATION.fullmatch(PurePosixPath(population).as_posix())
    if found is None:
        raise GenomeError(f"{population} is not in a folder RESULTS/runs/RUN")
    return found["results"], RunName.parse(found["run"])


def _belongs(run: RunName, other: RunName) -> bool:
    """Whether a population of `run` is one of `other`'s: its own, or the generation 0 that it shares."""
    shared = run.variant.startswith(INITIAL) and (run.tasks, run.n, run.seed) == (other.tasks, other.n, other.seed)
    return shared or run == other
