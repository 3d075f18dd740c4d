"""Engines that run as separate SLURM jobs (`engine.slurm`), shared by a workflow's jobs on all hosts.

They announce themselves in `.genome/engine-TOKEN-I.json`, with I from 0 to `engine.replicas` - 1. An engine on another
host than its owner cannot see the owner's process. It ends when its file is removed, or when no job has touched
`.genome/alive-TOKEN` for `engine.idle` seconds.
"""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from genome.engine import slurm
from genome.engine.logs import log_size
from genome.engine.messages import Address
from genome.engine.owner import HOST, POLL_SECONDS, current_owner, orphaned
from genome.engine.probe import HEALTH_SECONDS, healthy
from genome.engine.program import KEY_VARIABLE, Program, command, start_limit
from genome.engine.records import FOLDER, lock, own_folder, remove
from genome.engine.state import State, address, read_state
from genome.errors import GenomeError

log = logging.getLogger("genome")

IDLE_SECONDS = 600
"""How long an engine's SLURM job keeps running when no job of the workflow needs it."""

NEED_SECONDS = 5
"""How often a job signals that it needs its engine."""

QUEUE_SECONDS = 5
"""How often a job that waits for an engine queries SLURM."""

_needed: set[Path] = set()
"""Files that a thread of this process touches."""


def slurm_server(program: Callable[[], Program], base: Path, settings: Mapping[str, Any]) -> Callable[[], Address]:
    """Return a function that finds one of this workflow's servers among SLURM's jobs and submits missing ones.

    Jobs are distributed over replicas by their PIDs. While a job's replica is starting, any other replica serves it. If
    there is none, the job waits while the replica is queued, and then while its log grows.
    """
    owner, folder = current_owner(), FOLDER.absolute()
    replicas = settings.get("replicas", 1)
    files = [folder / f"engine-{owner.token}-{(os.getpid() + index) % replicas}.json" for index in range(replicas)]

    def submit(file: Path) -> str:
        if not owner.alive():
            raise orphaned()
        remove(file)
        made = program()
        idle = str(settings.get("idle", IDLE_SECONDS))
        line = [*command(made, owner, file), "--idle", idle, *made.arguments]
        return slurm.submit(line, settings["slurm"], {**made.environment, KEY_VARIABLE: secrets.token_urlsafe(32)})

    def find() -> Address:
        own_folder()
        keep_needed(folder / f"alive-{owner.token}")
        since: dict[tuple[str, bool, int], float] = {}
        logged = None
        while True:
            state, problem, jobs = _reached(files[0]), None, {}
            missing = [file for file in files if not _memory(file).exists() or (file == files[0] and state is None)]
            if missing:
                try:
                    with lock(folder):
                        jobs = {file: slurm.revive(_memory(file), partial(submit, file)) for file in missing}
                except GenomeError as error:  # raised below unless another engine serves
                    problem = error
            state = state or next(filter(None, map(_reached, files[1:])), None)
            if state is not None:
                _note_served(folder, files, state)
                return address(state, base, Path(slurm.log_of(str(state.job))).absolute())
            if problem is not None:
                raise problem
            if not owner.alive():
                raise orphaned()
            job, where, reason = jobs[files[0]]
            if logged != (job.id, where):
                logged = (job.id, where)
                log.info("waiting for engine job %s: %s (%s)", job.id, where, reason)
            published = read_state(files[0])
            if where in slurm.STARTED:
                limit = HEALTH_SECONDS if published else start_limit(settings)
                size = 0 if published else log_size(Path(slurm.log_of(job.id)))
                began = since.setdefault((job.id, published is not None, size), time.monotonic())
                if time.monotonic() - began > limit:
                    problem = f"at {published.url} was out of reach of {HOST}" if published else "was not ready"
                    with lock(folder):
                        slurm.give_up(_memory(files[0]), job, f"{problem} for {limit} s")
                    continue
            _wait_for_news(files)

    return find


def keep_needed(file: Path) -> None:
    """Touch a file for as long as this process runs, to signal that the workflow's engines are needed."""
    if not file.is_file():
        remove(file)
    file.touch(mode=0o600)
    if file in _needed:
        return
    _needed.add(file)

    def touch() -> None:
        while True:
            time.sleep(NEED_SECONDS)
            with suppress(OSError):  # the workflow has ended and removed it
                os.utime(file)

    threading.Thread(target=touch, daemon=True).start()


def _reached(file: Path) -> State | None:
    """Return the engine of a state file, or None if it does not answer."""
    state = read_state(file)
    return state if state is not None and healthy(state.url) else None


def _memory(file: Path) -> Path:
    """Return the file that records the SLURM job of an engine."""
    return file.with_suffix(".job")


def _note_served(folder: Path, files: Sequence[Path], state: State) -> None:
    """Record that an engine has been reached, so that a later end does not count as a failure to start."""
    for file in map(_memory, files):
        memory = slurm.read_job(file)
        if memory and memory.id == state.job and not memory.served:
            with lock(folder):
                if slurm.read_job(file) == memory:
                    slurm.write_job(file, slurm.Job(memory.id, served=True))


def _wait_for_news(files: Sequence[Path]) -> None:
    """Wait until an engine has announced itself or ended, or until it is time to query SLURM again."""
    before = [file.exists() for file in files]
    deadline = time.monotonic() + QUEUE_SECONDS
    while time.monotonic() < deadline and [file.exists() for file in files] == before:
        time.sleep(POLL_SECONDS)
