"""Tables: one row each, with the files that it is made from and the settings that it depends on."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from genome.config import paths
from genome.config.results import (
    AblationTable,
    Comparison,
    CrossBase,
    DomainTable,
    Efficiency,
    PublicScoring,
    Study,
    TaskTable,
    TimingTable,
    TransferTable,
)
from genome.workflow import efficiency, evaluation, runs
from genome.workflow.evaluation import files_of, members_of, test_of, whole_populations
from genome.workflow.layout import (
    Shown,
    blanks_of,
    compared_rows,
    runs_behind,
    shown_columns,
    tests_behind,
)
from genome.workflow.names import STATIC, RunName
from genome.workflow.plan import JSON, Plan, unique
from genome.workflow.result import CERTAINTY, COST, REASONS, RUN, SCORES, Files, Result, by_name
from genome.workflow.settings import named_task


def tests_with_answers(plan: Plan, shown: Shown) -> dict[str, str | list[str]]:
    """Return the scores of the tests behind a table or figure, and the answers behind them."""
    tests = tests_behind(plan, shown)
    return {"scores": files_of(tests, "scores.json"), "answers": files_of(tests, "answers.jsonl")}


def _comparison(table: str, plan: Plan, shown: Shown) -> Mapping[str, JSON]:
    blanks = blanks_of(plan, shown)
    return {
        "version": plan.versions["tables"],
        "table": table,
        "methods": compared_rows(plan, shown),
        "columns": shown_columns(plan, shown),
        "seeds": plan.config.seeds,
        **({"blanks": blanks} if blanks else {}),
    }


def _compared_files(plan: Plan, shown: Shown) -> Files:
    """Return the tests behind a comparison, and the populations that name the expert which Best Single is."""
    best = unique(evaluation.model_of(plan, run) for run in runs_behind(plan, shown) if run.variant == "best_single")
    return {**tests_with_answers(plan, shown), "best_single": best}


def _splits(plan: Plan, shown: TaskTable) -> Files:
    return [f"results/splits/{task}/provenance.json" for task in shown.tasks]


def _split_contents(plan: Plan, shown: TaskTable) -> Mapping[str, JSON]:
    shown_fields = ((name, plan.definition(name).items()) for name in shown.tasks)
    tasks = [[name, {key: value for key, value in fields if key != "working"}] for name, fields in shown_fields]
    return {"version": plan.versions["tables"], "tasks": tasks}


def _timing_files(plan: Plan, shown: TimingTable) -> Files:
    return {
        "scores": files_of(tests_behind(plan, shown), "scores.json"),
        "records": runs.records_of(plan, runs_behind(plan, shown)),
        "beside": paths.require_files("config.table7.beside", shown.beside),
    }


def _timing(plan: Plan, shown: TimingTable) -> Mapping[str, JSON]:
    stages = {str(run): runs.stages_of(plan, run) for run in runs_behind(plan, shown)}
    return {**_comparison("table7", plan, shown), "stages": stages}


def study_runs(plan: Plan) -> dict[RunName, Mapping[str, float]]:
    """Return the runs of the hyper-parameter study with the rates of each."""
    shown = plan.section("study", Study)
    return {runs.run_of(plan, name, shown.task, shown.seed): plan.grid[name] for name in plan.points}


def study_files(plan: Plan) -> Files:
    """Return what the list of the study's runs is made from."""
    found, task = study_runs(plan), plan.section("study", Study).task
    return {
        "scores": files_of([test_of(task, run) for run in found], "scores.json"),
        "records": runs.records_of(plan, found),
    }


def study_settings(plan: Plan) -> Mapping[str, JSON]:
    """Return what the list of the study's runs depends on."""
    points = [
        {"run": str(run), "stages": runs.stages_of(plan, run), **rates} for run, rates in study_runs(plan).items()
    ]
    return {"version": plan.versions["tables"], "runs": points}


def _study_list(plan: Plan, shown: Study) -> Files:
    return ["results/tables/study.csv"]


def _study_description(plan: Plan, shown: Study) -> Mapping[str, JSON]:
    return {
        "version": plan.versions["tables"],
        "task": shown.task,
        "label": plan.config.label_of(shown.method),
        "seed": shown.seed,
        "population_size": plan.config.population_size,
        "generations": plan.config.generations,
    }


def _whole_populations(plan: Plan, shown: PublicScoring) -> Files:
    tests = list(whole_populations(plan))
    return {
        **whole_answers(plan, shown),
        "origins": files_of(tests, "responses.json"),
        # All of them: a member's fitness before succession is in earlier ones.
        "populations": [file for test in tests for file in runs.populations_of(plan, test.run)],
    }


def whole_answers(plan: Plan, shown: PublicScoring) -> dict[str, str | list[str]]:
    """Return the answers of whole populations, and the samples that they answer."""
    return {
        "base": f"resources/models/{plan.base}",
        "prompts": runs.prompts_of(plan, shown.tasks, "test"),
        "responses": files_of(list(whole_populations(plan)), "responses.jsonl"),
    }


def public_scoring(plan: Plan, shown: PublicScoring) -> Mapping[str, JSON]:
    """Return what is computed from the answers of whole populations depends on."""
    return {
        "version": [plan.versions["protocol"], plan.versions["scores"], plan.versions["fitness"]],
        "tasks": [named_task(plan, name) for name in shown.tasks],
        "seeds": plan.config.seeds,
        "variant": shown.variant,
        "k": members_of(plan, shown.variant),
        "size": plan.config.population_size,
        "similarity": plan.config.similarity.model_dump(),
    }


def _results_of(shown: CrossBase) -> list[str]:
    """Return the results folders of all bases, this workflow's own first."""
    return ["results", *map(os.path.expanduser, shown.beside.values())]


def _voting_files(plan: Plan, shown: CrossBase) -> Files:
    """Return files of this workflow and of those with other bases: by task, then by base, then by seed."""
    results = _results_of(shown)
    tests = [
        replace(test_of(task, runs.run_of(plan, shown.variant, task, seed)), results=folder)
        for task in shown.tasks
        for folder in results
        for seed in plan.config.seeds
    ]
    responses = files_of(tests, "responses.jsonl")
    files = {
        "splits": [f"{folder}/splits/{task}/test.jsonl" for task in shown.tasks for folder in results],
        "responses": responses,
        "origins": files_of(tests, "responses.json"),
        # The last ones: they contain the fitness of the members that vote.
        "populations": [f"{test.results}/{runs.result_of(plan, test.run).removeprefix('results/')}" for test in tests],
    }
    for each in ("splits", "responses", "populations"):
        # They are made by other workflows, not by rules of this one.
        paths.require_files("config.across.beside", files[each])
    return {
        "base": f"resources/models/{plan.base}",
        "prompts": runs.prompts_of(plan, shown.tasks, "test"),
        **files,
    }


def _voting(plan: Plan, shown: CrossBase) -> Mapping[str, JSON]:
    return {
        "version": [plan.versions["tables"], plan.versions["scores"], plan.versions["fitness"]],
        "tasks": [named_task(plan, name) for name in shown.tasks],
        "bases": list(zip([plan.base, *shown.beside], _results_of(shown), strict=True)),
        "seeds": plan.config.seeds,
        "label": plan.variant(shown.variant).label,
        "k": members_of(plan, shown.variant),
        "similarity": plan.config.similarity.model_dump(),
    }


def reachable_files(plan: Plan) -> list[str]:
    """Return the scores of Data Merge and of each micro task's oracle, on the micro tasks of Table 2."""
    tasks = [task for task in plan.section("table2", Comparison).tasks if task in plan.micro_tasks]
    merges = [(task, adapter) for task in tasks for adapter in ("data_merge", f"oracle_{task}")]
    return files_of([test_of(task, RunName((STATIC,), adapter)) for task, adapter in merges], "scores.json")


def _compared(name: str, config: type[Shown], section: str, title: str, caption: str) -> Result[Any]:
    """Return the row of a table that compares methods on tests; one rule makes all of them."""
    settings = partial(_comparison, name)
    return Result(name, config, section, title, caption, _compared_files, settings, rule="compare")


TABLES: Mapping[str, Result[Any]] = by_name(
    Result(
        name="table1",
        config=TaskTable,
        section=RUN,
        title="Data",
        caption=(
            "How many samples choose a model and how many report its score, how large each source is, and whether"
            " the split is the paper's own draw."
        ),
        inputs=_splits,
        settings=_split_contents,
        rule="table1",
    ),
    _compared(
        name="table2",
        config=Comparison,
        section=SCORES,
        title="Single tasks",
        caption=(
            "Each method evolves on one task, or merges for it, and is tested on the same task. The gains below a"
            " method are over the rows that they name: in points, and in percent of these."
        ),
    ),
    _compared(
        name="table3",
        config=Comparison,
        section=SCORES,
        title="Knowledge and reasoning",
        caption="Does evolution add what the experts do not know, or does it use better what they know?",
    ),
    _compared(
        name="table4",
        config=DomainTable,
        section=SCORES,
        title="Several tasks at once",
        caption="One run per domain; its fitness is the mean over the domain's tasks.",
    ),
    _compared(
        name="table5",
        config=TransferTable,
        section=SCORES,
        title="Transfer",
        caption="A model evolved on one task is tested on another, of which it has seen no sample.",
    ),
    _compared(
        name="table6",
        config=Comparison,
        section=SCORES,
        title="Languages",
        caption="Translation from languages that the base model supports, and from languages that it does not.",
    ),
    Result(
        name="across",
        config=CrossBase,
        section=SCORES,
        title="A vote of different bases",
        caption="The test scores of runs with different base models, each ensemble alone and all of them in one vote.",
        inputs=_voting_files,
        settings=_voting,
        rule="across",
    ),
    Result(
        name="protocol",
        config=PublicScoring,
        section=CERTAINTY,
        title="Scoring rules of the public code",
        caption="What the public code would have reported for the same runs, next to our scores.",
        inputs=_whole_populations,
        settings=public_scoring,
        rule="protocol",
    ),
    _compared(
        name="table8",
        config=AblationTable,
        section=REASONS,
        title="Ablations",
        caption="The whole method, and the method without each of its parts. Losses marked n.s. do not hold.",
    ),
    Result(
        name="table10",
        key="study",
        config=Study,
        section=REASONS,
        title="Hyper-parameters: correlations",
        caption=(
            "How each rate correlates with the test score of the best individual, with that of the ensemble, and "
            "with the time of a run."
        ),
        inputs=_study_list,
        settings=_study_description,
        rule="correlate",
    ),
    Result(
        name="table11",
        key="study",
        config=Study,
        section=REASONS,
        title="Hyper-parameters: regression",
        caption="The effect of raising each rate from 0 to 1 while the others stay the same, by least squares.",
        inputs=_study_list,
        settings=_study_description,
        rule="regress",
    ),
    Result(
        name="efficiency",
        config=Efficiency,
        section=COST,
        title="Cost of evolution",
        caption=(
            "The validation samples that each method evaluates: in total, and until it reaches the final fitness "
            "of the method that it is compared with."
        ),
        inputs=efficiency.files,
        settings=efficiency.settings,
        rule="efficiency",
    ),
    Result(
        name="table7",
        config=TimingTable,
        section=COST,
        title="Time and score by machine",
        caption="The wall time of all jobs of a run, from its first population to its last generation.",
        inputs=_timing_files,
        settings=_timing,
        rule="timing",
    ),
)
"""All tables, in the order of the report's sections."""
