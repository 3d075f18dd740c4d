"""What pydantic finds wrong, one line per place: what was expected, what was found, and the nearest valid name."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from genome.config.values import QUOTES, nearest
from genome.config.words import Bounds, at, bare, branches, section_at, type_words, value_words

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING = ("missing", "missing_argument")
OURS = ("repeated", "source")
TAG = "unknown_tag"
"""The error of a section that one of its keys decides, such as an engine's backend; its context has `key`, `known`."""


def explained(error: ValidationError, kind: Any, root: str = "config", within: int = 0) -> list[str]:
    """Return what is wrong with a value that is not a `kind`, `within` places below the top: one line per place."""
    lines: dict[str, list[str]] = {}
    expected: dict[str, str] = {}
    for each in error.errors(include_url=False):
        place = each["loc"][within:]
        found, bounds, name = at(kind, place)
        where, value = root + name, each["input"]
        if each["type"] in (*UNKNOWN, *MISSING):
            *above, key = place
            keys, name = section_at(kind, above)
            said = lines.setdefault(f"{root}{name}{_note(above)}", [])
            if each["type"] in UNKNOWN:
                said.append(f"unknown key {key!r}, {nearest(key, keys)}")
            else:
                known = keys[str(key)]
                said.append(f"missing key {key!r} ({type_words(known.type, known.bounds)})")
        elif each["type"] in OURS:
            lines.setdefault(where, []).append(each["msg"])
        elif each["type"] == TAG and isinstance(value, dict):
            key, known = each["ctx"]["key"], each["ctx"]["known"].split(", ")
            lines.setdefault(f"{where}.{key}", []).append(_unlike(Literal[*known], {}, value.get(key)))
        else:
            # The branches of a union have an error each.
            lines.setdefault(where, [])
            expected[where] = _unlike(found, bounds, value)
    for where, said in lines.items():
        if where in expected and not said and not any(other.startswith((f"{where}.", f"{where}[")) for other in lines):
            said.append(expected[where])
    return [f"{where}: {'; '.join(said)}" for where, said in lines.items() if said]


def _note(place: Sequence[str | int]) -> str:
    """Return which model of several a section is, if it is one of several: its tag."""
    last = str(place[-1]) if place else ""
    return f" ({last[1:-1]})" if last.startswith("<") else ""


def _unlike(kind: Any, bounds: Bounds, value: Any) -> str:
    return f"expected {type_words(kind, bounds)}, found {value_words(value)}{_hint(kind, value)}"


def _hint(kind: Any, value: Any) -> str:
    """Return what the user probably meant: YAML's types are not always the obvious ones."""
    options = [bare(option)[0] for option in branches(kind)]
    words = [word for option in options if get_origin(option) is Literal for word in get_args(option)]
    takes_text = str in options or any(isinstance(word, str) for word in words)
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value) and float in options:
            return " (YAML reads 1e-3 as text; write 1.0e-3)"
        if (re.fullmatch(r"[+-]?\d+", value) and int in options) or (value in ("true", "false") and bool in options):
            return "; write it without quotes"
        near = get_close_matches(value, [word for word in words if isinstance(word, str)], n=1)
        return f"; did you mean {near[0]!r}?" if near else ""
    if isinstance(value, bool) and takes_text:
        return f" (YAML reads a bare {'yes or on' if value else 'no or off'} so; {QUOTES})"
    if isinstance(value, int | float) and not isinstance(value, bool) and takes_text:
        return f" (YAML reads it as a number; {QUOTES})"
    return ""
