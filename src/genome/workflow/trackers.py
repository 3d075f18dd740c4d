"""What experiment trackers get of runs: which files have their numbers, and what decides their results."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from genome.search.method import plain
from genome.tracking import Settings, Tracked
from genome.workflow.layout import BASE
from genome.workflow.names import RunName, TestName, whole_of
from genome.workflow.plan import JSON, Plan
from genome.workflow.runs import evaluations_of, experts_of, has_finalists, populations_of, result_of

POPULATION = "population.json"

WITHOUT_POPULATIONS = ("training", "constant")
"""Stages on validation data whose methods have no population."""


class PlannedJob(Protocol):
    """A job of Snakemake."""

    wildcards_dict: Mapping[str, str]
    output: Iterable[Any]


def settings_of(plan: Plan) -> Settings:
    """Return the settings of the trackers that the config names; none by default."""
    return {} if plan.config.log is None else plan.config.log.model_dump(exclude_none=True)


def runs_of(jobs: Iterable[PlannedJob]) -> list[RunName]:
    """Return the runs that jobs are about, each once."""
    named = (_run_in(job.wildcards_dict) for job in jobs)
    return list(dict.fromkeys(run for run in named if run))


def _run_in(wildcards: Mapping[str, str]) -> RunName | None:
    """Return the run that wildcards name, at once or in parts; None for jobs that are about no run."""
    if "run" in wildcards:
        return RunName.parse(wildcards["run"])
    if "tasks" not in wildcards or "variant" not in wildcards:
        return None
    n, seed = (int(wildcards[part]) if part in wildcards else None for part in ("n", "seed"))
    return RunName(tuple(wildcards["tasks"].split("+")), wildcards["variant"], n, seed)


def remade_by(jobs: Iterable[PlannedJob]) -> dict[str, int]:
    """Return the files that jobs will replace which trackers may have read, with their times of change (ns)."""
    outputs = (str(output) for job in jobs for output in job.output)
    paths = [path for path in outputs if path.endswith((POPULATION, "scores.json"))]
    return {path: Path(path).stat().st_mtime_ns for path in paths if Path(path).is_file()}


def runs_in(folder: Path) -> list[RunName]:
    """Return the runs that have results in a folder, which contains `results`."""
    found = dict[RunName, None]()
    for pattern in ("*/*", "*/*/seed*", "*/*/n*/seed*"):
        for path in sorted((folder / "results/runs").glob(pattern)):
            if path.is_dir():
                found[RunName.parse(path.relative_to(folder / "results/runs").as_posix())] = None
    for path in sorted((folder / "results/test").glob("*/**/scores.json")):
        found[TestName.of(path.relative_to(folder).as_posix()).run] = None
    return list(found)


def tracked(plan: Plan, runs: Iterable[RunName]) -> list[Tracked]:
    """Return what trackers know of runs. Names that no variant has as a run are left out, such as single experts."""
    return [_tracked(plan, run) for run in dict.fromkeys(runs) if _is_run(plan, run)]


def _is_run(plan: Plan, run: RunName) -> bool:
    if run.variant not in plan.variants:
        return False
    method = plan.variants[run.variant].method
    return (run.n is not None, run.seed is not None) == (method.stage == "generation", method.seeded)


def _tracked(plan: Plan, run: RunName) -> Tracked:
    variant, tasks = plan.variant(run.variant), run.task_names
    searches = not run.is_static and variant.method.stage not in WITHOUT_POPULATIONS
    controls = {"best_expert": experts_of(tasks), "base": f"{RunName(run.tasks, BASE).folder}/{POPULATION}"}
    return Tracked(
        name=str(run),
        group=f"{tasks}/{run.variant}",
        parameters=_parameters(plan, run),
        populations=populations_of(plan, run) if searches else [],
        records=[_record_next_to(answers) for answers in evaluations_of(plan, run)] if searches else [],
        finalists=result_of(plan, run) if searches and has_finalists(plan, run.variant) else None,
        controls=controls if searches else {},
        tests=[] if run.is_static else [whole_of(task) for task in run.tasks],
    )


def _record_next_to(evaluations: str) -> str:
    """Return what the job has recorded that has written validation answers.

    >>> _record_next_to("results/runs/sums/genome/n4/seed1/generation_1/evaluations.jsonl")
    'results/benchmarks/runs/sums/genome/n4/seed1/generation_1.json'
    """
    return evaluations.replace("results/", "results/benchmarks/", 1).removesuffix("/evaluations.jsonl") + ".json"


def _parameters(plan: Plan, run: RunName) -> dict[str, JSON]:
    """Return what decides a run's result, as far as a person would compare runs by it."""
    config, variant = plan.config, plan.variant(run.variant)
    generations = {"n": run.n, "generations": config.generations} if plan.evolves(run.variant) else {}
    return {
        "tasks": run.task_names,
        "variant": run.variant,
        "method": variant.method.name,
        **generations,
        **({} if run.seed is None else {"seed": run.seed}),
        "base": plan.base,
        "experts": ", ".join(plan.experts),
        "engine": config.engine.backend,
        "splits": config.splits.model_dump(),
        "settings": {each.name: plain(getattr(variant.settings, each.name)) for each in fields(variant.settings)},
    }
