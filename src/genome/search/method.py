"""What a method is: one row, at the end of its module, from which everything that names methods is made.

The settings of a method are a frozen dataclass whose fields are made by `setting`: the config's checks, its schema, the
reference page and the text that Snakemake compares all read them. Nothing here needs pydantic, since jobs import it.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal

Number = int | float
"""A number as the config gives it: 0 stays 0, so that the text of finished runs stays as it was."""

Marker = tuple[str, float, float]
"""Of an operator in the family tree: matplotlib's marker, its area in square points, its offset to the right."""

Stage = Literal["generation", "baseline", "merge", "adapter"]
"""Which rule runs a method: one job per generation, one job on the scored experts, a merge that looks at no task, or an
adapter that is trained or fetched as experts are."""


def setting(
    default: Any = MISSING,
    description: str = "",
    *,
    pinned: bool = False,
    reporting: bool = False,
    only: Mapping[str, Any] | None = None,
    **constraints: Any,
) -> Any:
    """Return the field of a setting: its default, one sentence, and bounds in pydantic's words (ge, gt, le, lt, …).

    A setting is part of what a result depends on where it differs from its default, so that a new setting leaves
    finished runs valid; a `pinned` one always is, as all were in release 0.1. A `reporting` one decides what is
    reported of a run, not what it finds. `only` names the value of another setting without which this one is not used.
    """
    metadata = {"pinned": pinned, "reporting": reporting, "only": only or {}, "description": description, **constraints}
    return field(default=default, metadata=metadata)


def deciding(settings: Any, *, reporting: bool = False) -> dict[str, Any]:
    """Return the settings that a result depends on, as JSON values; with `reporting`, also those that only report."""
    return {
        each.name: plain(value)
        for each in fields(settings)
        for value in (getattr(settings, each.name),)
        if (each.metadata["pinned"] or value != each.default)
        and (reporting or not each.metadata["reporting"])
        and all(getattr(settings, name) == needed for name, needed in each.metadata["only"].items())
    }


def plain(value: Any) -> Any:
    """Return a setting's value as a JSON value."""
    if is_dataclass(value) and not isinstance(value, type):
        return deciding(value, reporting=True)
    return list(value) if isinstance(value, tuple) else value


def no_cost(settings: Any, size: int, experts: int) -> float:
    """Return the evaluations of a method that asks for none."""
    return 0


@dataclass(frozen=True)
class Method:
    """A method: its name in configs and paths, its label in tables, its settings, and how it is run.

    `run` is a search (`genome.search.asking`): of a generation from the population before, of a baseline from the
    scored experts. `cost` returns how many genotypes one job scores, in expectation, from settings, population size and
    number of experts. `version` is raised when results change. `seeded` methods run once per seed. `operators` are the
    names of its individuals' operators with their markers. `needs` names what the driver has to compute for it.
    """

    name: str
    label: str
    stage: Stage
    settings: type
    version: int = 1
    run: Callable[..., Any] | None = None
    cost: Callable[[Any, int, int], float] = no_cost
    paper: bool = True
    seeded: bool = False
    operators: Mapping[str, Marker] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
