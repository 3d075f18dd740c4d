"""Where the workflow is: in a clone, and in an environment into which a wheel was installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from genome import project as module
from genome.errors import GenomeError
from genome.project import SNAKEFILE, project

PROJECT = Path(__file__).parent.parent
FOLDERS = ("config", "envs", "profiles", "workflow")


def test_a_clone_is_the_project():
    assert project() == PROJECT


@pytest.mark.slow
def test_a_wheel_has_the_workflow_and_the_library_finds_it(tmp_path):
    """Without dependencies, which this environment has."""
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    copied = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file() and not name.startswith(("tests/", "benchmarks/", "docs/")):
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            (copied / name).write_bytes((PROJECT / name).read_bytes())
    subprocess.run([*build, str(copied)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition(".data/data/share/genome/")[2] for name in archive.namelist()}
    expected = [path for folder in FOLDERS for path in (copied / folder).rglob("*") if path.is_file()]
    assert names - {""} == {SNAKEFILE, "config.yaml", *(str(path.relative_to(copied)) for path in expected)}

    site = subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=False)
    assert site.returncode == 0
    python = tmp_path / "venv/bin/python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "-q", str(wheel)]
    subprocess.run(install, check=True)
    code = "from genome.project import project; print(project())"
    found = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert Path(found.stdout.strip()).resolve() == (tmp_path / "venv/share/genome").resolve()


def test_a_library_alone_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "lib/genome/project.py"))
    monkeypatch.setattr(module, "files", lambda name: [])
    with pytest.raises(GenomeError, match="the workflow is not next to the library"):
        project()
