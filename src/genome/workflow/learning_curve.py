"""The learning curve: runs on a part of a task's validation samples, tested on all of its test."""

from collections.abc import Mapping, Sequence

from genome.config.results import LearningCurve
from genome.search.measure import OF_PAPER
from genome.search.settings import measure_of
from genome.workflow.evaluation import files_of, test_of
from genome.workflow.layout import Column, cell_tests, shown_method, with_metrics
from genome.workflow.names import TestName, part_name
from genome.workflow.plan import JSON, Plan
from genome.workflow.result import Files
from genome.workflow.runs import run_of

UNTUNED = ("base", "uniform")
"""Methods that look at no sample, unless their answers are calibrated: they are levels to compare with."""

BEST_EXPERT = "best_single"
"""The method that is a level, too, if all runs of a number have the same samples: the best expert by all of them."""


def sizes_of(plan: Plan, shown: LearningCurve) -> list[int]:
    """Return the numbers of validation samples in rising order; more than a task has is all of them."""
    return sorted({min(size, _all(plan)) for size in shown.sizes})


def columns_of(plan: Plan, shown: LearningCurve, size: int) -> list[Column]:
    """Return a column per task, of runs on `size` of its validation samples; runs on all of them have its name."""
    is_part = size < _all(plan) or shown.draws
    return _columns(plan, {task: part_name(task, size) if is_part else task for task in shown.tasks})


def split_variants(plan: Plan, shown: LearningCurve) -> tuple[list[str], list[str]]:
    """Return the variants that are lines over numbers of samples, and those that are levels."""
    levels = [name for name in shown.variants if _is_level(plan, shown, name)]
    return [name for name in shown.variants if name not in levels], levels


def files(plan: Plan, shown: LearningCurve) -> Files:
    """Return the scores of all tests, and the answers behind them."""
    lines, levels = split_variants(plan, shown)
    tests = [
        test
        for size in sizes_of(plan, shown)
        for variant in lines
        for column in columns_of(plan, shown, size)
        for test in _tests(plan, shown, variant, column, size)
    ]
    columns = _whole(plan, shown)
    tests += [test for variant in levels for column in columns for test in cell_tests(plan, variant, column)]
    tests = list(dict.fromkeys(tests))
    return {"scores": files_of(tests, "scores.json"), "answers": files_of(tests, "answers.jsonl")}


def settings(plan: Plan, shown: LearningCurve) -> Mapping[str, JSON]:
    """Return what is drawn: how each variant is shown, and the columns of each number of samples."""
    lines, levels = split_variants(plan, shown)
    return {
        "version": plan.versions["figures"],
        "lines": [shown_method(plan, name) for name in lines],
        "levels": [shown_method(plan, name) for name in levels],
        "sizes": [[size, columns_of(plan, shown, size)] for size in sizes_of(plan, shown)],
        "whole": _whole(plan, shown),
        "seeds": plan.config.seeds,
    }


def _tests(plan: Plan, shown: LearningCurve, variant: str, column: Column, size: int) -> Sequence[TestName]:
    """Return the tests of a line at a number of samples, one per seed; with `draws`, each is of a run on its draw."""
    tests = cell_tests(plan, variant, column)
    if not shown.draws or not tests:
        return tests
    task = column["test_task"]
    runs = [run_of(plan, variant, part_name(task, size, seed), seed) for seed in plan.config.seeds]
    return [test_of(task, run) for run in runs]


def _is_level(plan: Plan, shown: LearningCurve, name: str) -> bool:
    variant = plan.variant(name)
    if variant.method.name in UNTUNED:
        return measure_of(variant.settings) == OF_PAPER
    return variant.method.name == BEST_EXPERT and not shown.draws


def _whole(plan: Plan, shown: LearningCurve) -> list[Column]:
    """Return a column per task, of runs on all of its validation samples.

    With `draws`, levels look at no sample, so their runs are on as few as there are.
    """
    draw = (sizes_of(plan, shown)[0], plan.config.seeds[0])
    return _columns(plan, {task: part_name(task, *draw) if shown.draws else task for task in shown.tasks})


def _columns(plan: Plan, evolved: Mapping[str, str]) -> list[Column]:
    """Return the columns of tasks: tested on all of a task's test, of runs on what `evolved` gives."""
    return with_metrics(plan, [{"name": task, "tasks": part, "test_task": task} for task, part in evolved.items()])


def _all(plan: Plan) -> int:
    """Return how many validation samples a task has."""
    return plan.config.splits.validation
