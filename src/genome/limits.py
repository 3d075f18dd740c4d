"""Limits on what runs somebody else's text: templates, expressions and patterns.

A template of one line can ask for gigabytes, and a pattern can take centuries. Both are stopped by the system's own
limits, so nothing has to be known of the many ways to ask for too much.
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
"""Processor time that one template, expression or pattern may take; the usual ones take less than a millisecond."""

MEMORY = 512 << 20
"""Bytes that it may ask for beside what the process holds already."""


class OverLimitError(Exception):
    """Somebody's text takes too long or asks for too much; the message is the end of a sentence about it."""


@contextmanager
def limited(seconds: float = SECONDS, memory: int | None = MEMORY) -> Iterator[None]:
    """Run a block within `seconds` of processor time and `memory` bytes; OverLimitError where it goes over.

    Time is limited in the main thread only, where signals arrive, and memory on Linux only, where the limit can be set
    and lifted; None leaves it alone. A block inside another one is under the limits of the outer one.
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
        # Again and again, since the block may swallow what it is told.
        signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)
        yield
    except MemoryError as error:
        raise OverLimitError(f"asks for more than {MEMORY >> 20} MB of memory") from error
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
    """Return how large the process may grow from what it takes now, within the limit that it has already."""
    file = os.open("/proc/self/statm", os.O_RDONLY)
    pages = int(os.read(file, 32).split()[0])
    os.close(file)
    ceiling = pages * os.sysconf("SC_PAGESIZE") + memory
    return ceiling if present == resource.RLIM_INFINITY else min(ceiling, present)
