"""What a setting of races saves and loses: `python benchmarks/racing.py RESULTS [--method cma_es] [--share 0.1]`.

RESULTS is a folder of results with runs of CMA-ES, GENOME or GENOME+ without races. Only kept validation answers are
read, no test. Each generation's candidates race again, with the answers that they gave, in several random orders of the
samples. A race is lost if the best individuals after it, as many as it selects, are worse than without it. Candidates
are those of runs without races: a run with races would go other ways after a candidate has been stopped.

The setting is picked by a rule that was fixed before the first run of this script: of the settings that lose at most
one race in a hundred, the one that saves the most samples.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import fsum, isclose
from pathlib import Path
from statistics import fmean
from typing import Annotated

import numpy as np
import typer

from genome.genotype import Genotype
from genome.report.markdown import pipe_table
from genome.scoring.results import read_evaluations
from genome.search.population import Fitness, Individual
from genome.search.racing import Course, Known, places, race
from genome.search.records import read_population
from genome.search.settings import Racing

LOOKS = [(20, 40, 80, 120), (25, 50, 100), (30, 60, 120), (40, 80), (50, 100), (20,), (50,)]
CONFIDENCES = [0.6, 0.7, 0.8, 0.9, 0.95]
LOST = 0.01
"""The highest share of lost races of a setting that may be picked."""

MOVED = "succession"

Scores = Mapping[str, np.ndarray]
"""Scores of an individual's answers by task, in the order of the file."""


@dataclass(frozen=True)
class Replay:
    """A contest of a finished run: the candidates' scores, and the rivals', of which only the means may be known."""

    candidates: Mapping[str, Scores]
    rivals: Sequence[Scores | Fitness]
    size: int


@dataclass(frozen=True)
class Outcome:
    """The share of samples that a race saved, and by how many points the best after it are worse than without it."""

    saved: float
    points: float


def replays(run: Path) -> Iterator[Replay]:
    """Yield the contests of a run until its best individual is right on all samples; none if its tasks cannot race."""
    tasks, (size, seed) = run.parent.parent.parent, run.parts[-2:]
    before = read_population(tasks / "initial-pairs" / size / seed / "population.json")
    answers: dict[str, dict[str, np.ndarray]] = {}
    for number in range(1, 1 + len(list(run.glob("generation_*")))):
        folder = run / f"generation_{number}"
        after, rows = read_population(folder / "population.json"), read_evaluations(folder / "evaluations.jsonl")
        if before.best.score == 1.0:
            return
        given: dict[str, dict[str, list[float]]] = {}
        for row in rows:
            given.setdefault(row["individual"], {}).setdefault(row["task"], []).append(row["score"])
        new = {name: {task: np.array(found) for task, found in each.items()} for name, each in given.items()}
        created = [each for each in after.created if each.name in new]
        if not all(is_mean(each, new[each.name]) for each in created):
            return
        answers |= new
        members = [] if "cma_es" in run.parts else [answers.get(x.name, x.required_fitness) for x in before.members]
        offspring = {x.name: new[x.name] for x in created if x.operator != MOVED}
        moved = {x.name: new[x.name] for x in created if x.operator == MOVED}
        if offspring:
            yield Replay(offspring, members, len(before.members))
        if moved:
            yield Replay(moved, [*members, *offspring.values()], len(before.members))
        before = after


def is_mean(individual: Individual, scores: Scores) -> bool:
    """Return whether an individual's fitness on each task is the mean of its samples' scores."""
    fitness = individual.required_fitness.scores
    return all(isclose(fitness[task], fmean(found), abs_tol=1e-9) for task, found in scores.items())


def shuffled(replay: Replay, seed: int) -> Callable[[Racing], Outcome]:
    """Return what a contest saves and loses as a race by some rules, with samples in the order that a seed draws."""
    first = next(iter(replay.candidates.values()))
    chance = np.random.default_rng(seed)
    orders = {task: chance.permutation(len(scores)) for task, scores in first.items()}
    sizes, weights = {task: len(order) for task, order in orders.items()}, dict.fromkeys(orders, 1 / len(orders))

    def ordered(scores: Scores) -> dict[str, tuple[float, ...]]:
        return {task: tuple(scores[task][order].tolist()) for task, order in orders.items()}

    candidates = {name: ordered(scores) for name, scores in replay.candidates.items()}
    entries = {name: Individual(name, Genotype((1.0,)), "") for name in candidates}
    rivals = [Known(means=x.scores) if isinstance(x, Fitness) else Known(ordered(x)) for x in replay.rivals]

    def evaluate(individuals: Sequence[Individual], start: int, stop: int) -> list[dict[str, tuple[float, ...]]]:
        return [{task: scores[start:stop] for task, scores in candidates[each.name].items()} for each in individuals]

    def combine(scores: Mapping[str, float]) -> Fitness:
        return Fitness(fmean(scores.values()), scores)

    course = Course(sizes, weights, evaluate, combine)
    known = [fmean(fmean(each.first(task, size)) for task, size in sizes.items()) for each in rivals]
    fitness = {name: course.fitness(scores).value for name, scores in candidates.items()}

    def best(names: Iterable[str], number: int) -> float:
        return fsum(sorted([*known, *(fitness[name] for name in names)], reverse=True)[:number]) / number

    def outcome(rules: Racing) -> Outcome:
        selected = places(rules, replay.size)
        trials = race(entries, {}, rivals, selected, rules, course)
        finished = [name for name, trial in trials.items() if course.finished(trial)]
        asked = sum(len(scores) for trial in trials.values() for scores in trial.values())
        share = asked / (len(trials) * sum(sizes.values()))
        return Outcome(1 - share, 100 * (best(candidates, selected) - best(finished, selected)))

    return outcome


def main(
    results: Annotated[Path, typer.Argument(help="A folder of results.")],
    method: Annotated[str, typer.Option(help="The variant whose runs are replayed.")] = "cma_es",
    share: Annotated[float, typer.Option(help="The share of the population that a race selects.")] = 0.1,
    orders: Annotated[int, typer.Option(help="Random orders of the samples for each race.")] = 5,
) -> None:
    """Print what each setting saves and loses, and the setting that the rule picks."""
    by_run = {run: list(replays(run)) for run in sorted(results.glob(f"runs/*/{method}/n*/seed*"))}
    by_run = {run: found for run, found in by_run.items() if found}
    contests = [each for found in by_run.values() for each in found]
    if not contests:
        raise typer.BadParameter(f"no runs of {method} whose tasks can race", param_hint="RESULTS")
    names = ", ".join(run.relative_to(results / "runs").as_posix() for run in by_run)
    print(f"{platform.machine()}, Python {platform.python_version()}; {len(contests)} contests of {names}\n")
    races = [shuffled(each, seed) for each in contests for seed in range(orders)]
    rows, allowed = [], []
    for looks, confidence in product(LOOKS, CONFIDENCES):
        outcomes = [each(Racing(looks, confidence, share)) for each in races]
        saved, lost = fmean(each.saved for each in outcomes), fmean(each.points > 1e-9 for each in outcomes)
        points = fmean(each.points for each in outcomes)
        setting = f"`looks: {list(looks)}, confidence: {confidence}, share: {share:g}`"
        rows.append(
            [setting, f"{100 * saved:.1f}", f"{100 * lost:.2f}", f"{100 * (1 - confidence):.0f}", f"{points:.3f}"]
        )
        if lost <= LOST:
            allowed.append((saved, setting))
    heading = ["Setting", "Samples saved (%)", "Races lost (%)", "Allowed (%)", "Points lost per race"]
    print(pipe_table(rows, heading))
    print(f"\nPicked: {max(allowed)[1] if allowed else 'none: every setting loses too many races'}")


if __name__ == "__main__":
    typer.run(main)
