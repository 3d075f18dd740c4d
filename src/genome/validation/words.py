"""Types in words, for messages and the reference page: "a whole number of at least 2, or null"."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

from genome.fields import shown
from genome.validation.section import OneOf

Bounds = dict[str, Any]
"""Bounds of a value, in pydantic's words: ge, gt, le, lt, min_length."""


@dataclasses.dataclass(frozen=True)
class Words:
    """An annotation that says in words what a value has to be, if its type does not."""

    words: str


BOUNDS = ("words", "ge", "gt", "le", "lt", "min_length", "max_length")
PLURALS = {
    "text": "texts",
    "non-empty text": "non-empty texts",
    "a mapping": "mappings",
    "a whole number": "whole numbers",
    "a number": "numbers",
    "any value": "values",
}
COUNTS = ("no", "one", "two", "three")


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a section: its type, its bounds, its default (`dataclasses.MISSING` if required), and its sentence."""

    name: str
    type: Any
    bounds: Bounds
    default: Any
    description: str


def is_section(kind: Any) -> bool:
    """Say whether a type is a section: a pydantic model, or a dataclass of settings."""
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))


def keys_of(section: Any) -> dict[str, Key]:
    """Return the keys of a section; none of anything else."""
    if isinstance(section, type) and issubclass(section, BaseModel):
        found = [_of_model(name, field) for name, field in section.model_fields.items()]
    elif dataclasses.is_dataclass(section):
        hints = get_type_hints(section, include_extras=True)
        found = [
            Key(field.name, hints[field.name], _known(field.metadata), field.default, field.metadata["description"])
            for field in dataclasses.fields(section)
        ]
    else:
        return {}
    return {key.name: key for key in found}


def _of_model(name: str, field: FieldInfo) -> Key:
    default = dataclasses.MISSING if field.is_required() else field.get_default(call_default_factory=True)
    bounds = _bounds_of(field.metadata)
    return Key(field.alias or name, field.annotation, bounds, default, field.description or "")


def _known(bounds: Mapping[str, Any]) -> Bounds:
    return {name: bounds[name] for name in BOUNDS if bounds.get(name) is not None}


def _bounds_of(metadata: Sequence[Any]) -> Bounds:
    """Return the bounds in the annotations of a type."""
    found: Bounds = {}
    for each in metadata:
        parts = each.metadata if isinstance(each, FieldInfo) else [each]
        for part in parts:
            found |= _known({name: getattr(part, name, None) for name in BOUNDS})
            if isinstance(part, OneOf):
                found |= {"words": f"one of {', '.join(part.names)}", "names": part.names}
    return found


def bare(kind: Any, bounds: Bounds | None = None) -> tuple[Any, Bounds]:
    """Return a type without its annotations, and the bounds that are in them."""
    bounds = dict(bounds or {})
    while get_origin(kind) is Annotated:
        kind, *metadata = get_args(kind)
        bounds = {**_bounds_of(metadata), **bounds}
    return kind, bounds


def branches(kind: Any) -> tuple[Any, ...]:
    """Return the types of a union, each with the annotations of the union; of another type itself."""
    plain, metadata = kind, ()
    if get_origin(kind) is Annotated:
        plain, *metadata = get_args(kind)
    if get_origin(plain) not in (Union, UnionType):
        return (kind,)
    inner = [Annotated[option, *metadata] if metadata else option for option in get_args(plain)]
    return tuple(branch for option in inner for branch in branches(option))


def type_words(kind: Any, bounds: Bounds | None = None) -> str:
    """Return what a value has to be.

    >>> type_words(int | None, {"ge": 1})
    'a whole number of at least 1, or null'
    """
    kind, bounds = bare(kind, bounds)
    if "words" in bounds:
        return bounds["words"]
    typed = [bare(option, bounds) for option in branches(kind)]
    types = [option for option, _ in typed]
    if float in types:  # an int is a number, too
        typed = [each for each in typed if each[0] is not int]
    sections = [option for option in types if keys_of(option)]
    if len(sections) > 1:
        typed = [(dict, {}), *(each for each in typed if each[0] not in sections)]
    words = list(dict.fromkeys(_one(option, bounds) for option, bounds in typed))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])}, or {words[-1]}"


def _one(kind: Any, bounds: Bounds) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if "words" in bounds:
        return bounds["words"]
    if origin is Literal:
        values = [value if isinstance(value, str) else value_words(value) for value in arguments]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    if origin is tuple:
        return _list(arguments, bounds)
    if origin is dict:
        values = type_words(arguments[1])
        least = bounds.get("min_length", 0)
        names = f"{COUNTS[least]} or more names" if least else "names"
        return "a mapping" if values.startswith(("any", "a mapping")) else f"a mapping of {names} to {_plural(values)}"
    if known := keys_of(kind):
        return f"a mapping with {_listed(list(known))}"
    simple = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        NoneType: "null",
        dict: "a mapping",
    }
    words = simple.get(kind, "any value")
    return words + _bounded(bounds) if kind in (int, float) else words


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _list(arguments: tuple[Any, ...], bounds: Bounds) -> str:
    if Ellipsis not in arguments:
        return f"a list of {COUNTS[len(arguments)]} {_plural(type_words(arguments[0]))}"
    least = bounds.get("min_length", 0)
    more = f"{COUNTS[least]} or more " if least else ""
    return f"a list of {more}{_plural(type_words(arguments[0]))}".replace(" more one of", " more of")


def _plural(words: str) -> str:
    if words.startswith("one of "):
        return words
    if ", or " in words:
        return f"values, each {words}"
    for one, many in PLURALS.items():
        if words.startswith(one):
            return many + words.removeprefix(one)
    return f"values, each {words}"


def value_words(value: Any) -> str:
    """Return a value as YAML writes it, short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shown(value)


def _bounded(bounds: Bounds) -> str:
    """Return the bounds of a number, to be put after it."""
    low = f"of at least {bounds['ge']}" if "ge" in bounds else f"above {bounds['gt']}" if "gt" in bounds else ""
    high = f"at most {bounds['le']}" if "le" in bounds else f"below {bounds['lt']}" if "lt" in bounds else ""
    if "ge" in bounds and "le" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}"
    if high and not low:
        high = f"of {high}"
    return "".join(f" {words}" for words in [" and ".join(filter(None, (low, high)))] if words)


def at(kind: Any, place: Sequence[str | int], *, narrow: bool = False) -> tuple[Any, Bounds, str]:
    """Return the type at the place of an error, its bounds, and the place's name without the tags of unions.

    At the place of a union this is the whole union, or, with `narrow`, the type of it that the last tag names.
    """
    kind, bounds, rest, name = kind, {}, list(place), ""
    while rest:
        options = [option for option in branches(kind) if option is not NoneType]
        if len(options) > 1:
            tag = str(rest.pop(0))
            chosen = next((option for option in options if _is_branch(option, tag)), None)
            if chosen is None or not (rest or narrow):
                break
            kind, bounds = bare(chosen, bounds)
            continue
        kind, part = bare(options[0])[0], rest.pop(0)
        known = keys_of(kind)
        if part in known:
            kind, bounds = bare(known[str(part)].type, known[str(part)].bounds)
        elif get_origin(kind) is tuple:
            arguments = [each for each in get_args(kind) if each is not Ellipsis]
            kind, bounds = bare(arguments[min(int(part), len(arguments) - 1)])
        elif get_origin(kind) is dict:
            kind, bounds = bare(get_args(kind)[1])
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    return kind, bounds, name


def section_at(kind: Any, place: Sequence[str | int]) -> tuple[dict[str, Key], str]:
    """Return the keys of the section at a place of an error, and the place's name."""
    kind, _, name = at(kind, place, narrow=True)
    return keys_of(next((bare(option)[0] for option in branches(kind) if option is not NoneType), None)), name


def _is_branch(option: Any, tag: str) -> bool:
    """Say whether a type of a union is the one with a tag; a type without places in it is never asked for."""
    metadata = get_args(option)[1:] if get_origin(option) is Annotated else ()
    if any(isinstance(each, Tag) and each.tag == tag for each in metadata):
        return True
    kind, _ = bare(option)
    if get_origin(kind) in (tuple, dict):
        return f"{get_origin(kind).__name__}[" in tag
    # The tag of a section that has a validator is `function-after[validator(), Section]`.
    return bool(keys_of(kind)) and tag.rstrip("]").split(", ")[-1] == kind.__name__
