"""How long a run is, which what it finds on its way does not depend on: the number of generations, and a budget."""

from collections.abc import Mapping
from typing import Any

from genome.errors import GenomeError
from genome.search.budget import read_budget
from genome.search.methods import METHODS

LENGTH = ("generations", "budget")
"""Options that give a run its length."""


def check_length(length: Mapping[str, Any], method: str) -> None:
    """Raise GenomeError if a method has no choice of a part of a run's length, or if a budget is none."""
    of_method = METHODS[method]
    known = {"generations": of_method.stage == "generation", "budget": "budget" in vars(of_method.settings())}
    for key in length:
        if not known[key]:
            raise GenomeError(f"--{key}: {method} has none; docs/config.md lists its settings (methods.{method})")
    if "budget" in length:
        try:
            read_budget(str(length["budget"]))
        except GenomeError as error:
            raise GenomeError(f"--budget: {error}") from error


def of_length(length: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return the keys of a config that give a method's runs a length, by the names of `LENGTH`."""
    top = {key: value for key, value in length.items() if key != "budget"}
    return {**top, "methods": {method: {"budget": length["budget"]}}} if "budget" in length else top


def length_in(config: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return the length that a config gives a method's runs, as far as it does."""
    given = {**config, **((config.get("methods") or {}).get(method) or {})}
    return {key: given[key] for key in LENGTH if key in given}
