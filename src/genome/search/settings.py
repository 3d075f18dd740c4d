"""Settings that several methods have, and those of generation 0."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from genome.errors import GenomeError
from genome.genotype import FACTORS, PRODUCT, shared, shared_rank
from genome.search.budget import budget, until_done
from genome.search.measure import LIKELIHOOD, METRIC, OF_PAPER, Measure, ObjectiveName, measure_name
from genome.search.method import NOT_SETTINGS, Group, Number, read_settings, setting


@dataclass(frozen=True)
class JointBasis:
    """A basis in which the updates of all experts are approximated (`genome.lora.shared`)."""

    rank: int = setting(description="Rank of the basis, and so of all adapters.", pinned=True, ge=1)


@dataclass(frozen=True)
class Shared:
    """The space of a joint basis."""

    shared: JointBasis = setting(
        description="Experts are approximated in a joint basis of this rank; what is lost is reported.", pinned=True
    )


MergeSpace = Literal["factors", "product"] | Shared | None
Initialisation = Literal["pairs", "experts", "populated"]
Result = Literal["search", "best_of", "knee"]
ExpertSet = Literal["given", "random", "with_validation_lora"]
SEARCH: Result = "search"
BEST_OF: Result = "best_of"
KNEE: Result = "knee"
GIVEN: ExpertSet = "given"
RANDOM: ExpertSet = "random"
WITH_VALIDATION_LORA: ExpertSet = "with_validation_lora"
OTHER_SETS: tuple[ExpertSet, ...] = (RANDOM, WITH_VALIDATION_LORA)
"""Sets of experts that are made from the given ones: controls of what a search on these finds."""

Settings = TypeVar("Settings")

UNIFORM: Literal["uniform"] = "uniform"
"""A generation 0 of one individual: the mean of all experts, from which a model of the loss is made."""


def founders(initialisation: str, size: int) -> int:
    """Return how many individuals generation 0 has."""
    return 1 if initialisation == UNIFORM else size


FROM_EXPERTS: tuple[Initialisation, ...] = ("experts", "populated")
"""Ways to make a generation 0 that contain the experts themselves, whose fitness may be known."""


def merge_space(default: MergeSpace = None) -> MergeSpace:
    """Return the field of the space in which experts are added up."""
    return setting(
        default,
        "What of the experts is added up: their factors A and B separately, as in the paper; or the updates BA, "
        "exactly, served at the rank of all experts together; or updates in a joint basis, `{shared: {rank: R}}`, "
        "at rank R with a known loss. null: product if the ranks of the experts differ, otherwise factors.",
    )


def set_of(settings: Any) -> ExpertSet:
    """Return the set of experts of a method with these settings: the given ones if it has no choice."""
    return getattr(settings, "experts", GIVEN)


def settled_space(merge_space: MergeSpace, *, mixed: bool) -> MergeSpace:
    """Return the space, chosen where it is null: product for experts of mixed ranks, otherwise factors.

    Mixed: `genome.experts.expert.is_mixed`.
    """
    return merge_space if merge_space is not None else PRODUCT if mixed else FACTORS


def settled(settings: Settings, *, mixed: bool) -> Settings:
    """Return settings whose `merge_space` is that of `settled_space`; those without one are returned as they are."""
    if not hasattr(settings, "merge_space"):
        return settings
    chosen: Any = settings  # a dataclass that has the field
    return replace(chosen, merge_space=settled_space(chosen.merge_space, mixed=mixed))


def space_of(merge_space: MergeSpace) -> str:
    """Return the space of genotypes; null, if it has not been settled for the experts, is the paper's space."""
    if isinstance(merge_space, Shared):
        return shared(merge_space.shared.rank)
    return merge_space or FACTORS


def space_name(merge_space: MergeSpace) -> str:
    """Return the space as a part of paths: nothing for null, since the experts choose.

    >>> [space_name(each) for each in (None, "factors", Shared(JointBasis(64)))]
    ['', 'factors', 'shared-64']
    """
    return "" if merge_space is None else space_of(merge_space)


def named_space(name: str) -> MergeSpace:
    """Return the space whose `space_name` is `name`."""
    rank = shared_rank(name)
    if rank is not None:
        return Shared(JointBasis(rank))
    spaces: dict[str, MergeSpace] = {"": None, FACTORS: "factors", PRODUCT: "product"}
    return spaces[name]


def may_have_noise(merge_space: MergeSpace) -> bool:
    """Return whether mutations may be noise on weights: in the space of factors, which null may become."""
    return merge_space in (None, FACTORS)


def has_no_noise(merge_space: MergeSpace) -> bool:
    """Return whether mutations change coefficients, whatever the experts are."""
    return not may_have_noise(merge_space)


def may_have_no_noise(merge_space: MergeSpace) -> bool:
    """Return whether mutations may change coefficients: outside the space of factors, where null may lead."""
    return merge_space != FACTORS


@dataclass(frozen=True)
class Objective:
    """Settings of what a search maximises, and of how its result is chosen if that is not the metric on all samples."""

    objective: ObjectiveName = setting(
        METRIC,
        "What the search maximises: the task's metric, as in the paper, or the likelihood of the right answers.",
    )
    samples: int | None = setting(
        None, "How many validation samples of each task a generation looks at; null: all of them.", ge=1
    )
    calibrated: bool = setting(
        False,
        "Whether a temperature, and for labels a bias per label, is fitted to each candidate's validation samples.",
        only={"objective": LIKELIHOOD},
    )
    finalists: int = setting(
        5,
        "How many of the search's best are compared by the metric on all validation samples, with the base model and "
        "the best expert, if `result` is best_of or knee.",
        reporting=True,
        ge=1,
    )
    experts: ExpertSet = setting(
        GIVEN,
        "The experts: those given; or, in place of each, a random LoRA with its ranks and norms; or those given and a "
        "LoRA trained on four fifths of the validation samples, with fitness on the last fifth, which no expert has "
        "seen.",
    )
    result: Result | None = setting(
        None,
        "What a run hands out: what the search found by what it maximises; or the best of the search's best few, the "
        "best expert and the base model by the metric on all validation samples; or, of several tasks, the knee of the "
        "front of all models of the run whose metric on all validation samples is known. null: search for methods of "
        "the paper and controls that maximise that metric, otherwise best_of.",
        reporting=True,
    )

    @property
    def measure(self) -> Measure:
        """What the fitness of this search is."""
        likely = self.objective == LIKELIHOOD
        return Measure(self.objective, self.samples, likely and self.calibrated)


@dataclass(frozen=True)
class EvolvingObjective(Objective):
    """The objective of a search in generations."""

    redraw: bool = setting(
        False,
        "Whether every generation draws its own `samples`, and scores again what it continues from.",
        only={"samples": bool},
    )
    budget: str | None = budget()
    until_done: bool = until_done()


def measure_of(settings: Any) -> Measure:
    """Return what the fitness of a method with these settings is: the paper's measure if it has no choice."""
    return settings.measure if isinstance(settings, Objective) else OF_PAPER


def result_of(settings: Any, group: Group) -> Result:
    """Return what the runs of a method of `group` hand out: a method without a choice, what it found.

    Where it is null, it is `search` if the search maximises the paper's measure, unless the method is beyond the paper.
    """
    if not isinstance(settings, Objective):
        return SEARCH
    return settings.result or (SEARCH if settings.measure == OF_PAPER and group != "beyond" else BEST_OF)


_SCHEME = re.compile(
    r"(?P<initialisation>pairs|experts|populated|uniform)(-(?P<space>factors|product|shared-\d+))?"
    r"(?P<likelihood>-likelihood)?(?P<calibrated>-calibrated)?(-s(?P<samples>\d+))?"
)


def scheme_name(initialisation: str, merge_space: MergeSpace, measure: Measure, experts: ExpertSet = GIVEN) -> str:
    """Return how a generation 0 is made and scored as a part of paths: its defaults are left out.

    >>> scheme_name("pairs", "product", Measure("likelihood", 50))
    'pairs-product-likelihood-s50'
    >>> scheme_name("experts", None, Measure(), "random")
    'experts-random'
    """
    other = "" if experts == GIVEN else experts
    return "-".join(filter(None, [initialisation, space_name(merge_space), measure_name(measure), other]))


def set_of_scheme(scheme: str) -> ExpertSet:
    """Return the set of experts that a scheme names."""
    found: list[ExpertSet] = [each for each in OTHER_SETS if scheme.endswith(f"-{each}")]
    return found[0] if found else GIVEN


def named_scheme(scheme: str) -> tuple[str, str, Measure]:
    """Return initialisation, name of the space, and measure of a scheme.

    >>> named_scheme("pairs-shared-64-s20")
    ('pairs', 'shared-64', Measure(objective='metric', samples=20, calibrated=False))
    """
    found = _SCHEME.fullmatch(scheme.removesuffix(f"-{set_of_scheme(scheme)}"))
    if found is None:
        raise GenomeError(f"{scheme!r} does not say how a generation 0 is made")
    samples = found["samples"]
    measure = Measure(
        LIKELIHOOD if found["likelihood"] else METRIC, int(samples) if samples else None, bool(found["calibrated"])
    )
    return found["initialisation"], found["space"] or "", measure


def initialisation(default: Initialisation = "pairs") -> Initialisation:
    """Return the field that says how generation 0 is made."""
    return setting(
        default,
        "Generation 0: mixtures of two experts (Eq. 3); the experts themselves, with mutants of them if they are too "
        "few; or populated, as in Model Swarms: the experts, with random points on lines through two of them.",
        pinned=True,
    )


def patience(default: int | None = None) -> int | None:
    """Return the field of the number of generations without progress after which a run stops."""
    return setting(default, "Stop after this many generations without a new best; null for never.", pinned=True, ge=1)


GENE_MUTATION_RATE, SIGMA, COEFFICIENT_SIGMA = 0.2, 0.001, 0.2
"""Defaults of mutation."""


@dataclass(frozen=True)
class InitialSettings:
    """Settings of generation 0, which the evolving methods of one seed share. Its mutants have GENOME's scale."""

    objective: ObjectiveName = setting(METRIC)
    samples: int | None = setting(None)
    calibrated: bool = setting(False)
    experts: ExpertSet = setting(GIVEN)
    merge_space: MergeSpace = merge_space()
    initialisation: Initialisation | Literal["uniform"] = initialisation()
    gene_mutation_rate: Number = setting(
        GENE_MUTATION_RATE, "Share of weights that a mutation changes.", pinned=True, only={"initialisation": "experts"}
    )
    sigma: Number = setting(
        SIGMA,
        "Standard deviation of the noise on weights.",
        pinned=True,
        only={"initialisation": "experts", "merge_space": may_have_noise},
    )
    coefficient_sigma: Number = setting(
        COEFFICIENT_SIGMA,
        "Standard deviation of the noise on coefficients.",
        pinned={"merge_space": has_no_noise},
        only={"initialisation": "experts", "merge_space": may_have_no_noise},
    )

    @property
    def measure(self) -> Measure:
        """What the fitness of this generation 0 is."""
        return Measure(self.objective, self.samples, self.calibrated)

    @property
    def mutation_scale(self) -> float:
        """The standard deviation of mutation in the space where experts are merged."""
        return self.sigma if space_of(self.merge_space) == FACTORS else self.coefficient_sigma


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
        description="A candidate as good as the last one selected is not stopped with at least this probability, over "
        "all looks and all rivals, on samples that are right or wrong; races by likelihood only aim at it.",
        pinned=True,
        gt=0.5,
        lt=1,
    )
    share: Number = setting(
        description="Share of the population that a race selects; a candidate is stopped if as many others are "
        "significantly better.",
        pinned=True,
        gt=0,
        le=1,
    )


def racing() -> Racing | None:
    """Return the field of a run's races."""
    return setting(
        None, "Stop candidates early that will hardly be selected; null: every candidate answers every sample."
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
