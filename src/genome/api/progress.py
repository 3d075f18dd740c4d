"""One bar on the terminal while a run goes on; elsewhere a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from genome.api.outcome import BASE, EXPERT, LORA, Aim
from genome.api.remaining import Remaining
from genome.api.running import Course
from genome.errors import GenomeError
from genome.progress import SECONDS, duration
from genome.report.card import percent

Tell = Callable[[Course, bool], None]


@contextmanager
def shown(aim: Aim, remaining: Remaining, console: Console) -> Iterator[Tell]:
    """Yield what hears of a run and shows it: jobs done, time left, and the best so far against the controls."""
    if not console.is_terminal:
        yield _lines(aim, remaining, console)
        return
    bar = Progress(
        BarColumn(), TaskProgressColumn("{task.completed}/{task.total} jobs"), TextColumn("{task.fields[left]}")
    )
    task, best = bar.add_task("", total=None, left=""), ""
    with Live(bar, console=console, transient=True) as live:

        def tell(course: Course, finished: bool) -> None:
            nonlocal best
            if finished:
                best = standing(aim)
            bar.update(task, total=course.total or None, completed=course.done, left=_left(remaining, course))
            live.update(Group(bar, *(Text(line, overflow="ellipsis", no_wrap=True) for line in (best, course.doing))))

        yield tell


def _lines(aim: Aim, remaining: Remaining, console: Console) -> Tell:
    """Return what prints a line when a job has finished, at most one in SECONDS."""
    due = 0.0

    def tell(course: Course, finished: bool) -> None:
        nonlocal due
        if finished and time.monotonic() >= due:
            due = time.monotonic() + SECONDS
            parts = (f"{course.done} of {course.total} jobs", _left(remaining, course), standing(aim))
            console.print(", ".join(filter(None, parts)), highlight=False, soft_wrap=True)

    return tell


def standing(aim: Aim) -> str:
    """Return the best so far next to what there is without a search, by validation fitness."""
    try:
        known = aim.standing()
    except GenomeError:  # said by the job that reads the file
        return ""
    labels = {aim.method: "best so far", EXPERT: "best expert", BASE: "base"}
    parts = [f"{label} {percent(known[name])} %" for name, label in labels.items() if name in known]
    if not parts:
        return ""
    # It has seen the validation samples, so that only its score on test samples says something.
    last = ["Validation LoRA: at the end"] if LORA in aim.runs else []
    return " · ".join([*parts, *last])


def _left(remaining: Remaining, course: Course) -> str:
    left = remaining.at(time.monotonic(), course.finished)
    if left is None or left.seconds < 0.5:
        return ""
    return f"{'about' if left.whole else 'at least'} {duration(left.seconds)} left"
