"""How tables and figures are laid out: their rows, their columns, and the tests of runs behind them."""

from collections.abc import Mapping, Sequence

from genome.config.results import AblationTable, Comparison, DomainTable, ScalingFigure, TimingTable, TransferTable
from genome.config.variants import NOT_IN_PAPER, Variant
from genome.report.layout import GROUPS
from genome.workflow.applies import reason_against
from genome.workflow.evaluation import test_of
from genome.workflow.names import STATIC, RunName, TestName
from genome.workflow.plan import JSON, Plan
from genome.workflow.runs import run_of, searched_as

Shown = Comparison | TimingTable | DomainTable | TransferTable | AblationTable | ScalingFigure
"""The parts of a config that compare variants on tests."""

Column = Mapping[str, str]
"""A column: its `name`, the `tasks` that its runs evolve on, the `test_task` that they are tested on, its `group`."""

BASE = "base"
"""The method that is the base model alone."""


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
        test
        for variant in rows_of(plan, shown)
        for column in columns_of(shown)
        for size in sizes
        for test in cell_tests(plan, variant, column, size)
    ]
    experts = [
        test_of(column["test_task"], RunName((STATIC,), expert))
        for expert in experts_of(plan, shown)
        for column in columns_of(shown)
    ]
    return list(dict.fromkeys([*tests, *experts]))


def cell_tests(plan: Plan, variant: str, column: Column, size: int | None = None) -> list[TestName]:
    """Return the tests behind a cell, one per seed, of populations of `size` (None: the config's).

    A blank cell has none.
    """
    if reason_against(plan, variant, column["tasks"], column["test_task"]) is not None:
        return []
    runs = [run_of(plan, variant, column["tasks"], seed, size) for seed in plan.config.seeds]
    return [test_of(column["test_task"], run) for run in runs]


def rows_of(plan: Plan, shown: Shown) -> list[str]:
    """Return the variants that are rows: those that the config names, and the base if experts are rows."""
    base = [BASE] if experts_of(plan, shown) and BASE in plan.variants else []
    return list(dict.fromkeys([*base, *shown.compared]))


def experts_of(plan: Plan, shown: Shown) -> Sequence[str]:
    """Return the experts that are rows."""
    return plan.experts if isinstance(shown, Comparison) and shown.rows == "experts" else ()


def blanks_of(plan: Plan, shown: Shown) -> dict[str, dict[str, str]]:
    """Return why cells stay blank: by the labels of rows, then by the names of columns."""
    found: dict[str, dict[str, str]] = {}
    for variant in rows_of(plan, shown):
        for column in columns_of(shown):
            reason = reason_against(plan, variant, column["tasks"], column["test_task"])
            if reason is not None:
                found.setdefault(plan.variant(variant).label, {})[column["name"]] = reason
    return found


def runs_behind(plan: Plan, shown: Shown) -> list[RunName]:
    """Return the runs behind a table or figure, each once."""
    return list(dict.fromkeys(test.run for test in tests_behind(plan, shown)))


def shown_method(plan: Plan, variant: str) -> dict[str, JSON]:
    """Return how a variant is shown: whose runs, under which label, what of them is reported, and in which group."""
    found = plan.variant(variant)
    return {
        "name": variant,
        "variant": searched_as(plan, variant),
        "label": found.label,
        "report": "ensemble" if found.ensemble_size else "best",
        "shown": _named_result(found),
        "group": found.group,
    }


def _named_result(variant: Variant) -> str:
    """Return a variant's label with what is reported of a population; a heading says what is not in the paper."""
    label = variant.label.removesuffix(NOT_IN_PAPER)
    if variant.method.stage != "generation" or any(word in label for word in ("ensemble", "best individual")):
        return label
    return f"{label}, {f'ensemble of {variant.ensemble_size}' if variant.ensemble_size else 'best individual'}"


def _shown_expert(expert: str) -> dict[str, JSON]:
    names = dict.fromkeys(("name", "variant", "label", "shown"), expert)
    return {**names, "report": "best", "group": "expert"}


def shown_methods(plan: Plan, shown: Shown) -> list[dict[str, JSON]]:
    """Return how a table or figure shows its rows."""
    return [shown_method(plan, name) for name in shown.compared]


def compared_rows(plan: Plan, shown: Shown) -> list[dict[str, JSON]]:
    """Return how a table shows its rows: by their groups, unless all are compared with the first."""
    rows = [shown_method(plan, name) for name in rows_of(plan, shown)]
    if isinstance(shown, AblationTable):
        return rows
    rows += map(_shown_expert, experts_of(plan, shown))
    return sorted(rows, key=lambda row: [*GROUPS].index(row["group"]))


def shown_columns(plan: Plan, shown: Shown) -> list[Column]:
    """Return the columns of a table or figure with the metrics of their tests."""
    return with_metrics(plan, columns_of(shown))


def with_metrics(plan: Plan, columns: Sequence[Column]) -> list[Column]:
    """Return columns with the metrics of their tests."""
    return [{**column, "metric": plan.metric(column["test_task"])} for column in columns]
