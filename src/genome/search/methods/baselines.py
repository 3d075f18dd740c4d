"""Baselines that choose a mixture of the experts in one stage: Best Single, Expert Fusion, LoraHub, Pack of
LLMs as one merge.

Two experts, with a fitness of 0.6 and 0.2, are merged by their fitness and by their perplexities:

>>> from genome.genotype import expert
>>> from genome.search.driver import Scoreboard, drive, score_all
>>> from genome.search.population import Fitness
>>> def evaluate(individuals):
...     points = [x.genotype.coefficients for x in individuals]
...     return [Fitness(0.6 * a + 0.2 * b, {}) for a, b in points]
>>> board = Scoreboard({}, ["sha256 of a", "sha256 of b"], evaluate)
>>> experts = drive(score_all([Individual(name, expert(i, 2), "expert") for i, name in enumerate("ab")]), board)
>>> fused = drive(expert_fusion(experts, ExpertFusionSettings(), seed=1), board)
>>> [round(coefficient, 2) for coefficient in fused.best.genotype.coefficients]
[0.75, 0.25]
>>> tempered = PackOfLlmsMergeSettings(tau=1)
>>> packed = drive(pack_of_llms_merge(experts, tempered, seed=1, log_perplexity=[1.0, 2.0]), board)
>>> [round(coefficient, 2) for coefficient in packed.best.genotype.coefficients]
[0.73, 0.27]
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from genome.genotype import mixture
from genome.rng import stream
from genome.search.asking import Search
from genome.search.measure import LIKELIHOOD
from genome.search.method import Method, Number, setting
from genome.search.population import Individual, Population, new_population
from genome.search.settings import MergeSpace, Nothing, Objective, merge_space, space_of


@dataclass(frozen=True)
class ExpertFusionSettings:
    """Settings of Expert Fusion."""

    merge_space: MergeSpace = merge_space()


@dataclass(frozen=True)
class LoraHubSettings(Objective):
    """Settings of LoraHub, as the paper compares with it; as published, it minimises cross-entropies in 40 steps."""

    evaluations: int = setting(50, "Number of candidates that the search tries.", pinned=True, ge=1)
    bound: Number = setting(1.5, "The largest absolute value of a coefficient.", pinned=True, gt=0)
    regularisation: Number = setting(0.05, "Weight of the mean absolute coefficient in the loss.", pinned=True, ge=0)
    merge_space: MergeSpace = merge_space()


@dataclass(frozen=True)
class PackOfLlmsMergeSettings:
    """Settings of the single merge of Pack of LLMs."""

    tau: Number = setting(0.1, "Temperature of the softmax of negative log-perplexities.", pinned=True, gt=0)
    merge_space: MergeSpace = merge_space()


def best_single(experts: Population, settings: Nothing, seed: int) -> Search:
    """Return the expert of highest validation fitness."""
    return experts
    yield  # a method is a generator; this one has nothing to ask


def expert_fusion(experts: Population, settings: ExpertFusionSettings, seed: int) -> Search:
    """Return `sum_i t_i w_i`, t the experts' fitness divided by its sum (uniform if all of it is 0)."""
    fitness = np.array([expert.score for expert in experts.members])
    weights = fitness / fitness.sum() if fitness.any() else np.full(len(fitness), 1 / len(fitness))
    return (yield from merge(weights, "fusion", settings.merge_space))


def pack_of_llms_merge(
    experts: Population, settings: PackOfLlmsMergeSettings, seed: int, log_perplexity: Sequence[float]
) -> Search:
    """Return the merge with coefficients softmax(-log perplexity / tau), as GENOME's authors compare with.

    The published method does not merge: it adds logits, with weights for each prompt (`genome.engine.fusion`).
    `log_perplexity` has the log-perplexity of each expert on the validation prompts, in their order.
    """
    logits = -np.array(log_perplexity) / settings.tau
    weights = np.exp(logits - logits.max())
    return (yield from merge(weights / weights.sum(), "pack", settings.merge_space))


def lorahub(experts: Population, settings: LoraHubSettings, seed: int) -> Search:
    """Return the mixture that a gradient-free search recommends (Huang et al. 2024): nevergrad's NGOpt from zeros.

    Minimises `loss` over coefficients in [-bound, bound], one evaluation after the other. The first steps have the
    standard deviation bound / 3: as in LoraHub's code, nevergrad gets the bounds with the parameter, and takes a sixth
    of their distance. The result is the point of the least loss, the latest of equals.
    """
    import nevergrad  # pyright: ignore[reportMissingTypeStubs]

    # NGOpt may choose COBYLA, and nevergrad sets a tolerance that scipy warns about in each evaluation.
    warnings.filterwarnings("ignore", message="COBYLA", category=UserWarning)
    n, bound, space = len(experts.members), settings.bound, settings.merge_space
    parameters = nevergrad.p.Array(init=np.zeros(n), lower=-bound, upper=bound)
    parameters.random_state = np.random.RandomState(stream(seed, "lorahub").integers(2**32))
    optimizer = nevergrad.optimizers.NGOpt(parameters, budget=settings.evaluations)
    trials: list[Individual] = []
    for i in range(settings.evaluations):
        candidate = optimizer.ask()
        [trial] = (yield [mixture_of(f"trial{i:02}", candidate.value, space)]).finished
        optimizer.tell(candidate, loss(trial.score, candidate.value, settings))
        trials.append(trial)
    recommended = mixture_of("recommended", optimizer.provide_recommendation().value, space)
    best = {trial.genotype: trial for trial in trials}.get(recommended.genotype)
    if best is None:  # some optimisers recommend a point that they have not tried
        [best] = (yield [recommended]).finished
    return replace(new_population([*trials, best]), best=best, members=(best,), created=tuple(trials))


def loss(score: float, coefficients: np.ndarray, settings: LoraHubSettings) -> float:
    """Return what LoraHub minimises: the error of a mixture plus `regularisation` times the mean of |c|.

    The error is -fitness, as in the paper that compares; or, if the fitness is a likelihood exp(mean log p), its mean
    cross-entropy, -log(fitness), as published.
    """
    error = -math.log(score) if settings.objective == LIKELIHOOD else -score
    return error + settings.regularisation * float(np.abs(coefficients).mean())


def merge(weights: Iterable[float], name: str, space: MergeSpace) -> Search:
    """Yield the mixture of all experts with `weights`; return the population that it is the result of."""
    scored = yield [mixture_of(name, weights, space)]
    return new_population(scored.finished)


def mixture_of(name: str, weights: Iterable[float], space: MergeSpace) -> Individual:
    """Return the unscored mixture of all experts with `weights`."""
    return Individual(name, mixture(weights, space_of(space)), "mixture")


BEST_SINGLE = Method("best_single", "Best Single", stage="baseline", settings=Nothing, run=best_single)
EXPERT_FUSION = Method(
    "expert_fusion",
    "Expert Fusion",
    stage="baseline",
    settings=ExpertFusionSettings,
    run=expert_fusion,
    cost=lambda settings, size, experts: 1,
)
LORAHUB = Method(
    "lorahub",
    "LoraHub",
    stage="baseline",
    settings=LoraHubSettings,
    version=2,  # the optimiser's first steps, and which of equals is the result
    run=lorahub,
    cost=lambda settings, size, experts: settings.evaluations,
    seeded=True,
)
PACK_OF_LLMS_MERGE = Method(
    "pack_of_llms_merge",
    "Pack of LLMs, one merge",
    stage="baseline",
    settings=PackOfLlmsMergeSettings,
    run=pack_of_llms_merge,
    cost=lambda settings, size, experts: 1,
    reads=lambda settings, size, experts: experts,
    needs=("log_perplexity",),
)
