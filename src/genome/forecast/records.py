"""What finished jobs have recorded in a workflow's folder: of the engine, of themselves, of trainings."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from pathlib import Path
from statistics import fmean, median

from genome.engine.fingerprint import of_base
from genome.engine.messages import BUILT_IN
from genome.errors import GenomeError
from genome.files import REMAKE, canonical_json
from genome.forecast.cost import STAGES
from genome.forecast.rates import Observation
from genome.scoring.results import read_record
from genome.scoring.usage import (
    SPEED_OF_TRAINING,
    Interval,
    Trained,
    Usage,
    read_measured,
    read_training,
    read_usage,
    speed_settings,
    waited_seconds,
)

RECORDS = 2000
"""Number of records that are read, the newest: each start of a run reads them."""

STARTING = 1.0
"""Jobs that waited for this many seconds waited for an engine to start; a running one is found sooner."""

EPOCHS = "epochs"
"""The setting of a training by which its time is multiplied."""

SPEED_OF_SAMPLES = ("rank", "target_modules", "rows_per_pass", "dtype", "threads")
"""Settings of the training of experts that decide how long a token of a Validation LoRA takes."""

OWN = 50
"""Number of benchmark files per stage that are read, evenly spaced."""


@dataclass(frozen=True)
class Found:
    """What is known of the engine that the jobs will use, on the machine where it ran last.

    jobs: what jobs asked it; measured: what `results/benchmarks/rates` has of it
    per_job: whether each job has a separate engine
    together: whether it answers jobs side by side in the same steps
    """

    machine: str
    jobs: Sequence[Usage]
    measured: Sequence[Usage]
    per_job: bool
    together: bool

    def observations(self) -> list[Observation]:
        """Return what the engine did for each job, in its own time: jobs side by side are not counted twice.

        Nor are steps in which an engine answers several jobs; how often it did is known on average.
        """
        alone = [each.asking_seconds for each in self.jobs]
        times = alone if self.per_job else shares([each.asked for each in self.jobs], equal=self.together)
        own_steps = sum(times) / sum(alone) if self.together and sum(alone) else 1
        return [
            Observation(each.samples, each.prompt_tokens, each.response_tokens, each.steps * own, seconds)
            for usages, own, found in (
                (self.jobs, own_steps, times),
                (self.measured, 1, [each.asking_seconds for each in self.measured]),
            )
            for each, seconds in zip(usages, found, strict=True)
        ]

    def tokens(self) -> dict[str, "Tokens"]:
        """Return the mean numbers of tokens of each task, from records of it alone.

        A task that was only answered together with others has the means of all of them.
        """
        found: dict[str, Tokens] = {}
        for alone in (False, True):
            by_task: dict[str, list[Usage]] = {}
            for each in (*self.jobs, *self.measured):
                for task in each.tasks if (len(each.tasks) == 1) == alone and each.samples else ():
                    by_task.setdefault(task, []).append(each)
            found |= {task: _means(usages) for task, usages in by_task.items()}
        return found

    def start_seconds(self) -> float:
        """Return how long the engine takes to start, as jobs waited for it; 0 if none did."""
        waited = [each.connecting_seconds for each in (*self.jobs, *self.measured)]
        return median([seconds for seconds in waited if seconds >= STARTING] or [0])


@dataclass(frozen=True)
class Tokens:
    """Mean numbers of tokens of a task: of a prompt, of a response, and of the longest response of a batch."""

    prompt: float
    response: float
    longest: float


def _means(usages: Sequence[Usage]) -> Tokens:
    samples, batches = sum(each.samples for each in usages), sum(each.batches for each in usages)
    response = sum(each.response_tokens for each in usages) / samples
    longest = sum(each.steps for each in usages) / batches if batches else response
    return Tokens(sum(each.prompt_tokens for each in usages) / samples, response, longest)


def shares(asked: Sequence[Sequence[Interval]], *, equal: bool = False) -> list[float]:
    """Return for how many seconds the engine worked for each job, of jobs that asked it at these times.

    The built-in engine answers in the order of arrival: of the jobs that wait, it worked for the one that gets its
    answers first. Others work for all of them: `equal` shares. The sum is the time in which the engine had something to
    do.

    >>> shares([[(0, 4)], [(2, 6)], [(9, 10)]])
    [4.0, 2.0, 1.0]
    >>> shares([[(0, 4)], [(2, 6)], [(9, 10)]], equal=True)
    [3.0, 3.0, 1.0]
    """
    starts = sorted((begin, end, job) for job, intervals in enumerate(asked) for begin, end in intervals)
    seconds, waiting, now = [0.0] * len(asked), [], 0.0
    for begin, end, job in [*starts, (inf, inf, -1)]:
        while waiting and now < begin:
            until = min(waiting[0][0], begin)
            served = waiting if equal else waiting[:1]
            for _, each in served:
                seconds[each] += (until - now) / len(served)
            now = until
            if now == waiting[0][0]:
                heappop(waiting)
        now = begin
        heappush(waiting, (end, job))
    return seconds


def find(results: Path, base: str, engine: Mapping[str, object], model: Path) -> Found | None:
    """Return what is known of the engine of these settings that answers for a base model; None if nothing is.

    `model` is the base's folder: an engine that served other weights of the same name is another one.
    """
    runs = _newest([*(results / "benchmarks/runs").rglob("*.json"), *(results / "benchmarks/test").rglob("*.json")])
    jobs = [usage for usage in map(read_usage, runs) if usage is not None]
    measured = [
        usage for path in sorted((results / "benchmarks/rates").glob("*.json")) for usage in read_measured(path)
    ]
    settings = canonical_json(speed_settings(engine))
    weights = of_base(model) if (model / "config.json").is_file() and engine.get("backend") != "url" else None

    def same(usage: Usage) -> bool:
        return usage.base == base and usage.settings == settings and weights in (None, usage.weights)

    jobs, measured = list(filter(same, jobs)), list(filter(same, measured))
    if not jobs and not measured:
        return None
    newest = max((*jobs, *measured), key=lambda usage: usage.asked[-1][1])

    def alike(usages: Iterable[Usage]) -> list[Usage]:
        return [each for each in usages if (each.engine, each.machine) == (newest.engine, newest.machine)]

    together = engine.get("backend", BUILT_IN) != BUILT_IN
    return Found(newest.machine, alike(jobs), alike(measured), bool(engine.get("per_job")), together)


def _newest(paths: Sequence[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns)[-RECORDS:]


def own_seconds(folder: Path, stage: str, benchmark: str) -> float | None:
    """Return how long a job of a stage takes besides what is forecast in tokens; None if none has been measured.

    `benchmark` matches Snakemake's benchmark files of the stage. The record of what a job asked of an engine, or of a
    training, is next to its benchmark file.
    """
    known = {"train_adapter": _training, "validation_lora": _nothing, **dict.fromkeys(STAGES, waited_seconds)}
    elsewhere = known.get(stage, _nowhere)
    paths = sorted(folder.glob(benchmark))
    seconds: list[float] = []
    for path in paths[:: len(paths) // OWN + 1]:
        forecast = elsewhere(path.with_suffix(".json"))
        if forecast is not None:
            seconds.append(max(0, _wall(path) - forecast))
    return fmean(seconds) if seconds else None


def _training(record: Path) -> float | None:
    return read_training(record).seconds if record.is_file() else None


def _nothing(record: Path) -> float | None:
    return 0 if record.is_file() else None


def _nowhere(record: Path) -> float | None:
    return None if record.is_file() else 0  # a job of another rule, such as a training next to an import


def _wall(path: Path) -> float:
    """Return the seconds in a benchmark file of Snakemake."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return fmean(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    except (ValueError, KeyError, TypeError) as error:
        raise GenomeError(f"{path}: not a benchmark file of Snakemake; {REMAKE}") from error


def trainings(results: Path, base: str) -> list[Trained]:
    """Return the records of finished trainings of a base model."""
    paths = _newest([*(results / "benchmarks/adapters").glob("*.json")])
    return [trained for trained in map(read_training, paths) if trained.base == base]


def alike(
    found: Sequence[Trained], settings: Mapping[str, object], keys: Sequence[str] = SPEED_OF_TRAINING
) -> list[Trained]:
    """Return the trainings whose token takes as long in an epoch, by the settings of the config that `keys` name."""
    same = [key for key in keys if key != EPOCHS]
    return [
        each
        for each in found
        if all(settings.get(key) == each.settings.get(key) for key in same)
        and (EPOCHS not in keys or (EPOCHS in settings) == (EPOCHS in each.settings))  # the default is not known here
    ]


def seconds_per_token(found: Sequence[Trained]) -> float | None:
    """Return how long a token of one epoch takes in these trainings; None without any."""
    tokens = sum(each.tokens * _epochs(each.settings) for each in found)
    return sum(each.seconds for each in found) / tokens if tokens else None


def _epochs(settings: Mapping[str, object]) -> int:
    found = settings.get(EPOCHS, 1)
    return found if isinstance(found, int) else 1


def training_seconds(
    found: Sequence[Trained], settings: Mapping[str, object], corpora: Sequence[str], folder: Path
) -> float | None:
    """Return how long a training takes; None if none of these settings is finished, or its corpora are not there yet.

    `settings` are those of the config; they may have another number of epochs than finished ones. Corpora without a
    finished training are taken to have as many tokens per byte as those with one.
    """
    found = alike(found, settings)
    rate = seconds_per_token(found)
    if rate is None:
        return None
    per_token = rate * _epochs(settings)
    known = [each.tokens for each in found if each.corpora == tuple(corpora)]
    if known:
        return known[-1] * per_token
    files = [folder / corpus for corpus in corpora]
    if not all(file.is_file() for file in files):
        return None
    size = sum(file.stat().st_size for file in files)
    return size * sum(each.tokens for each in found) / sum(each.size for each in found) * per_token


def validation_lora_rate(
    results: Path, base: str, variants: Iterable[str], given: Mapping[str, object]
) -> float | None:
    """Return how long a token takes of those that a Validation LoRA's trainings and measurements read.

    It is that of finished ones of these variants or, if there are none, that of adapters with the training settings
    `given`; None if there are none of them either.
    """
    paths = [path for name in variants for path in (results / "benchmarks/runs").glob(f"*/{name}/seed*.json")]
    rows = [row for path in _newest(paths) if (row := read_record(path, "seconds", "prompt_tokens"))["base"] == base]
    tokens = sum(row["prompt_tokens"] for row in rows)
    if tokens:
        return sum(row["seconds"] for row in rows) / tokens
    return seconds_per_token(alike(trainings(results, base), given, SPEED_OF_SAMPLES))
