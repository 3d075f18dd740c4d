"""A longer run of the same settings: more generations, or a larger budget, in the config of a folder that is there.

Neither changes what earlier generations find, so that a run continues from its last one (docs/resuming.md).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from genome.api.folder import CONFIG
from genome.api.length import check_length, of_length
from genome.api.outcome import Aim, aim_of
from genome.config.values import overlay
from genome.errors import GenomeError
from genome.files import write_text
from genome.workflow.budget import budget_of, is_known_before
from genome.yaml_files import read_yaml

VALUE = r"""('[^'\n]*'|"[^"\n]*"|[^\s,}#][^,}#\n]*?)(?=\s*([,}#\n]|$))"""
"""A number or a text in a line of YAML."""


def lengthen(folder: Path, more: Mapping[str, Any]) -> None:
    """Raise `generations` or `budget` in a folder's config, whose other lines and comments stay as they are.

    GenomeError if they are lower than before, if they are not valid, or if the search would have to begin again.
    """
    file, before = folder / CONFIG, aim_of(folder)
    method = before.plan.variant(before.method).method.name
    check_length(more, method)
    changes = of_length(more, method)
    after = aim_of(folder, changes)
    if "generations" in more:
        _check_generations(before, after)
    if "budget" in more:
        _check_budget(before, after)
    text = file.read_text(encoding="utf-8")
    for key, value in more.items():
        written = f"{key}: {value}" if key == "generations" else f"{key}: '{value}'"
        text = re.sub(rf"(?<![\w.]){key}: *{VALUE}", written, text)
    if yaml.safe_load(text) != overlay(read_yaml(file), changes):
        raise GenomeError(f"{file}: {' and '.join(more)} cannot be changed by an option there; change it in the file")
    write_text(file, text)


def _check_generations(before: Aim, after: Aim) -> None:
    asked, old = (aim.plan.config.generations for aim in (after, before))
    if asked < old:
        raise GenomeError(f"--generations {asked}: the run in {before.folder} has {old}; choose more, or another --out")


def _check_budget(before: Aim, after: Aim) -> None:
    """Raise GenomeError unless a budget leaves the generations that are there as they are."""
    old, place = before.plan.variant(before.method), f"the run in {before.folder}"
    if not old.has_budget or not after.plan.variant(after.method).has_budget:
        raise GenomeError(f"--budget: {place} has none, and is not made shorter; choose another --out")
    asked, there = budget_of(after.plan, after.method), budget_of(before.plan, before.method)
    if asked.unit != there.unit or asked.amount < there.amount:
        raise GenomeError(f"--budget {asked}: {place} has {there}; choose more {there.unit}, or another --out")
    if asked != there and not is_known_before(after.plan, after.method):
        raise GenomeError(
            f"--budget {asked}: what {after.method} spends in a generation is known only afterwards, so that {place} "
            f"would begin again; choose another --out, or change budget in {before.folder / CONFIG} to do so"
        )
