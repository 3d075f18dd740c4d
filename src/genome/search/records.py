"""Files of populations and results: JSON out, JSON in with all checks, and checks of what may continue from them.

The parts of a population's `state` are fields of the same object. They are read by the functions that the row of each
method names (`genome.search.method.Method.state`).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from genome import fields
from genome import genotype as genotypes
from genome.engine.fingerprint import Fingerprint, difference
from genome.errors import GenomeError
from genome.experts.peft import Expert
from genome.files import REMAKE, read_json, write_json
from genome.search import racing
from genome.search.method import Reader, ReadState
from genome.search.methods import METHODS
from genome.search.population import Fitness, Individual, Population

PERSONAL_BESTS = "personal_bests"
"""The part of a state that every file has, empty for most methods, as in release 0.1; others are left out if empty."""

STATE: dict[str, ReadState] = racing.STATE | {key: read for row in METHODS.values() for key, read in row.state.items()}
"""The readers of all parts of a state, in the order in which they are written."""


def check_engine(path: Path | str, answered: Fingerprint | None, now: Fingerprint | None) -> None:
    """Raise GenomeError, naming both, if the engine that answers `now` is not the one behind the file at `path`."""
    if answered == now:
        return
    theirs, ours = difference(answered or {}, now or {})
    raise GenomeError(
        f"{path}: answered by an engine with {theirs}, the engine now has {ours}; their answers are not comparable: "
        f"set the engine back in the config, or delete {_runs_of(path)} to begin again with this one"
    )


def _runs_of(path: Path | str) -> str:
    """Return the folder of all runs on the same tasks as the run of a file: they share the experts' scores."""
    folders = Path(path).parents
    return next((each for each in folders if each.parent.name == "runs"), folders[0]).as_posix()


def write_population(path: Path | str, population: Population, experts: Sequence[Expert]) -> None:
    """Write `population.json`, with the experts and numpy's version, which are needed to rebuild individuals."""
    state = {key: _to_json(population.state[key]) for key in STATE if population.state.get(key)}
    value = {
        "generation": population.generation,
        "evaluations": population.evaluations,
        "samples": population.samples,
        "stalled": population.stalled,
        "best": _individual_to_json(population.best),
        "worst": _individual_to_json(population.worst),
        "members": [_individual_to_json(member) for member in population.members],
        PERSONAL_BESTS: state.pop(PERSONAL_BESTS, []),
        "created": [_individual_to_json(individual) for individual in population.created],
        "scored": {name: _fitness_to_json(fitness) for name, fitness in population.scored.items()},
        "engine": population.engine,
        **origin(experts),
        **state,
    }
    write_json(path, value)


def write_result(
    path: Path | str,
    best: Individual,
    members: Sequence[Individual],
    experts: Sequence[Expert],
    engine: Fingerprint | None = None,
) -> None:
    """Write `genotype.json`: the result of a run, the engine that answered, and what rebuilds it (`jobs.rebuild`).

    `members` are the members of its ensemble, fittest first; none if the run reports its best individual.
    """
    members_to_json = [_individual_to_json(member) for member in members]
    best_to_json = _individual_to_json(best)
    write_json(path, {"best": best_to_json, "members": members_to_json, "engine": engine, **origin(experts)})


def read_individuals(path: Path | str) -> dict[str, Individual]:
    """Return all individuals in a `population.json` or `genotype.json` by name, and the best ever as `best`."""
    value = read_json(path, REMAKE)
    with fields.reading(path):
        digests = [sha256 for _, sha256 in experts_of(value)]
        scored = _scored(value["scored"]) if value.get("scored") else None  # a genotype.json has none
        best = _individual(value["best"], digests, scored, "best")
        others = [
            *_individuals(value.get("created", []), digests, scored, "created"),
            *_individuals(value["members"], digests, scored, "members"),
        ]
        return {best.name: best} | {individual.name: individual for individual in others} | {"best": best}


def read_population(path: Path | str, experts: Sequence[Expert] | None = None) -> Population:
    """Read `population.json`; GenomeError names the file and what is wrong.

    Each individual must have the fitness of its genotype. With `experts`, those of the run that continues from it, the
    file must have been made from the same experts, and its noise must have been drawn by this version of numpy.
    """
    value = read_json(path, REMAKE)
    population = _population(value, path)
    if experts is not None:
        check_experts(path, value["experts"], experts)
        if has_noise(population):
            check_numpy(path, value["versions"])
    return population


def read_contents(path: Path | str) -> dict[str, Any]:
    """Return the JSON values of `population.json`, checked as `read_population` does."""
    value = read_json(path, REMAKE)
    _population(value, path)
    return value


def check_experts(path: Path | str, recorded: Sequence[Mapping[str, str]], experts: Sequence[Expert]) -> None:
    """Raise GenomeError, naming the first difference, unless a file was made from these experts in this order."""
    theirs = [(entry["name"], entry["sha256"]) for entry in recorded]
    ours = [(expert.name, expert.sha256) for expert in experts]
    if theirs == ours:
        return
    names = [" ".join(name for name, _ in each) for each in (theirs, ours)]
    if names[0] != names[1]:
        differing = f"of the experts {names[0]}, these are {names[1]}"
    else:
        name, before, after = next((a, b, d) for (a, b), (_, d) in zip(theirs, ours, strict=True) if b != d)
        differing = f"of expert {name} with SHA-256 {before[:12]}, this one has {after[:12]}"
    raise GenomeError(
        f"{path}: made {differing}; restore the experts, or delete {_runs_of(path)} to begin again with these"
    )


def check_numpy(path: Path | str, versions: Mapping[str, str]) -> None:
    """Raise GenomeError if another version of numpy has drawn a file's noise: this one may draw other numbers."""
    version = versions["numpy"]
    if version != np.__version__:
        raise GenomeError(f"{path}: noise was drawn by numpy {version}, this is {np.__version__}; install that version")


def has_noise(population: Population) -> bool:
    """Return whether anything that continues from a population, or into a figure of it, has noise."""
    kept = [individual for part in population.state.values() for individual in _individuals_in(part)]
    continuing = (*population.members, population.best, population.worst, *kept)
    points = (point for x in continuing for point in (x.genotype, x.experience) if point is not None)
    return any(point.noise for point in points)


def _individuals_in(part: Any) -> list[Individual]:
    """Return the individuals in a part of a state: a tuple of them, or none."""
    entries = cast("tuple[Any, ...]", part) if isinstance(part, tuple) else ()
    return [each for each in entries if isinstance(each, Individual)]


def origin(experts: Sequence[Expert]) -> dict[str, Any]:
    """Return what gives genotypes their meaning: the experts, in order, and the library that draws noise."""
    return {
        "experts": [{"name": expert.name, "sha256": expert.sha256} for expert in experts],
        "versions": {"numpy": np.__version__},
    }


def _population(value: Any, path: Path | str) -> Population:
    with fields.reading(path):
        digests = [sha256 for _, sha256 in experts_of(value)]
        scored = _scored(value["scored"])
        population = Population(
            generation=fields.whole(value["generation"], "generation"),
            members=_individuals(value["members"], digests, scored, "members", least=1),
            best=_individual(value["best"], digests, scored, "best"),
            worst=_individual(value["worst"], digests, scored, "worst"),
            created=_individuals(value["created"], digests, scored, "created"),
            scored=scored,
            stalled=fields.whole(value["stalled"], "stalled"),
            samples=fields.whole(value["samples"], "samples"),
            state=_state(value, digests, scored),
            engine=value["engine"] and fields.mapping(value["engine"], "engine"),
        )
        if population.generation != _generation_of(path, population.generation):
            raise fields.UnexpectedError(f"generation {population.generation} in the folder of another")
        for individual in (*population.members, *population.created):
            if not population.worst.score <= individual.score <= population.best.score:
                raise fields.UnexpectedError(
                    f"{individual.name}: fitness {individual.score} is not between those of `worst` and `best`"
                )
        return population


def _generation_of(path: Path | str, otherwise: int) -> int:
    """Return the generation that a file's folder names, `otherwise` if it does not name one."""
    named = re.fullmatch(r"generation_(\d+)", Path(path).parent.name)
    return int(named[1]) if named else otherwise


def experts_of(value: Any) -> list[tuple[str, str]]:
    """Return name and SHA-256 of the experts that a file of genotypes was made from.

    UnexpectedError describes what is wrong with them, or with the version of numpy.
    """
    fields.text(fields.mapping(fields.mapping(value, "it")["versions"], "versions")["numpy"], "versions, numpy")
    entries = [fields.mapping(entry, "experts, entry") for entry in fields.sequence(value["experts"], "experts", 1)]
    return [
        (fields.text(entry["name"], "experts, name"), fields.text(entry["sha256"], "experts, sha256"))
        for entry in entries
    ]


def _scored(value: Any) -> dict[str, Fitness]:
    entries = fields.mapping(value, "scored").items()
    scored = {name: _fitness(entry, f"scored, {name[:12]}") for name, entry in entries}
    tasks = {tuple(fitness.scores) for fitness in scored.values()}
    if len(tasks) > 1:
        raise fields.UnexpectedError(f"scored: on different tasks: {' and '.join(' '.join(each) for each in tasks)}")
    return scored


def _state(value: Mapping[str, Any], digests: Sequence[str], scored: Mapping[str, Fitness]) -> dict[str, Any]:
    """Return a population's state without the parts that are empty."""
    reader = Reader(len(digests), lambda individuals, place: _individuals(individuals, digests, scored, place))
    present = [PERSONAL_BESTS, *(key for key in STATE if key in value and key != PERSONAL_BESTS)]
    parts = {key: STATE[key](value[key], reader) for key in present}
    return {key: part for key, part in parts.items() if part}


def _individuals(
    value: Any, digests: Sequence[str], scored: Mapping[str, Fitness] | None, place: str, least: int = 0
) -> tuple[Individual, ...]:
    entries = enumerate(fields.sequence(value, place, least))
    return tuple(_individual(entry, digests, scored, f"{place}, entry {i}") for i, entry in entries)


def _individual(value: Any, digests: Sequence[str], scored: Mapping[str, Fitness] | None, place: str) -> Individual:
    """Return an individual; if `scored` is given, it must contain the individual's genotype with the same fitness."""
    name = fields.text(fields.mapping(value, place)["name"], f"{place}, name")
    genotype = genotypes.from_json(value["genotype"], len(digests), f"{name}, genotype")
    fitness = _fitness(value, name)
    if scored is not None:
        known = scored.get(genotypes.identity(genotype, digests))
        if known is None:
            raise fields.UnexpectedError(f"{name}: its genotype, with these experts, has never been scored")
        if known != fitness:
            raise fields.UnexpectedError(f"{name}: fitness {fitness.value}, but its genotype has {known.value}")
    experience = None
    if "experience" in value:
        experience = genotypes.from_json(value["experience"], len(digests), f"{name}, experience")
    return Individual(
        name=name,
        genotype=genotype,
        operator=fields.text(value["operator"], f"{name}, operator"),
        parents=tuple(fields.text(each, f"{name}, parents") for each in fields.sequence(value["parents"], name)),
        experience=experience,
        fitness=fitness,
    )


def _to_json(value: Any) -> Any:
    """Return a part of a state as JSON values: it may be made of individuals and tuples, in addition to JSON values."""
    if isinstance(value, Individual):
        return _individual_to_json(value)
    if isinstance(value, tuple):
        return [_to_json(each) for each in cast("tuple[Any, ...]", value)]
    return value


def _individual_to_json(individual: Individual) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": individual.name,
        "operator": individual.operator,
        "parents": list(individual.parents),
        **_fitness_to_json(individual.required_fitness),
        "genotype": genotypes.to_json(individual.genotype),
    }
    if individual.experience is not None:
        value["experience"] = genotypes.to_json(individual.experience)
    return value


def _fitness_to_json(fitness: Fitness) -> dict[str, Any]:
    return {"fitness": fitness.value, "scores": dict(fitness.scores)}


def _fitness(value: Any, place: str) -> Fitness:
    scores = fields.mapping(fields.mapping(value, place)["scores"], f"{place}, scores")
    by_task = {task: fields.share(score, f"{place}, score of {task}") for task, score in scores.items()}
    return Fitness(fields.share(value["fitness"], f"{place}, fitness"), by_task)
