"""Lifetime of an engine: how it announces itself to the jobs of its workflow, and when it ends."""

import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from genome.engine.owner import HOST, parse_owner, started
from genome.engine.records import remove
from genome.engine.state import State, clear_store, read_state


def engine_parser(description: str | None) -> ArgumentParser:
    """Return the parser of the arguments that all engines have in common."""
    parser = ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--owner", required=True, type=parse_owner, help="HOST:PID:STARTTIME:TOKEN; ends the engine")
    parser.add_argument("--state", required=True, type=Path, help="file to announce the server in")
    parser.add_argument(
        "--idle", type=float, help="SLURM job: listen to other hosts; end after this many seconds unneeded"
    )
    parser.add_argument("--keep-store", action="store_true", help="leave the adapters: other engines may read them")
    return parser


def interface(arguments: Namespace) -> tuple[str, str]:
    """Return the interface that an engine listens on, and the name by which jobs reach it."""
    return ("127.0.0.1", "127.0.0.1") if arguments.idle is None else ("0.0.0.0", HOST)


def announce(arguments: Namespace, port: int, key: str, machine: str, fingerprint: dict[str, Any]) -> State:
    """Return the state that this process, an engine listening on `port` and computing on `machine`, has to publish."""
    job = None if arguments.idle is None else os.environ.get("SLURM_JOB_ID")
    url = f"http://{interface(arguments)[1]}:{port}"
    process = HOST, os.getpid(), started(os.getpid())
    return State(url, key, *process, arguments.model, machine, fingerprint, job)


def dismissal(arguments: Namespace) -> Callable[[bool], bool]:
    """Return a function from "has this engine published its state?" to "must this engine end?".

    An engine must end when its owner has ended, when its state file has been replaced, or when no job needs it. Its
    files are then removed, and the files of its workflow too if the owner has ended.
    """
    owner, file = arguments.owner, arguments.state
    alive = file.parent / f"alive-{owner.token}"
    unneeded_now = (lambda: False) if arguments.idle is None else unneeded(alive, arguments.idle)

    def dismissed(published: bool) -> bool:
        state = read_state(file)
        own = state is not None and (state.host, state.pid) == (HOST, os.getpid())
        ended = not owner.alive()
        if not ended and not unneeded_now():
            return published and not own
        if own:
            remove(file)
        if ended and not arguments.keep_store:
            jobs = file.parent.glob(f"engine-{owner.token}-*.job")
            for trace in (alive, file.with_suffix(".start"), *jobs):
                remove(trace)
            clear_store(file.parent)
        return True

    return dismissed


def unneeded(file: Path, seconds: float) -> Callable[[], bool]:
    """Return a function that returns whether `file` has not been touched for this long.

    Only this host's clock is used: the clocks of two hosts may differ.
    """
    seen, since = None, time.monotonic()

    def ask() -> bool:
        nonlocal seen, since
        touched = None
        with suppress(OSError):
            touched = file.stat().st_mtime_ns
        if touched != seen:
            seen, since = touched, time.monotonic()
        return time.monotonic() - since > seconds

    return ask
