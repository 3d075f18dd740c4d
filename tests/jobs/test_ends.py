"""How jobs end that should not have begun."""

import pytest

from genome.jobs import job


def test_a_misformed_owner_ends_a_job_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOME_OWNER", "1:2")
    with (
        pytest.raises(SystemExit, match=r"^error: GENOME_OWNER is '1:2', expected HOST:PID:STARTTIME:TOKEN; "),
        job(tmp_path / "log"),
    ):
        pytest.fail("it ran")
    assert "error: GENOME_OWNER is '1:2'" in (tmp_path / "log").read_text()
