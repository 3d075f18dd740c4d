"""Variants: methods with the settings that they change."""

from collections.abc import Mapping
from typing import Any

from genome.config.schema import method_problems
from genome.config.values import overlay
from genome.errors import nearest

EVOLVING = ("genome", "genome_plus", "model_swarms", "cma_es")
FROM_EXPERTS = ("best_single", "expert_fusion", "pack_of_llms")
SEARCHED = ("lorahub",)
MERGED = ("dare_ties",)

Settings = dict[str, Any]


def resolve_variant(config: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> Settings:
    """Return all settings of a variant: its method's defaults with its own changes laid over them."""
    method = changes.get("method", name)
    own = {key: value for key, value in changes.items() if key != "method"}
    return {"method": method, **overlay(config["methods"][method], own)}


def variant_problems(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return which variants name no method, or settings that their method does not know."""
    problems = []
    for name, changes in config["variants"].items():
        method = (changes or {}).get("method", name)
        if not isinstance(method, str) or method not in config["methods"]:
            problems.append(f"config.variants.{name}: unknown method {method!r}; {nearest(method, config['methods'])}")
            continue
        settings = resolve_variant(config, name, changes or {})
        settings.pop("method")
        problems += method_problems(method, settings, schema, f"config.variants.{name}")
    study = config["study"]
    if study and study["method"] not in config["methods"]:
        problems.append(f"config.study.method: config.methods has no {study['method']}")
    return problems


def of_method(variants: Mapping[str, Settings], methods: tuple[str, ...]) -> list[str]:
    """Return the names of the variants of some methods."""
    return [name for name, settings in variants.items() if settings["method"] in methods]


def is_team(settings: Mapping[str, Any]) -> bool:
    """Tell whether a variant's ensemble is chosen by its validation answers, not by its members' fitness."""
    ensemble = settings.get("ensemble")
    return bool(ensemble) and ensemble.get("choose") == "team"
