"""Finds the engine that the jobs of a workflow share, or starts it; an engine never outlives its owner.

The owner is the workflow's main process, named by the environment variable GENOME_OWNER as PID:STARTTIME:TOKEN.
STARTTIME is field 22 of /proc/PID/stat: clock ticks after boot, which with the PID name a process for good (where
there is no /proc: the letters and digits of `ps -o lstart=`). TOKEN is a word of letters and digits that no other run
in this folder has. Without the variable the owner is the process that asks.

A running engine is described by `.genome/engine-TOKEN.json` (0600, in a folder of 0700): its address, key and
process. The engine writes the file when it is ready and ends when the file is no longer its own.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from filelock import FileLock

from genome.engine.client import Address, Engine, log_end
from genome.errors import GenomeError
from genome.files import replacing

FOLDER = Path(".genome")
STORE = FOLDER / "adapters"
"""Where engines read adapters from; emptied when the workflow ends. Connect before writing to it."""

LOG = Path("logs/engine.log")

KEY_VARIABLE = "GENOME_ENGINE_KEY"
"""Environment variable that hands a server its key: arguments can be read by every user of a machine."""

HEALTH_SECONDS = 30
"""How long a running server may leave a health check unanswered before it is replaced."""

_started: list[subprocess.Popen] = []
"""Servers started by this process, kept since subprocess warns about handles that are dropped."""


@dataclass(frozen=True)
class Owner:
    """The process for which an engine runs, and the word that names its workflow."""

    pid: int
    started: str
    token: str

    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return start_time(self.pid) == self.started


@dataclass(frozen=True)
class State:
    """A running engine, as its state file describes it."""

    url: str
    key: str
    pid: int
    started: str
    base: str

    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """Return what tells a process from a later one of the same number; None when it has ended (or is a zombie)."""
    if not Path("/proc/self/stat").exists():
        shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True).stdout
        state, _, started = shown.strip().partition(" ")
        return None if state[:1] in ("", "Z") else "".join(filter(str.isalnum, started))
    try:
        # The name of the process, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def owner_token(pid: int | None = None) -> str:
    """Return a new GENOME_OWNER for a process (by default this one)."""
    pid = pid or os.getpid()
    return f"{pid}:{start_time(pid)}:{secrets.token_hex(8)}"


def parse_owner(text: str) -> Owner:
    """Read PID:STARTTIME:TOKEN."""
    parts = text.split(":")
    if len(parts) != 3 or not parts[0].isdigit() or not parts[2].isalnum():
        raise GenomeError(f"GENOME_OWNER is {text!r}, expected PID:STARTTIME:TOKEN; unset it to own the engine")
    return Owner(int(parts[0]), parts[1], parts[2])


def current_owner() -> Owner:
    """Return the owner that GENOME_OWNER names, or this process."""
    if text := os.environ.get("GENOME_OWNER"):
        return parse_owner(text)
    started = start_time(os.getpid())
    return Owner(os.getpid(), started, f"{os.getpid()}x{started}")


def connect(settings: dict[str, Any], base: Path | str) -> Engine:
    """Return the workflow's engine for the model folder `base`, starting one where none runs.

    `settings` are those of `engine:` in the config: backend, threads (of torch, for each worker), workers (models
    that answer side by side), batch_size (prompts a request), timeout (seconds), concurrency (requests in flight).
    """
    backend = settings.get("backend", "transformers")
    if backend not in BACKENDS:
        raise GenomeError(f"engine.backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
    client = {name: settings[name] for name in ("batch_size", "timeout", "concurrency") if name in settings}
    return Engine(BACKENDS[backend](settings, Path(base)), **client)


def transformers_backend(settings: dict[str, Any], base: Path) -> Callable[[], Address]:
    """Return the finder of the built-in server (genome.engine.server)."""
    if not (base / "config.json").is_file():
        raise GenomeError(f"{base}: no config.json; the base model is a local folder as transformers saves it")
    threads = str(settings.get("threads", 1))
    arguments = ["--threads", threads, "--workers", str(settings.get("workers", 1))]
    command = [sys.executable, "-P", "-m", "genome.engine.server", "--model", str(base.resolve()), *arguments]
    environment = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Waiting threads that spin take the cores from the jobs (two threads on two busy cores: 10 times slower).
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    return local_server(command, environment, base.resolve(), settings.get("timeout", 600))


BACKENDS: dict[str, Callable[[dict[str, Any], Path], Callable[[], Address]]] = {
    "transformers": transformers_backend,
}
"""How an engine is found, by the name in `engine.backend`."""


def local_server(command: list[str], environment: dict[str, str], base: Path, timeout: float) -> Callable[[], Address]:
    """Return a function that finds this workflow's server on this machine or starts it with `command`.

    It starts nothing when the owner has ended. One lock guards the start, so that jobs never start two.
    """
    owner = current_owner()
    folder, log = FOLDER.absolute(), LOG.absolute()
    file = folder / f"engine-{owner.token}.json"

    def find() -> Address:
        state = _healthy(file)
        if state is None:
            folder.mkdir(mode=0o700, exist_ok=True)
            with FileLock(folder / ".lock"):
                state = _healthy(file) or _start(command, environment, owner, file, log, timeout)
        if state.base != str(base):
            raise GenomeError(f"this workflow's engine serves {state.base}, not {base}: one base model a workflow")
        return Address(state.url, state.key, log)

    return find


def read_state(file: Path) -> State | None:
    """Return the engine that a state file describes, whether it runs or not; None without a file."""
    try:
        return State(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None


def write_state(file: Path, state: State) -> None:
    """Publish an engine to the jobs of this user."""
    with replacing(file) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(vars(state)))


def clear_store(folder: Path) -> None:
    """Empty the store of adapters in `folder`, unless a running engine still reads from it."""
    states = map(read_state, folder.glob("engine-*.json"))
    if not any(state and state.alive() for state in states):
        shutil.rmtree(folder / STORE.name, ignore_errors=True)


def stop(token: str) -> None:
    """End a workflow's engine at once and empty the store; for the owner, at its end."""
    file = FOLDER.absolute() / f"engine-{token}.json"
    state = read_state(file)
    if state:
        _end(state, signal.SIGTERM)
        file.unlink(missing_ok=True)
    clear_store(FOLDER.absolute())


def _healthy(file: Path) -> State | None:
    """Return the running engine of a state file; one that runs and does not answer is ended (None)."""
    state = read_state(file)
    if state is None or not state.alive():
        return None
    try:
        with urllib3.PoolManager(retries=False, timeout=HEALTH_SECONDS) as http:
            http.request("GET", f"{state.url}/health")
    except urllib3.exceptions.HTTPError:
        _end(state, signal.SIGKILL)
        return None
    return state


def _end(state: State, sign: signal.Signals) -> None:
    """Send a signal to an engine and wait until it has ended."""
    deadline = time.monotonic() + 5
    while state.alive():
        try:
            os.kill(state.pid, sign if time.monotonic() < deadline else signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.02)


def _start(
    command: list[str], environment: dict[str, str], owner: Owner, file: Path, log: Path, timeout: float
) -> State:
    """Start a server in a session of its own and wait until it has published itself."""
    if not owner.alive():
        raise _orphaned()
    for other in file.parent.glob("engine-*.json"):
        state = read_state(other)
        if state and not state.alive():
            other.unlink(missing_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    end = log.stat().st_size if log.exists() else 0
    identity = ["--owner", f"{owner.pid}:{owner.started}:{owner.token}", "--state", str(file)]
    with log.open("ab") as output:
        server = subprocess.Popen(
            command + identity,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment, KEY_VARIABLE: secrets.token_urlsafe(32)},
            start_new_session=True,
        )
    _started.append(server)
    deadline = time.monotonic() + timeout
    while True:
        ended = server.poll() is not None
        state = read_state(file)
        # Not always the one just started: that of a job killed while it waited here may have come first.
        if state and state.alive():
            return state
        if not owner.alive():
            raise _orphaned()
        if ended:
            raise GenomeError(f"the engine ended with code {server.returncode} as it started{log_end(log, end)}")
        if time.monotonic() > deadline:
            server.kill()
            raise GenomeError(f"the engine was not ready in {timeout} s; raise engine.timeout{log_end(log, end)}")
        time.sleep(0.02)


def _orphaned() -> GenomeError:
    return GenomeError("the workflow that owned this job has ended; start it again, it resumes where it stopped")
