"""Checks of values in the workflow's own files; errors name the place of a wrong value.

`json` reads NaN, infinity and any type, none of which may be ranked or reported.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.files import REMAKE


class UnexpectedError(Exception):
    """Says what is wrong with a value and where in its file; `reading` adds the file's name."""


@contextmanager
def reading(path: Path | str, remedy: str = REMAKE) -> Iterator[None]:
    """Turn errors about a file's content in the block into a GenomeError with the file and the remedy."""
    try:
        yield
    except KeyError as error:
        raise GenomeError(f"{path}: no field {error}; {remedy}") from error
    except UnexpectedError as error:
        raise GenomeError(f"{path}: {error}; {remedy}") from error


def mapping(value: Any, place: str) -> Mapping[str, Any]:
    """Return `value`, which must be an object."""
    if not isinstance(value, dict):
        raise UnexpectedError(f"{place}: expected an object, found {shown(value)}")
    return value


def sequence(value: Any, place: str, least: int = 0) -> Sequence[Any]:
    """Return `value`, which must be a list of at least `least` entries."""
    if not isinstance(value, list) or len(value) < least:
        expected = "a list" if not least else f"a list of {least} or more"
        raise UnexpectedError(f"{place}: expected {expected}, found {shown(value)}")
    return value


def text(value: Any, place: str) -> str:
    """Return `value`, which must be a string."""
    if not isinstance(value, str):
        raise UnexpectedError(f"{place}: expected text, found {shown(value)}")
    return value


def whole(value: Any, place: str, least: int = 0) -> int:
    """Return `value`, which must be an integer of at least `least`."""
    if type(value) is not int or value < least:
        raise UnexpectedError(f"{place}: expected an integer from {least} on, found {shown(value)}")
    return value


def number(value: Any, place: str) -> float:
    """Return `value`, which must be a finite number."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise UnexpectedError(f"{place}: expected a finite number, found {shown(value)}")
    return value


def share(value: Any, place: str) -> float:
    """Return `value`, which must be a number in [0, 1]."""
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise UnexpectedError(f"{place}: expected a number in [0, 1], found {shown(value)}")
    return value


def shown(value: Any) -> str:
    """Return a value for a message: short, on one line."""
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."
