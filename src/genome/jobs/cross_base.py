"""A stage that reads kept responses only, of runs in several folders: the vote of runs with different bases."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from genome.errors import GenomeError
from genome.files import write_text
from genome.jobs import log
from genome.jobs.evaluation import check_members, read_models
from genome.report import cross_base as reporting
from genome.report.tables import write_csv
from genome.report.traces import answered_by
from genome.scoring.results import origin_of, read_origin, read_samples
from genome.search.population import described
from genome.search.records import check_engine, read_population
from genome.tasks import parse_task
from genome.tasks.scoring import for_base


def across(
    settings: str,
    base: str,
    prompts: Sequence[str],
    splits: Sequence[str],
    responses: Sequence[str],
    populations: Sequence[str],
    table: str,
    markdown: str,
) -> None:
    """Write what the ensembles of several bases score on the same tests, each alone and all in one vote.

    `settings` names the bases, this workflow's own first. `prompts` are its own test samples, by task; `splits` the
    test splits by task and base, which must be equal; `responses` and the runs' last `populations` stand by task, base
    and seed.
    """
    resolved = json.loads(settings)
    bases, seeds = resolved["bases"], resolved["seeds"]
    found = iter(zip(responses, populations, strict=True))
    tests, engines = [], []
    for number, definition in enumerate(resolved["tasks"]):
        check_equal(splits[number * len(bases) : (number + 1) * len(bases)])
        task, samples = for_base(parse_task(*definition), base), read_samples(prompts[number])
        runs = []
        for name, seed in product(bases, seeds):
            file, population = next(found)
            evolved = read_population(population)
            engine = read_origin(origin_of(file))["engine"]
            check_engine(file, engine, evolved.engine)
            engines.append((name, task.name, described(engine)))
            best, *models = read_models(task, samples, file, resolved["k"])
            check_members([best, *models], evolved, resolved["k"], file)
            members = {x.name: x.score for x in evolved.members}
            answered = [reporting.Member(members[model.name], model.answers) for model in models]
            runs.append(reporting.Run(name, seed, answered, Path(file).parent.as_posix()))
        tests.append((task, samples, runs))
    result = reporting.vote(tests, resolved["similarity"])
    write_csv(result, table)
    write_text(markdown, reporting.markdown(result, resolved["label"], answered_by(engines)))
    log.info("%d bases on %d tests, from %d runs", len(bases), len(tests), len(responses))


def check_equal(splits: Sequence[str]) -> None:
    """Raise GenomeError where a test split is not that of this workflow, the first: answers to others are no votes."""
    own, *others = splits
    for other in others:
        if Path(other).read_bytes() != Path(own).read_bytes():
            raise GenomeError(f"{other} is not {own}: other samples; make it with the same `splits` and `tasks`")
