"""What a variant cannot do on a task, in words: tables leave such a cell blank, and such a run is refused."""

from collections.abc import Callable, Mapping, Sequence

from genome.config import Variant
from genome.errors import GenomeError
from genome.search.settings import GIVEN, WITH_VALIDATION_LORA, measure_of
from genome.tasks.likelihood import LIKELIHOOD
from genome.tasks.task import HARNESS
from genome.workflow.names import whole_of
from genome.workflow.plan import Plan

OPTIONS = ("choice", "label")
"""Kinds whose answers are few and given."""

Rule = Callable[[Plan, Variant, Sequence[str], str], str | None]
"""Returns why a variant has no result for the tasks of a run and the task that it is tested on."""


def _majority(plan: Plan, variant: Variant, tasks: Sequence[str], tested: str) -> str | None:
    for task in tasks:
        if plan.definition(task).get("kind") not in OPTIONS:
            return f"{task} has no options or labels, so no most frequent answer"
    if tested not in map(whole_of, tasks):
        return f"the most frequent answer to {' or '.join(tasks)} says nothing about {tested}"
    return None


def _validation_lora(plan: Plan, variant: Variant, tasks: Sequence[str], tested: str) -> str | None:
    for task in tasks:
        definition = plan.definition(task)
        if definition.get("kind") == HARNESS:
            return _without_right_response(task)
        if definition.get("kind") == "program" and not definition.get("reference"):
            return f"{task} has tests but no right programs, so nothing to train on"
    return None


def _calibrated(plan: Plan, variant: Variant, tasks: Sequence[str], tested: str) -> str | None:
    if not getattr(variant.settings, "calibrated", False) or variant.method.group != "control":
        return None
    generated = any(plan.definition(task).get("answer_by") != LIKELIHOOD for task in (*tasks, tested))
    return "answers are generated, so there is no likelihood to calibrate" if generated else None


def _of_searches(plan: Plan, variant: Variant, tasks: Sequence[str], tested: str) -> str | None:
    needed = measure_of(variant.settings).objective == LIKELIHOOD
    if needed or getattr(variant.settings, "experts", GIVEN) == WITH_VALIDATION_LORA:
        for task in tasks:
            if plan.definition(task).get("kind") == HARNESS:
                return _without_right_response(task)
    return _calibrated(plan, variant, tasks, tested)


def _without_right_response(task: str) -> str:
    return f"{task} is generated and scored by lm-evaluation-harness, which names no right response"


def _pack_of_llms(plan: Plan, variant: Variant, tasks: Sequence[str], tested: str) -> str | None:
    if plan.config.engine.backend != "transformers":
        return "only the built-in engine can add the logits of several experts"
    if plan.definition(tested).get("answer_by") == LIKELIHOOD:
        return "answers by likelihood are not fused"
    return None


RULES: Mapping[str, Rule] = {
    "majority": _majority,
    "validation_lora": _validation_lora,
    "pack_of_llms": _pack_of_llms,
}
"""By method; all other methods have `_of_searches`."""


def reason_against(plan: Plan, variant: str, tasks: str, tested: str | None = None) -> str | None:
    """Return why a variant has no result on a task, in a short sentence; None if it has one.

    `tasks` are what its runs are over, joined by +, and `tested` is the task of the test if that is another one.
    """
    found, names = plan.variant(variant), tasks.split("+")
    return RULES.get(found.method.name, _of_searches)(plan, found, names, whole_of(tested or names[0]))


def require(plan: Plan, variant: str, tasks: str, tested: str | None = None) -> None:
    """Raise GenomeError if a variant has no result on a task."""
    if variant in plan.variants and (reason := reason_against(plan, variant, tasks, tested)):
        raise GenomeError(f"{variant} on {tested or tasks}: {reason}")
