"""docs/extending.md, followed word for word in a copy of the project and of the library."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from genome.search.records import read_contents
from pages import blocks
from workflow.conftest import PROJECT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

PAGE = PROJECT / "docs" / "extending.md"
STEP = re.compile(r"^(Create|In) `([^`]+)`(?:, (add after|replace) `([^`]+)`)?:\n\n```\w+\n(.*?)^```$", re.M | re.S)
LIMITS = {"A task": 1, "A setting": 1, "A method": 2, "A table or figure": 3}
"""The most files that each recipe may edit."""


def follow(folder: Path) -> dict[str, set[str]]:
    """Do what the page says in `folder`; return the files that each recipe has edited."""
    edited: dict[str, set[str]] = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title = section.partition("\n")[0]
        for action, file, place, anchor, code in STEP.findall(section):
            edited.setdefault(title, set()).add(file)
            path = folder / file
            if action == "Create":
                assert not path.exists()
                path.write_text(code)
                continue
            text = path.read_text()
            assert text.count(f"{anchor}\n") == 1, f"{file}: {anchor}"
            path.write_text(text.replace(f"{anchor}\n", f"{anchor}\n{code}" if place == "add after" else code))
    return edited


@pytest.fixture(scope="module")
def extended(finished, tmp_path_factory) -> Project:
    """A finished project whose library and workflow have been extended as the page says."""
    folder = tmp_path_factory.mktemp("extending") / "project"
    project = finished.copy(folder)
    for part in ("src", "docs"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    edited = follow(folder)
    drawn = [(folder / f"results/splits/sums/{split}.jsonl").read_text() for split in ("validation", "test")]
    (folder / "doubled.jsonl").write_text("".join(drawn))
    assert {title: len(files) for title, files in edited.items()} == LIMITS
    return project


@pytest.fixture(autouse=True)
def library(extended, monkeypatch):
    """Let Snakemake, its jobs and its engine import the extended library."""
    monkeypatch.setenv("PYTHONPATH", os.fspath(extended.folder / "src"))


def test_extended_library_leaves_a_finished_table_as_it_is(extended):
    assert extended.planned("results/tables/table2.csv") == []


def test_added_task_method_setting_and_table_work_together(extended):
    for changes in map(yaml.safe_load, blocks(PAGE, "yaml")[1:]):
        extended.configure(**changes)
    extended.configure(unparsed="warn")  # barely trained experts give no numbers in four tokens
    targets = ["results/runs/emotions/expert_fusion-cubed/population.json", "results/tables/ranking.csv"]
    extended.make(*targets, "results/runs/doubled/best_single/population.json")
    head, *rows = (extended.folder / "results/tables/ranking.csv").read_text().splitlines()
    assert head == "method,score"
    assert {row.partition(",")[0] for row in rows} == {
        "Best Single",
        "Expert Fusion",
        "Random walk (not in the paper)",
    }
    last = read_contents(extended.folder / "results/runs/sums/random_walk/n4/seed1/generation_3/population.json")
    assert {individual["operator"] for individual in last["created"]} == {"step"}
    plain, cubed = (
        extended.read(f"results/runs/emotions/{variant}/population.json")["best"]["genotype"]["coefficients"]
        for variant in ("expert_fusion", "expert_fusion-cubed")
    )
    assert plain != cubed


def test_reference_and_schema_name_the_added_keys(extended):
    code = "from genome.cli import app; app()"
    command = [sys.executable, "-P", "-c", code, "config", "reference"]
    printed = subprocess.run(command, cwd=extended.folder, capture_output=True, text=True, check=True).stdout
    assert all(name in printed for name in ("`power`", "random_walk", "`ranking`"))
