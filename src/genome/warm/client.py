"""Have a worker of the run run a script, or run it in this process.

    python -I -S client.py PYTHON SCRIPT

Starting this is the cost of a job: it imports only what Python has loaded or what is built in, not the package, and
not `socket`, which takes as long to load as the rest.
"""

import marshal
import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket

WORKERS = "GENOME_WORKERS"
"""The environment variable with the folder of the workers' sockets."""

LIGHT, HEAVY = "light", "heavy"
"""The sockets of the two workers: forks of the second have more loaded, and take longer."""

HEAVY_SCRIPTS = frozenset(["baseline", "prepare_expected", "prepare_prompts", "train_adapter", "validation_lora"])
"""The scripts of the second worker, which need PyTorch, transformers or nevergrad."""

TAKEN = b"y"
"""What a worker answers to a script that it takes."""


def served(script: str, folder: str) -> int | None:
    """Return the exit status of a script that a worker ran; None if no worker takes it."""
    name = os.path.basename(script).removesuffix(".py").rpartition(".")[2]  # noqa: PTH119
    for worker in (HEAVY, LIGHT) if name in HEAVY_SCRIPTS else (LIGHT,):
        status = _served_by(f"{folder}/{worker}", script)
        if status is not None:
            return status
    return None


def _served_by(address: str, script: str) -> int | None:
    """Return the exit status of a script that the worker at `address` ran; None if it does not take it."""
    request = marshal.dumps((script, os.getcwd(), dict(os.environ)))  # noqa: PTH109
    files = b"".join(file.to_bytes(4, sys.byteorder) for file in (0, 1, 2))
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(address)
        connection.sendmsg([len(request).to_bytes(4, "big")], [(SOL_SOCKET, SCM_RIGHTS, files)])
        connection.sendall(request)
        if connection.recv(1) != TAKEN:
            return None
    except OSError:  # there is no such worker, or it has ended
        return None
    # The connection stays open until this process ends, which the worker sees by it: it then ends the script.
    status = connection.recv(1)
    if not status:
        print(f"{script}: the worker that ran it was killed", file=sys.stderr)
        return 1
    return status[0]


def main() -> None:
    """Run the script that the command line names and exit with its status."""
    command = sys.argv[1:]
    folder = os.environ.get(WORKERS)
    if folder and command[0] == sys.executable and len(command) == 2 and os.environ.get("OMP_NUM_THREADS") == "1":
        ended = served(command[1], folder)
        if ended is not None:
            os._exit(ended)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
