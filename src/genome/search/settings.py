"""Settings that several methods have."""

from dataclasses import dataclass
from typing import Literal

from genome.search.method import Number, setting

MergeSpace = Literal["factors", "product"]
Initialisation = Literal["pairs", "experts"]


def merge_space() -> MergeSpace:
    """Return the field of the space in which experts are added up."""
    return setting(
        "factors",
        "What of the experts is added up: their factors A and B separately, as in the paper, or the updates BA, "
        "exactly, served at the rank of all experts together.",
    )


def initialisation() -> Initialisation:
    """Return the field of how generation 0 is made."""
    return setting("pairs", "Generation 0: mixtures of two experts (Eq. 3), or the experts themselves.", pinned=True)


def patience() -> int | None:
    """Return the field of when a run without progress stops."""
    return setting(None, "Stop after so many generations without a better best; null for never.", pinned=True, ge=1)


@dataclass(frozen=True)
class Nothing:
    """No settings."""


@dataclass(frozen=True)
class Racing:
    """When candidates that cannot be selected stop: on tasks whose metric is a mean of samples' scores."""

    looks: tuple[int, ...] = setting(
        description="After how many samples of each task candidates are compared, rising.", pinned=True, min_length=1
    )
    confidence: Number = setting(
        description="How sure a race has to be, over all looks, that a candidate that it stops is no better.",
        pinned=True,
        gt=0.5,
        lt=1,
    )
    share: Number = setting(
        description="The share of a population that a race selects; a candidate that cannot get there stops.",
        pinned=True,
        gt=0,
        le=1,
    )


def racing() -> Racing | None:
    """Return the field of the races of a run."""
    return setting(None, "Stop candidates early that are behind by more than chance explains; null: all answer all.")


@dataclass(frozen=True)
class Ensemble:
    """Which members of the last population answer together."""

    k: int = setting(description="How many members answer together.", pinned=True, ge=1)
    choose: Literal["top", "team"] = setting(
        "top", "The k fittest, as in the paper, or, of the fittest, the k whose ensemble is best on validation data."
    )


def ensemble(default: Ensemble | Literal[False]) -> Ensemble | Literal[False]:
    """Return the field of the ensemble that a run reports; False: it reports its best individual."""
    return setting(
        default, "The ensemble that is reported; false for the best individual.", reporting=True, pinned=True
    )
