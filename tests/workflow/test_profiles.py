"""Snakemake's settings for a workstation, a machine with GPUs and a cluster."""

import subprocess
import sys

import pytest
import yaml

from workflow.conftest import PROJECT, new_project

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize("name", ["gpu", "slurm"])
def test_profile_contains_all_settings_of_the_default_profile(name):
    default, other = (
        yaml.safe_load((PROJECT / "profiles" / profile / "config.yaml").read_text()) for profile in ("default", name)
    )
    assert {key: other[key] for key in default} == default


@pytest.mark.parametrize("name", ["gpu", "slurm"])
def test_a_profile_plans_a_run(tmp_path, name):
    if name == "slurm":
        pytest.importorskip("snakemake_executor_plugin_slurm", reason="pip install '.[slurm]'")
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", f"profiles/{name}", "-n", "--quiet", "rules"]
    target = "results/runs/sums/genome/n10/seed1/generation_1/population.json"
    folder = new_project(tmp_path / "project").folder
    planned = subprocess.run([*command, "--", target], cwd=folder, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr[-3000:]
    assert "generation " in planned.stdout


def test_profile_sets_resources_of_existing_rules_only():
    profile = yaml.safe_load((PROJECT / "profiles/slurm/config.yaml").read_text())
    sources = "".join(path.read_text() for path in (PROJECT / "workflow/rules").glob("*.smk"))
    assert all(f"rule {rule}:" in sources or f"as {rule} with:" in sources for rule in profile["set-resources"])
