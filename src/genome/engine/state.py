"""Running engines: the files that describe them, whether they are well, and how they end.

A running engine is described by `.genome/engine-TOKEN.json` (0600, in a folder of 0700): its address, key and
process; TOKEN is its owner's (`genome.engine.owner`). The engine writes the file when it is ready and ends when the
file is no longer its own. A server that is not ours, vLLM's, knows none of this; `genome.engine.supervisor` does it in
its place.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genome.engine import slurm
from genome.engine.client import Address
from genome.engine.owner import HOST, start_time
from genome.engine.probe import healthy
from genome.engine.records import FOLDER, read_record, remove, write_record
from genome.errors import GenomeError

STORE = FOLDER / "adapters"
"""Where engines read adapters from; emptied when the workflow ends. Connect before writing to it."""

END_SECONDS = 15
"""How long a server may take to end when it is told to; vLLM's supervisor needs up to 12."""

FAR_SECONDS = 5
"""How long an engine on another host may take to say that it lives."""


@dataclass(frozen=True)
class State:
    """A running engine, as its state file describes it."""

    url: str
    key: str
    host: str
    pid: int
    started: str
    base: str
    machine: str
    """What it runs on, in a few words."""
    fingerprint: dict
    """What decides its answers (genome.engine.fingerprint)."""
    job: str | None = None
    """Its SLURM job, where it is one of its own; any other engine listens on its host's loopback interface."""

    def alive(self) -> bool:
        """Tell whether this very process still runs; on another host it counts as running where it cannot be asked."""
        if self.host == HOST:
            return start_time(self.pid) == self.started
        return self.job is None or healthy(self.url, FAR_SECONDS)


@dataclass(frozen=True)
class Starting:
    """An engine that has been started and has not announced itself: who comes next waits for it as well."""

    host: str
    pid: int
    started: str

    def alive(self) -> bool:
        """Tell whether this very process still runs; on another host it counts as running."""
        return self.host != HOST or start_time(self.pid) == self.started


def read_state(file: Path) -> State | None:
    """Return the engine that a state file describes, whether it runs or not; None without a file, or a whole one."""
    return read_record(file, State)


def write_state(file: Path, state: State) -> None:
    """Publish an engine to the jobs of this user."""
    write_record(file, state)


def address(state: State, base: Path, logfile: Path) -> Address:
    """Return where a running engine listens; GenomeError when it serves another base model."""
    if state.base != str(base):
        raise GenomeError(f"this workflow's engine serves {state.base}, not {base}: one base model a workflow")
    return Address(state.url, state.key, logfile, state.machine, state.fingerprint)


def end(state: "State | Starting") -> None:
    """Tell an engine to end and wait until it has; one that does not is killed."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + END_SECONDS
        if state.alive():
            with suppress(ProcessLookupError):
                os.kill(state.pid, sign)
        while state.alive() and time.monotonic() < deadline:
            time.sleep(0.02)


def clear_store(folder: Path) -> None:
    """Empty the store of adapters in `folder`, unless a running engine still reads from it."""
    states = map(read_state, folder.glob("engine-*.json"))
    if not any(state and state.alive() for state in states):
        remove(folder / STORE.name)


def stop(token: str) -> None:
    """End a workflow's engines at once and empty the store; for the owner, at its end."""
    folder = FOLDER.absolute()
    for file in (folder / f"engine-{token}.json", *folder.glob(f"engine-{token}-*.json")):
        state = read_state(file)
        if state and state.job is None and state.host == HOST:
            end(state)
        remove(file)
    for file in folder.glob(f"engine-{token}*.start"):
        end_start(file)
    memories = [*folder.glob(f"engine-{token}-*.job")]
    slurm.cancel([job.id for job in map(slurm.read_job, memories) if job])
    for trace in (folder / f"alive-{token}", *memories):
        remove(trace)
    sweep(folder)
    clear_store(folder)


def end_start(file: Path) -> None:
    """End an engine that has not yet announced itself, and forget it."""
    starting = read_record(file, Starting)
    if starting is not None and starting.host == HOST:
        end(starting)
    remove(file)


def sweep(folder: Path) -> None:
    """Remove what engines that were killed have left, of workflows that were killed before them.

    Not what does not answer: it may be another workflow's, and busy.
    """
    for pattern, kind in (("engine-*.json", State), ("engine-*.start", Starting)):
        for file in folder.glob(pattern):
            record = read_record(file, kind)
            here = record is None or record.host == HOST
            job = getattr(record, "job", None)
            if (here and not (record and record.alive())) or (job and slurm.ended(job)):
                remove(file)
    for file in folder.glob("engine-*.job"):
        memory = slurm.read_job(file)
        if memory is None or slurm.ended(memory.id):
            remove(file)
    for file in folder.glob("alive-*"):
        if not any(folder.glob(file.name.replace("alive", "engine") + "-*.job")):
            remove(file)
