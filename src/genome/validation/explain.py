"""What pydantic finds wrong, one line per place: what was expected, what was found, and the nearest valid name."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import Tag, ValidationError

from genome.errors import nearest
from genome.validation.readable import QUOTES, is_mapping
from genome.validation.words import Bounds, at, bare, branches, keys_of, section_at, type_words, value_words

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING = ("missing", "missing_argument")
OURS = ("repeated", "source")
"""Errors whose messages are complete."""
NO_SOURCE = "no_source"
"""The error of a section that does not have just one of the keys that its models are chosen by (`one_of`)."""
TAG = "unknown_tag"
"""The error of a section that one of its keys decides, such as an engine's backend; its context has `key`, `known`."""


def explained(error: ValidationError, kind: Any, root: str = "config", within: int = 0) -> list[str]:
    """Return what is wrong with a value that is not a `kind`, `within` places below the top: one line per place."""
    lines: dict[str, list[str]] = {}
    expected: dict[str, str] = {}
    for each in error.errors(include_url=False):
        place = each["loc"][within:]
        too_short = each["type"] in MISSING and isinstance(place[-1], int)  # a list, not a mapping
        place = place[:-1] if too_short else place
        found, bounds, name = at(kind, place)
        where, value = root + name, each["input"]
        if each["type"] in (*UNKNOWN, *MISSING) and not too_short:
            *above, key = place
            keys, name = section_at(kind, above)
            said = lines.setdefault(f"{root}{name}{_note(above)}", [])
            if each["type"] in UNKNOWN:
                said.append(f"unknown key {key!r}, {nearest(key, keys) if keys else 'there are none'}")
            else:
                known = keys[str(key)]
                said.append(f"missing key {key!r} ({type_words(known.type, known.bounds)})")
        elif each["type"] in OURS:
            lines.setdefault(where, []).append(each["msg"])
        elif each["type"] == NO_SOURCE:
            lines.setdefault(where, []).append(_no_source(found, bounds, value, each["msg"]))
        elif each["type"] == TAG and is_mapping(value):
            context = each.get("ctx", {})
            key, known = context["key"], context["known"].split(", ")
            lines.setdefault(f"{where}.{key}", []).append(_unlike(Literal[*known], {}, value.get(key)))
        else:
            # The branches of a union have an error each.
            lines.setdefault(where, [])
            expected[where] = _unlike(found, bounds, value)
    for where, said in lines.items():
        if where in expected and not said and not any(other.startswith((f"{where}.", f"{where}[")) for other in lines):
            said.append(expected[where])
    # A missing key may be an unknown one that is misspelt.
    said = {where: sorted(said, key=lambda line: line.startswith("missing")) for where, said in lines.items() if said}
    return [f"{where}: {'; '.join(problems)}" for where, problems in said.items()]


def _no_source(kind: Any, bounds: Bounds, value: Any, remedy: str) -> str:
    """Return why a value has no source: it is not a mapping, or it has a misspelt key, no key, or several."""
    if not is_mapping(value):
        return f"{_unlike(kind, bounds, value)}; {remedy}"
    tags = [each.tag for option in branches(kind) for each in get_args(option)[1:] if isinstance(each, Tag)]
    if sum(f"<with {key}>" in tags for key in value) > 1:
        return f"{remedy} (this file is laid over config.yaml; set the others to null)"
    known = list(dict.fromkeys(key for option in branches(kind) for key in keys_of(bare(option)[0])))
    unknown = [f"unknown key {key!r}, {nearest(key, known)}" for key in value if key not in known]
    return "; ".join([*unknown, remedy])


def _literals(kind: Any) -> list[str]:
    """Return the texts of which a value has to be one."""
    return [word for word in get_args(kind) if isinstance(word, str)] if get_origin(kind) is Literal else []


def _note(place: Sequence[str | int]) -> str:
    """Return which model of several a section is, if it is one of several: its tag."""
    last = str(place[-1]) if place else ""
    return f" ({last[1:-1]})" if last.startswith("<") else ""


def _unlike(kind: Any, bounds: Bounds, value: Any) -> str:
    return f"expected {type_words(kind, bounds)}, found {value_words(value)}{_hint(kind, bounds, value)}"


def _hint(kind: Any, bounds: Bounds, value: Any) -> str:
    """Return what the user probably meant: YAML's types are not always the obvious ones."""
    typed = [bare(option, bounds) for option in branches(kind)]
    options = [option for option, _ in typed]
    words = [word for option, bounds in typed for word in (*bounds.get("names", ()), *_literals(option))]
    takes_text = str in options or bool(words)
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value) and float in options:
            return " (YAML reads 1e-3 as text; write 1.0e-3)"
        truths = ("true", "false") if bool in options else ("false",) if Literal[False] in options else ()
        if (re.fullmatch(r"[+-]?\d+", value) and int in options) or value in truths:
            return "; write it without quotes"
        near = get_close_matches(value, words, n=1)
        return f"; did you mean {near[0]!r}?" if near else ""
    if isinstance(value, bool) and takes_text:
        return f" (YAML reads a bare {'yes or on' if value else 'no or off'} so; {QUOTES})"
    if isinstance(value, int | float) and not isinstance(value, bool) and takes_text:
        return f" (YAML reads it as a number; {QUOTES})"
    return ""
