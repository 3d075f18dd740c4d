"""Settings that several methods have, and those of generation 0."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from genome.genotype import PRODUCT
from genome.search.method import NOT_SETTINGS, Number, read_settings, setting

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
    """Return the field that says how generation 0 is made."""
    return setting(
        "pairs",
        "Generation 0: mixtures of two experts (Eq. 3), or the experts themselves, with mutants of them if there are "
        "fewer experts than members.",
        pinned=True,
    )


def patience() -> int | None:
    """Return the field of the number of generations without progress after which a run stops."""
    return setting(None, "Stop after this many generations without a new best; null for never.", pinned=True, ge=1)


GENE_MUTATION_RATE, SIGMA, COEFFICIENT_SIGMA = 0.2, 0.001, 0.2
"""Defaults of mutation."""


@dataclass(frozen=True)
class InitialSettings:
    """Settings of generation 0, which the evolving methods of one seed share. Its mutants have GENOME's scale."""

    merge_space: MergeSpace = merge_space()
    initialisation: Initialisation = initialisation()
    gene_mutation_rate: Number = setting(
        GENE_MUTATION_RATE, "Share of weights that a mutation changes.", pinned=True, only={"initialisation": "experts"}
    )
    sigma: Number = setting(
        SIGMA,
        "Standard deviation of the noise on weights.",
        pinned=True,
        only={"initialisation": "experts", "merge_space": "factors"},
    )
    coefficient_sigma: Number = setting(
        COEFFICIENT_SIGMA,
        "Standard deviation of the noise on coefficients.",
        pinned=True,
        only={"initialisation": "experts", "merge_space": "product"},
    )

    @property
    def mutation_scale(self) -> float:
        """The standard deviation of mutation in the space where experts are merged."""
        return self.coefficient_sigma if self.merge_space == PRODUCT else self.sigma


def read_initial(params: Mapping[str, Any]) -> InitialSettings:
    """Return the settings of generation 0 from the params of its stage."""
    values = {name: value for name, value in params.items() if name not in NOT_SETTINGS}
    return read_settings(InitialSettings, values, "initial_population")


@dataclass(frozen=True)
class Nothing:
    """No settings."""


@dataclass(frozen=True)
class Racing:
    """When candidates that cannot be selected stop: on tasks whose metric is a mean of samples' scores."""

    looks: tuple[int, ...] = setting(
        description="Numbers of samples per task, rising, after which candidates are compared.",
        pinned=True,
        rising=True,
        least=2,
        min_length=1,
    )
    confidence: Number = setting(
        description="Probability, over all looks, that a candidate as good as its rival is not stopped.",
        pinned=True,
        gt=0.5,
        lt=1,
    )
    share: Number = setting(
        description="Share of the population that a race selects; a candidate is stopped if it is significantly worse "
        "than the last one selected.",
        pinned=True,
        gt=0,
        le=1,
    )


def racing() -> Racing | None:
    """Return the field of a run's races."""
    return setting(
        None, "Stop candidates early that are significantly worse; null: every candidate answers every sample."
    )


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
