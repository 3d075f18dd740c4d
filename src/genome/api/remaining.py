"""How long a run will still take: a forecast of the jobs that have not finished (`genome.forecast`).

It is made again when a job has finished that says how fast others are, and counted down in between. Before the engine
has answered anything, nothing is known, and nothing said; a training that has not been measured is left out, and the
rest is a lower limit.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import fmean

from genome.errors import GenomeError
from genome.forecast import STAGES, Job, forecast, measure
from genome.forecast.dry_run import read_handed_over
from genome.forecast.text import NAMED

PLANNED = Path(".snakemake/genome.plan")
"""The jobs of the last run as Snakemake has planned them, in a user's folder."""

EVERY = 1.0
"""Seconds between forecasts, at least: one takes some hundredths of a second."""

TELLING = {*STAGES, *NAMED}
"""Stages that ask the engine or may take long: their records decide the forecast."""


@dataclass(frozen=True)
class Left:
    """Seconds that a run still takes; `whole` unless more must be added, of which nothing is known yet."""

    seconds: float
    whole: bool


class Remaining:
    """Forecasts the rest of a run in `folder`, of which `cores` jobs run side by side (None: one per core)."""

    def __init__(self, folder: Path, cores: int | None):
        self._folder, self._cores = folder, cores or os.cpu_count() or 1
        self._told = 0
        self._since = -inf
        self._forecast: Left | None = None

    def at(self, now: float, finished: Mapping[str, int]) -> Left | None:
        """Return what is left at the time `now`, with the numbers of finished jobs by their stages.

        None if nothing is known, or if the run takes longer than was forecast.
        """
        told = sum(number for stage, number in finished.items() if stage in TELLING)
        if told != self._told and now - self._since >= EVERY:
            self._told, self._since, self._forecast = told, now, self._made(finished)
        left = self._forecast
        if left is None or left.seconds <= now - self._since:
            return None
        return replace(left, seconds=left.seconds - (now - self._since))

    def _made(self, finished: Mapping[str, int]) -> Left | None:
        """Return the forecast of what has not finished."""
        try:
            jobs, setting = read_handed_over(self._folder / PLANNED)
            measured = measure(jobs, setting, self._folder)
        except (GenomeError, OSError):  # said by the job that reads the file
            return None
        left = [job for number, job in _numbered(jobs) if number > finished.get(job.stage, 0)]
        started = any(finished.get(stage) for stage in STAGES) and not setting.engine.get("per_job")
        measured = replace(
            measured,
            start_seconds=0 if started else measured.start_seconds,
            own_seconds=_filled(measured.own_seconds, {job.stage for job in left}),
        )
        result = forecast(left, setting, measured, self._cores)
        if result.seconds is None:
            return None
        return Left(result.seconds, not result.total.untimed and not result.untimed.keys() & NAMED.keys())


def _filled(own: Mapping[str, float], stages: Iterable[str]) -> dict[str, float]:
    """Return how long jobs of stages take by themselves: as long as others that ask the engine, too, or neither do."""
    filled = dict(own)
    for stage in set(stages) - own.keys() - NAMED.keys():
        alike = [time for each, time in own.items() if each not in NAMED and (each in STAGES) == (stage in STAGES)]
        filled |= {stage: fmean(alike)} if alike else {}
    return filled


def _numbered(jobs: Sequence[Job]) -> Iterator[tuple[int, Job]]:
    """Yield jobs with their numbers among those of their stage, from 1."""
    numbers = Counter[str]()
    for job in jobs:
        numbers[job.stage] += 1
        yield numbers[job.stage], job
