"""Engines on this machine: one that the jobs of a workflow share, or one for each job.

They are processes in sessions of their own, so that one outlives the job that has started it.
"""

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from genome.engine.client import Address, log_end
from genome.engine.owner import HOST, Owner, current_owner, orphaned, this_process
from genome.engine.program import KEY_VARIABLE, Program, command
from genome.engine.state import FOLDER, State, address, end, healthy, read_state
from genome.errors import GenomeError

LOG = Path("logs/engine.log")

_started: list[subprocess.Popen] = []
"""Servers started by this process, kept since subprocess warns about handles that are dropped."""


def local_server(program: Callable[[], Program], base: Path, settings: Mapping[str, Any]) -> Callable[[], Address]:
    """Return a function that finds this workflow's server on this machine or starts `program()`.

    It starts nothing when the owner has ended. One lock guards the start, so that jobs never start two. With
    `engine.per_job` each job owns a server, which ends with it.
    """
    workflow, folder = current_owner(), FOLDER.absolute()
    owner, name, logfile = workflow, f"engine-{workflow.token}", LOG.absolute()
    if settings.get("per_job"):
        own = f"{HOST}-{os.getpid()}"
        owner, name, logfile = this_process(workflow.token), f"{name}-{own}", logfile.with_stem(f"engine-{own}")
    elif not workflow.here():
        raise GenomeError(
            f"this job runs on {HOST}, its workflow on {workflow.host}: set engine.slurm or engine.per_job; "
            "profiles/slurm does"
        )
    file = folder / f"{name}.json"

    def find() -> Address:
        state = _healthy(file)
        if state is None:
            folder.mkdir(mode=0o700, exist_ok=True)
            with nullcontext() if settings.get("per_job") else FileLock(folder / ".lock"):
                state = _healthy(file) or _start(program, owner, file, logfile, settings)
        return address(state, base, logfile)

    return find


def _healthy(file: Path) -> State | None:
    """Return the running engine of a state file; one that runs and cannot answer is ended (None)."""
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
    """Start a server in a session of its own and wait until it has published itself."""
    if not owner.alive():
        raise orphaned()
    made = program()
    logfile.parent.mkdir(parents=True, exist_ok=True)
    before = logfile.stat().st_size if logfile.exists() else 0
    keep_store = ["--keep-store"] if settings.get("per_job") else []
    with logfile.open("ab") as output:
        server = subprocess.Popen(
            [*command(made, owner, file), *keep_store, *made.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **made.environment, KEY_VARIABLE: secrets.token_urlsafe(32)},
            start_new_session=True,
        )
    _started.append(server)
    timeout = settings.get("timeout", 600)
    deadline = time.monotonic() + timeout
    while True:
        ended = server.poll() is not None
        state = read_state(file)
        # Not always the one just started: that of a job killed while it waited here may have come first.
        if state and state.alive():
            return state
        if not owner.alive():
            raise orphaned()
        if ended:
            raise GenomeError(f"the engine ended with code {server.returncode} as it started{log_end(logfile, before)}")
        if time.monotonic() > deadline:
            server.terminate()
            raise GenomeError(
                f"the engine was not ready in {timeout} s; raise engine.timeout{log_end(logfile, before)}"
            )
        time.sleep(0.02)
