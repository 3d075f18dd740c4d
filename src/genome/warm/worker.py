"""A worker of a run: a process that has the libraries loaded and runs each script in a fork of itself.

python -P -m genome.warm.worker SOCKET MODULE...
"""

import gc
import importlib
import marshal
import os
import runpy
import selectors
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from socket import AF_UNIX, MSG_WAITALL, SOCK_STREAM, recv_fds, socket

from genome.warm.client import TAKEN

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Request:
    """A script to run, and where: its folder, its environment, and its files 0, 1 and 2."""

    script: str
    folder: str
    environment: dict[str, str]
    files: list[int]


def source_state() -> dict[str, tuple[int, int]]:
    """Return the time of change (ns) and the size of every source file of the package."""
    states = {path: path.stat() for path in PACKAGE.rglob("*.py")}
    return {str(path): (state.st_mtime_ns, state.st_size) for path, state in states.items()}


def read_request(connection: socket) -> Request | None:
    """Return what a client asks for; None if it has ended before it had asked."""
    length, files, _, _ = recv_fds(connection, 4, 3)
    content = connection.recv(int.from_bytes(length, "big"), MSG_WAITALL)
    if len(files) == 3 and content and len(content) == int.from_bytes(length, "big"):
        script, folder, environment = marshal.loads(content)
        return Request(script, folder, environment, files)
    _close(files)
    return None


def _close(files: Iterable[int]) -> None:
    for file in files:
        os.close(file)


def run(request: Request) -> None:
    """Run a script in this process, a fork of the worker, as a separate Python would."""
    os.setpgid(0, 0)
    for number, file in enumerate(request.files):
        os.dup2(file, number)
    _close(request.files)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    tempfile.tempdir = None  # it depends on the environment
    sys.argv[:] = [request.script]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        runpy.run_path(request.script, run_name="__main__")
    except Exception:  # multiprocessing would name its process
        traceback.print_exc()
        sys.exit(1)


def _begin(client: socket, request: Request, selector: selectors.BaseSelector) -> ForkProcess | None:
    """Start a script for a client, and watch both; None if the client has been killed since it asked."""
    try:
        client.send(TAKEN)
    except OSError:
        _close(request.files)
        client.close()
        return None
    script = get_context("fork").Process(target=run, args=(request,))
    script.start()
    assert script.pid is not None
    os.setpgid(script.pid, script.pid)  # so that it can be interrupted with all that it has started
    _close(request.files)
    selector.register(client, selectors.EVENT_READ)
    selector.register(script.sentinel, selectors.EVENT_READ)
    return script


def _end(client: socket, script: ForkProcess, selector: selectors.BaseSelector) -> None:
    """Hand the exit status of a script to its client; 128 and the signal, as in a shell, if a signal ended it."""
    script.join()
    assert script.exitcode is not None
    status = script.exitcode if script.exitcode >= 0 else 128 - script.exitcode
    with suppress(OSError):  # the client has ended first
        client.send(bytes([status & 0xFF]))
    with suppress(KeyError):
        selector.unregister(client)
    selector.unregister(script.sentinel)
    client.close()
    script.close()


def _interrupt(client: socket, script: ForkProcess, selector: selectors.BaseSelector) -> None:
    """Interrupt a script whose client has been killed: it must not go on writing."""
    assert script.pid is not None
    selector.unregister(client)
    os.killpg(script.pid, signal.SIGINT)


def serve(listener: socket, loaded: dict[str, tuple[int, int]]) -> None:
    """Run scripts until standard input is closed, or until the package is not the one that was `loaded` any more."""
    scripts: dict[socket, ForkProcess] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while scripts or listener.fileno() >= 0:
            ready = {key.fileobj for key, _ in selector.select()}
            if sys.stdin in ready:
                return
            for client in [client for client, script in scripts.items() if script.sentinel in ready]:
                _end(client, scripts.pop(client), selector)
            for client in scripts.keys() & ready:
                _interrupt(client, scripts[client], selector)
            if listener not in ready:
                continue
            client, _ = listener.accept()
            if source_state() != loaded:  # this client and those to come run their scripts themselves
                selector.unregister(listener)
                listener.close()
                client.close()
            elif (request := read_request(client)) and (script := _begin(client, request, selector)):
                scripts[client] = script


def main() -> None:
    """Listen at the socket that the command line names, load the modules, and serve."""
    address = Path(sys.argv[1])
    with socket(AF_UNIX, SOCK_STREAM) as listener:
        listener.bind(str(address))
        listener.listen(128)
        loaded = source_state()
        for module in sys.argv[2:]:
            importlib.import_module(module)
        # What is loaded will stay: the collector need not look at it in every fork.
        gc.collect()
        gc.freeze()
        try:
            serve(listener, loaded)
        finally:
            address.unlink(missing_ok=True)
            with suppress(OSError):  # the other worker is still there
                address.parent.rmdir()


if __name__ == "__main__":
    main()
