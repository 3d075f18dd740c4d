"""What is installed is what was tested; and the environment that rules name can be installed where nothing is."""

import subprocess
import tomllib
import venv
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / "envs"

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(line)
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in lines
    if not line.startswith("genome[")
]
LOCKED = [
    Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] not in "#"
]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_every_dependency_is_capped_and_has_a_tested_version(requirement):
    assert any(part.operator == "<" for part in requirement.specifier), "give it an upper bound: see pyproject.toml"
    [locked] = [each for each in LOCKED if canonicalize_name(each.name) == canonicalize_name(requirement.name)]
    [exact] = locked.specifier
    assert exact.version in requirement.specifier, "run .ci/lock in an environment that has passed the tests"


def test_the_tested_versions_are_plain_and_exact():
    """No index, no address, no build of one platform: each line is NAME==VERSION, sorted, once."""
    names = [each.name for each in LOCKED]
    assert names == sorted({canonicalize_name(name) for name in names})
    assert all(len(each.specifier) == 1 and not each.url and not each.extras for each in LOCKED)
    assert all(each.operator == "==" and "+" not in each.version for line in LOCKED for each in line.specifier)
    assert not {name for name in names if name.startswith(("nvidia-", "genome"))}


def test_what_installs_takes_the_tested_versions():
    """The commands that people and rules run, wherever they stand."""
    for path in (ROOT / ".ci" / "run", ENVIRONMENTS / "genome.yaml"):
        assert "constraints.txt" in path.read_text(), path


@pytest.mark.slow
def test_the_pip_part_of_the_environment_installs(tmp_path):
    packages = yaml.safe_load((ENVIRONMENTS / "genome.yaml").read_text())["dependencies"][-1]["pip"]
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin" / "python"
    arguments = [part for package in packages for part in package.split()]
    # Where Snakemake copies the file to, and conda runs pip.
    folder = ROOT / ".snakemake" / "conda"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], cwd=folder, check=True)
    versions = subprocess.run(
        [python, "-c", "import genome, snakemake, torch; print(genome.__version__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert versions.stdout.strip()
