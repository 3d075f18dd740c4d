"""What a tracker has been sent, in a file per run, and sending what it has not.

A run whose generations have other bytes than those that were sent has been computed again: it becomes another run of
the tracker. Files that were deleted and made again have the same bytes, and are not sent twice.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genome import fields
from genome.errors import GenomeError
from genome.files import REMAKE, canonical_json, read_json, sha256, write_json
from genome.tracking.run import Tracked, generation_metrics, is_finished, result_metrics
from genome.tracking.trackers import TRACKERS, Tracker

FOLDER = Path("results/trackers")
"""The files of what was sent: TRACKER/RUN.json."""

PATIENCE = 30
"""Seconds to wait for another process that sends from the same folder: a second workflow, or `genome log`."""


@dataclass
class Sent:
    """What of a run has been sent.

    to: digest of the tracker's settings; key: the tracker's own name of the run
    generations: SHA-256 of the population files, by the numbers of generations; results: what a run has once
    """

    to: str
    key: str = ""
    generations: dict[int, str] = field(default_factory=dict[int, str])
    results: dict[str, float] = field(default_factory=dict[str, float])


@dataclass
class Sender:
    """Sends runs to one tracker; `remade` has the files that jobs will replace, with their times of change (ns)."""

    name: str
    settings: Mapping[str, Any]
    remade: Mapping[str, int] = field(default_factory=dict[str, int])
    _tracker: Tracker | None = None
    _open: set[str] = field(default_factory=set[str])
    _finished: set[str] = field(default_factory=set[str])
    _seen: dict[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    _digests: dict[str, tuple[tuple[int, int], str]] = field(default_factory=dict[str, tuple[tuple[int, int], str]])

    def send(self, runs: Sequence[Tracked]) -> int:
        """Send what is new of runs, and return how many runs that were.

        Whatever the tracker's library raises may leave it; the next call goes on from there. GenomeError, after the
        other runs, for a file that cannot be read.
        """
        FOLDER.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(FOLDER / ".lock", timeout=PATIENCE):
                return self._send_all([run for run in runs if run.name not in self._finished])
        except Timeout as error:
            raise GenomeError(f"{FOLDER}: another process sends from this folder; wait for it, or end it") from error

    def close(self) -> None:
        """Close the runs that are still open; what was sent has then arrived."""
        for key in [*self._open]:
            self._close(key, finished=False)

    def _send_all(self, runs: Sequence[Tracked]) -> int:
        number, refused = 0, list[GenomeError]()
        for run in runs:
            try:
                number += self._send(run)
            except GenomeError as error:
                refused.append(error)
        if refused:
            raise refused[0]
        return number

    def _send(self, run: Tracked) -> bool:
        found = self._found(run)
        scored = [path for path in run.result_files() if not self._is_old(path)]
        state = (found, [_state(path) for path in scored])
        if state == self._seen.get(run.name, ({}, [])):
            return False
        file = FOLDER / self.name / f"{run.name}.json"
        sent = read_sent(file)
        if sent is None or sent.to != self._to or _differ(sent.generations, found):
            sent = Sent(self._to)
        results = result_metrics(run, scored)
        is_new = not (found.keys() <= sent.generations.keys() and results.items() <= sent.results.items())
        if is_new:
            self._send_new(run, file, sent, found, results)
        self._seen[run.name] = state
        if is_finished(run, sent.generations, sent.results):
            self._finished.add(run.name)
        return is_new

    def _send_new(
        self, run: Tracked, file: Path, sent: Sent, found: Mapping[int, str], results: Mapping[str, float]
    ) -> None:
        """Send the generations `found` and the `results` that are not in `sent`, and note them in its `file`."""
        if self._tracker is None:
            self._tracker = TRACKERS[self.name](self.settings)
        key = self._tracker.open(run, sent.key or None)
        self._open.add(key)
        if key != sent.key:
            sent.key, sent.generations, sent.results = key, {}, {}
            write_json(file, asdict(sent))
        for step in sorted(found.keys() - sent.generations.keys()):
            self._tracker.log(key, step, generation_metrics(run, step))
            sent.generations[step] = found[step]
            if self._tracker.streams:
                write_json(file, asdict(sent))
        if new := dict(results.items() - sent.results.items()):
            self._tracker.results(key, run.last, {name: results[name] for name in results if name in new})
            sent.results.update(new)
        finished = is_finished(run, sent.generations, sent.results)
        if finished or not self._tracker.streams:
            self._close(key, finished)
        write_json(file, asdict(sent))

    def _found(self, run: Tracked) -> dict[int, str]:
        """Return the digests of the populations that there are, by their generations."""
        found = {step: self._digest(path) for step, path in enumerate(run.populations)}
        return {step: each for step, each in found.items() if each is not None}

    def _digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file; None if it is not there, or will be replaced."""
        state = _state(path)
        if state is None or self._is_old(path):
            return None
        if path not in self._digests or self._digests[path][0] != state:
            self._digests[path] = (state, sha256(path))
        return self._digests[path][1]

    def _is_old(self, path: str) -> bool:
        """Tell whether a file is still the one that a job will replace."""
        return path in self.remade and (_state(path) or (0,))[0] == self.remade[path]

    def _close(self, key: str, finished: bool) -> None:
        self._open.remove(key)
        if self._tracker is not None:
            self._tracker.close(key, finished)

    @property
    def _to(self) -> str:
        """Settings as they are kept: they may contain a password."""
        return hashlib.sha256(canonical_json(self.settings).encode()).hexdigest()


def read_sent(path: Path) -> Sent | None:
    """Return what has been sent of a run; None if nothing was."""
    if not path.is_file():
        return None
    value = read_json(path, REMAKE)
    with fields.reading(path):
        given = fields.mapping(value, "it")
        generations = fields.mapping(given["generations"], "generations")
        results = fields.mapping(given["results"], "results")
        return Sent(
            to=fields.text(given["to"], "to"),
            key=fields.text(given["key"], "key"),
            generations={_number(step): fields.text(each, f"generation {step}") for step, each in generations.items()},
            results={name: fields.number(each, name) for name, each in results.items()},
        )


def _number(step: str) -> int:
    if not step.isdecimal():
        raise fields.UnexpectedError(f"generations: expected numbers of generations, found {fields.shown(step)}")
    return int(step)


def _state(path: str) -> tuple[int, int] | None:
    """Return the time of change (ns) and the size of a file; None if it is not there."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def _differ(sent: Mapping[int, str], found: Mapping[int, str]) -> bool:
    return any(sent[step] != found[step] for step in sent.keys() & found.keys())
