"""Parts of a run are killed at any time: resumed as docs/resuming.md describes, it gives the same bytes."""

from random import Random

import pytest

from campaigns import kill
from workflow.conftest import Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


KINDS = (
    "engine as it starts, SIGKILL",
    "job that starts the engine, SIGKILL",
    "main process as the engine starts, SIGKILL",
    "engine, SIGKILL",
    "job, SIGKILL",
    "main process, SIGHUP",
)


def test_run_with_killed_parts_gives_the_same_bytes(trained, tmp_path):
    """A short form of `tests/campaigns/kill.py`."""
    whole, project = trained.copy(tmp_path / "whole"), trained.copy(tmp_path / "project")
    for each in (whole, project):
        each.configure(**kill.CHANGES)
    whole.make(kill.TARGET)
    struck, problems = kill.one_round(project, iter(KINDS), len(KINDS), Random(3), longest=2)
    assert [kind for kind, _ in struck] == list(KINDS)
    assert problems + kill.compare(project, whole) == []


def test_modules_in_the_user_s_folder_are_not_imported(fresh: Project):
    """Modules in the folder where the workflow runs, named as what its jobs and its engine import."""
    for name in ("json", "torch", "tokenizers", "safetensors", "urllib3", "secrets"):
        (fresh.folder / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    fresh.make("results/experts/micro.json")
    population = "results/runs/sums/genome_plus/n4/seed1/generation_1/population.json"
    fresh.make(population)
    assert fresh.read(population)["generation"] == 1
