"""How far a run is, from what Snakemake says, and why it has failed."""

from pathlib import Path

import pytest

from genome.api.running import Course, _reason, options_of
from genome.errors import GenomeError
from genome.project import project

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
    for line in SAID.splitlines():
        told.append(found.read(line + "\n"))
    assert told.count(True) == 1
    return found


def test_jobs_are_counted(course):
    assert (course.done, course.total, course.counts) == (1, 4, {"generation": 3, "score_test": 1})
    assert course.doing == "till, cma_es, n6, seed 1: generation 2"


def test_progress_of_a_job_is_shown_with_it():
    course = Course()
    for line in SAID.splitlines()[:12]:
        course.read(line)
    assert course.doing == (
        "till, cma_es, n6, seed 1: generation 1 · 400 of 2,000 samples in 30 s, 13 samples/s, 2 min left"
    )


def test_a_profile_says_how_many_jobs_run_side_by_side(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert options_of(None, None) == ["--cores", "all"]
    assert options_of(3, None, ["config.yaml"]) == ["--cores", "3", "--configfile", "config.yaml"]
    assert options_of(None, "profiles/default") == ["--workflow-profile", str(project() / "profiles/default")]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "config.yaml").write_text("executor: local\n")
    assert options_of(None, "mine", ["config.yaml"])[:2] == ["--workflow-profile", str(mine)]


@pytest.mark.parametrize(
    ("cores", "profile", "words"),
    [
        (2, "profiles/slurm", "--cores and --profile: a profile says how many"),
        (None, "profiles/slrum", "--profile profiles/slrum: no file config.yaml in it; give profiles/slurm"),
        (None, "mine", "executor no-such needs `pip install snakemake-executor-plugin-no-such`"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused(tmp_path, monkeypatch, cores, profile, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").write_text("executor: no-such\n")
    with pytest.raises(GenomeError, match=words):
        options_of(cores, profile)


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
