"""How far a run is, from what Snakemake says, and why it has failed."""

from pathlib import Path

import pytest

from genome.api.running import Course, _reason

SAID = """\
Job stats:
job             count
------------  -------
generation          3
score_test          1
total               4

Plan: 4 jobs, 47 evaluations
[Tue Dec  1 11:39:29 2026]
Job 2: till, cma_es, n6, seed 1: generation 1
Reason: Missing output files: resources/models/mine
runs/till/cma_es/n6/seed1/generation_1: 400 of 2,000 samples in 30 s, 13 samples/s, 2 min left
Finished jobid: 2 (Rule: generation)
1 of 4 steps (25%) done
Job 3: till, cma_es, n6, seed 1: generation 2
"""


@pytest.fixture
def course():
    found, told = Course(), []
    for second, line in enumerate(SAID.splitlines()):
        told.append(found.read(line + "\n", 10.0 * second))
    assert told.count(True) == 1
    return found


def test_jobs_are_counted(course):
    assert (course.done, course.total, course.counts) == (1, 4, {"generation": 3, "score_test": 1})
    assert course.doing == "till, cma_es, n6, seed 1: generation 2"


def test_progress_of_a_job_is_shown_with_it():
    course = Course()
    for line in SAID.splitlines()[:12]:
        course.read(line, 0)
    assert course.doing == (
        "till, cma_es, n6, seed 1: generation 1 · 400 of 2,000 samples in 30 s, 13 samples/s, 2 min left"
    )


def test_the_time_left_is_that_of_jobs_of_the_same_rule(course):
    # Generation 1 took from 90 s to 120 s, generation 2 began at 140 s: 30 s each, and as much for the test.
    assert course.seconds == {"generation": 30}
    assert course.left(140) == pytest.approx((2 * 30 + 30) * 50 / 30)
    assert course.left(150) < course.left(140)
    assert Course().left(0) is None


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [
        ("", -9, "ended by signal 9; the same command continues it"),
        ("LockException:\nError: Directory cannot be locked. Please", 1, "call `snakemake --unlock` in that folder"),
        ("Select jobs\nerror: task till: no way\nRuleException:\n", 1, "task till: no way (see out/logs/evolve.log)"),
        (
            "WorkflowError in file x, line 3:\nThe config is not valid:\n  config.x",
            1,
            "The config is not valid: config.x",
        ),
        ("\nSelect jobs to execute\nboom", 1, "a job failed; see out/logs/evolve.log"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(output, code, words):
    found = _reason(Path("out"), output, code)
    assert words in found
    assert "\n" not in found
