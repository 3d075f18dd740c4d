"""Controls: models and searches without which a gain of a method shows little (not in the paper).

Base is the base model alone, and Uniform the mean of all experts, untuned. Task arithmetic (Ilharco et al. 2023, arXiv
2212.04089) scales the sum of all experts by one number, chosen on validation data. RandOpt (Gan and Isola 2026, arXiv
2603.12228) needs one expert only: its random neighbours, of which the best vote. The Validation LoRA
(`genome.lora.held_out`) and Majority show what the validation samples are worth without any expert.

Three experts, with a fitness that is 1 at the coefficients (0.6, 0.5, -0.1):

>>> import math
>>> from genome.genotype import expert
>>> from genome.search.driver import Scoreboard, drive, score_all
>>> from genome.search.population import Fitness
>>> def evaluate(individuals):
...     distances = [math.dist(x.genotype.coefficients, (0.6, 0.5, -0.1)) for x in individuals]
...     return [Fitness(1 / (1 + distance), {}) for distance in distances]
>>> board = Scoreboard({}, ["sha256 of a", "sha256 of b", "sha256 of c"], evaluate)
>>> experts = drive(score_all([Individual(name, expert(i, 3), "expert") for i, name in enumerate("abc")]), board)
>>> round(drive(uniform(experts, UniformSettings(), seed=1), board).best.score, 2)
0.65
>>> arithmetic = drive(task_arithmetic(experts, TaskArithmeticSettings(), seed=1), board)
>>> arithmetic.best.name, len(arithmetic.members)
('scale0.35', 20)
"""

from dataclasses import dataclass
from typing import Literal

from genome.genotype import Noise, add_noise, mixture
from genome.rng import stream
from genome.search.asking import Search
from genome.search.finalists import BASE
from genome.search.method import Method, Number, setting
from genome.search.methods.baselines import merge, mixture_of
from genome.search.operators import SEEDS
from genome.search.population import Individual, Population, fittest, new_population
from genome.search.settings import Ensemble, MergeSpace, Nothing, Objective, ensemble, merge_space

BATCH = 100
"""How many neighbours are scored at once: their adapters are on the disk, and open, together."""


@dataclass(frozen=True)
class UniformSettings(Objective):
    """Settings of Uniform: with a likelihood that is calibrated, it is the uniform mixture with calibrated answers."""

    merge_space: MergeSpace = merge_space()


@dataclass(frozen=True)
class TaskArithmeticSettings:
    """Settings of task arithmetic."""

    scales: tuple[Number, ...] = setting(
        tuple(step / 20 for step in range(1, 21)),
        "The factors of the sum of all experts among which validation data decides; the smaller one in a tie.",
        pinned=True,
        rising=True,
        min_length=1,
    )
    merge_space: MergeSpace = merge_space("product")


@dataclass(frozen=True)
class RandOptSettings:
    """Settings of RandOpt: about as many evaluations as GENOME+ spends, and as many members that vote."""

    candidates: int = setting(160, "Number of random neighbours of the best expert.", pinned=True, ge=1)
    sigmas: tuple[Number, ...] = setting(
        (0.0005, 0.001, 0.002),
        "Standard deviations of the noise on weights, of which each neighbour has a random one.",
        pinned=True,
        rising=True,
        min_length=1,
    )
    ensemble: Ensemble | Literal[False] = ensemble(Ensemble(k=3))


@dataclass(frozen=True)
class ValidationLoraSettings:
    """Settings of the Validation LoRA; what is null, and what is not here, is that of the base's `training`."""

    epochs: tuple[int, ...] = setting(
        (1, 2, 3, 5, 8, 12, 20),
        "Numbers of epochs to choose among by the loss on held-out samples.",
        pinned=True,
        rising=True,
        least=1,
        min_length=1,
    )
    held_out: Number = setting(0.2, "Share of each task's samples that is held out for it.", pinned=True, gt=0, lt=1)
    batch_size: int = setting(16, "Samples per step: few, since there are few samples.", pinned=True, ge=1)
    learning_rate: Number | None = setting(None, "Highest learning rate.", gt=0)
    rank: int | None = setting(None, "Rank of the adapter.", ge=1)


def base(experts: Population, settings: Nothing, seed: int) -> Search:
    """Return the base model: all coefficients are 0."""
    nothing = mixture([0.0] * len(experts.members))
    return new_population((yield [Individual(BASE, nothing, "base")]).finished)


def uniform(experts: Population, settings: UniformSettings, seed: int) -> Search:
    """Return the mixture of all experts with the coefficients 1/n."""
    n = len(experts.members)
    return (yield from merge([1 / n] * n, "uniform", settings.merge_space))


def task_arithmetic(experts: Population, settings: TaskArithmeticSettings, seed: int) -> Search:
    """Return the best of `scale * sum_k tau_k` over the grid of scales (Ilharco et al. 2023, sections 2 and 4).

    An expert's task vector tau_k is its update BA, so that sums are of updates by default. The paper's grid for sums,
    0.0 to 1.0 by 0.05, begins with the base model, which is a separate control here.
    """
    n, space = len(experts.members), settings.merge_space
    scaled = [mixture_of(f"scale{scale}", [scale] * n, space) for scale in settings.scales]
    return new_population((yield scaled).finished)


def randopt(experts: Population, settings: RandOptSettings, seed: int) -> Search:
    """Return random neighbours of the best expert, `w + sigma * noise`; the ensemble is the best of them.

    The authors' scripts perturb all weights of a pretrained model, 5000 times with the default `sigmas`, and the best
    1 to 10 % vote (github.com/sunrainyg/RandOpt). Here the weights are the factors A and B of an expert's adapter, and
    by default there are about as many neighbours as GENOME+ evaluates genotypes; 3 of 160 are the best 2 %.
    """
    best = fittest(experts.members)[0]
    neighbours: list[Individual] = []
    for i in range(settings.candidates):
        generator = stream(seed, "randopt", i)
        sigma = settings.sigmas[int(generator.integers(len(settings.sigmas)))]
        genotype = add_noise(best.genotype, Noise(int(generator.integers(SEEDS)), 1.0, sigma))
        neighbours.append(Individual(f"neighbour{i:03}", genotype, "mutation", (best.name,)))
    scored: list[Individual] = []
    for first in range(0, len(neighbours), BATCH):
        scored += (yield neighbours[first : first + BATCH]).finished
    return new_population(scored)


BASE_MODEL = Method(
    "base",
    "Base",
    stage="baseline",
    settings=Nothing,
    run=base,
    cost=lambda settings, size, experts: 1,
    group="control",
)
UNIFORM = Method(
    "uniform",
    "Uniform",
    stage="baseline",
    settings=UniformSettings,
    run=uniform,
    cost=lambda settings, size, experts: 1,
    group="control",
)
TASK_ARITHMETIC = Method(
    "task_arithmetic",
    "Task arithmetic",
    stage="baseline",
    settings=TaskArithmeticSettings,
    run=task_arithmetic,
    cost=lambda settings, size, experts: len(settings.scales),
    group="control",
)
RANDOPT = Method(
    "randopt",
    "RandOpt (not in the paper)",
    stage="baseline",
    settings=RandOptSettings,
    run=randopt,
    cost=lambda settings, size, experts: settings.candidates,
    group="control",
    seeded=True,
)
VALIDATION_LORA = Method(
    "validation_lora",
    "Validation LoRA",
    stage="training",
    settings=ValidationLoraSettings,
    group="control",
    seeded=True,
)
MAJORITY = Method("majority", "Majority", stage="constant", settings=Nothing, group="control")
