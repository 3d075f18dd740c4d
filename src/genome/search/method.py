"""What a method is: one row, at the end of its module, from which everything that names methods is made.

The settings of a method are a frozen dataclass whose fields are made by `setting`: the config's checks, its schema, the
reference page and the text that Snakemake compares all read them. Nothing here needs pydantic, since jobs import it.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Literal, TypeVar, cast, get_args, get_type_hints

from genome.errors import GenomeError
from genome.search.asking import Search
from genome.search.population import Individual

Number = int | float
"""A number as the config gives it: 0 stays 0, so that the text of finished runs stays as it was."""

Marker = tuple[str, float, float]
"""An operator's marker in the family tree: matplotlib's marker, its area in square points, its offset to the right."""

Stage = Literal["generation", "baseline", "training", "constant", "merge", "adapter", "fusion"]
"""Which rule runs a method: one job per generation, one job on the scored experts, a training on validation samples, an
answer that is the same for all samples, a merge that looks at no task, an adapter that is trained or fetched as experts
are, or none: the experts answer together."""

STATIC_STAGES: tuple[Stage, ...] = ("merge", "adapter", "fusion")
"""Stages whose methods look at no task."""

Group = Literal["control", "paper", "beyond"]
"""What a method is in a comparison: a control, a method of the paper, or one beyond the paper."""

Conditions = Mapping[str, Any]
"""Values of other settings by their names: each is one value, or a function that tells whether a value is meant."""

NOT_SETTINGS = ("method", "version", "stage", "races", "likelihood", "tasks", "reserved")
"""Other keys in the params of a stage: its method, versions (of fitness, the method, races, likelihood), tasks, and the
evaluations that a budget keeps for finalists."""

Settings = TypeVar("Settings")


def setting(
    default: Any = MISSING,
    description: str = "",
    *,
    pinned: bool | Conditions = False,
    reporting: bool = False,
    rising: bool = False,
    least: int | None = None,
    only: Conditions | None = None,
    **constraints: Any,
) -> Any:
    """Return the field of a setting: its default, one sentence, and bounds in pydantic's words (ge, gt, le, lt, …).

    A result depends on a setting that differs from its default, so that a new setting leaves finished runs valid.
    It always depends on a `pinned` one, as on all settings in release 0.1. A `reporting` setting decides what is
    reported of a run, not what it finds. The numbers of a `rising` one have to rise, and to be at least `least`.
    `only` names the values of other settings without which this one is not used. `pinned` may name values too: the
    setting is then pinned with those, and with others it is like a new one.

    >>> @dataclass(frozen=True)
    ... class Example:
    ...     rate: Number = setting(0.3, "Probability of something.", pinned=True, ge=0, le=1)
    ...     space: str = setting("usual", "A setting that was added later.")
    >>> deciding(Example()), deciding(Example(rate=0, space="other"))
    ({'rate': 0.3}, {'rate': 0, 'space': 'other'})
    >>> read_settings(Example, {"rate": 0}, "example")
    Example(rate=0, space='usual')
    """
    flags = {"pinned": pinned, "reporting": reporting, "rising": rising, "least": least}
    return field(default=default, metadata={**flags, "only": only or {}, "description": description, **constraints})


def wrong_numbers(settings: Any, place: str) -> list[str]:
    """Return which settings have numbers that do not rise or are too small, each with what was expected."""
    problems: list[str] = []
    for each in fields(settings):
        value, where, least = getattr(settings, each.name), f"{place}.{each.name}", each.metadata["least"]
        if is_dataclass(value):
            problems += wrong_numbers(value, where)
        elif value is not None:
            if each.metadata["rising"] and any(low >= high for low, high in pairwise(value)):
                problems.append(f"{where}: expected rising numbers, found {list(value)}")
            if least is not None and min(value) < least:
                problems.append(f"{where}: expected whole numbers of at least {least}, found {list(value)}")
    return problems


def deciding(settings: Any, *, reporting: bool = False) -> dict[str, Any]:
    """Return the settings that a result depends on, as JSON values; with `reporting`, also those that only report."""
    return {
        each.name: plain(value)
        for each in fields(settings)
        for value in (getattr(settings, each.name),)
        if (_is_pinned(settings, each.metadata["pinned"]) or value != each.default)
        and (reporting or not each.metadata["reporting"])
        and _meets(settings, each.metadata["only"])
    }


def _is_pinned(settings: Any, pinned: bool | Conditions) -> bool:
    return pinned if isinstance(pinned, bool) else _meets(settings, pinned)


def _meets(settings: Any, conditions: Conditions) -> bool:
    """Return whether other settings have the values that a setting needs."""
    return all(
        wanted(getattr(settings, name)) if callable(wanted) else getattr(settings, name) == wanted
        for name, wanted in conditions.items()
    )


def plain(value: Any) -> Any:
    """Return a setting's value as a JSON value."""
    if is_dataclass(value) and not isinstance(value, type):
        return deciding(value, reporting=True)
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value


def read_settings(settings: type[Settings], values: Mapping[str, Any], place: str) -> Settings:
    """Return settings from the JSON values that `deciding` made; omitted ones have their defaults.

    GenomeError names an unknown or a missing setting; types and bounds have been checked with the config.
    """
    hints = get_type_hints(settings)
    for name in values:
        if name not in hints:
            close = get_close_matches(name, hints, 1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(hints) or 'none'}"
            raise GenomeError(f"{place}: unknown setting {name!r}; {hint}")
    given = {name: _typed(hints[name], value, f"{place}.{name}") for name, value in values.items()}
    for each in fields(cast("Any", settings)):
        if each.default is MISSING and each.name not in given:
            raise GenomeError(f"{place}: setting {each.name!r} is missing")
    return settings(**given)


def _typed(hint: Any, value: Any, place: str) -> Any:
    """Return a JSON value as a setting of type `hint`: objects become dataclasses, lists become tuples."""
    if isinstance(value, dict):
        kinds = [each for each in (hint, *get_args(hint)) if is_dataclass(each)]
        if not kinds:
            raise GenomeError(f"{place}: expected a single value, found an object")
        return read_settings(cast("type[Any]", kinds[0]), cast("dict[str, Any]", value), place)
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Reader:
    """What reading a method's state from a file needs: the number of experts, and how individuals are read."""

    experts: int
    individuals: Callable[[Any, str], tuple[Individual, ...]]


ReadState = Callable[[Any, Reader], Any]
"""Returns a part of a state from its JSON value; UnexpectedError (`genome.fields`) describes what is wrong in it."""


Most = Callable[[Any, int, int, int, int], int]
"""Returns the most genotypes that a generation scores: of settings, population size, experts, seed, and its number."""

Converged = Callable[..., bool]
"""Tells by a criterion of the method's library whether a run can hardly improve; called like `Method.run`."""


def no_cost(settings: Any, size: int, experts: int) -> float:
    """Return the cost of a method that evaluates nothing."""
    return 0


def nothing_first(settings: Any, experts: int) -> int:
    """Return what the first generation scores in addition: nothing."""
    return 0


@dataclass(frozen=True)
class Method:
    """A method: its name in configs and paths, its label in tables, its settings, and how it is run.

    `run(start, settings, seed, **needs)` is a search (`genome.search.asking`): of a generation from the population
    before, of a baseline from the scored experts. `needs` names what the driver computes for it (`driver.NEEDS`).
    `cost(settings, size, experts)` returns how many genotypes one job scores, in expectation, from the sizes of the
    population and of the set of experts, and `first(settings, experts)` how many more the first generation scores;
    `reads` returns for how many the engine only reads the prompts. `most` returns the most that a generation can score:
    if it is given, a larger budget leaves the generations before its end valid.
    `converged` ends runs that have `until_done`.
    `version` is raised when results change. `seeded` methods run once per seed. `operators` maps its own operators to
    their markers; those in `genome.search.operators.MARKERS` are shared. `state` reads what it keeps in a population's
    `state`, by key. A state is written as it is: JSON values, tuples and individuals.
    """

    name: str
    label: str
    stage: Stage
    settings: type[Any]
    version: int = 1
    run: Callable[..., Search] | None = None
    cost: Callable[[Any, int, int], float] = no_cost
    first: Callable[[Any, int], int] = nothing_first
    reads: Callable[[Any, int, int], float] = no_cost
    most: Most | None = None
    converged: Converged | None = None
    group: Group = "paper"
    seeded: bool = False
    operators: Mapping[str, Marker] = field(default_factory=dict[str, Marker])
    needs: tuple[str, ...] = ()
    state: Mapping[str, ReadState] = field(default_factory=dict[str, ReadState])


def read(method: Method, params: Mapping[str, Any]) -> Any:
    """Return the settings of a method from the params of a stage that runs it."""
    values = {name: value for name, value in params.items() if name not in NOT_SETTINGS}
    return read_settings(method.settings, values, method.name)
