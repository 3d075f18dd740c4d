"""What is installed is what was tested; and the environment that rules name can be installed where nothing is."""

import subprocess
import sys
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
TRACKERS = ("mlflow", "wandb", "trackio")
"""Extras that `test` does not install."""


def requirements(*lists: list[str]) -> list[Requirement]:
    return [Requirement(line) for lines in lists for line in lines if not line.startswith("genome[")]


OPTIONAL = PROJECT["optional-dependencies"]
REQUIREMENTS = requirements(
    PROJECT["dependencies"], *(lines for extra, lines in OPTIONAL.items() if extra not in TRACKERS)
)
LOCKED = [
    Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] not in "#"
]


@pytest.mark.parametrize(
    "requirement",
    [*REQUIREMENTS, *requirements(*(OPTIONAL[extra] for extra in TRACKERS))],
    ids=lambda requirement: requirement.name,
)
def test_every_dependency_is_capped(requirement):
    assert any(part.operator == "<" for part in requirement.specifier), "give it an upper bound: see pyproject.toml"


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_every_dependency_that_tests_install_has_a_tested_version(requirement):
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
    for path in (ROOT / ".ci" / "run", ENVIRONMENTS / "genome.yaml", ROOT / "README.md", ROOT / "docs" / "own.md"):
        installing = [line for line in path.read_text().splitlines() if "pip install" in line and "-e" in line]
        assert all("constraints.txt" in line for line in installing), path
        assert "constraints.txt" in path.read_text(), path


CASES = """<testsuites><testsuite>
<testcase classname="tests.a" name="test_fine"/>
<testcase classname="tests.a" name="test_broken"><failure message="no"/></testcase>
<testcase classname="tests.v" name="test_model[1]"><skipped type="pytest.skip" message="no vLLM"/></testcase>
<testcase classname="tests.v" name="test_model[2]"><skipped type="pytest.skip" message="no vLLM"/></testcase>
<testcase classname="tests.s" name="test_browser"><skipped type="pytest.skip" message="no&#10;Chromium"/></testcase>
</testsuite></testsuites>"""


def test_what_was_not_tested_is_counted_by_reason(tmp_path):
    def said():
        command = [sys.executable, ROOT / ".ci" / "skipped", tmp_path]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert said() == ["No test has run.", "Not tested: 0"]
    (tmp_path / "tests.xml").write_text(CASES)
    (tmp_path / "campaign.txt").write_text("tests/c.py::test_kill\ntests/c.py::test_fuzz[1]\n\n2/9 tests collected\n")
    assert said() == [
        "tests: 1 passed, 1 failed, 3 skipped",
        "Not tested: 5",
        "  2 no vLLM",
        "  2 long campaigns, which `pytest -m campaign` runs",
        "  1 no Chromium",
    ]
    other = '<testsuite><testcase classname="tests.v" name="test_model[1]"/></testsuite>'
    (tmp_path / "vllm.xml").write_text(other)
    assert said()[1:4] == ["vllm: 1 passed", "Not tested: 4", "  2 long campaigns, which `pytest -m campaign` runs"]


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
