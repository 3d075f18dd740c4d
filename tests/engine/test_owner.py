"""Owners of engines: their text form, and whether they run."""

import os
from pathlib import Path

import pytest

from genome.engine.owner import Owner, current_owner, owner_token, parse_owner
from genome.errors import GenomeError


def test_owner_is_identified_by_pid_and_start_time():
    text = owner_token()
    host, pid, started, token = text.split(":")
    owner = parse_owner(text)
    assert (owner.host, owner.pid, owner.started, owner.token) == (host, os.getpid(), started, token)
    assert str(owner) == text
    assert owner.alive()
    assert not Owner(host, os.getpid(), f"{started}0", token).alive()
    elsewhere = Owner("elsewhere", os.getpid(), f"{started}0", token)
    assert elsewhere.alive(), "a process of another host cannot be seen"
    # In the form that a Snakefile writes.
    assert started == Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


@pytest.mark.parametrize("text", ["1", "1:2:3", "h:x:2:t", "h:1:2:../t", "h:²:2:t", "h:-1:2:t", "h:1::t", ":1:2:t"])
def test_parse_owner_refuses_other_forms(monkeypatch, text):
    monkeypatch.setenv("GENOME_OWNER", text)
    with pytest.raises(GenomeError, match="expected HOST:PID:STARTTIME:TOKEN"):
        current_owner()
