"""Figures: one row each, with the files that it is made from and the settings that it depends on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genome.config.results import Efficiency, ExpertFigure, FrontFigure, LearningCurve, PublicScoring, ScalingFigure
from genome.workflow import front, learning_curve, runs
from genome.workflow.layout import shown_columns, shown_methods
from genome.workflow.plan import JSON, Plan
from genome.workflow.result import COST, REASONS, RUN, SCORES, Files, Result, by_name
from genome.workflow.tables import TABLES, public_scoring, tests_with_answers, whole_answers


def _scaling(plan: Plan, shown: ScalingFigure) -> Mapping[str, JSON]:
    return {
        "version": plan.versions["figures"],
        "methods": shown_methods(plan, shown),
        "columns": shown_columns(plan, shown),
        "sizes": shown.sizes,
        "seeds": plan.config.seeds,
    }


def _scored_experts(plan: Plan, shown: ExpertFigure) -> Files:
    return [runs.experts_of(task) for task in shown.tasks]


def _capabilities(plan: Plan, shown: ExpertFigure) -> Mapping[str, JSON]:
    names = shown.tasks
    tasks = [[name, (plan.definition(name).get("category") or name).split(", ")] for name in names]
    return {"version": plan.versions["figures"], "tasks": tasks}


FIGURES: Mapping[str, Result[Any]] = by_name(
    Result(
        name="figure2",
        config=ScalingFigure,
        section=SCORES,
        title="Scaling",
        caption=(
            "Test score against population size, one panel per task. Bars are 95 % intervals over test samples "
            "and seeds."
        ),
        inputs=tests_with_answers,
        settings=_scaling,
        rule="figure2",
    ),
    Result(
        name="learning_curve",
        config=LearningCurve,
        section=SCORES,
        title="Learning curve",
        caption=(
            "Test score against the number of validation samples that a method has, one panel per task. A smaller "
            "number is a part of a larger one. Bars are 95 % intervals over test samples and seeds. Thin level lines, "
            "where there are any, are the base model, the mean of the experts and the best expert by all validation "
            "samples."
        ),
        inputs=learning_curve.files,
        settings=learning_curve.settings,
        rule="learning_curve",
    ),
    Result(
        name="figure3",
        config=ExpertFigure,
        section=RUN,
        title="The experts",
        caption=(
            "The rank of each expert among all experts on the validation samples of each category of tasks; the "
            "best is at the rim."
        ),
        inputs=_scored_experts,
        settings=_capabilities,
        rule="figure3",
    ),
    Result(
        name="front",
        config=FrontFigure,
        section=SCORES,
        title="Several tasks at once",
        caption=(
            "All models of a run over several tasks by their validation scores, of the first seed. For those on the "
            "front, no other model is at least as good on all tasks and better on one. The knee is farthest from the "
            "dotted line through the ends of the front. Hollow markers of the same form are the same models on test. "
            "With more than two tasks, a line is a model: on the front, or, thin and dashed, an expert."
        ),
        inputs=front.files,
        settings=front.settings,
        rule="front",
    ),
    Result(
        name="ensemble_by_k",
        key="protocol",
        config=PublicScoring,
        section=REASONS,
        title="Ensemble size",
        caption=(
            "The test score of the ensemble of the k fittest members of the last population, from the same "
            "responses for every k. Below: the gain over the fittest member alone, per task."
        ),
        inputs=whole_answers,
        settings=public_scoring,
        rule="plot_ensemble",
    ),
)
"""Figures that have a separate rule."""

EFFICIENCY = Result(
    name="efficiency",
    config=Efficiency,
    section=COST,
    title="Cost of evolution",
    caption=(
        "Best validation fitness against the number of samples evaluated, per method. Lines are medians over "
        "seeds of the mean over tasks; bands range from the lowest to the highest seed."
    ),
    inputs=TABLES["efficiency"].inputs,
    settings=TABLES["efficiency"].settings,
    rule="efficiency",
)
"""The figure that the rule of the table `efficiency` draws, too."""


@dataclass(frozen=True)
class Portrait:
    """A figure of one run: from its populations, or also from all its `answers`."""

    name: str
    caption: str
    answers: bool = False


PORTRAITS: Mapping[str, Portrait] = {
    each.name: each
    for each in (
        Portrait(
            "evolution",
            "Fitness by generation. Filled dots are members, hollow dots are individuals that were tried and not kept; "
            "the lines are the best fitness so far and the mean of the members.",
        ),
        Portrait(
            "family_tree",
            "The family tree: every individual that was tried, by the operator that made it. Survivors are filled, and "
            "strong lines join the ancestors of the best.",
        ),
        Portrait(
            "expert_shares",
            "The share of each expert in the best individual, by generation: the coefficients of its genotype, which "
            "can be negative and need not add up to 1.",
        ),
        Portrait(
            "diversity",
            "How different the members are, in coefficients and in answers, and how far they are from the base model, "
            "by generation.",
            answers=True,
        ),
    )
}
"""Figures of one run, each drawn for every run that the config names under `portraits`."""
