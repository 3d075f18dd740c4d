"""What a run shows: one bar on a terminal, lines elsewhere, both with the best so far and the time left."""

import io
from dataclasses import dataclass
from itertools import count

import pytest
from rich.console import Console

from genome.api import progress
from genome.api.remaining import Left
from genome.api.running import Course

LINES = """\
Job stats:
generation          2
total               2
Job 1: till, seed 1: generation 1
Finished jobid: 1 (Rule: generation)
Job 2: till, seed 1: generation 2
Finished jobid: 2 (Rule: generation)
"""


@dataclass
class Aim:
    """Stands for what a folder is about."""

    known: dict
    method: str = "cma_es"
    runs: tuple = ("base", "best_single", "validation_lora", "cma_es")

    def standing(self):
        return self.known


class Remaining:
    """Stands for a forecast: of each moment after the first job, 90 s; with the second, of what is known."""

    def at(self, now, finished):
        number = sum(finished.values())
        return None if not number else Left(90.0, whole=number == 2)


@pytest.fixture
def clock(monkeypatch):
    seconds = count(step=10)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    return seconds


def show(aim, **options):
    """Return what is printed while a run goes on."""
    console = Console(file=io.StringIO(), width=90, **options)
    course = Course()
    with progress.shown(aim, Remaining(), console) as tell:
        for line in LINES.splitlines():
            tell(course, course.read(line))
    return console.file.getvalue()


KNOWN = {"cma_es": 0.8, "best_single": 0.5, "base": 0.1}
STANDING = "best so far 80.0 % · best expert 50.0 % · base 10.0 % · Validation LoRA: at the end"


def test_a_terminal_has_one_bar_that_is_gone_at_the_end():
    printed = show(Aim(KNOWN), force_terminal=True)
    assert "2/2 jobs about 90 s left" in printed
    assert STANDING in printed
    assert "till, seed 1: generation 2" in printed
    assert printed.rstrip("\n").endswith("\x1b[2K")


def test_elsewhere_there_are_lines_not_more_than_one_in_fifteen_seconds(clock):
    printed = show(Aim(KNOWN))
    assert printed.splitlines()[0].startswith("1 of 2 jobs, at least 90 s left, ")
    assert printed.splitlines()[0].endswith(STANDING)
    assert "\x1b" not in printed


def test_what_is_not_known_yet_is_left_out():
    assert progress.standing(Aim({"best_single": 0.5})) == "best expert 50.0 % · Validation LoRA: at the end"
    assert progress.standing(Aim({})) == ""
    assert progress.standing(Aim(KNOWN, runs=("base", "cma_es"))).endswith("base 10.0 %")
