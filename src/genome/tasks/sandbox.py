"""Sandbox for programs written by a model, which can only compute in it.

`run_programs` starts a few long-lived runners (`sandbox_runner`, which describes the walls around a program) and gives
each the next program when it is free. Programs fork from a warm interpreter, so a trivial one costs about a
millisecond.

A program does not judge itself. Its tests are split (`asserts`): the program's results leave its process as data, and
another process compares them with expected values that the program never sees. The docstring of `asserts` describes
what must remain in the program's process.
"""

import contextlib
import json
import os
import re
import select
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from genome.errors import GenomeError
from genome.limits import usable_cores
from genome.tasks import asserts

RUNNER = Path(__file__).with_name("sandbox_runner.py")
# Ways to start a runner, best first; the next is tried if the kernel refuses one.
MODES = ("namespaces", "plain")
# Limit of wall clock time per second of the limit of processor time, for sleeping programs and busy machines.
WALL_PER_CPU = 4
# A runner that is silent for this long after its program's time limit was stopped by that program.
PATIENCE_S = 30.0


@dataclass(frozen=True)
class _Request:
    """A program with its tests, the position where these start, whether it is guessed, and the split tests."""

    program: str
    start: int
    guessed: bool
    tests: asserts.Split


@dataclass(frozen=True)
class Verdict:
    """Whether a program and its tests ran to the end and all tests passed; if not, the reason in ≤ 200 characters."""

    passed: bool
    detail: str


def run_programs(
    programs: Sequence[str],
    *,
    starts: Sequence[int] | None = None,
    timeout_s: float = 4.0,
    memory_mb: int = 512,
    workers: int | None = None,
) -> list[Verdict]:
    """Run Python programs, each alone in a sandbox, and return which pass their tests.

    A program is its source with its tests at the end; `starts` gives the character of each program where the tests
    begin, by default the first line that starts with `assert`. A program runs like an imported module, with the
    standard library available. It fails if it raises an exception or exits early, runs longer than `timeout_s`
    (seconds of processor time, or four times as many of wall clock), uses more than `memory_mb` (address space, MiB),
    prints more than 1 MiB, or needs a process, thread, socket, signal or written file. Equal programs run once.
    `workers` runners work in parallel, by default one per usable core. Verdicts are in the order of the programs.
    GenomeError if no runner starts on this machine.
    """
    requests = _requests(programs, starts)
    waiting = list(dict.fromkeys(requests))[::-1]
    verdicts: dict[_Request, Verdict] = {}
    if not waiting:
        return []
    workers = min(workers or usable_cores(), len(waiting))
    with (
        tempfile.TemporaryDirectory(prefix="genome-sandbox-") as directory,
        ThreadPoolExecutor(workers) as pool,
    ):
        arguments = (timeout_s, memory_mb, directory)
        jobs = [pool.submit(_work, waiting, verdicts, arguments) for _ in range(workers)]
        try:
            for job in jobs:
                job.result()
        finally:
            waiting.clear()  # after an error or Ctrl-C, the other workers only finish their current program
    return [verdicts[request] for request in requests]


def _work(waiting: list[_Request], verdicts: dict[_Request, Verdict], arguments: tuple[float, int, str]) -> None:
    """Run the programs in `waiting` until none is left and store their verdicts; replace a runner that ends."""
    mode = 0
    while waiting:
        with _runner(MODES[mode], *arguments) as process:
            if _reply(process, PATIENCE_S) is None:
                mode += 1
                if mode == len(MODES):
                    raise _refusal(process)
                continue
            while (request := _next(waiting)) is not None:
                reply = _judge(process, request, WALL_PER_CPU * arguments[0] + PATIENCE_S)
                if reply is None:
                    process.kill()
                    verdicts[request] = Verdict(False, "ended its runner")
                    break
                detail = " ".join(reply[1:].decode(errors="replace").split())[:200]
                verdicts[request] = Verdict(reply[:1] == b"+", detail)


def _requests(programs: Sequence[str], starts: Sequence[int] | None) -> list[_Request]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about invalid escapes in tests
        return [_request(*pair) for pair in zip(programs, starts or [None] * len(programs), strict=True)]


def _request(program: str, start: int | None) -> _Request:
    guessed = start is None
    if guessed:
        found = re.search("^assert\\b", program, re.MULTILINE)
        start = found.start() if found else len(program)
    tests = program[start:]
    try:
        return _Request(program, start, guessed, asserts.split(tests))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Request(program, start, guessed, asserts.Split(json.dumps([{"run": tests}]), "[]", "[]"))


class _Runner(subprocess.Popen[bytes]):
    """A process with three pipes."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]


def _judge(process: _Runner, request: _Request, patience_s: float) -> bytes | None:
    """Return `+` if a program passes its tests, `-` and the reason if not, None if its runner has ended."""
    head = request.program[: request.start]
    reply = _ask(process, b"R", json.dumps([head, request.tests.steps]).encode(), patience_s)
    if reply and request.guessed and reply.startswith(b"-SyntaxError"):  # the guessed line was inside a string
        whole = _Request(request.program, len(request.program), False, asserts.split(""))
        return _judge(process, whole, patience_s)
    if reply is None or reply[:1] == b"-":
        return reply
    if reply[1:] == request.tests.expected.encode():
        return b"+"
    return _ask(process, b"C", request.tests.checks.encode() + b"\n" + reply[1:], patience_s)


def _next(waiting: list[_Request]) -> _Request | None:
    """Return the next program, None if another worker has taken the last one."""
    with contextlib.suppress(IndexError):
        return waiting.pop()


@contextlib.contextmanager
def _runner(mode: str, timeout_s: float, memory_mb: int, directory: str) -> Iterator[_Runner]:
    """Start a runner with an almost empty environment; it ends with the block."""
    environment = {"PYTHONHASHSEED": "0"}  # the order of sets must not change a verdict
    environment |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    interpreter = [sys.executable, "-s", "-S", "-P", "-B", "-W", "ignore", "-X", "utf8", str(RUNNER)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with _Runner(
        [*interpreter, mode, str(timeout_s), str(WALL_PER_CPU * timeout_s), str(memory_mb), directory],
        env=environment,
        start_new_session=True,
        bufsize=0,
        **pipes,
    ) as process:
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait()


def _ask(process: _Runner, kind: bytes, payload: bytes, patience_s: float) -> bytes | None:
    """Return a runner's reply to a request (`sandbox_runner`), None if it has ended."""
    request = memoryview(struct.pack("=I", len(payload)) + kind + payload)
    with contextlib.suppress(BrokenPipeError):  # if the runner has ended, the read below returns None
        while request:
            request = request[process.stdin.write(request) :]
    return _reply(process, patience_s)


def _reply(process: _Runner, patience_s: float) -> bytes | None:
    """Return a runner's next reply, None if it has ended or is silent for `patience_s`."""
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + patience_s
    data, wanted = b"", 4
    while len(data) < wanted:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return None
        part = os.read(descriptor, wanted - len(data))
        if not part:
            return None
        data += part
        if len(data) == 4:
            wanted += struct.unpack("=I", data)[0]
    return data[4:]


def _refusal(process: _Runner) -> GenomeError:
    process.kill()
    complaint = " ".join(process.stderr.read().decode(errors="replace").split())[-300:]
    return GenomeError(
        f"{RUNNER}: programs cannot be run safely with {sys.executable} ({complaint or 'no reply'}); "
        "run on a machine that allows resource limits"
    )
