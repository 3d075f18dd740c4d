"""Values of users' rows: which ones a prompt or a reference can use, and nulls that never become the word None."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from genome.files import encodable

DEEPEST = 50
"""Number of levels of lists and mappings that a column may have."""

_LARGEST_BITS = 14_000  # Python cannot write numbers of more than 4300 digits


class Null:
    """A null in a row: it is false, and none in a template's test, but raises an error if it is written as text."""

    def __init__(self, place: str):
        self.place = place

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return is_null(other)

    def __hash__(self) -> int:
        return hash(None)

    def _refuse(self, *_: Any) -> NoReturn:
        raise ValueError(
            f"{self.place} is null; leave such rows out by the task's `where`, or let the template test for it "
            "(`is not none`)"
        )

    __str__ = __repr__ = __format__ = __html__ = _refuse


def is_null(value: Any) -> bool:
    """Return whether a value is a null, in a row or in a template."""
    return value is None or isinstance(value, Null)


def shown(value: Any, place: str) -> Any:
    """Return `value` for templates: every None in it knows its place, such as "column 'options', item 2"."""
    if value is None:
        return Null(place)
    if isinstance(value, Mapping):
        found = {key: shown(each, f"{place}, {key!r}") for key, each in value.items()}
        return found if any(found[key] is not value[key] for key in found) else value
    if isinstance(value, list | tuple):
        items = [shown(each, f"{place}, item {number}") for number, each in enumerate(value, start=1)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def hidden(value: Any) -> Any:
    """Return a template's result for `shown` values, with None instead of each null."""
    if isinstance(value, Null):
        return None
    if isinstance(value, Mapping):
        return {key: hidden(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(each) for each in value]
    return value


def fault(value: Any, place: str, level: int = 0) -> str | None:
    """Return the first part of `value` that a prompt cannot use, with its place; None if there is none."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if encodable(value) else f"{place} contains half of a character (a lone surrogate)"
    if isinstance(value, int):
        return f"{place} is a number of thousands of digits" if value.bit_length() > _LARGEST_BITS else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{place} is {'NaN' if math.isnan(value) else 'Infinity'}"
    if level > DEEPEST:
        return f"{place.partition(',')[0]} has more than {DEEPEST} levels of lists and mappings"
    if isinstance(value, Mapping):
        parts = [(key, f"{place}, {key!r}") for key in value] + [(v, f"{place}, {k!r}") for k, v in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(each, f"{place}, item {number}") for number, each in enumerate(value, start=1)]
    else:
        return f"{place} is a {type(value).__name__}, which is neither text nor a number"
    return next((found for each, where in parts if (found := fault(each, where, level + 1))), None)
