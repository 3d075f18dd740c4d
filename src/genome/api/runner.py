"""Runs Snakemake in the working folder as a program: `python -P -m genome.api.runner ARGUMENTS`.

Snakemake is a process, not a call: the engine and the jobs end when its process ends, and it changes the folder, the
environment and the import path of the process in which it runs, which may be a user's notebook. This program adds three
things to `snakemake`: it ends when the process that started it ends, it is the only one of its kind in a folder, and it
removes the lock that one of its kind has left that was killed.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = Path(".snakemake/genome.lock")
"""Held while this program runs, however it ends."""

RUNNING = Path(".snakemake/genome.running")
"""Exists while this program runs, and after it was killed."""

TAKEN = "another `genome evolve` is running in this folder; wait for it, or end it"


def _end_with_parent() -> None:
    """End this process soon after the one that started it, whatever ended that one."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Run Snakemake with this program's arguments."""
    _end_with_parent()
    LOCK.parent.mkdir(exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            if RUNNING.exists():
                subprocess.run([sys.executable, "-P", "-m", "snakemake", "--unlock"], capture_output=True, check=False)
            RUNNING.touch()
            try:
                runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
            finally:
                RUNNING.unlink(missing_ok=True)
    except Timeout:
        sys.exit(TAKEN)


if __name__ == "__main__":
    main()
