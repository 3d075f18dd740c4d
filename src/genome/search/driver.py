"""Drives search methods: scores what they yield, each genotype once in a run, and hands back populations."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from operator import itemgetter
from typing import Any

from genome.errors import GenomeError
from genome.experts.peft import Expert
from genome.genotype import FACTORS, expert, identity, is_finite
from genome.lora.layers import layer_groups
from genome.search.asking import Search, sigma_of, space_of
from genome.search.methods import GENERATIONS
from genome.search.operators import initialise, take_experts
from genome.search.population import Fitness, Individual, Population, new_population
from genome.search.racing import Contest, Course, Races, Rules, race, standing

Evaluate = Callable[[Sequence[Individual]], list[Fitness]]
"""Scores individuals of distinct genotypes on validation data, in their order."""

LAYER_GROUP = "layer_group"
"""The setting `coefficients` of a search that gives each group of layers coefficients of its own."""


def drive(
    search: Search,
    scored: Mapping[str, Fitness],
    experts: Sequence[Expert],
    evaluate: Evaluate,
    races: Races | None = None,
) -> Population:
    """Run `search` to its end and return its population, which carries everything that has been scored.

    `scored` maps identities to the fitness that the run already knows. Contests are races where `races` are given, and
    lists of individuals like any other where they are not.
    """
    scored = dict(scored)
    digests = [expert.sha256 for expert in experts]

    trials = dict(races.trials) if races else {}

    def name_of(individual: Individual) -> str:
        return identity(individual.genotype, digests)

    def score(asked: Sequence[Individual] | Contest) -> list[Individual]:
        individuals = asked.individuals if isinstance(asked, Contest) else asked
        diverged = [x.name for x in individuals if not all(map(is_finite, filter(None, (x.genotype, x.experience))))]
        if diverged:
            raise GenomeError(f"{diverged[0]}: its coefficients are no longer finite; choose a smaller step")
        names = list(map(name_of, individuals))
        new = {name: x for name, x in zip(names, individuals, strict=True) if name not in scored}
        if new and races and isinstance(asked, Contest):
            met = dict.fromkeys([*map(name_of, asked.rivals), *(name for name in names if name in scored)])
            rivals = [(trials.get(name), scored[name].scores) for name in met]
            found = race(new, trials, rivals, races.rules.places(asked.size), races.rules, races.course)
            trials.update(found)
            scored.update((name, races.course.fitness(t)) for name, t in found.items() if races.course.finished(t))
        elif new:
            scored.update(zip(new, evaluate(list(new.values())), strict=True))
        pairs = list(zip(names, individuals, strict=True))
        finished = [replace(x, fitness=scored[name]) for name, x in pairs if name in scored]
        stopped = [(standing(trials[name], races.course), x) for name, x in pairs if name not in scored]
        return [*finished, *(x for _, x in sorted(stopped, key=itemgetter(0)))]

    reply = None
    try:
        # Closed where it cannot go on: LoraHub's optimiser may own a thread, which would keep a failed process alive.
        with closing(search):
            while True:
                reply = score(search.send(reply))
    except StopIteration as stop:
        members = {name_of(x) for x in stop.value.members}
        kept = {name: trial for name, trial in trials.items() if name in members or name not in scored}
        return replace(stop.value, scored=scored, trials=kept)


def score_experts(experts: Sequence[Expert], evaluate: Evaluate) -> Population:
    """Return the experts themselves as a scored population."""
    n = len(experts)
    individuals = [Individual(e.name, expert(i, n), "expert") for i, e in enumerate(experts)]
    return drive(_found(individuals), {}, experts, evaluate)


def found_population(
    experts: Sequence[Expert],
    scored_experts: Population,
    settings: Mapping[str, Any],
    size: int,
    seed: int,
    evaluate: Evaluate,
) -> Population:
    """Return generation 0, which GENOME, GENOME+ and Model Swarms of one seed share.

    `settings["initialisation"]` is `pairs` (Eq. 3) or `experts` (the ablation without initialisation); those of the
    product space have a generation 0 of their own.
    """
    if size < 2:
        raise GenomeError(f"population_size: {size}; a population needs at least 2 individuals")
    space = space_of(settings)
    if settings["initialisation"] == "experts":
        gene_rate, sigma = settings["gene_mutation_rate"], sigma_of(settings)
        individuals = take_experts(scored_experts.members, size, seed, gene_rate, sigma, space)
        return drive(_found(individuals), scored_experts.scored if space == FACTORS else {}, experts, evaluate)
    return drive(_found(initialise(len(experts), size, seed, space)), {}, experts, evaluate)


def next_generation(
    population: Population,
    settings: Mapping[str, Any],
    seed: int,
    experts: Sequence[Expert],
    evaluate: Evaluate,
    course: Course | None = None,
) -> Population:
    """Return the population after one more generation of `settings["method"]`.

    With `settings["racing"]` its contests are races on `course`, where the tasks allow any. A run passes its population
    on as it is when it has not improved for `settings["patience"]` generations, and with races when its best is right
    on every sample, since nobody can win against it any more.
    """
    patience = settings["patience"]
    racing = settings.get("racing")
    races = Races(Rules(**racing), course, population.trials) if racing and course else None
    won = races and population.best.score == 1.0
    if won or (patience is not None and population.stalled >= patience):
        return replace(population, generation=population.generation + 1, created=())
    if settings.get("coefficients") == LAYER_GROUP:
        settings = {**settings, "groups": len(set(layer_groups(experts[0].tensors).values()))}
    search = GENERATIONS[settings["method"]](population, settings, seed)
    following = drive(search, population.scored, experts, evaluate, races)
    improved = following.best.score > population.best.score
    return replace(following, stalled=0 if improved else population.stalled + 1)


def _found(individuals: Sequence[Individual]) -> Search:
    return new_population((yield list(individuals)))
