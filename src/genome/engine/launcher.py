"""Finds the engine that the jobs of a workflow share, or starts it; an engine never outlives its owner.

The owner is the workflow's main process, named by the environment variable GENOME_OWNER as HOST:PID:STARTTIME:TOKEN.
STARTTIME is field 22 of /proc/PID/stat: clock ticks after boot, which with the PID name a process for good (where
there is no /proc: the letters and digits of `ps -o lstart=`). TOKEN is a word of letters and digits that no other run
in this folder has. Without the variable the owner is the process that asks.

A running engine is described by `.genome/engine-TOKEN.json` (0600, in a folder of 0700): its address, key and
process. The engine writes the file when it is ready and ends when the file is no longer its own. A server that is not
ours, vLLM's, knows none of this; `genome.engine.supervisor` does it in its place.

Engines that are SLURM jobs (`engine.slurm`) announce themselves in `.genome/engine-TOKEN-I.json`, I from 0 to one less
than `engine.replicas`. They may run on other hosts than their owner, whose process they then cannot see: such an
engine ends when its file is gone, or when no job has touched `.genome/alive-TOKEN` for `engine.idle` seconds.
"""

import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
from filelock import FileLock

from genome.engine import slurm, vllm
from genome.engine.client import BASE, Address, Engine, log_end
from genome.errors import GenomeError
from genome.files import replacing

log = logging.getLogger("genome")

HOST = socket.gethostname()

FOLDER = Path(".genome")
STORE = FOLDER / "adapters"
"""Where engines read adapters from; emptied when the workflow ends. Connect before writing to it."""

LOG = Path("logs/engine.log")

KEY_VARIABLE = "GENOME_ENGINE_KEY"
"""Environment variable that hands a server its key: arguments can be read by every user of a machine."""

HEALTH_SECONDS = 30
"""How long a running server may leave a health check unanswered before it is replaced."""

END_SECONDS = 15
"""How long a server may take to end when it is told to; vLLM's supervisor needs up to 12."""

POLL_SECONDS = 0.3
"""How often an engine looks for its owner."""

IDLE_SECONDS = 600
"""How long an engine that is a SLURM job stays when no job of the workflow needs one."""

NEED_SECONDS = 5
"""How often a job says that it needs its engine."""

QUEUE_SECONDS = 5
"""How often a job that waits for an engine asks SLURM."""

FAR_SECONDS = 5
"""How long an engine on another host may take to say that it lives."""

URL_SECONDS = 60
"""How long a server that somebody else runs may be away, for a restart."""

URL_KEY_VARIABLE = "GENOME_API_KEY"
"""Environment variable that holds the key of such a server, unless `engine.key_variable` names another."""

_started: list[subprocess.Popen] = []
"""Servers started by this process, kept since subprocess warns about handles that are dropped."""

_needed: set[Path] = set()
"""Files that a thread of this process touches."""


@dataclass(frozen=True)
class Owner:
    """The process for which an engine runs, and the word that names its workflow."""

    host: str
    pid: int
    started: str
    token: str

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.started}:{self.token}"

    def here(self) -> bool:
        """Tell whether the process is one of this host: others cannot be seen."""
        return self.host == HOST

    def alive(self) -> bool:
        """Tell whether this very process still runs; on another host it counts as running."""
        return not self.here() or start_time(self.pid) == self.started


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
    job: str | None = None
    """Its SLURM job, where it is one of its own; any other engine listens on its host's loopback interface."""

    def alive(self) -> bool:
        """Tell whether this very process still runs; on another host it counts as running where it cannot be asked."""
        if self.host == HOST:
            return start_time(self.pid) == self.started
        return self.job is None or healthy(self.url, FAR_SECONDS)


@dataclass(frozen=True)
class Program:
    """A server to start: one of our modules, its arguments, and what it adds to the environment."""

    module: str
    arguments: list[str]
    environment: dict[str, str]


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
    return str(Owner(HOST, pid, start_time(pid), secrets.token_hex(8)))


def parse_owner(text: str) -> Owner:
    """Read HOST:PID:STARTTIME:TOKEN."""
    parts = text.split(":")
    if len(parts) != 4 or not parts[1].isdigit() or not parts[3].isalnum():
        raise GenomeError(f"GENOME_OWNER is {text!r}, expected HOST:PID:STARTTIME:TOKEN; unset it to own the engine")
    return Owner(parts[0], int(parts[1]), parts[2], parts[3])


def current_owner() -> Owner:
    """Return the owner that GENOME_OWNER names, or this process."""
    if text := os.environ.get("GENOME_OWNER"):
        return parse_owner(text)
    return this_process(f"{os.getpid()}x{start_time(os.getpid())}")


def this_process(token: str) -> Owner:
    """Return this process as the owner of an engine."""
    return Owner(HOST, os.getpid(), start_time(os.getpid()), token)


def connect(settings: Mapping[str, Any], base: Path | str, rank: int | None = None) -> Engine:
    """Return the workflow's engine for the model folder `base`, starting one where none runs.

    `settings` are those of `engine:` in the config; `rank` is that of the adapters to come, where it is known.
    """
    backend = settings.get("backend", "transformers")
    if backend not in BACKENDS:
        raise GenomeError(f"engine.backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
    client = {
        name: settings[name] for name in ("batch_size", "timeout", "concurrency", "model_name") if name in settings
    }
    return Engine(BACKENDS[backend](settings, Path(base), rank), **client)


def transformers_backend(settings: Mapping[str, Any], base: Path, rank: int | None) -> Callable[[], Address]:
    """Return the finder of the built-in server (genome.engine.server)."""
    threads = str(settings.get("threads", 1))
    arguments = ["--model", str(base.resolve()), "--threads", threads, "--workers", str(settings.get("workers", 1))]
    environment = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Waiting threads that spin take the cores from the jobs (two threads on two busy cores: 10 times slower).
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    program = Program("genome.engine.server", arguments, environment)
    return finder(lambda: program, base, settings)


def vllm_backend(settings: Mapping[str, Any], base: Path, rank: int | None) -> Callable[[], Address]:
    """Return the finder of vLLM's server, which runs in a Python of its own under our supervisor."""

    # The GPUs of its own job, where it gets one, are others than those that are seen here.
    gpus = slurm.gpus(settings["slurm"]) if as_slurm_job(settings) else None

    def program() -> Program:
        python = vllm.interpreter(settings.get("python"))
        command = [python, "-m", vllm.SERVER, *vllm.flags(settings, base.resolve(), rank, gpus)]
        arguments = ["--model", str(base.resolve()), "--", *command]
        return Program("genome.engine.supervisor", arguments, vllm.environment(settings, python))

    return finder(program, base, settings)


def url_backend(settings: Mapping[str, Any], base: Path, rank: int | None) -> Callable[[], Address]:
    """Return the finder of a server that somebody else runs: its address, once it answers."""
    url = settings["url"].rstrip("/").removesuffix("/v1")
    name, variable = settings.get("model_name", BASE), settings.get("key_variable", URL_KEY_VARIABLE)
    key = os.environ.get(variable) if variable else ""
    if key is None:
        raise GenomeError(
            f"{variable} is not set; export the key of {url} there (a server without one: engine.key_variable: null)"
        )

    def find() -> Address:
        deadline = time.monotonic() + URL_SECONDS
        # Not /v1/models: vLLM lists them also when its engine has died.
        while (health := _get(f"{url}/health")) is None or health.status >= 500:
            if time.monotonic() > deadline:
                raise GenomeError(
                    f"engine.url: no answer from {url} in {URL_SECONDS} s; start the server or correct it"
                )
            time.sleep(1)
        answer = _get(f"{url}/v1/models", key)
        if answer is not None and answer.status in (401, 403):
            raise GenomeError(f"engine.url: {url} refuses the key in {variable or 'no variable'}; correct it")
        try:
            names = [model["id"] for model in json.loads(answer.data)["data"]]
        except (AttributeError, ValueError, KeyError, TypeError) as error:
            raise GenomeError(f"engine.url: {url}/v1/models gives no list of models; is this vLLM's server?") from error
        if name not in names:
            raise GenomeError(
                f"engine.model_name: {url} serves {', '.join(names[:5])}, not {name!r}; name its base model"
            )
        return Address(url, key, None, urllib3.util.parse_url(url).host)

    return find


BACKENDS: dict[str, Callable[[Mapping[str, Any], Path, int | None], Callable[[], Address]]] = {
    "transformers": transformers_backend,
    "vllm": vllm_backend,
    "url": url_backend,
}
"""How an engine is found, by the name in `engine.backend`."""


def as_slurm_job(settings: Mapping[str, Any]) -> bool:
    """Tell whether the config asks for engines that are SLURM jobs of their own."""
    return settings.get("slurm") is not None and not settings.get("per_job")


def finder(program: Callable[[], Program], base: Path, settings: Mapping[str, Any]) -> Callable[[], Address]:
    """Return a function that finds this workflow's server, or starts `program()` where `settings` want it to run."""
    if not (base / "config.json").is_file():
        raise GenomeError(f"{base}: no config.json; the base model is a local folder as transformers saves it")
    if as_slurm_job(settings):
        return slurm_server(program, base.resolve(), settings)
    return local_server(program, base.resolve(), settings)


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
        return _address(state, base, logfile)

    return find


def slurm_server(program: Callable[[], Program], base: Path, settings: Mapping[str, Any]) -> Callable[[], Address]:
    """Return a function that finds one of this workflow's servers among SLURM's jobs and submits missing ones.

    Jobs are shared out over replicas by their process numbers. While the replica of a job is on its way, any other
    serves; while there is none, it waits: for as long as SLURM does, then for `engine.timeout`.
    """
    owner, folder = current_owner(), FOLDER.absolute()
    replicas = settings.get("replicas", 1)
    files = [folder / f"engine-{owner.token}-{(os.getpid() + index) % replicas}.json" for index in range(replicas)]

    def submit(file: Path) -> str:
        if not owner.alive():
            raise _orphaned()
        file.unlink(missing_ok=True)
        made = program()
        idle = str(settings.get("idle", IDLE_SECONDS))
        command = [*_command(made, owner, file), "--idle", idle, *made.arguments]
        return slurm.submit(command, settings["slurm"], {**made.environment, KEY_VARIABLE: secrets.token_urlsafe(32)})

    def find() -> Address:
        folder.mkdir(mode=0o700, exist_ok=True)
        keep_needed(folder / f"alive-{owner.token}")
        since: dict[tuple[str, bool], float] = {}
        said = None
        while True:
            state, problem, jobs = _reached(files[0]), None, {}
            missing = [file for file in files if not _memory(file).exists() or (file == files[0] and state is None)]
            if missing:
                try:
                    with FileLock(folder / ".lock"):
                        jobs = {file: slurm.revive(_memory(file), partial(submit, file)) for file in missing}
                except GenomeError as error:  # no matter while another serves
                    problem = error
            state = state or next(filter(None, map(_reached, files[1:])), None)
            if state is not None:
                _note_served(folder, files, state)
                return _address(state, base, Path(slurm.log_of(state.job)).absolute())
            if problem is not None:
                raise problem
            if not owner.alive():
                raise _orphaned()
            job, where, reason = jobs[files[0]]
            if said != (job.id, where):
                said = (job.id, where)
                log.info("waiting for engine job %s: %s (%s)", job.id, where, reason)
            published = read_state(files[0])
            if where in slurm.STARTED:
                limit = HEALTH_SECONDS if published else settings.get("timeout", 600)
                began = since.setdefault((job.id, published is not None), time.monotonic())
                if time.monotonic() - began > limit:
                    problem = f"at {published.url} was out of reach of {HOST}" if published else "was not ready"
                    with FileLock(folder / ".lock"):
                        slurm.give_up(_memory(files[0]), job, f"{problem} for {limit} s")
                    continue
            _wait_for_news(files)

    return find


def keep_needed(file: Path) -> None:
    """Touch a file for as long as this process runs: the engines of its workflow are needed."""
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
            _end(state)
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


def _get(url: str, key: str = "", timeout: float | None = None) -> urllib3.BaseHTTPResponse | None:
    """Return the answer to a GET request; None when there is none."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with urllib3.PoolManager(retries=False, timeout=timeout or HEALTH_SECONDS) as http:
            return http.request("GET", url, headers=headers)
    except urllib3.exceptions.HTTPError:
        return None


def healthy(url: str, timeout: float | None = None) -> bool:
    """Tell whether a server says that it can answer; vLLM's says no (503) when its engine has died."""
    answer = _get(f"{url}/health", timeout=timeout)
    return answer is not None and answer.status < 400


def _reached(file: Path) -> State | None:
    """Return the engine of a state file, when it answers."""
    state = read_state(file)
    return state if state is not None and healthy(state.url) else None


def _memory(file: Path) -> Path:
    """Return where the SLURM job of an engine is remembered."""
    return file.with_suffix(".job")


def _note_served(folder: Path, files: Sequence[Path], state: State) -> None:
    """Remember that an engine has been reached: what ends it later is no failure to start."""
    for file in map(_memory, files):
        memory = slurm.read_job(file)
        if memory and memory.id == state.job and not memory.served:
            with FileLock(folder / ".lock"):
                if slurm.read_job(file) == memory:
                    slurm.write_job(file, slurm.Job(memory.id, served=True))


def _wait_for_news(files: Sequence[Path]) -> None:
    """Wait until an engine has announced itself or left, or until it is time to ask SLURM again."""
    before = [file.exists() for file in files]
    deadline = time.monotonic() + QUEUE_SECONDS
    while time.monotonic() < deadline and [file.exists() for file in files] == before:
        time.sleep(POLL_SECONDS)


def _address(state: State, base: Path, logfile: Path) -> Address:
    """Return where a running engine listens; GenomeError when it serves another base model."""
    if state.base != str(base):
        raise GenomeError(f"this workflow's engine serves {state.base}, not {base}: one base model a workflow")
    return Address(state.url, state.key, logfile, state.machine)


def _healthy(file: Path) -> State | None:
    """Return the running engine of a state file; one that runs and cannot answer is ended (None)."""
    state = read_state(file)
    if state is None or not state.alive():
        return None
    if healthy(state.url):
        return state
    _end(state)
    return None


def _end(state: State) -> None:
    """Tell an engine to end and wait until it has; one that does not is killed."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + END_SECONDS
        if state.alive():
            with suppress(ProcessLookupError):
                os.kill(state.pid, sign)
        while state.alive() and time.monotonic() < deadline:
            time.sleep(0.02)


def _command(made: Program, owner: Owner, file: Path) -> list[str]:
    """Return how an engine is started, but for the arguments of its program."""
    return [sys.executable, "-P", "-m", made.module, "--owner", str(owner), "--state", str(file)]


def _start(
    program: Callable[[], Program], owner: Owner, file: Path, logfile: Path, settings: Mapping[str, Any]
) -> State:
    """Start a server in a session of its own and wait until it has published itself."""
    if not owner.alive():
        raise _orphaned()
    made = program()
    logfile.parent.mkdir(parents=True, exist_ok=True)
    end = logfile.stat().st_size if logfile.exists() else 0
    keep_store = ["--keep-store"] if settings.get("per_job") else []
    with logfile.open("ab") as output:
        server = subprocess.Popen(
            [*_command(made, owner, file), *keep_store, *made.arguments],
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
            raise _orphaned()
        if ended:
            raise GenomeError(f"the engine ended with code {server.returncode} as it started{log_end(logfile, end)}")
        if time.monotonic() > deadline:
            server.terminate()
            raise GenomeError(f"the engine was not ready in {timeout} s; raise engine.timeout{log_end(logfile, end)}")
        time.sleep(0.02)


def _orphaned() -> GenomeError:
    return GenomeError("the workflow that owned this job has ended; start it again, it resumes where it stopped")
