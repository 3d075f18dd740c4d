"""Progress of long work, as a line every 15 seconds: done of total, rate and remaining time.

Lines go to the logger "genome", marked by `extra`: a job writes them to its log and shows them on the terminal
(genome.jobs). Work that takes less than 15 seconds logs nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger("genome")

MARK = "progress"
"""The attribute of a log record that is a line of progress."""

SECONDS = 15.0
"""Seconds between lines."""


class Progress:
    """Counts work in `unit` and logs its progress while it goes on; safe to share between threads.

    `rated` is the unit of the rate, if it is another one. The total is what has been asked for so far, or the amount
    that was `planned`, if that is more.
    """

    def __init__(self, unit: str, rated: str | None = None, clock: Callable[[], float] = time.monotonic):
        self._unit, self._rated, self._clock = unit, rated or unit, clock
        self._lock = threading.Lock()
        self._due = clock() + SECONDS
        self._total = self._planned = self._done = self._earlier = 0.0
        self._amount = self._spent = self._began = 0.0
        self._active = 0
        self._ended = threading.Event()
        self._note = ""

    def plan(self, total: float) -> None:
        """Set how much will be asked for in all, where that is known."""
        self._planned = total

    @contextmanager
    def working(self, total: float, earlier: float = 0) -> Iterator[None]:
        """Log while the block works on `total` more, of which `earlier` was done before and says nothing of the rate.

        Blocks of several threads, and those that follow each other, add up to one progress.
        """
        with self._lock:
            self._total += total
            self._done += earlier
            self._earlier += earlier
            self._active += 1
            if self._active == 1:
                self._began, self._ended = self._clock(), threading.Event()
                threading.Thread(target=self._report, args=(self._ended,), daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
                if not self._active:
                    self._spent += self._clock() - self._began
                    self._ended.set()

    def add(self, number: float, amount: float | None = None, note: str = "") -> None:
        """Count `number` as done, `amount` in the unit of the rate (default: `number`); `note` describes the last."""
        with self._lock:
            self._done += number
            self._amount += number if amount is None else amount
            self._note = note

    def line(self) -> str:
        """Return the progress in one line."""
        with self._lock:
            seconds = self._spent + (self._clock() - self._began if self._active else 0)
            total, new = max(self._total, self._planned), self._done - self._earlier
            parts = [f"{self._done:,.0f} of {total:,.0f} {self._unit} in {duration(seconds)}"]
            parts += [self._note] if self._note else []
            if new and seconds:
                parts.append(f"{_rate(self._amount / seconds)} {self._rated}/s")
                parts.append(f"{duration((total - self._done) * seconds / new)} left")
            return ", ".join(parts)

    def _report(self, ended: threading.Event) -> None:
        """Log a line whenever one is due, until the work has ended."""
        while not ended.wait(max(0.0, self._due - self._clock())):
            self._due = self._clock() + SECONDS
            log.info("%s", self.line(), extra={MARK: True})


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> [duration(seconds) for seconds in (0.4, 99, 100, 5999, 6000)]
    ['0 s', '99 s', '2 min', '100 min', '1.7 h']
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _rate(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"
