"""Names of runs: what is part of the path of everything that a run makes. Jobs read them too, so this is light."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from genome.errors import GenomeError

STATIC = "static"
"""Takes the place of the tasks of a merge that looks at none."""

_PART = re.compile(r"(?P<whole>[A-Za-z0-9_]+)@(?P<number>[1-9][0-9]*)(\.(?P<draw>0|[1-9][0-9]*))?")

_FORM = re.compile(r"(?P<tasks>[^/]+)/(?P<variant>[^/]+)(/n(?P<n>[1-9][0-9]*))?(/seed(?P<seed>0|[1-9][0-9]*))?")


def part_of(task: str) -> tuple[str, int | None]:
    """Return the task of a name, and how many of its validation samples `TASK@NUMBER` stands for; None for all.

    `TASK@NUMBER.DRAW` stands for as many.

    >>> part_of("sums@50"), part_of("sums@50.3"), part_of("sums")
    (('sums', 50), ('sums', 50), ('sums', None))
    """
    found = _PART.fullmatch(task)
    return (found["whole"], int(found["number"])) if found else (task, None)


def draw_of(task: str) -> int | None:
    """Return which random draw of a task's validation samples `TASK@NUMBER.DRAW` stands for; None for the first ones.

    >>> draw_of("sums@50.3"), draw_of("sums@50"), draw_of("sums")
    (3, None, None)
    """
    found = _PART.fullmatch(task)
    return None if found is None or found["draw"] is None else int(found["draw"])


def part_name(task: str, number: int, draw: int | None = None) -> str:
    """Return the name of a task with its first `number` validation samples, or with a random draw of as many.

    >>> part_name("sums", 50), part_name("sums", 50, draw=3)
    ('sums@50', 'sums@50.3')
    """
    return f"{task}@{number}" + ("" if draw is None else f".{draw}")


def whole_of(task: str) -> str:
    """Return the task of a name: a run on a part of its validation samples is tested on all of its test."""
    return part_of(task)[0]


@dataclass(frozen=True)
class RunName:
    """The name of a run: its tasks (`static` for none), its variant, its population's size and its seed, if it has any.

    >>> str(RunName(("gsm8k", "math"), "genome", n=10, seed=1))
    'gsm8k+math/genome/n10/seed1'
    >>> RunName.parse("gsm8k/best_single")
    RunName(tasks=('gsm8k',), variant='best_single', n=None, seed=None)
    """

    tasks: tuple[str, ...]
    variant: str
    n: int | None = None
    seed: int | None = None

    def __str__(self) -> str:
        parts = [self.task_names, self.variant]
        parts += [] if self.n is None else [f"n{self.n}"]
        parts += [] if self.seed is None else [f"seed{self.seed}"]
        return "/".join(parts)

    @classmethod
    def parse(cls, text: str) -> "RunName":
        """Return the run that `text` names; GenomeError if it does not name one."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise GenomeError(f"{text!r} does not name a run; expected TASKS/VARIANT[/nN][/seedS]")
        n, seed = (None if found[part] is None else int(found[part]) for part in ("n", "seed"))
        return cls(tuple(found["tasks"].split("+")), found["variant"], n, seed)

    @property
    def is_static(self) -> bool:
        """Whether the run is a merge that looks at no task."""
        return self.tasks == (STATIC,)

    @property
    def task_names(self) -> str:
        """The tasks as a part of paths: joined by +."""
        return "+".join(self.tasks)

    @property
    def folder(self) -> str:
        """The folder of the run's validation part."""
        return f"results/runs/{self}"

    def generation(self, number: int) -> str:
        """Return the population file of a generation; there is none of generation 0, which several variants share."""
        return f"{self.folder}/generation_{number}/population.json"


@dataclass(frozen=True)
class TestName:
    """A run's test on a task, in the results folder of this workflow or of another."""

    __test__ = False  # pytest takes classes of such names for its own

    results: str
    task: str
    run: RunName

    @property
    def folder(self) -> str:
        """The folder of the test's files."""
        return f"{self.results}/test/{self.task}/{self.run}"

    @classmethod
    def of(cls, file: str) -> "TestName":
        """Return the test that a file such as RESULTS/test/TASK/RUN/responses.jsonl belongs to."""
        folder = PurePosixPath(file).parent.as_posix()
        results, found, rest = folder.rpartition("/test/")
        task, _, run = rest.partition("/")
        if not found:
            raise GenomeError(f"{file} is not in a folder RESULTS/test/TASK/RUN")
        return cls(results, task, RunName.parse(run))
