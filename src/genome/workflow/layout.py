"""How tables and figures are laid out: their rows, their columns, and the tests of runs behind them."""

from collections.abc import Mapping

from genome.config.results import AblationTable, Comparison, DomainTable, ScalingFigure, TransferTable
from genome.workflow.applies import reason_against
from genome.workflow.evaluation import test_of
from genome.workflow.names import RunName, TestName
from genome.workflow.plan import JSON, Plan
from genome.workflow.runs import run_of, searched_as

Shown = Comparison | DomainTable | TransferTable | AblationTable | ScalingFigure
"""The parts of a config that compare variants on tests."""

Column = Mapping[str, str]
"""A column: its `name`, the `tasks` that its runs evolve on, the `test_task` that they are tested on, its `group`."""


def columns_of(shown: Shown) -> list[Column]:
    """Return the columns of a table or figure."""
    if isinstance(shown, DomainTable):
        return [
            {"name": task, "tasks": "+".join(domain.tasks), "test_task": task, "group": domain.name}
            for domain in shown.domains
            for task in domain.tasks
        ]
    if isinstance(shown, TransferTable):
        return [
            {"name": f"{evolved} → {tested}", "tasks": evolved, "test_task": tested} for evolved, tested in shown.pairs
        ]
    return [{"name": task, "tasks": task, "test_task": task} for task in shown.tasks]


def tests_behind(plan: Plan, shown: Shown) -> list[TestName]:
    """Return the tests behind a table or figure: of every row, column, size and seed; those that rows share once.

    Cells that stay blank have none.
    """
    sizes = shown.sizes if isinstance(shown, ScalingFigure) else [plan.config.population_size]
    tests = [
        test_of(column["test_task"], run_of(plan, variant, column["tasks"], seed, size))
        for variant in shown.rows
        for column in columns_of(shown)
        if reason_against(plan, variant, column["tasks"], column["test_task"]) is None
        for size in sizes
        for seed in plan.config.seeds
    ]
    return list(dict.fromkeys(tests))


def blanks_of(plan: Plan, shown: Shown) -> dict[str, dict[str, str]]:
    """Return why cells stay blank: by the labels of rows, then by the names of columns."""
    found: dict[str, dict[str, str]] = {}
    for variant in shown.rows:
        for column in columns_of(shown):
            reason = reason_against(plan, variant, column["tasks"], column["test_task"])
            if reason is not None:
                found.setdefault(plan.variant(variant).label, {})[column["name"]] = reason
    return found


def runs_behind(plan: Plan, shown: Shown) -> list[RunName]:
    """Return the runs behind a table or figure, each once."""
    return list(dict.fromkeys(test.run for test in tests_behind(plan, shown)))


def shown_method(plan: Plan, variant: str) -> dict[str, JSON]:
    """Return how a variant is shown: whose runs, under which label, and what of them is reported."""
    return {
        "name": variant,
        "variant": searched_as(plan, variant),
        "label": plan.variant(variant).label,
        "report": "ensemble" if plan.variant(variant).ensemble_size else "best",
    }


def shown_methods(plan: Plan, shown: Shown) -> list[dict[str, JSON]]:
    """Return how a table or figure shows its rows."""
    return [shown_method(plan, name) for name in shown.rows]


def shown_columns(plan: Plan, shown: Shown) -> list[Column]:
    """Return the columns of a table or figure with the metrics of their tests."""
    return [{**column, "metric": plan.metric(column["test_task"])} for column in columns_of(shown)]
