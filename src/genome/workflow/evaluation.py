"""Tests of runs: which models answer, what a team is chosen by, and what an export collects."""

import json
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

from genome.errors import GenomeError
from genome.experts.expert import ENDING
from genome.search.method import STATIC_STAGES, Method
from genome.workflow import applies
from genome.workflow.names import STATIC, RunName, TestName, whole_of
from genome.workflow.plan import Plan
from genome.workflow.runs import (
    answers_of,
    has_finalists,
    is_calibrated,
    populations_of,
    prompts_of,
    require_size,
    result_of,
    run_of,
)


def test_of(task: str, run: RunName) -> TestName:
    """Return the test of a run on a task, in this workflow's results."""
    return TestName("results", task, run)


def files_of(tests: Iterable[TestName], file: str) -> list[str]:
    """Return one file of each test."""
    return [f"{test.folder}/{file}" for test in tests]


def model_of(plan: Plan, run: RunName) -> str:
    """Return the file that describes the models that a run ends with; GenomeError if there can be no such run."""
    if run.is_static and run.variant in plan.adapters and run.seed is None:
        return f"resources/experts/{run.variant}{ENDING}"
    method = plan.variant(run.variant).method
    _require_form(run, method)
    if method.stage == "merge":
        return f"results/merges/{str(run).removeprefix('static/')}/expert{ENDING}"
    if method.stage == "fusion":
        return f"results/experts/{plan.base}.json"
    if method.stage == "training":
        return f"{run.folder}/expert{ENDING}"
    if method.stage == "constant":
        return f"{run.folder}/answer.json"
    if method.stage == "adapter":
        hint = f"add one, or leave {run.variant} out of the tables' variants"
        raise GenomeError(f"config.bases.{plan.base} has no {method.name}; {hint}")
    return result_of(plan, run)


def tested_model(plan: Plan, test: TestName) -> str:
    """Return the file of the models that answer a test; GenomeError if there can be no such run or test."""
    model = model_of(plan, test.run)
    tasks = test.task if test.run.is_static else test.run.task_names
    applies.require(plan, test.run.variant, tasks, test.task)
    return model


def last_population(plan: Plan, run: RunName) -> str:
    """Return the last population of a run's search; GenomeError if the run decides nothing among finalists."""
    _require_form(run, plan.variant(run.variant).method)
    if not has_finalists(plan, run.variant):
        raise GenomeError(f"{run.variant} has no finalists: it hands out what its search found")
    return populations_of(plan, run)[-1]


def _require_form(run: RunName, method: Method) -> None:
    """Raise GenomeError unless a run's name has the parts that runs of its method have."""
    evolves, is_static = method.stage == "generation", method.stage in STATIC_STAGES
    if (run.n is not None, run.seed is not None, run.is_static) != (evolves, method.seeded, is_static):
        parts = [
            STATIC if is_static else "TASKS",
            run.variant,
            *(["nN"] if evolves else []),
            *(["seedS"] if method.seeded else []),
        ]
        raise GenomeError(f"{run} does not name a run of {run.variant}; its runs are named {'/'.join(parts)}")
    if run.n is not None:
        require_size(run.n)


def members_of(plan: Plan, variant: str) -> int:
    """Return how many members the ensemble of a variant has; 0 if it reports none, as single adapters do."""
    return plan.variants[variant].ensemble_size if variant in plan.variants else 0


def is_team(plan: Plan, variant: str) -> bool:
    """Tell whether a variant's ensemble is chosen by its validation answers, not by its members' fitness."""
    return variant in plan.variants and plan.variants[variant].is_team


def chosen_by(plan: Plan, run: RunName) -> list[str]:
    """Return the files that a run's team is chosen by: evaluations and validation samples; none for top members."""
    if not is_team(plan, run.variant):
        return []
    return [*answers_of(plan, run), *prompts_of(plan, run.tasks)]


def calibration_of(plan: Plan, run: RunName) -> list[str]:
    """Return the file of the calibrations of a run's finalists; none if they are not calibrated."""
    return [f"{run.folder}/finalists/calibration.json"] if is_calibrated(plan, run.variant) else []


@cache
def whole_populations(plan: Plan) -> Collection[TestName]:
    """Return the tests that whole populations answer, for the scoring of the public code: by task, then by seed."""
    shown = plan.config.protocol
    if shown is None:
        return ()
    runs = [(task, run_of(plan, shown.variant, task, seed)) for task in shown.tasks for seed in plan.config.seeds]
    return {test_of(task, run): None for task, run in runs}.keys()


def asked_members(plan: Plan, test: TestName) -> int:
    """Return how many members answer a test in addition to the best: an ensemble's, or the whole population's."""
    run = test.run
    members = (run.n or 0) if test in whole_populations(plan) else members_of(plan, run.variant)
    return members if is_team(plan, run.variant) else max(members, answered_already(test))


def answered_already(test: TestName) -> int:
    """Return how many members have answered a test: fewer are among them, and need not be asked again."""
    try:
        return int(json.loads(Path(f"{test.folder}/responses.json").read_text())["members"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0  # none, as far as that file shows


def own_tests(run: RunName) -> list[TestName]:
    """Return the tests of a run on the tasks that it evolved on."""
    return [test_of(whole_of(task), run) for task in run.tasks]


def exported_population(plan: Plan, run: RunName) -> str:
    """Return the population whose best individual is exported; GenomeError for a single adapter, which has none."""
    model = model_of(plan, run)
    if model.endswith("/answer.json"):
        raise GenomeError(f"{run} has no adapter to export: it gives one answer to all samples")
    if run.is_static and not model.endswith(ENDING):
        raise GenomeError(f"{run} has no adapter to export: its experts answer together")
    if model.endswith(ENDING):
        raise GenomeError(f"{run} has no genotype to export; `genome materialise {model} FOLDER` writes its adapter")
    return model
