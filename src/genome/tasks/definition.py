"""A task from its definition: the fields of its file with the config's changes, as jobs receive them.

They were checked when the config was read (`genome.tasks.file`), so jobs need no checks, and not what checks import.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from genome.tasks.kinds import KINDS
from genome.tasks.task import Task


def parse_task(name: str, definition: Mapping[str, Any]) -> Task:
    """Return the task that a checked definition describes; a null is the same as no field."""
    given = _without_nulls(definition)
    given["source"] = _without_nulls(given["source"])
    given.setdefault("metric", KINDS[given["kind"]].metrics[0])
    if "labels" in given:
        given["labels"] = by_letter(given["labels"])
    return Task(name=name, **given)


def by_letter(labels: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Return labels by their letters; a label without a letter is its own."""
    return dict(labels) if isinstance(labels, Mapping) else {label: label for label in labels}


def _without_nulls(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if value is not None}
