"""What the workflow's scripts call: one function a stage, from input files to output files.

`settings` is the one JSON text that a rule has in its params: all that decides the stage's result. What does not
(where the engine runs, which adapters are kept) is handed in beside it, and changing it reruns nothing.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genome.engine.owner import current_owner
from genome.errors import GenomeError

log = logging.getLogger("genome")


def _end_with_owner() -> None:
    """End this process soon after its workflow: the job of a killed one must not write beside those of the next."""
    if "GENOME_OWNER" not in os.environ:
        return
    owner = current_owner()
    if not owner.here():  # a job of SLURM on another node: nothing is to be seen from there
        return

    def watch() -> None:
        while owner.alive():
            time.sleep(0.5)  # soon enough: unlocking and starting a workflow again takes seconds
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def job(logfile: Path | str) -> Iterator[None]:
    """Run a script's block: log lines go to `logfile`, and a GenomeError ends the job with its one line."""
    handler = logging.FileHandler(logfile, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        _end_with_owner()
        yield
    except GenomeError as error:
        log.error("error: %s", error)
        sys.exit(f"error: {error}")
    finally:
        log.removeHandler(handler)
        handler.close()
