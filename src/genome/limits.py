"""Limits of time and memory for running a user's templates, expressions and patterns.

A template of one line can use gigabytes, and a pattern can run for centuries. The system's limits stop both, so the
code need not know the many ways to do this.
"""

import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SECONDS = 10.0
"""Processor time limit of a template, expression or pattern; most take less than a millisecond."""

MEMORY = 512 << 20
"""Bytes that it may use in addition to the current memory of the process."""


def usable_cores() -> int:
    """Return how many processors this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OverLimitError(Exception):
    """A user's text takes too long or uses too much memory; the message completes a sentence about the text."""


@contextmanager
def limited(seconds: float = SECONDS, memory: int | None = MEMORY) -> Iterator[None]:
    """Run a block within `seconds` of processor time and `memory` bytes; OverLimitError if it exceeds them.

    Time is limited only in the main thread, which receives signals. Memory is limited only on Linux, where the limit
    can be set and removed, and only if not None. A block inside another one has the limits of the outer one.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_PROF)[0]:
        yield
        return
    bound = memory if sys.platform == "linux" else None
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGPROF, _stop_after(seconds))
    try:
        if bound is not None:
            resource.setrlimit(resource.RLIMIT_AS, (_ceiling(before[0], bound), before[1]))
        # Repeatedly, because the block may catch and ignore the first error.
        signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)
        yield
    except MemoryError as error:
        raise OverLimitError(f"uses more than {MEMORY >> 20} MB of memory") from error
    except RecursionError as error:
        raise OverLimitError("is nested too deeply") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        if bound is not None:
            resource.setrlimit(resource.RLIMIT_AS, before)


def _stop_after(seconds: float) -> Callable[..., None]:
    def stop(*_: Any) -> None:
        raise OverLimitError(f"takes more than {seconds:g} s")

    return stop


def _ceiling(present: int, memory: int) -> int:
    """Return the present size of the process plus `memory`, within its present limit."""
    file = os.open("/proc/self/statm", os.O_RDONLY)
    pages = int(os.read(file, 32).split()[0])
    os.close(file)
    ceiling = pages * os.sysconf("SC_PAGESIZE") + memory
    return ceiling if present == resource.RLIM_INFINITY else min(ceiling, present)
