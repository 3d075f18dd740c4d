"""Runs an external server as an engine of the workflow, and ends it with all of its processes.

    GENOME_ENGINE_KEY=… python -m genome.engine.supervisor --owner … --state FILE --model BASE -- COMMAND

The command gets a free port and runs in a separate session. The supervisor publishes the server when it is healthy. It
ends the server when its owner has ended, when the state file has been removed or replaced, or on SIGTERM. vLLM's
workers outlive a killed API process, so the whole process group is always ended. If the supervisor itself is killed,
Linux signals the API process, which then ends its workers.
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
"""How long a server may take to end after SIGTERM. A killed vLLM leaves hundreds of MB in shared memory."""

LOOK_SECONDS, ANSWER_SECONDS, FAILURES = 2, 10, 3
"""Seconds between health checks, the time limit of a check, and the number of failed checks in a row that end it."""

_PR_SET_PDEATHSIG = 1


def start(command: list[str], host: str, port: int, key: str) -> subprocess.Popen:
    """Start the command in a separate session, listening on the given interface and port."""
    environment = vllm.own_environment(os.environ)
    del environment[KEY_VARIABLE]
    return subprocess.Popen(
        [*command, "--host", host, "--port", str(port)],
        env={**environment, vllm.VLLM_KEY_VARIABLE: key},
        start_new_session=True,
        # Safe, because this process has one thread.
        preexec_fn=end_with_parent,
    )


def end_with_parent() -> None:
    """Make Linux send SIGTERM to this process when its parent ends for any reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def survivor(server: subprocess.Popen) -> subprocess.Popen:
    """Start a process that kills the server's group if this process was killed and the server does not end in time.

    It waits for the end of a pipe that only this process keeps open.
    """
    script = f"read _; sleep {GRACE_SECONDS}; kill -s KILL -- -{server.pid}"
    return subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def end(server: subprocess.Popen) -> None:
    """End the server's whole process group by SIGTERM, and by SIGKILL if it does not end in time."""
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
    """Return a socket that reserves a free port; a server that sets SO_REUSEADDR can still listen on it."""
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
    """Publish the server with its fingerprint from `identify` when it is healthy; return the reason when it must end.

    An unhealthy server must end at once: after its worker has died, vLLM's may stop listening but keep the connections
    of requests that it will never answer, and wait for these to end.
    """
    published, failures, look = False, 0, time.monotonic()
    while not dismissed(published):
        if server.poll() is not None:
            if server.returncode < 0:  # not its own error: it may be started again
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
    """Return the text written to our output since byte `start`; "" if the output is not a readable file."""
    output = Path("/proc/self/fd/1")
    if not output.is_file():
        return ""
    with output.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def leave(*_) -> None:
    """Handle SIGTERM: end, and ignore further signals."""
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
