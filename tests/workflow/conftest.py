"""A whole project in a temporary folder, cut down so that a run takes seconds, with base and experts trained once."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

PROJECT = Path(__file__).parent.parent.parent
PARTS = ("Snakefile", "config.yaml", "config", "workflow", "profiles", "envs")

SMALL = {
    "seeds": [1],
    "population_size": 4,
    "generations": 3,
    "splits": {"validation": 30, "test": 40, "seed": 42},
    "table2": {"tasks": ["sums", "emotions"]},
    "methods": {"lorahub": {"evaluations": 4}},
}
"""Laid over config.yaml: one seed, two tasks, three generations of four, all methods."""


@dataclass(frozen=True)
class Project:
    """A copy of the project in a separate folder."""

    folder: Path

    def options(self, *arguments: str, cores: int = 2) -> list[str]:
        """Return what Snakemake is called with."""
        return ["--cores", str(cores), "--configfile", "small.yaml", *arguments]

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        """Return Snakemake's command; -P: a module where the workflow runs is not Python's."""
        return [sys.executable, "-P", "-m", "snakemake", *self.options(*arguments, cores=cores)]

    def snakemake(self, *arguments: str, cores: int = 2) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*arguments, cores=cores), cwd=self.folder, capture_output=True, text=True)

    def start(self, *targets: str) -> subprocess.Popen:
        """Start making targets, to be interrupted."""
        return subprocess.Popen(
            self.command("--", *targets), cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def make(self, *targets: str, cores: int = 2) -> str:
        """Make targets and return what Snakemake said; fail with it when they are not made."""
        result = self.snakemake("--", *targets, cores=cores)
        assert result.returncode == 0, result.stderr[-6000:]
        return result.stderr

    def ran(self, *targets: str) -> set[str]:
        """Make targets and return the rules whose jobs that took."""
        return set(re.findall(r"^(\w+) +\d+$", self.make(*targets), re.MULTILINE)) - {"total"}

    def refused(self, *targets: str) -> str:
        """Return what Snakemake says about targets that it must not make."""
        result = self.snakemake("--", *targets)
        assert result.returncode != 0, "this should have failed"
        return result.stderr

    def summary(self, *targets: str) -> list[dict[str, str]]:
        """Return what Snakemake says about each file behind the targets: its rule, inputs and plan."""
        result = self.snakemake("--detailed-summary", "--", *targets)
        assert result.returncode == 0, result.stderr[-4000:]
        return list(csv.DictReader(result.stdout.splitlines(), delimiter="\t"))

    def planned(self, *targets: str) -> list[str]:
        """Return the files that would be made."""
        return [row["output_file"] for row in self.summary(*targets) if row["plan"] != "no update"]

    def configure(self, **changes) -> None:
        """Lay further changes over the small config."""
        settings = yaml.safe_load((self.folder / "small.yaml").read_text())
        (self.folder / "small.yaml").write_text(yaml.safe_dump(merged(settings, changes)))

    def read(self, path: str):
        """Return a JSON file's value."""
        return json.loads((self.folder / path).read_text())

    def files(self, pattern: str) -> dict[str, bytes]:
        """Return the contents of the files that match a pattern."""
        paths = sorted(path for path in self.folder.glob(pattern) if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}

    def times(self, pattern: str = "results/**/*") -> dict[str, int]:
        """Return when files were written, in nanoseconds; benchmarks are measured again and left out."""
        paths = [path for path in self.folder.glob(pattern) if path.is_file() and "benchmarks" not in path.parts]
        return {path.relative_to(self.folder).as_posix(): path.stat().st_mtime_ns for path in paths}

    def engines(self) -> list[int]:
        """Return the processes of engines that work in this folder."""
        return self.processes("genome.engine.server")

    def jobs(self) -> list[int]:
        """Return the processes of rules' scripts that run in this folder."""
        return self.processes(".snakemake/scripts")

    def processes(self, word: str) -> list[int]:
        """Return the processes that work in this folder and have `word` in their command."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().decode()
                if word in command and str(self.folder.resolve()) in command:
                    found.append(int(process.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def copy(self, folder: Path) -> "Project":
        """Return a copy with all results, their times and Snakemake's records."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def new_project(folder: Path) -> Project:
    """Return a copy of this project's sources, without the small config of the tests."""
    folder.mkdir()
    for part in PARTS:
        source = PROJECT / part
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)
    return Project(folder)


def merged(settings, changes):
    if not (isinstance(settings, dict) and isinstance(changes, dict)):
        return changes
    return {**settings, **{key: merged(settings.get(key), value) for key, value in changes.items()}}


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Project:
    """A project with base model, experts and Data Merge, and nothing evolved yet."""

    def train(folder):
        project = new_project(folder)
        (project.folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
        project.make("results/experts/micro.json", "resources/experts/data_merge.safetensors")

    return made_once(tmp_path_factory, "trained", train)


@pytest.fixture(scope="session")
def finished(trained, tmp_path_factory) -> Project:
    """A project whose Table 2 has been made without interruption on two cores. Copy it before you change it."""
    return made_once(
        tmp_path_factory, "finished", lambda folder: trained.copy(folder).make("results/tables/table2.csv")
    )


def made_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Project:
    """Return the project that `make` makes in a folder: the first of the test processes makes it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, whole = shared / name / "project", shared / name / "whole"
    with FileLock(shared / f"{name}.lock"):
        if not whole.exists():
            folder.parent.mkdir()
            make(folder)
            whole.touch()
    return Project(folder)


@pytest.fixture
def fresh(trained, tmp_path) -> Project:
    """A project of this test's own with trained experts."""
    return trained.copy(tmp_path / "project")


@pytest.fixture
def done(finished, tmp_path) -> Project:
    """A project of this test's own with a finished Table 2."""
    return finished.copy(tmp_path / "project")
