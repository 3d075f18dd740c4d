"""Stages that score the tests of whole populations again: by the public code's habits, and by ensemble size."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from genome.files import write_text
from genome.jobs import log
from genome.jobs.evaluation import Model, check_members, read_models
from genome.report import public_scoring as reporting
from genome.report.figures import ensembles
from genome.report.tables import write_csv
from genome.report.traces import answered_by, joined
from genome.scoring.results import origin_of, read_origin, read_samples
from genome.scoring.statistics import Answered
from genome.search.population import described
from genome.search.records import check_engine, read_population
from genome.tasks import Task, parse_task
from genome.tasks.scoring import for_base

Samples = Sequence[Mapping[str, Any]]


def protocol(
    settings: str,
    base: str,
    prompts: Sequence[str],
    responses: Sequence[str],
    populations: Sequence[str],
    table: str,
    markdown: str,
) -> None:
    """Write what the public code's ways of scoring add, of runs whose whole last population answered a test.

    `prompts` are the test samples of each task, `responses` those to each task's test by seed, and `populations` all of
    each such run, in the order of `settings`.
    """
    resolved = json.loads(settings)
    generations = len(populations) // len(responses)
    tests: dict[str, dict[str, reporting.Run]] = {}
    engines = []
    for number, (path, task, samples, models) in enumerate(_answered(resolved, base, prompts, responses)):
        run = list(map(read_population, populations[number * generations : (number + 1) * generations]))
        last = max(run, key=lambda population: population.generation)
        engine = read_origin(origin_of(path))["engine"]
        check_engine(path, engine, last.engine)
        check_members(models, last, len(last.members), path)
        engines.append((resolved["variant"], task.name, described(engine)))
        stale = reporting.stale_fitness(run)
        best, *members = models
        tests.setdefault(task.name, {})[Path(path).parent.as_posix()] = reporting.evaluate(
            task,
            samples,
            best.answers,
            [member.answers for member in members],
            [stale[member.name] for member in members],
            resolved["k"],
            resolved["similarity"],
        )
    result = reporting.compare(tests, resolved["variant"], resolved["seeds"])
    write_csv(result, table)
    write_text(markdown, reporting.markdown(result, resolved["k"], answered_by(engines)))
    log.info("%d rows from %d runs on %d tests", len(result), len(responses), len(tests))


def plot_ensemble(
    settings: str, base: str, prompts: Sequence[str], responses: Sequence[str], out: Sequence[str], table: str
) -> None:
    """Draw the score of the ensemble of the k fittest members for every k, and write its numbers."""
    resolved = json.loads(settings)
    tests: dict[str, list[list[Answered]]] = {}
    folders: dict[str, list[str]] = {}
    for path, task, samples, (_, *members) in _answered(resolved, base, prompts, responses):
        answers = [member.answers for member in members]
        scored = ensembles.by_size(task, samples, answers, resolved["size"], resolved["similarity"])
        tests.setdefault(task.name, []).append(scored)
        folders.setdefault(task.name, []).append(Path(path).parent.as_posix())
    result = ensembles.table(tests, resolved["seeds"])
    behind = {task: joined(each) for task, each in folders.items()} | {ensembles.MEAN: joined(chain(*folders.values()))}
    write_csv(result.assign(runs=result["task"].map(behind)), table)
    ensembles.draw(result, resolved["k"], out)


def _answered(
    settings: Mapping[str, Any], base: str, prompts: Sequence[str], responses: Sequence[str]
) -> Iterator[tuple[str, Task, Samples, list[Model]]]:
    """Yield each file of responses with its task, its samples and what it holds: the best, then all members."""
    seeds = len(settings["seeds"])
    for number, (definition, path) in enumerate(zip(settings["tasks"], prompts, strict=True)):
        task, samples = for_base(parse_task(*definition), base), read_samples(path)
        for file in responses[number * seeds : (number + 1) * seeds]:
            yield file, task, samples, read_models(task, samples, file)
