"""What a stage records of its use of an engine, so that the time of further stages can be forecast.

A job asks at certain times only, and jobs side by side ask the same engine: the times at which each of them waited for
answers tell how fast the engine is.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genome.engine.client import Engine
from genome.engine.usage import USAGE
from genome.fields import UnexpectedError, mapping, number, reading, sequence, shown, text, whole
from genome.files import REMAKE, canonical_json, read_json
from genome.scoring.results import read_record

NOT_SPEED = ("timeout", "idle", "spaces", "added_rank", "key_variable", "python")
"""Settings of an engine that do not decide how fast it is."""

Interval = tuple[float, float]
"""Begin and end, in seconds since the epoch, so that intervals of several jobs can be compared."""


def speed_settings(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the config's `engine` decides how fast it answers."""
    return {key: value for key, value in engine.items() if key not in NOT_SPEED}


@dataclass
class Meter:
    """Measures a stage's use of its engine.

    base: name of the base model
    settings: the config's `engine`, as far as it decides the speed
    tasks: names of the tasks that are answered, none if answers are cut or prompts are only read
    asked: when the stage waited for answers
    connecting_seconds: how long it waited for an engine to be there
    """

    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tasks: Sequence[str] = ()
    asked: list[Interval] = field(default_factory=list[Interval])
    connecting_seconds: float = 0.0

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Measure the time until an engine is there."""
        begun = time.time()
        yield
        self.connecting_seconds += time.time() - begun

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Measure the time until all answers are there."""
        begun = time.time()
        yield
        self.asked.append((round(begun, 3), round(time.time(), 3)))

    def spent(self, engine: Engine | None) -> dict[str, Any]:
        """Return what the stage has used (without an engine: nothing), as its record has it.

        A stage that was interrupted does not know when its earlier attempts waited for answers.
        """
        interrupted = engine is not None and engine.earlier_seconds > 0
        return {
            "machine": engine.machine if engine else None,
            "base": self.base,
            "engine": engine.fingerprint if engine else None,
            "engine_settings": self.settings,
            "tasks": list(self.tasks),
            "connecting_seconds": round(self.connecting_seconds, 3),
            **({} if interrupted else {"asked": self.asked}),
            **{name: engine.usage[name] if engine else 0 for name in USAGE},
        }


@dataclass(frozen=True)
class Usage:
    """What a finished stage has used; `engine` and `settings` are JSON texts, `weights` the digest of the base."""

    base: str
    weights: str | None
    engine: str
    settings: str
    machine: str
    tasks: tuple[str, ...]
    samples: int
    prompt_tokens: int
    response_tokens: int
    batches: int
    steps: int
    asked: tuple[Interval, ...]
    connecting_seconds: float

    @property
    def asking_seconds(self) -> float:
        """How long the stage waited for answers, side by side with others or not."""
        return sum(end - begin for begin, end in self.asked)


def read_usage(path: Path | str) -> Usage | None:
    """Return what a stage used; None if it used no engine, or if its record does not say when it asked for how much."""
    row = read_record(path, "seconds", "samples")
    if not {"asked", "steps"} <= row.keys() or row["machine"] is None or not row["asked"]:
        return None
    with reading(path):
        return _usage(row)


def waited_seconds(path: Path) -> float | None:
    """Return how long a stage waited for its engine to start and for answers; None if it has not recorded that."""
    if not path.is_file() or "asked" not in (row := read_record(path, "seconds", "samples")):
        return None
    with reading(path):
        asked = [_interval(each) for each in sequence(row["asked"], "asked")]
        return number(row["connecting_seconds"], "connecting_seconds") + sum(end - begin for begin, end in asked)


def read_measured(path: Path | str) -> list[Usage]:
    """Return what the requests used that a rate is measured with (`genome.jobs.engine_rate`).

    Those of earlier releases do not say in how many steps.
    """
    value = read_json(path, REMAKE)
    with reading(path):
        rows = [mapping(row, "requests, entry") for row in sequence(mapping(value, "it")["requests"], "requests")]
        return [_usage(row) for row in rows if "steps" in row]


def _usage(row: Mapping[str, Any]) -> Usage:
    engine = mapping(row["engine"], "engine")
    counts = {name: whole(row[name], name) for name in USAGE}
    return Usage(
        base=text(row["base"], "base"),
        weights=engine.get("base"),
        engine=canonical_json(engine),
        settings=canonical_json(mapping(row["engine_settings"], "engine_settings")),
        machine=text(row["machine"], "machine"),
        tasks=tuple(text(name, "tasks") for name in sequence(row["tasks"], "tasks")),
        asked=tuple(_interval(each) for each in sequence(row["asked"], "asked")),
        connecting_seconds=number(row["connecting_seconds"], "connecting_seconds"),
        **counts,
    )


def _interval(value: Any) -> Interval:
    times = [number(each, "asked") for each in sequence(value, "asked")]
    if len(times) != 2 or times[0] > times[1]:
        raise UnexpectedError(f"asked: expected a begin and an end, found {shown(value)}")
    return times[0], times[1]


SPEED_OF_TRAINING = (
    "kind", "rank", "target_modules", "epochs", "batch_size", "rows_per_pass", "max_length", "dtype", "threads",
)  # fmt: skip
"""Settings of a training that decide how long a token of its corpus takes."""


@dataclass(frozen=True)
class Trained:
    """How long a training took without loading the model, with `tokens` per epoch and corpora of `size` bytes."""

    base: str
    machine: str
    settings: Mapping[str, Any]
    corpora: tuple[str, ...]
    size: int
    tokens: int
    seconds: float


def training_record(
    base: Path | str, machine: str, settings: Mapping[str, Any], corpora: Sequence[str], result: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record of a training of `settings`, as the config gives them, with the `result` of `train_lora`."""
    return {
        "base": Path(base).name,
        "machine": machine,
        "settings": {key: settings[key] for key in SPEED_OF_TRAINING if key in settings},
        "corpora": list(corpora),
        "bytes": sum(Path(corpus).stat().st_size for corpus in corpora),
        "tokens": result["tokens"],
        "seconds": result["seconds"],
    }


def read_training(path: Path | str) -> Trained:
    """Return the record of a finished training."""
    row = read_record(path, "seconds")
    with reading(path):
        return Trained(
            base=text(row["base"], "base"),
            machine=text(row["machine"], "machine"),
            settings=mapping(row["settings"], "settings"),
            corpora=tuple(text(name, "corpora") for name in sequence(row["corpora"], "corpora", 1)),
            size=whole(row["bytes"], "bytes", 1),
            tokens=whole(row["tokens"], "tokens", 1),
            seconds=row["seconds"],
        )
