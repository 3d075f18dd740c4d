"""Runs a server that is not ours as an engine of the workflow, and ends it with all of its processes.

    GENOME_ENGINE_KEY=… python -m genome.engine.supervisor --owner … --state FILE --model BASE -- COMMAND

The command gets a free port and runs in a session of its own. When it is healthy, the supervisor publishes it; it ends
it when its owner has ended, when the state file is no longer its own, or when it is told to (SIGTERM). vLLM's workers
outlive a killed API process, so it is always the whole group that ends; should the supervisor itself be killed,
Linux tells the API process, which then ends its workers.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from genome.engine import lifetime, machine, vllm
from genome.engine.fingerprint import of_vllm
from genome.engine.owner import POLL_SECONDS
from genome.engine.probe import get_json, healthy
from genome.engine.program import KEY_VARIABLE
from genome.engine.state import State, write_state

GRACE_SECONDS = 10
"""How long a server may take to end by itself. Killed outright, vLLM leaves hundreds of MB in shared memory."""

LOOK_SECONDS, ANSWER_SECONDS, FAILURES = 2, 10, 3
"""How often a server is asked whether it is well, how long it may take to say so, how often in a row it may fail to."""

_PR_SET_PDEATHSIG = 1


def start(command: list[str], host: str, port: int, key: str) -> subprocess.Popen:
    """Start the command in a session of its own, to listen on an interface and a port."""
    environment = vllm.own_environment(os.environ)
    del environment[KEY_VARIABLE]
    return subprocess.Popen(
        [*command, "--host", host, "--port", str(port)],
        env={**environment, vllm.KEY_VARIABLE: key},
        start_new_session=True,
        # Safe: this process has one thread.
        preexec_fn=end_with_parent,
    )


def end_with_parent() -> None:
    """Ask Linux to tell this process to end when its parent has ended, in whatever way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def survivor(server: subprocess.Popen) -> subprocess.Popen:
    """Start what kills the server's group when we have been killed and the server, told to end, does not in time.

    It waits for the end of a pipe that only this process holds.
    """
    script = f"read _; sleep {GRACE_SECONDS}; kill -s KILL -- -{server.pid}"
    return subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def end(server: subprocess.Popen) -> None:
    """End the server's whole process group: it is asked to, and killed when it does not in time."""
    deadline = time.monotonic() + GRACE_SECONDS
    sign: int = signal.SIGTERM
    while time.monotonic() < deadline + 1:
        server.poll()
        try:
            os.killpg(server.pid, sign)
        except (ProcessLookupError, PermissionError):
            return  # PermissionError: macOS, for a group of zombies
        time.sleep(0.05)
        sign = 0 if time.monotonic() < deadline else signal.SIGKILL


def reserve_port(host: str) -> socket.socket:
    """Return a socket bound to a free port: nobody else gets that port, while who reuses addresses can listen."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((host, 0))
    return reserved


def supervise(
    server: subprocess.Popen,
    dismissed: Callable[[bool], bool],
    file: Path,
    state: State,
    identify: Callable[[], dict[str, Any]],
) -> str:
    """Publish the server when it is healthy, with what `identify` returns, and return why it has to end, once it has.

    A server that is no longer healthy is not waited for: vLLM's, when its worker has died, may stop to listen, keep
    the connections of requests that it will never answer, and wait for them to end.
    """
    published, failures, look = False, 0, time.monotonic()
    while not dismissed(published):
        if server.poll() is not None:
            if server.returncode < 0:  # no error of its own: it may be started again
                return f"the server was ended by signal {-server.returncode}"
            return f"error: the server ended with code {server.returncode}"
        if not published and healthy(state.url, timeout=1):
            write_state(file, replace(state, fingerprint=identify()))
            published = True
            print(f"engine {state.pid} serves {state.base} at {state.url}", flush=True)
        if published and time.monotonic() > look + LOOK_SECONDS:
            failures = 0 if healthy(state.url, timeout=ANSWER_SECONDS) else failures + 1
            look = time.monotonic()
        if failures == FAILURES:
            return "error: the server is no longer healthy"
        time.sleep(POLL_SECONDS)
    return "" if published else "error: the owner has ended"


def logged(start: int) -> str:
    """Return what has been written to our output since byte `start`, where that is a file that can be read."""
    output = Path("/proc/self/fd/1")
    if not output.is_file():
        return ""
    with output.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def leave(*_) -> None:
    """Handle SIGTERM: end, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def main() -> None:
    """Run the command until the owner ends."""
    parser = lifetime.engine_parser(__doc__)
    parser.add_argument("command", nargs="+", help="server to run; it gets --host and --port")
    arguments = parser.parse_args()
    key = os.environ[KEY_VARIABLE]
    host, _ = lifetime.interface(arguments)

    signal.signal(signal.SIGTERM, leave)
    with reserve_port(host) as reserved:
        port = reserved.getsockname()[1]
        before = os.fstat(1).st_size
        server = start(arguments.command, host, port, key)
        watching = survivor(server)
        try:
            state = lifetime.announce(arguments, port, key, machine.accelerators(), {})

            def identify() -> dict[str, Any]:
                return of_vllm(
                    lambda path: get_json(state.url + path, key),
                    arguments.command,
                    Path(arguments.model),
                    logged(before),
                    os.environ.get("VLLM_BATCH_INVARIANT") == "1",
                )

            reason = supervise(server, lifetime.dismissal(arguments), arguments.state, state, identify)
        finally:
            end(server)
            watching.kill()
    sys.exit(reason or 0)


if __name__ == "__main__":
    main()
