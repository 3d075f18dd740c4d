"""Variants: methods with the settings that they change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genome.config.methods import read_settings
from genome.errors import nearest
from genome.search.measure import OF_PAPER
from genome.search.method import Group, Method
from genome.search.methods import METHODS
from genome.search.settings import GIVEN, KNEE, SEARCH, Ensemble, Result, measure_of, result_of, set_of

Changes = Mapping[str, Any]

NOT_IN_PAPER = " (not in the paper)"
"""How the label of a method beyond the paper ends."""


@dataclass(frozen=True)
class Variant:
    """A method with all its settings, an instance of the method's own class, and its name for people."""

    name: str
    method: Method
    settings: Any
    label: str

    @property
    def ensemble_size(self) -> int:
        """How many members answer together; 0 if the variant reports its best individual."""
        return self._ensemble.k if self._ensemble else 0

    @property
    def is_team(self) -> bool:
        """Whether the ensemble is chosen by its validation answers, not by the fitness of its members."""
        return self._ensemble is not None and self._ensemble.choose == "team"

    @property
    def group(self) -> Group:
        """What the variant is in a comparison: a search on other experts than the given ones is a control."""
        return self.method.group if set_of(self.settings) == GIVEN else "control"

    @property
    def result(self) -> Result:
        """What the variant's runs hand out."""
        return result_of(self.settings, self.method.group)

    @property
    def has_finalists(self) -> bool:
        """Whether the metric on all validation samples is asked for at the end of its runs.

        A search that maximises something else and hands out what it found has no other finalists: the metric of that is
        what cards and tables show.
        """
        return self.result != SEARCH or measure_of(self.settings) != OF_PAPER

    @property
    def has_budget(self) -> bool:
        """Whether its runs end when they have spent a number of samples or tokens."""
        return getattr(self.settings, "budget", None) is not None

    @property
    def _ensemble(self) -> Ensemble | None:
        """The ensemble that is reported: none next to a knee, which is one adapter."""
        return None if self.result == KNEE else getattr(self.settings, "ensemble", None) or None


def labelled(name: str, labels: Mapping[str, str]) -> str:
    """Return the label of a variant: from the config, of the method that it is, or its name."""
    if name in labels or name not in METHODS:
        return labels.get(name, name)
    return METHODS[name].label + (NOT_IN_PAPER if METHODS[name].group == "beyond" else "")


def read_variants(
    methods: Mapping[str, Changes], variants: Mapping[str, Changes | None], labels: Mapping[str, str]
) -> tuple[dict[str, Variant], list[str]]:
    """Return all variants, one per method and those given, with what is wrong: unknown methods and settings.

    `methods` are the config's changes to the defaults of methods, which are valid.
    """
    found: dict[str, Variant] = {}
    problems: list[str] = []
    for name, changes in {**dict.fromkeys(METHODS), **variants}.items():
        variant, wrong = read_variant(name, changes or {}, methods, labels)
        problems += wrong
        if variant:
            found[name] = variant
    return found, problems


def read_variant(
    name: str, changes: Changes, methods: Mapping[str, Changes], labels: Mapping[str, str]
) -> tuple[Variant | None, list[str]]:
    """Return one variant, None if its method is unknown, with what is wrong."""
    own, place = dict(changes), f"config.variants.{name}"
    method = own.pop("method", name)
    if not isinstance(method, str) or method not in METHODS:
        return None, [f"{place}: unknown method {method!r}; {nearest(method, METHODS)}"]
    settings, problems = read_settings(METHODS[method], methods.get(method, {}), own, place=place)
    if measure_of(settings).calibrated and getattr(settings, "racing", None):
        problems = [*problems, f"{place}: races compare single samples, but `calibrated` needs all of them; remove one"]
    if set_of(settings) != GIVEN and not METHODS[method].seeded:
        wrong = f"{place}: {method} has no seed, but other experts are made for each seed; leave `experts` out"
        problems = [*problems, wrong]
    return Variant(name, METHODS[method], settings, labelled(name, labels)), problems
