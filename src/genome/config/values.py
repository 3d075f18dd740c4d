"""The values of a config: what YAML makes of a text, and how one mapping is laid over another."""

import math
from collections.abc import Mapping
from typing import Any

import yaml

QUOTES = "put it in quotes"

LARGEST = 2**63 - 1
"""Of whole numbers: what all that reads a setting can hold."""


def overlay(defaults: Any, changes: Any) -> Any:
    """Return `defaults` with `changes` laid over them; mappings are merged, all else is replaced."""
    if not (isinstance(defaults, dict) and isinstance(changes, dict)):
        return changes
    return {**defaults, **{key: overlay(defaults.get(key), value) for key, value in changes.items()}}


def settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a config that mean something else than they say, in their meaning: `bases` and `engine`.

    A null in a file that is laid over another takes a key away from a base or an expert. Numbers and truths of an
    engine arrive as text where a profile nests them under `config`.
    """
    bases = config.get("bases")
    suites = {name: _without_nulls(suite) for name, suite in bases.items()} if isinstance(bases, dict) else bases
    return {"bases": suites, "engine": _retyped(config.get("engine"))}


def _without_nulls(suite: Any) -> Any:
    if not isinstance(suite, dict):
        return suite
    kept = {key: _given(entry) for key, entry in suite.items() if key != "experts"}
    if "experts" in suite:
        experts = suite["experts"]
        is_mapping = isinstance(experts, dict)
        kept["experts"] = {key: _given(entry) for key, entry in experts.items()} if is_mapping else experts
    return kept


def _given(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if value is not None} if isinstance(entry, dict) else entry


def _retyped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _retyped(entry) for key, entry in value.items()}
    if isinstance(value, str):
        try:
            typed = yaml.safe_load(value or "''")
        except (yaml.YAMLError, ValueError):
            return value
        return typed if isinstance(typed, int | float) else value
    return value


def unreadable(value: Any, place: str = "config") -> list[str]:
    """Return what YAML has made of a config that no setting can be: names that are no text, dates, infinite numbers.

    A part that stands in several places, by an anchor, is reported once.
    """
    problems: list[str] = []
    seen: set[int] = set()
    # Not by recursion: values that hold each other would have no end.
    parts = [(place, value)]
    while parts:
        where, part = parts.pop(0)
        if isinstance(part, dict | list):
            if id(part) in seen:
                continue
            seen.add(id(part))
        if isinstance(part, dict):
            problems += [f"{where}: {_as_name(key)}" for key in part if not isinstance(key, str)]
            problems += [f"{where}: {_unwritable(key)}" for key in part if isinstance(key, str) and _unwritable(key)]
            parts += [(f"{where}.{key}", entry) for key, entry in part.items()]
        elif isinstance(part, list):
            parts += [(f"{where}[{index}]", entry) for index, entry in enumerate(part)]
        elif isinstance(part, str):
            problems += [f"{where}: {reason}" for reason in [_unwritable(part)] if reason]
        elif isinstance(part, float):
            if not math.isfinite(part):
                problems.append(f"{where}: {part} is no finite number; give one")
        elif isinstance(part, int) and abs(part) > LARGEST:
            problems.append(f"{where}: a whole number of {len(str(abs(part)))} digits is too large; give a smaller one")
        elif part is not None and not isinstance(part, int):
            problems.append(f"{where}: YAML reads {part} as a {_kind(part)}; {QUOTES}")
    return problems


def _as_name(key: Any) -> str:
    if isinstance(key, bool):
        return f"a name is {key} here, as which YAML reads a bare {'yes or on' if key else 'no or off'}; {QUOTES}"
    if key is None:
        return f"a name is nothing here, as which YAML reads null and ~; {QUOTES}"
    return f"YAML reads the name {key} as a {_kind(key)}; {QUOTES}: '{key}'"


def _unwritable(text: str) -> str | None:
    if "\0" in text:
        return f"{text!r} holds a NUL character; take it out"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{text!r} holds half of a character (a lone surrogate); take it out"
    return None


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) else type(value).__name__
