"""The long campaigns: `pytest -m campaign`. Every run of the tests includes short forms of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

pytestmark = [pytest.mark.campaign, pytest.mark.slow]


@pytest.mark.parametrize("seed", range(1, 6))
def test_fuzz_campaign(seed):
    """Ten times the cases of `tests/fuzz`, different ones for each seed."""
    environment = os.environ | {"GENOME_FUZZ": "10", "GENOME_FUZZ_SEED": str(seed)}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", TESTS / "fuzz"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-6000:]


def test_kill_campaign(tmp_path):
    """Fifty-five kills of main process, jobs and engines."""
    command = [sys.executable, TESTS / "campaigns/kill.py", "--kills", "55", "--seed", "1", "--folder", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
