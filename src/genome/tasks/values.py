"""Values of users' rows: what a prompt or a reference can be made of, and nulls that never become the word None."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from genome.files import encodable

DEEPEST = 50
"""How many levels of lists and mappings a column may have."""

_LARGEST_BITS = 14_000  # Python writes no number of more than 4300 digits


class Null:
    """A null in a row: false, and none to a template that asks, but an error where it would be written as text."""

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
    """Tell whether a value is a null, as a row holds it or as a template sees it."""
    return value is None or isinstance(value, Null)


def shown(value: Any, place: str) -> Any:
    """Return `value` as templates see it: every None in it knows its place, such as "column 'options', item 2"."""
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
    """Return what a template has made of `shown` values, with None in place of each null."""
    if isinstance(value, Null):
        return None
    if isinstance(value, Mapping):
        return {key: hidden(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(each) for each in value]
    return value


def fault(value: Any, place: str, level: int = 0) -> str | None:
    """Return what no prompt can be made of in `value`, and its place; None where there is nothing of the kind."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if encodable(value) else f"{place} holds half of a character (a lone surrogate)"
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
        return f"{place} holds {type(value).__name__}, which is neither text nor a number"
    return next((found for each, where in parts if (found := fault(each, where, level + 1))), None)
