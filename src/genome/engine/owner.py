"""Owners of engines: the process that an engine runs for. An engine never outlives its owner.

The owner is the workflow's main process, given by the environment variable GENOME_OWNER as HOST:PID:STARTTIME:TOKEN.
STARTTIME is field 22 of /proc/PID/stat, clock ticks after boot, which together with the PID identifies a process
(without /proc: the letters and digits of `ps -o lstart=`). TOKEN is a word of letters and digits, unique among the runs
in this folder. Without the variable, the owner is the calling process.
"""

import os
import re
import secrets
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from genome.errors import GenomeError

HOST = socket.gethostname()

POLL_SECONDS = 0.3
"""How often an engine checks its owner."""


@dataclass(frozen=True)
class Owner:
    """The process that an engine runs for, and the token of its workflow."""

    host: str
    pid: int
    started: str
    token: str

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.started}:{self.token}"

    def here(self) -> bool:
        """Return whether the process is on this host; processes of other hosts are not visible."""
        return self.host == HOST

    def alive(self) -> bool:
        """Return whether this process still runs; a process on another host counts as running."""
        return not self.here() or start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """Return a text that distinguishes a process from a later one with the same PID; None if it has ended.

    A zombie counts as ended.
    """
    if not Path("/proc/self/stat").exists():
        shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True).stdout
        state, _, started = shown.strip().partition(" ")
        return None if state[:1] in ("", "Z") else "".join(filter(str.isalnum, started))
    try:
        # The name of the process, in parentheses, may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def started(pid: int) -> str:
    """Return `start_time`, or a word that no process has as its start time if the process has ended."""
    return start_time(pid) or "ended"


def owner_token(pid: int | None = None) -> str:
    """Return a new GENOME_OWNER for a process (by default this one)."""
    pid = pid or os.getpid()
    return str(Owner(HOST, pid, started(pid), secrets.token_hex(8)))


def parse_owner(text: str) -> Owner:
    """Read HOST:PID:STARTTIME:TOKEN."""
    parts = re.fullmatch(r"([^:]+):([0-9]{1,18}):([A-Za-z0-9]+):([A-Za-z0-9]+)", text)
    if parts is None:
        raise GenomeError(f"GENOME_OWNER is {text!r}, expected HOST:PID:STARTTIME:TOKEN; unset it to own the engine")
    return Owner(parts[1], int(parts[2]), parts[3], parts[4])


def current_owner() -> Owner:
    """Return the owner that GENOME_OWNER names, or this process."""
    if text := os.environ.get("GENOME_OWNER"):
        return parse_owner(text)
    return this_process(f"{os.getpid()}x{start_time(os.getpid())}")


def this_process(token: str) -> Owner:
    """Return this process as the owner of an engine."""
    return Owner(HOST, os.getpid(), started(os.getpid()), token)


def orphaned() -> GenomeError:
    """Return the error of a job that needs an engine after its owner has ended."""
    return GenomeError("the workflow that owned this job has ended; start it again: it resumes where it stopped")
