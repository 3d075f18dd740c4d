"""Runs search methods: scores what they yield, each genotype once per run, and returns populations."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from genome.errors import GenomeError
from genome.experts.expert import Expert
from genome.genotype import FACTORS, expert, identity, is_finite, mixture
from genome.lora.layers import factor_names, layer_groups, union_of
from genome.search import racing
from genome.search.asking import Contest, Scored, Search
from genome.search.budget import Allowance
from genome.search.method import Method
from genome.search.operators import initialise, populate, take_experts
from genome.search.population import (
    FOUNDER,
    Fitness,
    Individual,
    Population,
    fittest,
    individuals_in,
    new_population,
    track,
)
from genome.search.racing import RACED_AS, TRIALS, Course, Known, Races, Trial, places, race, standing
from genome.search.settings import FROM_EXPERTS, UNIFORM, InitialSettings, measure_of, space_of

Evaluate = Callable[[Sequence[Individual]], list[Fitness]]
"""Scores individuals of distinct genotypes on validation data, in their order."""


class OverBudgetError(Exception):
    """A batch of candidates cannot be paid for; the text says why."""


def _layer_groups(experts: Sequence[Expert], evaluate: Any) -> int:
    """Return the number of groups of layers."""
    return len(set(layer_groups(name for layer in union_of(experts) for name in factor_names(layer)).values()))


def _log_perplexity(experts: Sequence[Expert], evaluate: Any) -> list[float]:
    """Return the log-perplexity of each expert on the validation prompts."""
    return evaluate.log_perplexity()


NEEDS: dict[str, Callable[[Sequence[Expert], Any], Any]] = {
    "layer_groups": _layer_groups,
    "log_perplexity": _log_perplexity,
}
"""What methods may need in addition (`Method.needs`), computed from the experts and the run's `evaluate`."""


class Scoreboard:
    """What a run knows of its genotypes: the fitness of those scored in full, and the trials of its races.

    `digests` are the SHA-256 of the experts. `scored` maps identities to the fitness known so far. With `races`,
    contests are races; without, all individuals of a contest are scored in full. With an `allowance`, a batch that
    it does not pay for raises OverBudgetError before anything of it is evaluated. `finished` are all individuals that
    have been returned with their fitness.
    """

    def __init__(
        self,
        scored: Mapping[str, Fitness],
        digests: Sequence[str],
        evaluate: Evaluate,
        races: Races | None = None,
        allowance: Allowance | None = None,
    ):
        self.scored = dict(scored)
        self.trials: dict[str, Trial] = dict(races.trials) if races else {}
        self.names: dict[str, tuple[str, ...]] = dict(races.names) if races else {}
        self._stopped_before = len(self._stopped)
        self._digests = list(digests)
        self._evaluate = evaluate
        self._races = races
        self._allowance = allowance
        self.finished: list[Individual] = []

    def score(self, request: Sequence[Individual] | Contest) -> Scored:
        """Return the requested individuals with their fitness; only genotypes without one are evaluated.

        OverBudgetError if they cannot be paid for.
        """
        individuals = request.individuals if isinstance(request, Contest) else request
        _check_finite(individuals)
        named = [(self.identity(each), each) for each in individuals]
        new = {name: each for name, each in named if name not in self.scored}
        if new and self._allowance and (refusal := self._allowance.refusal(len(new))):
            raise OverBudgetError(refusal)
        if new and self._races and isinstance(request, Contest):
            rivals = [self.identity(each) for each in request.rivals]
            known = [name for name, _ in named if name in self.scored]
            self._race(new, [*rivals, *known], places(self._races.rules, request.size), self._races)
        elif new:
            self.scored.update(zip(new, self._evaluate(list(new.values())), strict=True))
        finished = [replace(each, fitness=self.scored[name]) for name, each in named if name in self.scored]
        self.finished += finished
        if not self._races:
            return Scored(finished)
        course = self._races.course
        stopped = [(standing(self.trials[name], course), each) for name, each in named if name not in self.scored]
        return Scored(finished, [each for _, each in sorted(stopped, key=lambda pair: pair[0])])

    def identity(self, individual: Individual) -> str:
        """Return the name of an individual's genotype that does not change between runs."""
        return identity(individual.genotype, self._digests)

    def record(self, population: Population) -> Population:
        """Return a population that carries all that is known, except for trials that no later race needs.

        Genotypes that its races have stopped count among those that `scored` does not have.
        """
        needed = {self.identity(each) for each in population.members} | self._stopped
        trials = {name: trial for name, trial in self.trials.items() if name in needed}
        raced = {TRIALS: trials, RACED_AS: {name: self.names[name] for name in trials}} if trials else {}
        return replace(
            population,
            scored=dict(self.scored),
            state=_without_races(population.state) | raced,
            earlier=population.earlier + len(self._stopped) - self._stopped_before,
        )

    @property
    def _stopped(self) -> set[str]:
        """The identities of genotypes of which nothing but a trial is known."""
        return self.trials.keys() - self.scored.keys()

    def _race(self, entries: Mapping[str, Individual], known: Sequence[str], selected: int, races: Races) -> None:
        """Race entries against those already scored, and keep how far each came."""
        rivals = [self._rival(name, races.course) for name in dict.fromkeys(known)]
        trials = race(entries, self.trials, rivals, selected, races.rules, races.course)
        self.trials.update(trials)
        for name, each in entries.items():
            self.names[name] = (*self.names.get(name, ()), each.name)
        finished = {name: trial for name, trial in trials.items() if races.course.finished(trial)}
        self.scored.update((name, races.course.fitness(trial)) for name, trial in finished.items())

    def _rival(self, name: str, course: Course) -> Known:
        """Return what is known of a genotype that has been scored."""
        means = {task: course.mean(score) for task, score in self.scored[name].scores.items()}
        return Known(self.trials.get(name, {}), means)


def drive(search: Search, board: Scoreboard) -> Population:
    """Run `search` to its end and return its population, with everything that has been scored."""
    # Closed if it cannot continue: LoraHub's optimiser may own a thread, which would keep a failed process alive.
    with closing(search):
        try:
            request = next(search)
            while True:
                request = search.send(board.score(request))
        except StopIteration as stop:
            result: Population = stop.value
    return board.record(result)


def score_all(individuals: Sequence[Individual]) -> Search:
    """Yield individuals; return them, scored, as generation 0."""
    scored = yield individuals
    return new_population(scored.finished)


def score_experts(experts: Sequence[Expert], evaluate: Evaluate) -> Population:
    """Return the experts themselves as a scored population."""
    n = len(experts)
    individuals = [Individual(each.name, expert(i, n), "expert") for i, each in enumerate(experts)]
    return drive(score_all(individuals), Scoreboard({}, sha256_of(experts), evaluate))


def initial_population(
    experts: Sequence[Expert],
    scored_experts: Population,
    settings: InitialSettings,
    size: int,
    seed: int,
    evaluate: Evaluate,
) -> Population:
    """Return generation 0, which the evolving methods of one seed share.

    Its individuals are mixtures of two experts (Eq. 3), or the experts themselves and more, whose fitness is known
    already unless their updates are merged or another measure is asked for, or only the mean of all experts, whose
    losses are kept.
    """
    if size < 2:
        raise GenomeError(f"population_size: {size}; a population needs at least 2 individuals")
    space, given = space_of(settings.merge_space), scored_experts.members
    if settings.initialisation == UNIFORM:
        n = len(experts)
        individuals = [Individual(UNIFORM, mixture([1 / n] * n, space), "mixture")]
    elif settings.initialisation == "pairs":
        individuals = initialise(len(experts), size, seed, space)
    elif settings.initialisation == "populated":
        individuals = populate(given, size, seed, space)
    else:
        individuals = take_experts(given, size, seed, settings.gene_mutation_rate, settings.mutation_scale, space)
    is_known = settings.initialisation in FROM_EXPERTS and space == FACTORS
    known = scored_experts.scored if is_known and settings.measure == scored_experts.measure else dict[str, Fitness]()
    scored = drive(score_all(individuals), Scoreboard(known, sha256_of(experts), evaluate))
    state = {FOUNDER: scored.best.required_fitness.losses} if settings.initialisation == UNIFORM else {}
    return replace(scored, measure=settings.measure, state=state)


def next_generation(
    population: Population,
    method: Method,
    settings: Any,
    seed: int,
    experts: Sequence[Expert],
    evaluate: Evaluate,
    course: Course | None = None,
    allowance: Allowance | None = None,
) -> Population:
    """Return the population after one more generation of a method with its settings.

    If the settings have `racing`, contests are races on `course`, unless the tasks do not allow any (None). A run
    returns its population as it is if it has not improved for `patience` generations and, with races, if its best
    individual scores 100 %, since no candidate can be better. If it draws other samples, all individuals that it
    continues from are scored again first. A run that has `ended` stays as it is: with `until_done`, when it is done,
    and when the `allowance` does not pay for the next batch. Batches of the same generation before that one count: the
    best of them may be the best of the run, but the members stay.
    """
    stopped = replace(population, generation=population.generation + 1, created=())
    if population.ended:
        return stopped
    rules = getattr(settings, "racing", None)  # not all methods race
    won = rules is not None and course is not None and population.best.score == 1.0
    if won or (settings.patience is not None and population.stalled >= settings.patience):
        return stopped
    if settings.until_done and (why := _done(population, method, settings, seed, experts, evaluate)):
        return replace(stopped, ended=why)
    if getattr(settings, "redraw", False):
        try:
            population = _rescored(population, experts, evaluate, allowance)
        except OverBudgetError as spent:
            return replace(stopped, ended=str(spent))
    state = population.state
    races = Races(rules, course, state.get(TRIALS, {}), state.get(RACED_AS, {})) if rules and course else None
    search = _search(method, population, settings, seed, experts, evaluate)
    board = Scoreboard(population.scored, sha256_of(experts), evaluate, races, allowance)
    try:
        following = drive(search, board)
    except OverBudgetError as spent:
        begun = replace(population, generation=stopped.generation, created=(), ended=str(spent))
        following = board.record(track(begun, board.finished))
    improved = following.best.score > population.best.score
    return replace(following, stalled=0 if improved else population.stalled + 1)


def _done(
    population: Population, method: Method, settings: Any, seed: int, experts: Sequence[Expert], evaluate: Evaluate
) -> str:
    """Return why a run can hardly find anything better; nothing if it can.

    A fitness of 1 says nothing about the samples that the next generation draws.
    """
    if population.best.score == 1.0 and not getattr(settings, "redraw", False):
        return "the best has the highest possible fitness"
    if method.converged and method.converged(population, settings, seed, **_needs(method, experts, evaluate)):
        return f"{method.name} has converged"
    return ""


def run_baseline(
    scored_experts: Population, method: Method, settings: Any, seed: int, experts: Sequence[Expert], evaluate: Evaluate
) -> Population:
    """Return the result of a baseline: a population whose best individual is reported."""
    measure = measure_of(settings)
    known = scored_experts.scored if measure == scored_experts.measure else dict[str, Fitness]()
    search = _search(method, scored_experts, settings, seed, experts, evaluate)
    return replace(drive(search, Scoreboard(known, sha256_of(experts), evaluate)), measure=measure)


def _rescored(
    population: Population, experts: Sequence[Expert], evaluate: Evaluate, allowance: Allowance | None
) -> Population:
    """Return a population with the fitness of all that it continues from on other samples, and nothing else known.

    The best and the worst are those on these samples. The trials of its races were on others. OverBudgetError if the
    `allowance` does not pay for it.
    """
    kept = _without_races(population.state)
    in_state = {key: individuals_in(part) for key, part in kept.items()}
    continuing = [population.best, *population.members, population.worst, *chain(*in_state.values())]
    board = Scoreboard({}, sha256_of(experts), evaluate, allowance=allowance)
    scored = iter(board.score(continuing).finished)
    best, members, worst = next(scored), tuple(islice(scored, len(population.members))), next(scored)
    state = {key: tuple(islice(scored, len(in_state[key]))) if in_state[key] else part for key, part in kept.items()}
    everyone = [best, *members, worst, *chain(*map(individuals_in, state.values()))]
    return replace(
        population,
        members=members,
        best=fittest(everyone)[0],
        worst=min(everyone, key=lambda each: each.score),
        scored=board.scored,
        state=state,
        earlier=population.evaluations - len(board.scored),
    )


def _without_races(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a population's state without what its races keep."""
    return {key: part for key, part in state.items() if key not in racing.STATE}


def _search(
    method: Method, start: Population, settings: Any, seed: int, experts: Sequence[Expert], evaluate: Evaluate
) -> Search:
    """Return the search of a method, with what it needs."""
    if method.run is None:
        raise GenomeError(f"{method.name}: this method does not search")
    return method.run(start, settings, seed, **_needs(method, experts, evaluate))


def _needs(method: Method, experts: Sequence[Expert], evaluate: Any) -> dict[str, Any]:
    return {name: NEEDS[name](experts, evaluate) for name in method.needs}


def _check_finite(individuals: Sequence[Individual]) -> None:
    for each in individuals:
        if not all(map(is_finite, filter(None, (each.genotype, each.experience)))):
            raise GenomeError(f"{each.name}: its coefficients are no longer finite; choose a smaller step")


def sha256_of(experts: Sequence[Expert]) -> list[str]:
    """Return the digests of experts, which are part of the identities of genotypes."""
    return [each.sha256 for each in experts]
