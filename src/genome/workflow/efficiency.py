"""The comparison of what searches cost (efficiency.csv): its runs, and the files that show their cost."""

from collections.abc import Mapping

from genome.config.results import Efficiency
from genome.workflow import runs
from genome.workflow.evaluation import test_of
from genome.workflow.layout import shown_method
from genome.workflow.plan import JSON, Plan, unique
from genome.workflow.result import Files


def _compared_runs(plan: Plan, shown: Efficiency) -> list[dict[str, JSON]]:
    """Return the runs whose costs are compared, each with the files that show them."""
    return [
        {
            "variant": variant,
            "tasks": task,
            "seed": seed,
            "folder": run.folder,
            "populations": runs.shown_populations(plan, run),
            "records": runs.records_of(plan, [run]),
            "metric": plan.metric(task),
            "scores": f"{test_of(task, run).folder}/scores.json",
        }
        for variant in shown.variants
        for task in shown.tasks
        for seed in plan.config.seeds
        for run in (runs.run_of(plan, variant, task, seed),)
    ]


def files(plan: Plan, shown: Efficiency) -> Files:
    """Return what the comparison of costs is made from: the scores, answers, populations and records of its runs."""
    compared = _compared_runs(plan, shown)
    # Runs share records, which must not be listed twice.
    return unique(
        file
        for run in compared
        for scores in (run["scores"],)
        for file in (scores, scores.replace("scores.json", "answers.jsonl"), *run["populations"], *run["records"])
    )


def settings(plan: Plan, shown: Efficiency) -> Mapping[str, JSON]:
    """Return what the comparison of costs depends on."""
    methods = {name: shown_method(plan, name) for name in [*shown.variants, shown.reference]}
    return {
        "version": plan.versions["tables"],
        "labels": [methods[name]["label"] for name in shown.variants],
        "reference": methods[shown.reference]["label"],
        "runs": [{**run, **methods[run["variant"]]} for run in _compared_runs(plan, shown)],
    }
