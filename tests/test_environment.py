"""The environment that rules name can be installed where nothing is."""

import subprocess
import venv
from pathlib import Path

import pytest
import yaml

ENVIRONMENTS = Path(__file__).parent.parent / "envs"


@pytest.mark.slow
def test_the_pip_part_of_the_environment_installs(tmp_path):
    packages = yaml.safe_load((ENVIRONMENTS / "genome.yaml").read_text())["dependencies"][-1]["pip"]
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin" / "python"
    arguments = [part for package in packages for part in package.split()]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], cwd=ENVIRONMENTS, check=True)
    versions = subprocess.run(
        [python, "-c", "import genome, snakemake, torch; print(genome.__version__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert versions.stdout.strip()
