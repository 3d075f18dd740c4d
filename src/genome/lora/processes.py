"""A function computed for many arguments in forked processes: threads would wait for Python's lock half of the time."""

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from genome.limits import usable_cores

Argument = TypeVar("Argument")
Result = TypeVar("Result")

PROCESSES = min(4, usable_cores()) if sys.platform == "linux" else 1
"""How many processes: the processors that this process may use, but no more than memory has room for."""

PR_SET_PDEATHSIG = 1
"""From Linux's prctl.h: which signal a process gets when its parent ends."""

_function: Callable[[Any], Any]


def in_processes(function: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
    """Yield the function's result for each argument, in their order; a few are computed before they are requested.

    The processes are forks, so the function may be a closure over large data, which are not copied.
    """
    # Slow to import, and most jobs write small populations.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("fork"), _begin, (function,)) as pool:
        submitted = (pool.submit(_call, argument) for argument in arguments)
        pending = deque(islice(submitted, PROCESSES + 1))
        while pending:
            yield pending.popleft().result()
            pending.extend(islice(submitted, 1))


def _begin(function: Callable[[Any], Any]) -> None:
    import ctypes

    global _function
    _function = function
    # A job that is killed could not end its processes, which would wait for work for ever.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _call(argument: Any) -> Any:
    return _function(argument)
