"""Engines on this machine: one shared by all jobs of a workflow, or one per job.

They are processes in separate sessions, so that an engine outlives the job that started it.
"""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from genome.engine.logs import log_end, log_size
from genome.engine.messages import Address
from genome.engine.owner import HOST, Owner, current_owner, orphaned, started, this_process
from genome.engine.probe import healthy
from genome.engine.program import KEY_VARIABLE, Program, command, start_limit
from genome.engine.records import FOLDER, lock, own_folder, read_record, remove, write_record
from genome.engine.state import Starting, State, address, end, read_state
from genome.errors import GenomeError

LOG = Path("logs/engine.log")

STARTS = 3
"""How often an engine is started before giving up, if something kills it during the start."""

_started: list[subprocess.Popen] = []
"""Servers started by this process, kept because subprocess warns about handles that are dropped."""


def local_server(program: Callable[[], Program], base: Path, settings: Mapping[str, Any]) -> Callable[[], Address]:
    """Return a function that finds this workflow's server on this machine or starts `program()`.

    It starts nothing if the owner has ended. A lock guards the start, so that jobs never start two servers. With
    `engine.per_job` each job owns a server, which ends with the job.
    """
    workflow, folder = current_owner(), FOLDER.absolute()
    owner, name, logfile = workflow, f"engine-{workflow.token}", LOG.absolute()
    if settings.get("per_job"):
        own = f"{HOST}-{os.getpid()}"
        owner, name, logfile = this_process(workflow.token), f"{name}-{own}", logfile.with_stem(f"engine-{own}")
    elif not workflow.here():
        raise GenomeError(
            f"this job runs on {HOST}, its workflow on {workflow.host}: set engine.slurm or engine.per_job, as "
            "profiles/slurm does"
        )
    file = folder / f"{name}.json"

    def find() -> Address:
        state = _healthy(file)
        if state is None:
            own_folder()
            with nullcontext() if settings.get("per_job") else lock(folder):
                state = _healthy(file) or _start(program, owner, file, logfile, settings)
        return address(state, base, logfile)

    return find


def _healthy(file: Path) -> State | None:
    """Return the running engine of a state file; None if there is none. An engine that does not answer is ended."""
    state = read_state(file)
    if state is None or not state.alive():
        return None
    if healthy(state.url):
        return state
    end(state)
    return None


def _start(
    program: Callable[[], Program], owner: Owner, file: Path, logfile: Path, settings: Mapping[str, Any]
) -> State:
    """Start a server in a separate session and wait until it has published itself.

    If a job that was killed has already started a server, wait for that one instead. A server that was killed is
    started again, up to STARTS times. A server that ended with its own error is not: it would fail again.
    """
    note, keep_store = file.with_suffix(".start"), ["--keep-store"] if settings.get("per_job") else []
    left = STARTS
    while True:
        left -= 1
        if not owner.alive():
            raise orphaned()
        before = log_size(logfile)
        starting, server = read_record(note, Starting), None
        if starting is None or not starting.alive():
            server = _launch(program(), owner, file, logfile, keep_store)
            starting = Starting(HOST, server.pid, started(server.pid))
            write_record(note, starting)
        state = _published(file, starting, owner, start_limit(settings), logfile, before)
        remove(note)
        if state is not None:
            return state
        code = "an unknown code" if server is None else f"code {server.wait()}"
        if not left or _reported_error(logfile, before):
            times = "" if left == STARTS - 1 else f", as it did {STARTS - 1 - left} time(s) before"
            killed = "; was there enough memory?" if server is not None and server.returncode == -signal.SIGKILL else ""
            raise GenomeError(f"the engine ended with {code} as it started{times}{killed}{log_end(logfile, before)}")


def _launch(made: Program, owner: Owner, file: Path, logfile: Path, options: list[str]) -> subprocess.Popen:
    """Start a server in a separate session, with a new key."""
    logfile.parent.mkdir(parents=True, exist_ok=True)
    with logfile.open("ab") as output:
        server = subprocess.Popen(
            [*command(made, owner, file), *options, *made.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **made.environment, KEY_VARIABLE: secrets.token_urlsafe(32)},
            start_new_session=True,
        )
    _started.append(server)
    return server


def _published(file: Path, starting: Starting, owner: Owner, limit: float, logfile: Path, before: int) -> State | None:
    """Return the engine that has published itself in `file`; None if the starting engine has ended.

    It is given up if its log (from byte `before`) has not grown for `limit` seconds.
    """
    size, moved = before, time.monotonic()
    while True:
        ended = not starting.alive()
        state = read_state(file)
        # Not always the one just started: another one may have been starting.
        if state and state.alive():
            return state
        if not owner.alive():
            raise orphaned()
        if ended:
            return None
        if log_size(logfile) != size:
            size, moved = log_size(logfile), time.monotonic()
        if time.monotonic() - moved > limit:
            end(starting)
            raise GenomeError(
                f"the engine was not ready, and its log did not grow for {limit:g} s; raise engine.timeout"
                f"{log_end(logfile, before)}"
            )
        time.sleep(0.02)


def _reported_error(logfile: Path, before: int) -> bool:
    """Return whether the last line of a log (from byte `before`) is an error message of the engine itself."""
    with logfile.open("rb") as log:
        log.seek(before)
        return log.read().rpartition(b"\n")[0].rpartition(b"\n")[2].startswith(b"error: ")
