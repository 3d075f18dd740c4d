"""The trackers behind one small interface. Their libraries are optional, and imported when a tracker is made."""

import importlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from genome.tracking.run import Tracked

Metrics = Mapping[str, float]


class Tracker(Protocol):
    """What a tracker does; whatever its library raises may leave these functions.

    A run is known by a `key`, with which another process goes on. What was logged has arrived when `close` has
    returned. If a tracker `streams`, it arrives by itself, and a run stays open while it is watched, because to begin
    and to end it takes seconds.
    """

    streams: bool

    def open(self, run: Tracked, key: str | None) -> str:
        """Begin a run, or go on with that of a key; return its key, another one if that run is no longer there."""
        ...

    def log(self, key: str, step: int, metrics: Metrics) -> None:
        """Log the metrics of a generation; generations come in order."""
        ...

    def results(self, key: str, step: int, metrics: Metrics) -> None:
        """Log what a run has once; `step` is its last generation."""
        ...

    def close(self, key: str, finished: bool) -> None:
        """Say that nothing more comes for now, or at all."""
        ...


def working_folder() -> str:
    """Return what groups runs if the config does not say it."""
    return Path.cwd().name or "genome"


def flattened(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters by the keys that `--set` would have.

    >>> flattened({"n": 10, "ensemble": {"k": 3}})
    {'n': 10, 'ensemble.k': 3}
    """
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


class Mlflow:
    """MLflow: a run has the status RUNNING until it is finished, and is asked what it has."""

    streams = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # instead of some minutes: we try again ourselves
        self.entities = importlib.import_module("mlflow.entities")
        self.failure = importlib.import_module("mlflow.exceptions").MlflowException
        self.client = importlib.import_module("mlflow.tracking").MlflowClient(tracking_uri=settings.get("uri"))
        self.experiment = settings.get("experiment") or working_folder()

    def open(self, run: Tracked, key: str | None) -> str:
        """Begin a run with its parameters, or go on with that of a key unless it was deleted."""
        if key is not None:
            try:
                if self.client.get_run(key).info.lifecycle_stage == "active":
                    return key
            except self.failure as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        found = self.client.get_experiment_by_name(self.experiment)
        place = found.experiment_id if found else self.client.create_experiment(self.experiment)
        tags = {"genome.group": run.group}
        new = self.client.create_run(place, run_name=run.name, tags=tags).info.run_id
        parameters = [self.entities.Param(name, str(value)) for name, value in flattened(run.parameters).items()]
        for first in range(0, len(parameters), 100):  # as many as a server takes at once
            self.client.log_batch(new, params=parameters[first : first + 100])
        return new

    def log(self, key: str, step: int, metrics: Metrics) -> None:
        """Log metrics unless the run has them: a process may have been killed before it had noted that it sent them."""
        first, value = next(iter(metrics.items()))
        if (step, value) not in ((each.step, each.value) for each in self.client.get_metric_history(key, first)):
            now = int(time.time() * 1000)
            self.client.log_batch(key, [self.entities.Metric(name, each, now, step) for name, each in metrics.items()])

    def results(self, key: str, step: int, metrics: Metrics) -> None:
        """Log metrics of the last generation."""
        self.log(key, step, metrics)

    def close(self, key: str, finished: bool) -> None:
        """Give a finished run its status."""
        if finished:
            self.client.set_terminated(key)


class Wandb:
    """Weights & Biases: runs of a variant are a group; results go to the summary. Without a network, use `offline`."""

    streams = True

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.wandb, self.settings = importlib.import_module("wandb"), settings
        self.runs: dict[str, Any] = {}

    def open(self, run: Tracked, key: str | None) -> str:
        """Begin a run, or go on with that of a key."""
        key = key or secrets.token_hex(4)
        if key not in self.runs:
            self.runs[key] = self.wandb.init(
                project=self.settings.get("project") or working_folder(),
                entity=self.settings.get("entity"),
                mode=self.settings.get("mode"),
                id=key,
                name=run.name,
                group=run.group,
                config=flattened(run.parameters),
                resume="allow",
                reinit="create_new",
                settings=self.wandb.Settings(
                    silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True
                ),
            )
        return key

    def log(self, key: str, step: int, metrics: Metrics) -> None:
        """Log metrics; the server ignores a step that it has."""
        self.runs[key].log(dict(metrics), step=step)

    def results(self, key: str, step: int, metrics: Metrics) -> None:
        """Put results into the summary: a step that is over takes no more."""
        self.runs[key].summary.update(dict(metrics))

    def close(self, key: str, finished: bool) -> None:
        """Wait until all has been written, or has arrived."""
        self.runs.pop(key).finish()


class Trackio:
    """Trackio: a run is known by its name in its project."""

    streams = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.trackio, self.settings = importlib.import_module("trackio"), settings
        self.runs: dict[str, Any] = {}

    def open(self, run: Tracked, key: str | None) -> str:
        """Begin a run, or go on with the newest of its name unless it was deleted."""
        common = {
            "project": self.settings.get("project") or working_folder(),
            "name": run.name,
            "group": run.group,
            "space_id": self.settings.get("space"),
            "config": flattened(run.parameters),
            "embed": False,
            "auto_log_cpu": False,
            "auto_log_gpu": False,
        }
        if key is not None:
            try:
                self.runs[key] = self.trackio.init(**common, resume="must")
                return key
            except ValueError:  # there is none
                pass
        key = secrets.token_hex(4)
        self.runs[key] = self.trackio.init(**common, resume="never")
        return key

    def log(self, key: str, step: int, metrics: Metrics) -> None:
        """Log metrics."""
        self.runs[key].log(dict(metrics), step=step)

    def results(self, key: str, step: int, metrics: Metrics) -> None:
        """Log metrics of the last generation."""
        self.log(key, step, metrics)

    def close(self, key: str, finished: bool) -> None:
        """Wait until all has been written, or has arrived."""
        self.runs.pop(key).finish()


TRACKERS: Mapping[str, Callable[[Mapping[str, Any]], Tracker]] = {"mlflow": Mlflow, "wandb": Wandb, "trackio": Trackio}
"""The trackers by their names in the config, which are those of their libraries."""
