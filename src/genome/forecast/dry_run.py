"""The jobs that the workflow would run, from a dry run of Snakemake in a separate process."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from genome.errors import GenomeError
from genome.forecast.values import Job, Setting
from genome.yaml_files import check_yaml

VARIABLE = "GENOME_PLAN"
"""The variable with the name of the file that workflow/rules/hooks.smk writes: when a run begins, or a dry run ends."""


def read_plan(targets: Sequence[str], configfiles: Sequence[Path]) -> tuple[list[Job], Setting]:
    """Return the jobs that would make `targets` (none: the default) in this folder, and what they share.

    GenomeError has Snakemake's own message if it refuses the config or a target, ours for a file that it cannot read.
    """
    for file in configfiles:
        check_yaml(file)
    with tempfile.TemporaryDirectory() as temporary:
        handed_over = Path(temporary, "plan.json")
        files = ["--configfile", *map(str, configfiles)] if configfiles else []
        dry_run = subprocess.run(
            [sys.executable, "-P", "-m", "snakemake", "-n", "--quiet", "rules", "progress", *files, "--", *targets],
            env={**os.environ, VARIABLE: str(handed_over)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if dry_run.returncode:
            raise GenomeError(refusal(dry_run.stdout))
        if not handed_over.exists():
            raise GenomeError(f"{Path.cwd()}: its Snakefile is not this workflow's; call it in the workflow's folder")
        return read_handed_over(handed_over)


def read_handed_over(file: Path) -> tuple[list[Job], Setting]:
    """Return the jobs, and what they share, that Snakemake has written to the file in `VARIABLE`."""
    plan = json.loads(file.read_text())
    return [Job(**job) for job in plan["jobs"]], Setting(**plan["setting"])


def refusal(output: str) -> str:
    """Return the message in all that Snakemake prints; for an error in an input function, its message alone."""
    if of_input_function := re.search(r"\n  GenomeError: (.*)", output):
        return of_input_function[1]
    lines = [line for line in output.strip().splitlines() if not line.startswith('  File "')]
    start = next((i for i, line in enumerate(lines) if re.match(r"(\w+(Error|Exception)\b|Error: )", line)), 0)
    said = re.sub(r"^(WorkflowError in file .*:\n|Error: )", "", "\n".join(lines[start:]))
    return re.sub(r"^(\w+Exception):\n", r"\1: ", said)
