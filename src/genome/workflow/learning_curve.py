"""The learning curve: runs on the first validation samples of a task, tested on all of its test."""

from collections.abc import Mapping

from genome.config.results import LearningCurve
from genome.workflow.evaluation import files_of
from genome.workflow.layout import Column, cell_tests, shown_method, with_metrics
from genome.workflow.names import part_name
from genome.workflow.plan import JSON, Plan
from genome.workflow.result import Files

LEVEL = ("base", "best_single")
"""Methods shown as levels to compare with: the base model, and the best expert by all validation samples."""


def sizes_of(plan: Plan, shown: LearningCurve) -> list[int]:
    """Return the numbers of validation samples in rising order; more than a task has is all of them."""
    return sorted({min(size, _all(plan)) for size in shown.sizes})


def columns_of(plan: Plan, shown: LearningCurve, size: int) -> list[Column]:
    """Return a column per task, of runs on its first `size` validation samples; runs on all of them have its name."""
    evolved = {task: part_name(task, size) if size < _all(plan) else task for task in shown.tasks}
    return with_metrics(plan, [{"name": task, "tasks": part, "test_task": task} for task, part in evolved.items()])


def split_variants(plan: Plan, shown: LearningCurve) -> tuple[list[str], list[str]]:
    """Return the variants that are lines over numbers of samples, and those that are levels."""
    levels = [name for name in shown.variants if plan.variant(name).method.name in LEVEL]
    return [name for name in shown.variants if name not in levels], levels


def files(plan: Plan, shown: LearningCurve) -> Files:
    """Return the scores of all tests, and the answers behind them."""
    lines, levels = split_variants(plan, shown)
    cells = [(lines, size) for size in sizes_of(plan, shown)] + [(levels, _all(plan))]
    tests = [
        test
        for variants, size in cells
        for variant in variants
        for column in columns_of(plan, shown, size)
        for test in cell_tests(plan, variant, column)
    ]
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
        "whole": columns_of(plan, shown, _all(plan)),
        "seeds": plan.config.seeds,
    }


def _all(plan: Plan) -> int:
    """Return how many validation samples a task has."""
    return plan.config.splits.validation
