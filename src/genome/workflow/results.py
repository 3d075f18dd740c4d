"""What the report contains and the default target makes, from the rows of tables and figures."""

from genome.config.results import RunFigures
from genome.workflow.figures import FIGURES, PORTRAITS
from genome.workflow.names import RunName
from genome.workflow.plan import Plan
from genome.workflow.runs import run_of
from genome.workflow.summary import PAGE, SUMMARY
from genome.workflow.tables import TABLES

FORMS = ("svg", "png", "csv")
"""The files of a figure."""


def drawn_runs(plan: Plan) -> list[RunName]:
    """Return the runs whose figures are drawn: those of the first seed that the config names under `portraits`."""
    shown = plan.section("portraits", RunFigures)
    seed = plan.config.seeds[0]
    runs = [run_of(plan, variant, tasks, seed) for tasks in shown.tasks for variant in shown.variants]
    return list(dict.fromkeys(runs))


def portraits(plan: Plan) -> list[str]:
    """Return all figures of single runs."""
    runs = drawn_runs(plan)
    return [f"results/figures/{kind}/{run}.{form}" for kind in PORTRAITS for run in runs for form in FORMS]


def pages(plan: Plan) -> list[str]:
    """Return what the config's `all` names, except parts that are null: pages, and figures of several runs."""
    asked = _asked(plan)
    return [
        *([PAGE] if SUMMARY.part in asked else []),
        *(f"results/tables/{table.name}.html" for table in TABLES.values() if table.part in asked),
        *(f"results/figures/{figure.name}.svg" for figure in FIGURES.values() if figure.part in asked),
    ]


def everything(plan: Plan) -> list[str]:
    """Return what the default target makes: pages, and figures, also of single runs."""
    return [*pages(plan), *(portraits(plan) if "portraits" in _asked(plan) else [])]


def _asked(plan: Plan) -> list[str]:
    return [part for part in plan.config.all if getattr(plan.config, part) is not None]
