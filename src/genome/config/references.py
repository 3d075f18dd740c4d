"""What tables and figures of a config name: tasks and variants that exist, rows that can be told apart."""

from collections.abc import Mapping
from typing import Any

from genome.config.names import joined_problems
from genome.config.variants import EVOLVING, SEARCHED, Settings, is_team, of_method
from genome.errors import nearest

COMPARISONS = ("table2", "table3", "table4", "table5", "table6", "table8")

SHOWN = (
    "table1",
    *COMPARISONS,
    "table7",
    "study",
    "efficiency",
    "protocol",
    "across",
    "figure2",
    "figure3",
    "portraits",
)
"""The parts of a config that tables and figures are asked for by."""

NAMING = {
    "task": ("tasks", "task", "domains", "pairs"),
    "variant": ("variants", "variant", "full", "without", "reference"),
}
"""The keys of those parts that name tasks and variants."""

ROWS = ("variants", "full", "without")
"""Of these the keys that name a table's rows."""


def leaves(names: Any) -> list[str]:
    """Return the names that a part of the config holds: one, a list of them, of pairs, or of domains."""
    if isinstance(names, dict):
        return leaves(names["tasks"])
    return [leaf for each in names for leaf in leaves(each)] if isinstance(names, list) else [names] if names else []


def said(config: Mapping[str, Any], part: str, key: str) -> list[str]:
    """Return the names that a table or figure has under a key of its part of the config."""
    return leaves((config[part] or {}).get(key))


def named_tasks(config: Mapping[str, Any]) -> list[str]:
    """Return the tasks that tables and figures name, each once."""
    names = [name for part in SHOWN for key in NAMING["task"] for name in said(config, part, key)]
    return list(dict.fromkeys(task for name in names for task in name.split("+")))


def label_of(config: Mapping[str, Any], variant: str) -> str:
    """Return a variant's name for people."""
    return config["labels"].get(variant, variant)


def reference_problems(
    config: Mapping[str, Any], task_files: Mapping[str, Any], variants: Mapping[str, Settings]
) -> list[str]:
    """Return the names that stand for nothing, rows that look alike, and what a table cannot show."""
    known = {"task": [*task_files, *config["tasks"]], "variant": list(config["variants"])}
    evolving, searched = of_method(variants, EVOLVING), of_method(variants, SEARCHED)
    references = [
        *(
            (f"config.{part}.{key}: unknown {kind}", name, known[kind])
            for part in SHOWN
            for kind, keys in NAMING.items()
            for key in keys
            for names in said(config, part, key)
            for name in (names.split("+") if part == "portraits" else [names])
        ),
        *(
            ("config.portraits.variants: no evolving variant", name, evolving)
            for name in said(config, "portraits", "variants")
        ),
        *(
            ("config.efficiency.variants: no evolving or searched variant", name, evolving + searched)
            for key in ("variants", "reference")
            for name in said(config, "efficiency", key)
        ),
        *(
            ("config.efficiency.reference: none of its variants", name, said(config, "efficiency", "variants"))
            for name in said(config, "efficiency", "reference")
        ),
        *(("config.labels: unknown variant", name, known["variant"]) for name in config["labels"]),
        *(("config.weights: unknown task", name, known["task"]) for name in config["weights"]),
    ]
    problems = [f"{place} {name!r}, {nearest(name, names)}" for place, name, names in references if name not in names]
    for part in SHOWN[:-1]:  # portraits are drawn one by one
        labels = [label_of(config, name) for key in ROWS for name in said(config, part, key)]
        problems += [
            f"config.{part}: two rows have the label {label!r}; see config.labels" for label in _repeated(labels)
        ]
    problems += [
        f"config.table4.domains: task {name!r} stands in two" for name in _repeated(said(config, "table4", "domains"))
    ]
    problems += [
        f"config.{part}.variant: {name!r} reports no ensemble of its fittest; name a variant that does"
        for part in ("protocol", "across")
        for name in said(config, part, "variant")
        if name in variants and (not variants[name].get("ensemble") or is_team(variants[name]))
    ]
    for domain in (config["table4"] or {}).get("domains", []):
        problems += joined_problems("config.table4.domains", domain["tasks"])
    for tasks in said(config, "portraits", "tasks"):
        problems += joined_problems("config.portraits.tasks", tasks.split("+"))
    return list(dict.fromkeys(problems))


def _repeated(names: list[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if names.count(name) > 1))
