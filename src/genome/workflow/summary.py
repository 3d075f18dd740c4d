"""The summary of Table 2, with which the report begins."""

from collections.abc import Mapping

from genome.config.results import Comparison
from genome.config.variants import NOT_IN_PAPER
from genome.workflow import runs
from genome.workflow.layout import BASE, runs_behind
from genome.workflow.names import RunName
from genome.workflow.plan import JSON, Plan
from genome.workflow.result import SCORES, Files, Result
from genome.workflow.tables import TABLES

PAGE = "results/summary.html"
"""The summary as a page, which is also the beginning of the report."""

TABLE = TABLES["table2"]


def _searches(plan: Plan, shown: Comparison) -> list[RunName]:
    """Return the runs whose models answer validation samples, or are trained on them."""
    return [
        run
        for run in runs_behind(plan, shown)
        for method in (plan.variants[run.variant].method if not run.is_static else None,)
        if method and method.name != BASE and method.stage != "constant"
    ]


def _files(plan: Plan, shown: Comparison) -> Files:
    """Return what Table 2 is made from, and the costs of its runs."""
    behind = TABLE.inputs(plan, shown)
    assert isinstance(behind, Mapping)
    return {**behind, "records": runs.records_of(plan, _searches(plan, shown))}


def _settings(plan: Plan, shown: Comparison) -> Mapping[str, JSON]:
    stages = {str(run): runs.stages_of(plan, run) for run in _searches(plan, shown)}
    settings = TABLE.settings(plan, shown)
    methods = [{**row, "short": row["label"].removesuffix(NOT_IN_PAPER)} for row in settings["methods"]]
    return {**settings, "table": "summary", "methods": methods, "stages": stages}


SUMMARY = Result(
    name="summary",
    key=TABLE.part,
    config=Comparison,
    section=SCORES,
    title="Summary",
    caption=(
        "Which method is best on the tasks of Table 2, and by how much: mean test scores, gains over the base model, "
        "the best expert and the Validation LoRA, and what each method spends."
    ),
    inputs=_files,
    settings=_settings,
    rule="summary",
)
"""Table 2 in short: a page with two pictures, and its numbers."""
