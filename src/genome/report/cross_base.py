"""A vote of runs with different base models: their weights cannot be mixed, their answers can.

Each base contributes the members of its ensemble. All of them answer together, ordered by validation fitness, as
the members of one ensemble do (`genome.scoring.ensemble`). The vote is compared with each base's ensemble alone.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any

import pandas as pd

from genome.errors import GenomeError
from genome.files import write_text
from genome.report import tables
from genome.report.layout import MEAN
from genome.report.markdown import pipe_table, points, yes_or_no
from genome.report.run_files import RunFiles, by_task, runs_of, task_of
from genome.report.traces import answered_by, joined
from genome.scoring import differences, intervals, statistics
from genome.scoring.answers import check_members, read_model_answers
from genome.scoring.differences import Difference
from genome.scoring.intervals import Estimate
from genome.scoring.results import origin_of, read_origin, read_scored_task
from genome.scoring.statistics import Answered
from genome.search.population import described
from genome.search.records import check_engine, read_population
from genome.tasks import Task

log = logging.getLogger("genome")

VOTE = "vote"
VOTE_COLUMNS = [
    "task", "model", "validation", "score", "low", "high", "over", "difference", "difference_low", "difference_high",
    "holds", "n", "seeds", "runs",
]  # fmt: skip


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write the scores of several bases' ensembles on the same tests, each alone and all in one vote.

    `settings["bases"]` lists the name of each base and its results folder, this workflow's own first. Each run of
    each base has its `responses` and its last population in `populations`; `splits` are the test splits of all bases,
    which must be equal, and `prompts` this workflow's own test samples.
    """
    files = {(run.test.task, run.test.results, run.test.run.seed): run for run in _runs(inputs)}
    prompts = by_task(inputs["prompts"], [name for name, _ in settings["tasks"]])
    tests, engines = [], []
    for name, definition in settings["tasks"]:
        check_equal([path for path in inputs["splits"] if task_of(path) == name])
        task, samples = read_scored_task(name, definition, inputs["base"], prompts[name])
        ensembles = []
        for base, results in settings["bases"]:
            for seed in settings["seeds"]:
                run = files.pop((name, PurePosixPath(results).as_posix(), seed), None)
                if run is None:
                    raise GenomeError(f"no responses of seed {seed} to the test of {name} in {results}")
                ensemble, engine = _read_ensemble(base, run, task, samples, settings["k"])
                ensembles.append(ensemble)
                engines.append((base, name, engine))
        tests.append((task, samples, ensembles))
    if files:
        raise GenomeError(f"{next(iter(files.values())).responses}: of a run that is not in the vote")
    table = vote(tests, settings["similarity"])
    tables.write_csv(table, outputs["table"])
    write_text(outputs["markdown"], markdown(table, settings["label"], answered_by(engines)))
    log.info("%d bases on %d tests, from %d runs", len(settings["bases"]), len(tests), len(engines))


def _runs(inputs: Mapping[str, Any]) -> list[RunFiles]:
    """Return the runs that vote, each with its last population."""
    runs = runs_of(inputs["responses"], inputs["populations"])
    for run in runs:
        if len(run.populations) != 1:
            raise GenomeError(f"{run.responses}: {len(run.populations)} populations of its run, expected the last one")
    return runs


def _read_ensemble(
    base: str, run: RunFiles, task: Task, samples: Sequence[Mapping[str, Any]], k: int
) -> tuple["Ensemble", str]:
    """Return the ensemble of a run, and the engine that answered."""
    population = read_population(run.populations[0])
    engine = read_origin(origin_of(run.responses))["engine"]
    check_engine(run.responses, engine, population.engine)
    best, *models = read_model_answers(task, samples, run.responses, k)
    check_members([best, *models], population, k, run.responses)
    fitness = {x.name: x.score for x in population.members}
    members = [Member(fitness[model.individual], model.answers) for model in models]
    return Ensemble(base, run.test.run.seed, members, run.folder), described(engine)


def check_equal(splits: Sequence[str]) -> None:
    """Raise GenomeError if a test split differs from the first one, this workflow's own."""
    own, *others = splits
    for other in others:
        if Path(other).read_bytes() != Path(own).read_bytes():
            raise GenomeError(f"{other} is not {own}: other samples; make it with the same `splits` and `tasks`")


@dataclass(frozen=True)
class Member:
    """A member of an ensemble: its validation fitness in [0, 1], and its answers to a test."""

    fitness: float
    answers: Sequence[str | None]


@dataclass(frozen=True)
class Ensemble:
    """The ensemble of one base's run on a test: its members, fittest first, and the folder of its responses."""

    base: str
    seed: int | None
    members: Sequence[Member]
    folder: str


Test = tuple[Task, Sequence[Mapping[str, Any]], Sequence[Ensemble]]
"""A task, its test samples, and the ensembles of every base and seed."""


def vote(tests: Sequence[Test], similarity: Mapping[str, Any]) -> pd.DataFrame:
    """Return the score of each base's ensemble on each task, and of the vote of all of them; in percent.

    The vote's difference is to the base `over`, whose members have the highest mean validation fitness: the base that
    validation would have chosen. The difference of means over tasks is to the base chosen on each task.
    """
    rows = [row for test in tests for row in _compared(*test, similarity)]
    if len(tests) > 1:
        models = dict.fromkeys(row["model"] for row in rows)
        rows += [_mean([row for row in rows if row["model"] == model]) for model in models]
    table = pd.DataFrame([row | _shown(row) for row in rows], columns=VOTE_COLUMNS)
    table["n"] = table["n"].astype("Int64")
    return table


def _compared(
    task: Task, samples: Sequence[Mapping[str, Any]], ensembles: Sequence[Ensemble], similarity: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a row for each base and one for the vote: the `estimate` of its score, its `gain` over the chosen base."""
    bases = list(dict.fromkeys(ensemble.base for ensemble in ensembles))
    seeds = list(dict.fromkeys(ensemble.seed for ensemble in ensembles))
    rows, answers = [], {}
    for model in [*bases, VOTE]:
        behind = [ensemble for ensemble in ensembles if model in (ensemble.base, VOTE)]
        by_seed = [[ensemble for ensemble in behind if ensemble.seed == seed] for seed in seeds]
        answers[model] = _answered(task, samples, by_seed, similarity)
        rows.append(
            {
                "task": task.name,
                "model": model,
                "validation": 100 * fmean(member.fitness for ensemble in behind for member in ensemble.members),
                "n": len(samples),
                "seeds": " ".join(map(str, seeds)),
                "runs": joined(ensemble.folder for ensemble in behind),
                "estimate": intervals.of_score(answers[model]),
            }
        )
    *alone, together = rows
    chosen = max(alone, key=lambda row: row["validation"])
    gain = differences.difference(answers[VOTE], answers[chosen["model"]])
    return [*alone, together | {"over": chosen["model"], "gain": gain}]


def _answered(
    task: Task, samples: Sequence[Mapping[str, Any]], votes: Sequence[Sequence[Ensemble]], similarity: Mapping[str, Any]
) -> list[Answered]:
    """Return the scores of votes, each of all members of several ensembles."""
    members = [
        sorted((member for ensemble in vote for member in ensemble.members), key=lambda member: -member.fitness)
        for vote in votes
    ]
    answers = [[member.answers for member in each] for each in members]
    return statistics.of_ensembles(task, samples, answers, similarity)


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of one model's rows over tasks."""
    mean = {
        "task": MEAN,
        "model": rows[0]["model"],
        "validation": fmean(row["validation"] for row in rows),
        **{key: joined(row[key] for row in rows) for key in ("seeds", "runs")},
        "estimate": intervals.of_mean([row["estimate"] for row in rows]),
    }
    if "gain" not in rows[0]:
        return mean
    gain = differences.mean_difference([row["gain"] for row in rows])
    return mean | {"over": joined(row["over"] for row in rows), "gain": gain}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a row's score, and of its paired difference to the chosen base if it has one."""
    cells = _percent(row["estimate"], "score", "")
    if "gain" not in row:
        return cells
    gain: Difference = row["gain"]
    return {**cells, **_percent(gain.estimate, "difference", "difference_"), "holds": yes_or_no(gain.holds)}


def _percent(estimate: Estimate, name: str, prefix: str) -> dict[str, float]:
    """Return an estimate in percent, and the ends of its interval, whose names get the prefix."""
    interval = estimate.interval
    return {name: 100 * estimate.value, f"{prefix}low": 100 * interval.low, f"{prefix}high": 100 * interval.high}


def markdown(table: pd.DataFrame, variant: str, answered: str = "") -> str:
    """Return the table in Markdown: a row per base and the vote's, a column per task."""
    tasks, models = list(dict.fromkeys(table["task"])), list(dict.fromkeys(table["model"]))
    cells: dict[tuple[str, str], Any] = {(row.task, row.model): row for row in tables.rows_of(table)}
    lines = [[model, *(f"{cells[task, model].score:.2f}" for task in tasks)] for model in models]
    votes = [cells[task, VOTE] for task in tasks]
    differences = [points(vote.difference, vote.holds == "yes") for vote in votes]
    lines.append(["– vs the base chosen by validation", *differences])
    text = pipe_table(lines, ["Ensemble", *tasks])
    caption = (
        f"Ensembles of {variant} on several base models, in percent, and the vote of all their members, "
        "fittest first. The difference, in points, is to the base with the higher validation fitness on each task; "
        "n.s. where it does not hold (docs/statistics.md). "
    )
    return f"{text}\n\n{(caption + answered).strip()}\n"
