"""The functions that the workflow's scripts call: one per stage, from input files to output files.

`settings` is the JSON text in a rule's params: everything that decides the stage's result. Whatever does not decide it
(where the engine runs, which adapters are kept) is a separate argument, and changing it reruns nothing.
"""

import logging
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from genome.engine.owner import current_owner
from genome.errors import GenomeError

log = logging.getLogger("genome")


def _end_with_owner() -> None:
    """End this process soon after its workflow: a job of a killed workflow must not write next to those of the next."""
    if "GENOME_OWNER" not in os.environ:
        return
    owner = current_owner()
    if not owner.here():  # a SLURM job on another node, from which the owner is not visible
        return

    def watch() -> None:
        while owner.alive():
            time.sleep(0.5)  # soon enough: unlocking and starting a workflow again takes seconds
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _remove_leftovers(outputs: Iterable[Path]) -> None:
    """Remove the unfinished files of an earlier attempt of this job that was killed.

    No other process writes next to these outputs: Snakemake runs one job for each, and jobs of a killed run have ended.
    """
    for output in outputs:
        unfinished = re.compile(rf"\.{re.escape(output.name)}\.(\d+(\.\d+)?\.tmp|[a-z0-9_]{{8}})")
        for path in output.parent.glob(".*"):
            if not unfinished.fullmatch(path.name):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _outputs() -> list[Path]:
    """Return the outputs of the rule whose script is running; none if no script is."""
    script = getattr(sys.modules["__main__"], "snakemake", None)
    return [Path(output) for output in script.output] if script is not None else []


def _mark(record: logging.LogRecord) -> bool:
    """Let a line say that it is a warning."""
    record.mark = "warning: " if record.levelno == logging.WARNING else ""
    return True


def _terminal() -> logging.Handler:
    """Return what writes each warning to the terminal once; an error ends the job, whose last words it is."""
    said: set[str] = set()

    def is_new_warning(record: logging.LogRecord) -> bool:
        line = record.getMessage()
        new = record.levelno == logging.WARNING and line not in said
        said.add(line)
        return new

    handler = logging.StreamHandler()
    handler.addFilter(is_new_warning)
    return handler


@contextmanager
def job(logfile: Path | str) -> Iterator[None]:
    """Run a script's block: log lines go to `logfile`, and a GenomeError ends the job with its one line.

    Warnings go to the terminal too.
    """
    handler, terminal = logging.FileHandler(logfile, mode="w", encoding="utf-8"), _terminal()
    handler.setFormatter(logging.Formatter("%(asctime)s %(mark)s%(message)s", datefmt="%H:%M:%S"))
    terminal.setFormatter(logging.Formatter("%(mark)s%(message)s"))
    for each in (handler, terminal):
        each.addFilter(_mark)
        log.addHandler(each)
    log.setLevel(logging.INFO)
    try:
        _end_with_owner()
        _remove_leftovers(_outputs())
        yield
    except GenomeError as error:
        log.error("error: %s", error)
        sys.exit(f"error: {error}")
    finally:
        for each in (handler, terminal):
            log.removeHandler(each)
        handler.close()
