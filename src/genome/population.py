"""Individuals, and the state of a run between two generations: what `population.json` holds."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from genome import genotype as genotypes
from genome.errors import GenomeError
from genome.files import REMAKE, read_json, write_json
from genome.genotype import Genotype


@dataclass(frozen=True)
class Fitness:
    """What ranks: the weighted mean of validation scores in [0, 1], and the score of each task.

    Test results have another type (`genome.tasks.scoring.Scores`), so that nothing can be ranked by them.
    """

    value: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Individual:
    """A named genotype, where it came from, its experience (GENOME+) or velocity (Model Swarms), its fitness."""

    name: str
    genotype: Genotype
    operator: str
    parents: tuple[str, ...] = ()
    experience: Genotype | None = None
    fitness: Fitness | None = None

    @property
    def score(self) -> float:
        """The validation fitness in [0, 1] of an individual that has been scored."""
        return self.fitness.value


@dataclass(frozen=True)
class Population:
    """The state of a run after one generation: everything that the next one needs, and what plots show.

    `created` are all individuals that this generation scored or looked up, survivors or not. `scored` maps the
    identity of every genotype that the run has evaluated to its fitness, and `samples` counts the answers that it took.
    `stalled` counts generations without a new best. `trials` maps identities to scores by task, in the order of a race:
    those of members, and of individuals that a race has stopped, which have no fitness and appear nowhere else.
    `history` are the coefficients and the fitness of all that a method has asked for, where it wants to be told again:
    CMA-ES keeps no other state.
    """

    generation: int
    members: tuple[Individual, ...]
    best: Individual
    worst: Individual
    created: tuple[Individual, ...] = ()
    personal_bests: tuple[Individual, ...] = ()
    scored: Mapping[str, Fitness] = field(default_factory=dict)
    stalled: int = 0
    samples: int = 0
    trials: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    history: tuple[tuple[tuple[float, ...], float], ...] = ()

    @property
    def evaluations(self) -> int:
        """How many genotypes the run has evaluated so far."""
        return len(self.scored)


def fittest(individuals: Sequence[Individual]) -> list[Individual]:
    """Return individuals by falling fitness; ties go to the earlier one."""
    return sorted(individuals, key=lambda individual: -individual.score)


def track(population: Population, scored: Sequence[Individual]) -> Population:
    """Return `population` with best and worst ever brought up to date; ties go to the earlier one."""
    best, worst = population.best, population.worst
    for individual in scored:
        if individual.score > best.score:
            best = individual
        if individual.score < worst.score:
            worst = individual
    return replace(population, best=best, worst=worst, created=(*population.created, *scored))


def found(members: Sequence[Individual]) -> Population:
    """Return generation 0 of scored `members`."""
    first = members[0]
    empty = Population(generation=0, members=tuple(members), best=first, worst=first)
    return track(empty, members)


def top(population: Population, k: int) -> list[Individual]:
    """Return the k distinct members of highest validation fitness, fittest first (fewer if there are fewer)."""
    distinct: dict[Genotype, Individual] = {}
    for member in fittest(population.members):
        distinct.setdefault(member.genotype, member)
    return list(distinct.values())[:k]


def write_population(path: Path | str, population: Population, experts: Sequence[Any]) -> None:
    """Write `population.json`; `experts` (see `genome.experts.Expert`) and numpy's version make it rebuildable."""
    value = {
        "generation": population.generation,
        "evaluations": population.evaluations,
        "samples": population.samples,
        "stalled": population.stalled,
        "best": _individual_to_json(population.best),
        "worst": _individual_to_json(population.worst),
        "members": [_individual_to_json(member) for member in population.members],
        "personal_bests": [_individual_to_json(member) for member in population.personal_bests],
        "created": [_individual_to_json(individual) for individual in population.created],
        "scored": {name: _fitness_to_json(fitness) for name, fitness in population.scored.items()},
        **_origin(experts),
        **({"trials": population.trials} if population.trials else {}),
        **({"history": population.history} if population.history else {}),
    }
    write_json(path, value)


def write_result(path: Path | str, best: Individual, members: Sequence[Individual], experts: Sequence[Any]) -> None:
    """Write `genotype.json`: what a run came to, and all that rebuilds it (see `genome.rebuild`).

    `members` are those of its ensemble, fittest first; none where the run reports its best individual.
    """
    members_to_json = [_individual_to_json(member) for member in members]
    write_json(path, {"best": _individual_to_json(best), "members": members_to_json, **_origin(experts)})


def read_individuals(path: Path | str) -> dict[str, Individual]:
    """Return all individuals of a `population.json` or `genotype.json` by name, and as `best` the best ever."""
    value = read_json(path)
    with _complete(path):
        best = _individual_from_json(value["best"])
        others = map(_individual_from_json, (*value.get("created", ()), *value["members"]))
        return {best.name: best} | {individual.name: individual for individual in others} | {"best": best}


def read_population(path: Path | str) -> Population:
    """Read `population.json`; GenomeError names the file when it is cut short or lacks a field."""
    value = read_json(path, REMAKE)
    with _complete(path):
        return Population(
            generation=value["generation"],
            members=tuple(map(_individual_from_json, value["members"])),
            best=_individual_from_json(value["best"]),
            worst=_individual_from_json(value["worst"]),
            created=tuple(map(_individual_from_json, value["created"])),
            personal_bests=tuple(map(_individual_from_json, value["personal_bests"])),
            scored={name: _fitness_from_json(fitness) for name, fitness in value["scored"].items()},
            stalled=value["stalled"],
            samples=value["samples"],
            trials={
                name: {task: tuple(scores) for task, scores in trial.items()}
                for name, trial in value.get("trials", {}).items()
            },
            history=tuple((tuple(point), fitness) for point, fitness in value.get("history", ())),
        )


@contextmanager
def _complete(path: Path | str) -> Iterator[None]:
    """Name the file whose fields are not all there."""
    try:
        yield
    except (KeyError, TypeError) as error:
        raise GenomeError(
            f"{path}: not a population file ({error!r}); delete the file to have it made again"
        ) from error


def _origin(experts: Sequence[Any]) -> dict[str, Any]:
    """Return what genotypes mean nothing without: the experts, in order, and the library that draws noise."""
    return {
        "experts": [{"name": expert.name, "sha256": expert.sha256} for expert in experts],
        "versions": {"numpy": np.__version__},
    }


def _individual_to_json(individual: Individual) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": individual.name,
        "operator": individual.operator,
        "parents": list(individual.parents),
        "fitness": individual.score,
        "scores": dict(individual.fitness.scores),
        "genotype": genotypes.to_json(individual.genotype),
    }
    if individual.experience is not None:
        value["experience"] = genotypes.to_json(individual.experience)
    return value


def _individual_from_json(value: dict[str, Any]) -> Individual:
    return Individual(
        name=value["name"],
        genotype=genotypes.from_json(value["genotype"]),
        operator=value["operator"],
        parents=tuple(value["parents"]),
        experience=genotypes.from_json(value["experience"]) if "experience" in value else None,
        fitness=Fitness(value["fitness"], value["scores"]),
    )


def _fitness_to_json(fitness: Fitness) -> dict[str, Any]:
    return {"fitness": fitness.value, "scores": dict(fitness.scores)}


def _fitness_from_json(value: dict[str, Any]) -> Fitness:
    return Fitness(value["fitness"], value["scores"])
