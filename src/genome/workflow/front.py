"""The figure of Pareto fronts: for each list of tasks a run that hands out the knee, and what it is compared with."""

from collections.abc import Mapping

from genome.config.results import FrontFigure
from genome.config.variants import NOT_IN_PAPER
from genome.search.measure import OF_PAPER
from genome.search.settings import measure_of
from genome.workflow import runs
from genome.workflow.evaluation import test_of
from genome.workflow.layout import BASE
from genome.workflow.plan import JSON, Plan, unique
from genome.workflow.result import Files


def _panel(plan: Plan, shown: FrontFigure, tasks: str) -> dict[str, JSON]:
    """Return the files of a panel: of the first seed, by what they are shown for."""
    seed = plan.config.seeds[0]
    tested = {"base": BASE, "mean": shown.mean, "knee": shown.knee}
    run_for = {role: runs.run_of(plan, variant, tasks, seed) for role, variant in tested.items()}
    knee = run_for["knee"]
    searched_by_metric = measure_of(plan.variant(shown.knee).settings) == OF_PAPER
    return {
        "tasks": tasks.split("+"),
        "label": plan.variant(shown.knee).label.removesuffix(NOT_IN_PAPER),
        "seed": seed,
        "knee": runs.result_of(plan, knee),
        "mean": runs.result_of(plan, run_for["mean"]),
        "experts": runs.scored_experts_of(plan, knee),
        "tried": runs.populations_of(plan, knee) if searched_by_metric else [],
        "scores": {
            role: {task: f"{test_of(task, run).folder}/scores.json" for task in tasks.split("+")}
            for role, run in run_for.items()
        },
    }


def files(plan: Plan, shown: FrontFigure) -> Files:
    """Return the populations and scores of all panels."""
    panels = [_panel(plan, shown, tasks) for tasks in shown.tasks]
    return unique(
        file
        for panel in panels
        for file in (
            *(panel[name] for name in ("knee", "mean", "experts")),
            *panel["tried"],
            *(score for by_task in panel["scores"].values() for score in by_task.values()),
        )
    )


def settings(plan: Plan, shown: FrontFigure) -> Mapping[str, JSON]:
    """Return what is drawn."""
    return {"version": plan.versions["figures"], "panels": [_panel(plan, shown, tasks) for tasks in shown.tasks]}
