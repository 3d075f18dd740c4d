"""Files of populations and results: JSON out, JSON in with all checks, and checks of what may continue from them.

A population's file contains everything that the next generation needs, and nothing twice. An individual is written in
full where it first occurs, and by its name after that: `best`, `worst`, `members`, `created`, then the state. Created
individuals that the run does not continue from have no experience in the file (`kept`). All noise terms of the file are
in the table `noise`; a genotype's own `noise` is base64 of a bit for each term of the table, from the lowest bit of the
first byte on, then of the coefficients of the terms whose bit is 1, as little-endian float64. `scored` has a number for
each identity if its fitness and its score on each of the `tasks` are equal, otherwise a list of them.

The parts of a population's `state` are fields of the same object. They are read by the functions that the row of each
method names (`genome.search.method.Method.state`).
"""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from genome import fields
from genome import genotype as genotypes
from genome.engine.fingerprint import Fingerprint, difference
from genome.errors import GenomeError
from genome.experts.expert import Expert
from genome.files import REMAKE, read_json, write_json, write_text
from genome.genotype import Genotype
from genome.search import front, racing
from genome.search.measure import LIKELIHOOD, METRIC, Measure
from genome.search.method import Reader, ReadState
from genome.search.methods import METHODS
from genome.search.population import Fitness, Individual, Population, individuals_in

Term = tuple[int, float]
"""Seed and density of a noise term."""

_OF_METHODS = {key: read for row in METHODS.values() for key, read in row.state.items()}

STATE: dict[str, ReadState] = {**racing.STATE, **_OF_METHODS, **front.STATE}
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


def check_measure(path: Path | str, found: Measure, expected: Measure) -> None:
    """Raise GenomeError, naming both, if the fitness in the file at `path` is not of the expected measure."""
    if found != expected:
        raise GenomeError(
            f"{path}: scored by {found}, expected {expected}; their fitness is not comparable: delete the file to have "
            "it made again"
        )


def _runs_of(path: Path | str) -> str:
    """Return the folder of all runs on the same tasks as the run of a file: they share the experts' scores."""
    folders = Path(path).parents
    return next((each for each in folders if each.parent.name == "runs"), folders[0]).as_posix()


def write_population(path: Path | str, population: Population, experts: Sequence[Expert]) -> None:
    """Write `population.json`, with the experts and numpy's version, which are needed to rebuild individuals."""
    population = kept(population)
    tasks = tuple(population.best.required_fitness.scores)
    terms = sorted(_terms([*_continuing(population), *population.created]))
    numbers = {term: number for number, term in enumerate(terms)}
    written: dict[str, Individual] = {}

    def to_json(value: Any) -> Any:
        """Return a part of a population as JSON values: in addition to these, it may have individuals and tuples."""
        if isinstance(value, tuple):
            return [to_json(each) for each in cast("tuple[Any, ...]", value)]
        if not isinstance(value, Individual):
            return value
        if written.get(value.name) == value:
            return value.name
        written.setdefault(value.name, value)
        return _individual_to_json(value, lambda genotype: _genotype_to_json(genotype, numbers))

    # The order of these is the order in which individuals are written in full or by name.
    parts = {name: to_json(getattr(population, name)) for name in ("best", "worst", "members", "created")}
    state = {key: to_json(population.state[key]) for key in STATE if population.state.get(key)}
    value = {
        "generation": population.generation,
        "evaluations": population.evaluations,
        "samples": population.samples,
        **({"tokens": population.tokens} if population.tokens else {}),
        **({"ended": population.ended} if population.ended else {}),
        "stalled": population.stalled,
        **parts,
        **state,
        "noise": terms,
        "tasks": tasks,
        "scored": {name: _scored_to_json(fitness, tasks) for name, fitness in population.scored.items()},
        **({"measure": given} if (given := population.measure.given()) else {}),
        "engine": population.engine,
        **origin(experts),
    }
    write_text(path, _lines(value) + "\n")


def kept(population: Population) -> Population:
    """Return a population as its file has it: created individuals that no generation needs have no experience."""
    names = {each.name for each in _continuing(population)}
    created = (each if each.name in names else replace(each, experience=None) for each in population.created)
    return replace(population, created=tuple(created))


def _continuing(population: Population) -> list[Individual]:
    """Return the individuals that the next generation may use."""
    state = [individual for part in population.state.values() for individual in individuals_in(part)]
    return [*population.members, population.best, population.worst, *state]


def _terms(individuals: Sequence[Individual]) -> set[Term]:
    """Return the noise terms of all genotypes and experiences."""
    points = [point for each in individuals for point in (each.genotype, each.experience) if point is not None]
    return {(term.seed, term.density) for point in points for term in point.noise}


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
    everyone = {"best": _individual_to_json(best), "members": [_individual_to_json(member) for member in members]}
    write_json(path, {**everyone, "engine": engine, **origin(experts)})


def read_individuals(path: Path | str) -> dict[str, Individual]:
    """Return all individuals in a `population.json` or `genotype.json` by name, and the best ever as `best`."""
    value = read_json(path, REMAKE)
    with fields.reading(path):
        digests = [sha256 for _, sha256 in experts_of(value)]
    if "generation" in value:
        population = _population(value, path)
        best, others = population.best, (*population.created, *population.members)
    else:
        with fields.reading(path):
            read = _Individuals(digests)
            best, others = read.one(value["best"], "best"), read.all(value["members"], "members")
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
    """Return the JSON values of `population.json`, checked as `read_population` does, with all individuals in full."""
    value = read_json(path, REMAKE)
    population = _population(value, path)
    everyone = {name: list(map(_individual_to_json, getattr(population, name))) for name in ("members", "created")}
    best, worst = map(_individual_to_json, (population.best, population.worst))
    return {**value, "best": best, "worst": worst, **everyone}


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
    return bool(_terms(_continuing(population)))


def origin(experts: Sequence[Expert]) -> dict[str, Any]:
    """Return what gives genotypes their meaning: the experts, in order, and the library that draws noise."""
    return {
        "experts": [{"name": expert.name, "sha256": expert.sha256} for expert in experts],
        "versions": {"numpy": np.__version__},
    }


def _population(value: Any, path: Path | str) -> Population:
    with fields.reading(path):
        digests = [sha256 for _, sha256 in experts_of(value)]
        scored = _scored(value["scored"], value["tasks"])
        read = _Individuals(digests, scored, _table(value["noise"]))
        population = Population(
            # In the order of `write_population`, after which an individual may be given by its name.
            best=read.one(value["best"], "best"),
            worst=read.one(value["worst"], "worst"),
            members=read.all(value["members"], "members", least=1),
            created=read.all(value["created"], "created"),
            state=_state(value, read),
            generation=fields.whole(value["generation"], "generation"),
            scored=scored,
            stalled=fields.whole(value["stalled"], "stalled"),
            samples=fields.whole(value["samples"], "samples"),
            engine=value["engine"] and fields.mapping(value["engine"], "engine"),
            measure=_measure(value.get("measure", {})),
            earlier=fields.whole(value["evaluations"], "evaluations", len(scored)) - len(scored),
            ended=fields.text(value["ended"], "ended") if "ended" in value else "",
            tokens=fields.whole(value.get("tokens", 0), "tokens"),
        )
        if population.generation != _generation_of(path, population.generation):
            raise fields.UnexpectedError(f"generation {population.generation} in the folder of another")
        # A method may choose its result by more than fitness, as LoraHub does, and reject a fitter candidate.
        for individuals, most in ((population.members, population.best.score), (population.created, math.inf)):
            for individual in individuals:
                if not population.worst.score <= individual.score <= most:
                    raise fields.UnexpectedError(
                        f"{individual.name}: fitness {individual.score} is not between those of `worst` and `best`"
                    )
        return population


def _measure(value: Any) -> Measure:
    """Return the measure of a file; one without it has the paper's."""
    given = fields.mapping(value, "measure")
    objective, samples = given.get("objective", METRIC), given.get("samples")
    if objective not in (METRIC, LIKELIHOOD):
        raise fields.UnexpectedError(f"measure: unknown objective {fields.shown(objective)}")
    number = None if samples is None else fields.whole(samples, "measure, samples", 1)
    return Measure(objective, number, bool(given.get("calibrated", False)))


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


def _scored(value: Any, tasks: Any) -> dict[str, Fitness]:
    """Return the fitness of all identities, from the numbers in the file and the names of the tasks."""
    names = [fields.text(task, "tasks") for task in fields.sequence(tasks, "tasks")]
    scored: dict[str, Fitness] = {}
    for name, entry in fields.mapping(value, "scored").items():
        place = f"scored, {name[:12]}"
        numbers = fields.sequence(entry, place) if isinstance(entry, list) else [entry] * (1 + len(names))
        if len(numbers) != 1 + len(names):
            raise fields.UnexpectedError(f"{place}: expected a fitness and {len(names)} scores, one for each task")
        fitness, *scores = (fields.share(each, place) for each in numbers)
        scored[name] = Fitness(fitness, dict(zip(names, scores, strict=True)))
    return scored


def _scored_to_json(fitness: Fitness, tasks: Sequence[str]) -> float | list[float]:
    if set(fitness.scores) != set(tasks):
        raise ValueError(f"scored on {' '.join(fitness.scores)}, others on {' '.join(tasks)}")
    numbers = [fitness.value, *(fitness.scores[task] for task in tasks)]
    return fitness.value if len({*numbers}) == 1 else numbers


def _table(value: Any) -> list[Term]:
    """Return the noise terms of a file, which must be rising, as those of a genotype are."""
    terms: list[Term] = []
    for index, entry in enumerate(fields.sequence(value, "noise")):
        place = f"noise, entry {index}"
        if len(fields.sequence(entry, place)) != 2:
            raise fields.UnexpectedError(f"{place}: expected [seed, density], found {fields.shown(entry)}")
        seed, density = fields.whole(entry[0], f"{place}, seed"), fields.share(entry[1], f"{place}, density")
        if not density:
            raise fields.UnexpectedError(f"{place}: expected a density above 0, found {fields.shown(density)}")
        terms.append((seed, density))
        if len(terms) > 1 and terms[-1] <= terms[-2]:
            raise fields.UnexpectedError(f"{place}: expected rising terms, found {fields.shown(entry)}")
    return terms


def _state(value: Mapping[str, Any], read: "_Individuals") -> dict[str, Any]:
    """Return a population's state without the parts that are empty."""
    reader = Reader(len(read.digests), read.all)
    parts = {key: STATE[key](value[key], reader) for key in STATE if key in value}
    return {key: part for key, part in parts.items() if part}


@dataclass
class _Individuals:
    """Reads the individuals of a file in the order in which they were written.

    If `scored` is given, it must contain each individual's genotype with the same fitness. `terms` is the file's table
    of noise terms; in files without one, noise is written in full.
    """

    digests: Sequence[str]
    scored: Mapping[str, Fitness] | None = None
    terms: Sequence[Term] | None = None
    known: dict[str, Individual] = field(default_factory=dict[str, Individual])

    def all(self, value: Any, place: str, least: int = 0) -> tuple[Individual, ...]:
        """Return the individuals in a list of at least `least`."""
        entries = enumerate(fields.sequence(value, place, least))
        return tuple(self.one(entry, f"{place}, entry {i}") for i, entry in entries)

    def one(self, value: Any, place: str) -> Individual:
        """Return an individual that is given in full, or by the name of one that has been read before."""
        if isinstance(value, str):
            if value not in self.known:
                raise fields.UnexpectedError(f"{place}: no individual {fields.shown(value)} before it")
            return self.known[value]
        name = fields.text(fields.mapping(value, place)["name"], f"{place}, name")
        genotype = self._genotype(value["genotype"], f"{name}, genotype")
        fitness = _fitness(value, name)
        if self.scored is not None:
            known = self.scored.get(genotypes.identity(genotype, self.digests))
            if known is None:
                raise fields.UnexpectedError(f"{name}: its genotype, with these experts, has never been scored")
            if known != fitness:
                others = " on other tasks" if known.value == fitness.value else ""
                raise fields.UnexpectedError(
                    f"{name}: fitness {fitness.value}, but its genotype has {known.value}{others}"
                )
        individual = Individual(
            name=name,
            genotype=genotype,
            operator=fields.text(value["operator"], f"{name}, operator"),
            parents=tuple(fields.text(each, f"{name}, parents") for each in fields.sequence(value["parents"], name)),
            experience=self._genotype(value["experience"], f"{name}, experience") if "experience" in value else None,
            fitness=fitness,
        )
        self.known.setdefault(name, individual)
        return individual

    def _genotype(self, value: Any, place: str) -> Genotype:
        if self.terms is not None:
            noise = _noise(fields.mapping(value, place).get("noise"), self.terms, f"{place}, noise")
            value = {**value, "noise": noise}
        return genotypes.from_json(value, len(self.digests), place)


def _noise(value: Any, terms: Sequence[Term], place: str) -> list[list[Any]]:
    """Return the noise of a genotype as `genotype.from_json` expects it; None for none."""
    if value is None:
        return []
    try:
        content = base64.b64decode(fields.text(value, place), validate=True)
    except ValueError as error:
        raise fields.UnexpectedError(f"{place}: not valid base64") from error
    width = -(-len(terms) // 8)
    bits = np.unpackbits(np.frombuffer(content[:width], np.uint8), bitorder="little")
    numbers = np.flatnonzero(bits)
    if len(content) != width + 8 * len(numbers) or bits[len(terms) :].any():
        raise fields.UnexpectedError(f"{place}: expected a bit for each of {len(terms)} terms and a number for each 1")
    coefficients = np.frombuffer(content[width:], "<f8").tolist()
    return [[*terms[number], each] for number, each in zip(numbers.tolist(), coefficients, strict=True)]


def _genotype_to_json(genotype: Genotype, numbers: Mapping[Term, int]) -> dict[str, Any]:
    """Return a genotype as JSON values for a file whose table has each noise term at its number."""
    value = genotypes.to_json(replace(genotype, noise=()))
    del value["noise"]
    if genotype.noise:
        bits = np.zeros(len(numbers), np.uint8)
        bits[[numbers[term.seed, term.density] for term in genotype.noise]] = 1
        coefficients = np.array([term.coefficient for term in genotype.noise], "<f8")
        content = np.packbits(bits, bitorder="little").tobytes() + coefficients.tobytes()
        value["noise"] = base64.b64encode(content).decode()
    return value


def _individual_to_json(
    individual: Individual, to_json: Callable[[Genotype], dict[str, Any]] = genotypes.to_json
) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": individual.name,
        "operator": individual.operator,
        "parents": list(individual.parents),
        **_fitness_to_json(individual.required_fitness),
        "genotype": to_json(individual.genotype),
    }
    if individual.experience is not None:
        value["experience"] = to_json(individual.experience)
    return value


def _fitness_to_json(fitness: Fitness) -> dict[str, Any]:
    return {"fitness": fitness.value, "scores": dict(fitness.scores)}


def _fitness(value: Any, place: str) -> Fitness:
    scores = fields.mapping(fields.mapping(value, place)["scores"], f"{place}, scores")
    by_task = {task: fields.share(score, f"{place}, score of {task}") for task, score in scores.items()}
    return Fitness(fields.share(value["fitness"], f"{place}, fitness"), by_task)


def _lines(value: Any, depth: int = 2, indent: str = "") -> str:
    """Return JSON whose outer `depth` levels have a line for each entry: a line is an individual, or a noise term."""
    inner = f"{indent} "
    if depth and value and isinstance(value, dict):
        entries = cast("dict[str, Any]", value).items()
        return _bracketed(
            "{}", [f"{json.dumps(key)}: {_lines(each, depth - 1, inner)}" for key, each in entries], indent
        )
    if depth and value and isinstance(value, list):
        return _bracketed("[]", [_lines(each, depth - 1, inner) for each in cast("list[Any]", value)], indent)
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _bracketed(brackets: str, entries: Sequence[str], indent: str) -> str:
    lines = ",\n".join(f"{indent} {entry}" for entry in entries)
    return f"{brackets[0]}\n{lines}\n{indent}{brackets[1]}"
