"""Individuals, and the state of a run between two generations (`genome.search.records` keeps it in files)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from genome.engine.fingerprint import Fingerprint
from genome.genotype import Genotype
from genome.search.measure import Measure

FOUNDER = "founder"
"""The part of a population's state that keeps the losses of the only individual of a uniform generation 0."""


@dataclass(frozen=True)
class Fitness:
    """What individuals are ranked by: the weighted mean of validation scores in [0, 1], and the score per task.

    What a score is, a metric or a likelihood, says the `Measure` of the population. `losses` has what each sample of
    all tasks lacks to a likelihood of 1 (nats), weighted so that their mean is that of the tasks by their weights. It
    is empty for metrics, is not part of what fitness is compared by, and is not kept in files.

    Test results have another type (`genome.tasks.scoring.Scores`), so that nothing can be ranked by them.
    """

    value: float
    scores: Mapping[str, float]
    losses: tuple[float, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Individual:
    """A named genotype: its operator and parents, its experience (GENOME+) or velocity (Model Swarms), its fitness."""

    name: str
    genotype: Genotype
    operator: str
    parents: tuple[str, ...] = ()
    experience: Genotype | None = None
    fitness: Fitness | None = None

    @property
    def score(self) -> float:
        """The validation fitness in [0, 1] of an individual that has been scored."""
        return self.required_fitness.value

    @property
    def required_fitness(self) -> Fitness:
        """The fitness of an individual that has been scored."""
        if self.fitness is None:
            raise ValueError(f"{self.name} has not been scored")
        return self.fitness


@dataclass(frozen=True)
class Population:
    """A run after one generation: everything that the next one needs, and what figures show.

    `created` are all individuals that this generation has scored or found to be scored already, survivors or not.
    `scored` maps the identity of every genotype that the run has evaluated to its fitness. `stalled` counts generations
    without a new best, `samples` counts answers. `state` is what the run's method keeps in addition (`Method.state`),
    and its races (`genome.search.racing.STATE`). `engine` is the fingerprint of the engine that answered: answers of
    different engines are not comparable. `measure` says what all fitness measures. `earlier`
    counts the genotypes that have answered samples and are not in `scored`: a race has stopped them, or each generation
    draws its own samples and `scored` has those of the last draw only. `ended` says why the run has ended before its
    last generation, if a budget or `until_done` has ended it. `tokens` counts what it has spent, if it has a budget in
    tokens.
    """

    generation: int
    members: tuple[Individual, ...]
    best: Individual
    worst: Individual
    created: tuple[Individual, ...] = ()
    scored: Mapping[str, Fitness] = field(default_factory=dict[str, Fitness])
    stalled: int = 0
    samples: int = 0
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    engine: Fingerprint | None = None
    measure: Measure = field(default_factory=Measure)
    earlier: int = 0
    ended: str = ""
    tokens: int = 0

    @property
    def evaluations(self) -> int:
        """The number of distinct genotypes that have answered any samples in the run so far."""
        return self.earlier + len(self.scored)


def seen_in(population: Population) -> list[Individual]:
    """Return the individuals of which a population knows genotype and fitness: those it has scored, and its members."""
    return [*population.members, *population.created, population.best]


def individuals_in(part: Any) -> list[Individual]:
    """Return the individuals in a part of a state: a tuple of them, or none."""
    entries = cast("tuple[Any, ...]", part) if isinstance(part, tuple) else ()
    return [each for each in entries if isinstance(each, Individual)]


def fittest(individuals: Sequence[Individual]) -> list[Individual]:
    """Return individuals by decreasing fitness; ties go to the earlier one."""
    return sorted(individuals, key=lambda individual: -individual.score)


def track(population: Population, scored: Sequence[Individual]) -> Population:
    """Return `population` with best and worst ever updated; ties go to the earlier one."""
    best, worst = population.best, population.worst
    for individual in scored:
        if individual.score > best.score:
            best = individual
        if individual.score < worst.score:
            worst = individual
    return replace(population, best=best, worst=worst, created=(*population.created, *scored))


def new_population(members: Sequence[Individual]) -> Population:
    """Return generation 0: a population of scored `members`."""
    first = members[0]
    empty = Population(generation=0, members=tuple(members), best=first, worst=first)
    return track(empty, members)


def top(population: Population, k: int) -> list[Individual]:
    """Return the k distinct members of highest validation fitness, fittest first (fewer if there are fewer)."""
    distinct: dict[Genotype, Individual] = {}
    for member in fittest(population.members):
        distinct.setdefault(member.genotype, member)
    return list(distinct.values())[:k]


def described(engine: Fingerprint | None) -> str:
    """Return an engine's fingerprint for people, without fields that are null or false."""
    if not engine:
        return "an unknown engine"
    backend, version = (str(engine.get(name) or "") for name in ("backend", "version"))
    first = version if version.startswith(f"{backend} ") else f"{backend} {version}".strip()
    others = [
        name.replace("_", " ") if value is True else f"{name.replace('_', ' ')} {value}"
        for name, value in engine.items()
        if name not in ("backend", "version") and value is not None and value is not False
    ]
    return ", ".join(filter(None, [first, *others]))
