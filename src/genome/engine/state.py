"""Running engines: the files that describe them, whether they are well, and how they end.

A running engine is described by `.genome/engine-TOKEN.json` (0600, in a folder of 0700): its address, key and
process; TOKEN is its owner's (`genome.engine.owner`). The engine writes the file when it is ready and ends when the
file is no longer its own. A server that is not ours, vLLM's, knows none of this; `genome.engine.supervisor` does it in
its place.
"""

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from genome.engine import slurm
from genome.engine.client import Address
from genome.engine.owner import HOST, start_time
from genome.errors import GenomeError
from genome.files import replacing

FOLDER = Path(".genome")

STORE = FOLDER / "adapters"
"""Where engines read adapters from; emptied when the workflow ends. Connect before writing to it."""

HEALTH_SECONDS = 30
"""How long a running server may leave a health check unanswered before it is replaced."""

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
    fingerprint: dict[str, Any]
    """What decides its answers (genome.engine.fingerprint)."""
    job: str | None = None
    """Its SLURM job, where it is one of its own; any other engine listens on its host's loopback interface."""

    def alive(self) -> bool:
        """Tell whether this very process still runs; on another host it counts as running where it cannot be asked."""
        if self.host == HOST:
            return start_time(self.pid) == self.started
        return self.job is None or healthy(self.url, FAR_SECONDS)


def read_state(file: Path) -> State | None:
    """Return the engine that a state file describes, whether it runs or not; None without a file."""
    try:
        return State(**json.loads(file.read_text()))
    except (FileNotFoundError, TypeError):  # TypeError: it was written by another version of this program
        return None


def write_state(file: Path, state: State) -> None:
    """Publish an engine to the jobs of this user."""
    with replacing(file) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(vars(state)))


def address(state: State, base: Path, logfile: Path) -> Address:
    """Return where a running engine listens; GenomeError when it serves another base model."""
    if state.base != str(base):
        raise GenomeError(f"this workflow's engine serves {state.base}, not {base}: one base model a workflow")
    return Address(state.url, state.key, logfile, state.machine, state.fingerprint)


def get(url: str, key: str = "", timeout: float | None = None) -> urllib3.BaseHTTPResponse | None:
    """Return the answer to a GET request; None when there is none."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with urllib3.PoolManager(retries=False, timeout=timeout or HEALTH_SECONDS) as http:
            return http.request("GET", url, headers=headers)
    except urllib3.exceptions.HTTPError:
        return None


def get_json(url: str, key: str = "", timeout: float | None = None) -> Any:
    """Return the JSON value at an address; None when there is none."""
    answer = get(url, key, timeout)
    try:
        return json.loads(answer.data) if answer is not None and answer.status < 400 else None
    except ValueError:
        return None


def healthy(url: str, timeout: float | None = None) -> bool:
    """Tell whether a server says that it can answer; vLLM's says no (503) when its engine has died."""
    answer = get(f"{url}/health", timeout=timeout)
    return answer is not None and answer.status < 400


def end(state: State) -> None:
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
        shutil.rmtree(folder / STORE.name, ignore_errors=True)


def stop(token: str) -> None:
    """End a workflow's engines at once and empty the store; for the owner, at its end."""
    folder = FOLDER.absolute()
    for file in (folder / f"engine-{token}.json", *folder.glob(f"engine-{token}-*.json")):
        state = read_state(file)
        if state and state.job is None and state.host == HOST:
            end(state)
        file.unlink(missing_ok=True)
    memories = [*folder.glob(f"engine-{token}-*.job")]
    slurm.cancel([job.id for job in map(slurm.read_job, memories) if job])
    for trace in (folder / f"alive-{token}", *memories):
        trace.unlink(missing_ok=True)
    sweep(folder)
    clear_store(folder)


def sweep(folder: Path) -> None:
    """Remove what engines that were killed have left, of workflows that were killed before them.

    Not what does not answer: it may be another workflow's, and busy.
    """
    for file in folder.glob("engine-*.json"):
        state = read_state(file)
        here = state is None or state.host == HOST
        if (here and not (state and state.alive())) or (state and state.job and slurm.ended(state.job)):
            file.unlink(missing_ok=True)
    for file in folder.glob("engine-*.job"):
        memory = slurm.read_job(file)
        if memory and slurm.ended(memory.id):
            file.unlink(missing_ok=True)
    for file in folder.glob("alive-*"):
        if not any(folder.glob(file.name.replace("alive", "engine") + "-*.job")):
            file.unlink(missing_ok=True)
