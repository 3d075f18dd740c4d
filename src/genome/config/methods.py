"""Settings of methods, checked by the dataclass that each method's row names (`genome.search.methods`)."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from pydantic import ValidationError, create_model

from genome.config.values import overlay
from genome.errors import GenomeError, nearest
from genome.search.budget import read_budget
from genome.search.method import Method, wrong_numbers
from genome.search.methods import METHODS
from genome.validation.explain import explained
from genome.validation.readable import is_mapping
from genome.validation.section import Section


@cache
def model_of(settings: type) -> type[Section]:
    """Return a model around the settings of a method, from which they have its rules: closed, without coercion."""
    return create_model(settings.__name__, __base__=Section, settings=(settings, ...))


def read_settings(method: Method, *changes: Mapping[str, Any], place: str = "config") -> tuple[Any, list[str]]:
    """Return a method's settings with changes laid over its defaults, one mapping after the other, and what is wrong.

    If something is wrong, the settings returned are the method's defaults.
    """
    defaults = method.settings()
    if not any(changes):
        return defaults, []
    given = asdict(defaults)
    for each in changes:
        given = overlay(given, each)
    if wrong := _wrong_budget(given.get("budget"), place) if hasattr(defaults, "budget") else []:
        return defaults, wrong
    try:
        read = model_of(method.settings).model_validate_json(json.dumps({"settings": given}))
    except ValidationError as error:
        return defaults, explained(error, method.settings, place, within=1)
    settings = dict(read)["settings"]
    problems = wrong_numbers(settings, place)
    return (defaults if problems else settings), problems


def _wrong_budget(budget: Any, place: str) -> list[str]:
    """Return what is wrong with a budget; nothing if it is null, or of a type that the settings' own rules refuse.

    A number without a unit is refused here: the rules would advise to put it in quotes.
    """
    if isinstance(budget, bool) or not isinstance(budget, str | int | float):
        return []
    try:
        read_budget(str(budget))
    except GenomeError as error:
        return [f"{place}.budget: {error}"]
    return []


def method_problems(methods: Any) -> list[str]:
    """Return what is wrong with the part `methods` of a config, as far as it is mappings by names."""
    problems: list[str] = []
    for name, changes in methods.items() if is_mapping(methods) else ():
        if name not in METHODS:
            problems.append(f"config.methods: unknown method {name!r}, {nearest(name, METHODS)}")
        elif is_mapping(changes):
            problems += read_settings(METHODS[name], changes, place=f"config.methods.{name}")[1]
    return problems
