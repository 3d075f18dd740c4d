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
from genome.progress import MARK

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


def answers_file() -> Path | None:
    """Return where the stage whose script is running keeps its answers until it has finished; None outside a script.

    It is not an output of the rule, because Snakemake removes the outputs of a job that was interrupted.
    """
    outputs = _outputs()
    return outputs[0].with_name(f".{outputs[0].name}.kept") if outputs else None


def _mark(record: logging.LogRecord) -> bool:
    """Let a line say that it is a warning."""
    record.mark = "warning: " if record.levelno == logging.WARNING else ""
    return True


def _terminal(stage: str) -> logging.Handler:
    """Return what writes progress, with the name of the stage, and each warning once to the terminal.

    An error ends the job, whose last words it is.
    """
    said: set[str] = set()

    def is_shown(record: logging.LogRecord) -> bool:
        if hasattr(record, MARK):
            record.mark = f"{stage}: "
            return True
        line = record.getMessage()
        new = record.levelno == logging.WARNING and line not in said
        said.add(line)
        return _mark(record) and new

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(mark)s%(message)s"))
    handler.addFilter(is_shown)
    return handler


@contextmanager
def job(logfile: Path | str) -> Iterator[None]:
    """Run a script's block: log lines go to `logfile`, and a GenomeError ends the job with its one line.

    Warnings and progress go to the terminal too. Answers that the stage has kept are removed when it has finished.
    """
    handler = logging.FileHandler(logfile, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(mark)s%(message)s", datefmt="%H:%M:%S"))
    handler.addFilter(_mark)
    terminal = _terminal(str(Path(logfile).with_suffix("")).removeprefix("logs/"))
    for each in (handler, terminal):
        log.addHandler(each)
    log.setLevel(logging.INFO)
    try:
        _end_with_owner()
        _remove_leftovers(_outputs())
        yield
        if kept := answers_file():
            kept.unlink(missing_ok=True)
    except GenomeError as error:
        log.error("error: %s", error)
        sys.exit(f"error: {error}")
    finally:
        for each in (handler, terminal):
            log.removeHandler(each)
        handler.close()
