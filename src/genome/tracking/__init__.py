"""Metrics of runs in experiment trackers: MLflow, Weights & Biases, trackio (`log` in the config).

The files of a run are all that is needed: a process next to the workflow (`watcher.py`) reads the populations, records
and scores that jobs have written, and sends what has not been sent yet (`sending.py`). Jobs know nothing of it, no
result depends on it, and a tracker that fails delays nothing. `genome log` sends the same at any later time.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genome.tracking.run import Tracked

__all__ = ["Settings", "Tracked", "end_watcher", "missing_problems", "start_watcher"]

Settings = Mapping[str, Mapping[str, Any]]
"""The config's `log`: the settings of each tracker by its name."""

LOG = Path("logs/trackers.log")
"""What the libraries of trackers print."""

LAST = 60
"""Seconds that the watcher may take, after a workflow has ended, to send the rest."""


def missing_problems(settings: Settings) -> list[str]:
    """Return which trackers are not installed. Their libraries are not imported."""
    return [
        f"config.log.{name}: {name} is not installed in this environment; `pip install {name}`, or set it to null"
        for name in settings
        if (found := find_spec(name)) is None or found.origin is None  # a folder of that name is not the library
    ]


def start_watcher(settings: Settings, runs: Sequence[Tracked], remade: Mapping[str, int]) -> None:
    """Have a process of low priority send the metrics of `runs` while this one lives.

    `remade` has the files that jobs will replace, with their times of change (ns): they are not sent as they are.
    The process ends soon after its standard input has been closed, hence also after this process was killed.
    """
    LOG.parent.mkdir(parents=True, exist_ok=True)
    watcher = subprocess.Popen(
        [sys.executable, "-P", "-m", "genome.tracking.watcher"],
        stdin=subprocess.PIPE,
        start_new_session=True,  # keys pressed in the terminal are not for it
        text=True,
    )
    _started.append(watcher)
    assert watcher.stdin is not None
    request = {"log": settings, "runs": [asdict(run) for run in runs], "remade": remade}
    with suppress(BrokenPipeError):  # it has failed, and said why
        watcher.stdin.write(json.dumps(request) + "\n")
        watcher.stdin.flush()


def end_watcher() -> None:
    """Wait until the watcher has sent the rest, if there is one; it gives up by itself."""
    while _started:
        watcher = _started.pop()
        assert watcher.stdin is not None
        with suppress(BrokenPipeError):
            watcher.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            watcher.wait(LAST + 10)


_started: list[subprocess.Popen[str]] = []
