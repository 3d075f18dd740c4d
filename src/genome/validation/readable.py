"""What YAML makes of a text that no setting can be: names that are not text, dates, infinite numbers."""

import math
from typing import Any, TypeGuard

QUOTES = "put it in quotes"

LARGEST = 2**63 - 1
"""The largest whole number that all readers of a setting can store."""


def is_mapping(value: object) -> TypeGuard[dict[Any, Any]]:
    """Say whether a value of YAML is a mapping."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether a value of YAML is a list."""
    return isinstance(value, list)


def unreadable(value: Any, place: str = "config") -> list[str]:
    """Return what is wrong with what YAML has made of a text; a part that an anchor repeats is reported once."""
    problems: list[str] = []
    seen: set[int] = set()
    # Not by recursion: values that hold each other would have no end.
    parts: list[tuple[str, Any]] = [(place, value)]
    while parts:
        where, part = parts.pop(0)
        if is_mapping(part) or is_list(part):
            if id(part) in seen:
                continue
            seen.add(id(part))
        if is_mapping(part):
            problems += [f"{where}: {_as_name(key)}" for key in part if not isinstance(key, str)]
            problems += [f"{where}: {_unwritable(key)}" for key in part if isinstance(key, str) and _unwritable(key)]
            parts += [(f"{where}.{key}", entry) for key, entry in part.items()]
        elif is_list(part):
            parts += [(f"{where}[{index}]", entry) for index, entry in enumerate(part)]
        elif isinstance(part, str):
            problems += [f"{where}: {reason}" for reason in [_unwritable(part)] if reason]
        elif isinstance(part, float):
            if not math.isfinite(part):
                problems.append(f"{where}: {part} is not a finite number; give one")
        elif isinstance(part, int) and abs(part) > LARGEST:
            problems.append(f"{where}: a whole number of {len(str(abs(part)))} digits is too large; give a smaller one")
        elif part is not None and not isinstance(part, int):
            problems.append(f"{where}: YAML reads {part} as a {_kind(part)}; {QUOTES}")
    return problems


def _as_name(key: Any) -> str:
    if isinstance(key, bool):
        return f"YAML reads a name here as {key}, from a bare {'yes or on' if key else 'no or off'}; {QUOTES}"
    if key is None:
        return f"YAML reads a name here as null, from null or ~; {QUOTES}"
    return f"YAML reads the name {key} as a {_kind(key)}; {QUOTES}: '{key}'"


def _unwritable(text: str) -> str | None:
    if "\0" in text:
        return f"{text!r} contains a NUL character; remove it"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{text!r} contains half of a character (a lone surrogate); remove it"
    return None


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) else type(value).__name__
