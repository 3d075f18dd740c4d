"""How one mapping is laid over another, and what a null in a base, or text in an engine, means."""

from collections.abc import Mapping
from typing import Any

import yaml

from genome.validation.readable import is_list, is_mapping


def overlay(defaults: Any, changes: Any) -> Any:
    """Return `defaults` with `changes` laid over them; mappings are merged, all else is replaced."""
    if not (is_mapping(defaults) and is_mapping(changes)):
        return changes
    return {**defaults, **{key: overlay(defaults.get(key), value) for key, value in changes.items()}}


def settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the meaning of what a file laid over another can only say indirectly.

    A null removes a base, a key of one, of its parts except `training`, or of `similarity`. Numbers and truth values of
    an engine arrive as text if a profile nests them under `config`, and seeds if they are on the command line
    (`--config seeds=[4,5]`).
    """
    meant = dict(config)
    if is_mapping(bases := config.get("bases")):
        meant["bases"] = {name: _without_nulls(suite) for name, suite in bases.items() if suite is not None}
    if "engine" in config:
        meant["engine"] = _retyped(config["engine"])
    if is_list(seeds := config.get("seeds")):
        meant["seeds"] = [_retyped(seed) for seed in seeds]
    if "similarity" in config:
        meant["similarity"] = _given(config["similarity"])
    return meant


def _without_nulls(suite: Any) -> Any:
    if not is_mapping(suite):
        return suite
    # In `training` a null is a value.
    kept = {key: entry if key == "training" else _given(entry) for key, entry in _given(suite).items()}
    # A null removes an expert, too, but only the config knows that it had one.
    if is_mapping(experts := suite.get("experts")):
        kept["experts"] = {key: _given(entry) for key, entry in experts.items()}
    return kept


def _given(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if value is not None} if is_mapping(entry) else entry


def _retyped(value: Any) -> Any:
    if is_mapping(value):
        return {key: _retyped(entry) for key, entry in value.items()}
    if isinstance(value, str):
        try:
            typed = yaml.safe_load(value or "''")
        except (yaml.YAMLError, ValueError):
            return value
        return typed if isinstance(typed, int | float) else value
    return value
