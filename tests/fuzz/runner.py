"""Runs a case in a separate process and folder, with limits of time and memory, and returns its outcome."""

import contextlib
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome.errors import GenomeError

SECONDS = 20
MEMORY = 6 << 30

RETURNED, REFUSED, RAISED, HUNG, DIED = "returned", "refused", "raised", "hung", "died"


@dataclass(frozen=True)
class Outcome:
    """The kind of end of a case, with its result (JSON text), its message, or its traceback."""

    kind: str
    text: str


def run(enter: Callable[[], Any], folder: Path, seconds: float = SECONDS) -> Outcome:
    """Call `enter` in a fork whose working folder is `folder`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _child(enter, folder, writing)
        finally:
            os._exit(1)
    os.close(writing)
    try:
        return _read(child, reading, seconds)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _child(enter: Callable[[], Any], folder: Path, writing: int) -> None:
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    try:
        outcome = RETURNED, json.dumps(enter(), sort_keys=True)
    except GenomeError as error:
        outcome = REFUSED, str(error)
    except SystemExit as error:
        outcome = REFUSED, str(error.code)
    except BaseException:
        outcome = RAISED, traceback.format_exc()
    data = json.dumps(outcome).encode()
    while data:
        data = data[os.write(writing, data) :]
    os._exit(0)


def _read(child: int, reading: int, seconds: float) -> Outcome:
    deadline, data = time.monotonic() + seconds, b""
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return Outcome(HUNG, f"no end in {seconds} s")
        part = os.read(reading, 1 << 16)
        if not part:
            break
        data += part
    return Outcome(*json.loads(data)) if data else Outcome(DIED, "its process ended")
