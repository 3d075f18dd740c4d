"""Running engines: the files that describe them, their health, and how they end.

`.genome/engine-TOKEN.json` (0600, in a folder of 0700) describes a running engine: its address, key and process. TOKEN
is its owner's (`genome.engine.owner`). The engine writes the file when it is ready, and ends when the file has been
removed or replaced. For vLLM's server, `genome.engine.supervisor` does this.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genome.engine import slurm
from genome.engine.messages import Address
from genome.engine.owner import HOST, start_time
from genome.engine.probe import healthy
from genome.engine.records import FOLDER, read_record, remove, write_record
from genome.errors import GenomeError

STORE = FOLDER / "adapters"
"""The folder that engines read adapters from; it is emptied when the workflow ends. Connect before writing to it."""

END_SECONDS = 15
"""How long a server may take to end after SIGTERM; vLLM's supervisor needs up to 12."""

FAR_SECONDS = 5
"""How long an engine on another host may take to answer a health check."""


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
    """A short description of its hardware."""
    fingerprint: dict
    """The properties that determine its answers (genome.engine.fingerprint)."""
    job: str | None = None
    """Its SLURM job, if it is a separate one; any other engine listens on its host's loopback interface."""

    def alive(self) -> bool:
        """Return whether this process still runs; on another host, whether it answers, if it can be reached at all."""
        if self.host == HOST:
            return start_time(self.pid) == self.started
        return self.job is None or healthy(self.url, FAR_SECONDS)


@dataclass(frozen=True)
class Starting:
    """An engine that has been started but has not announced itself; later jobs wait for it too."""

    host: str
    pid: int
    started: str

    def alive(self) -> bool:
        """Return whether this process still runs; a process on another host counts as running."""
        return self.host != HOST or start_time(self.pid) == self.started


def read_state(file: Path) -> State | None:
    """Return the engine in a state file, whether it runs or not; None if the file is missing or damaged."""
    return read_record(file, State)


def write_state(file: Path, state: State) -> None:
    """Publish an engine to this user's jobs."""
    write_record(file, state)


def address(state: State, base: Path, logfile: Path) -> Address:
    """Return the address of a running engine; GenomeError if it serves another base model."""
    if state.base != str(base):
        raise GenomeError(
            f"this workflow's engine serves {state.base}, not {base}; a workflow can use only one base model"
        )
    return Address(state.url, state.key, logfile, state.machine, state.fingerprint)


def end(state: "State | Starting") -> None:
    """Send SIGTERM to an engine and wait until it has ended; kill it if it does not."""
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
    """Remove the files of killed engines whose workflows were killed as well.

    Files of an engine that only does not answer are kept: it may belong to another workflow and be busy.
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
