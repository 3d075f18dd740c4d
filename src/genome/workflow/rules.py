"""What rules ask the plan: functions of a job's wildcards, which read them and call the functions of this package.

Nothing is decided here. `Inputs` return files, `Settings` the JSON text that a rule has in its params. What wildcards
match, and the texts of the report, are in `genome.workflow.patterns` and `genome.workflow.captions`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from genome.search.settings import measure_of, named_scheme
from genome.workflow import budget, evaluation, results, runs, settings, sources, tables
from genome.workflow.figures import FIGURES
from genome.workflow.names import RunName, TestName, whole_of
from genome.workflow.plan import Plan, canonical
from genome.workflow.result import Files, Result
from genome.workflow.summary import SUMMARY
from genome.workflow.tables import TABLES


class Wildcards(Protocol):
    """The wildcards of a job: texts by name."""

    def __getattr__(self, name: str) -> str: ...


RESULTS: Mapping[str, Result[Any]] = {**TABLES, **FIGURES, SUMMARY.name: SUMMARY}
"""Tables and figures that have a separate rule, by name."""


def run_of(wildcards: Wildcards) -> RunName:
    """Return the run that a job names in its one wildcard `run`."""
    return RunName.parse(wildcards.run)


def evolving_run_of(wildcards: Wildcards) -> RunName:
    """Return the run of an evolving variant that a job names in parts."""
    return RunName(tasks_of(wildcards), wildcards.variant, int(wildcards.n), int(wildcards.seed))


def tasks_of(wildcards: Wildcards) -> tuple[str, ...]:
    """Return the tasks that a run is over."""
    return tuple(wildcards.tasks.split("+"))


def parts_of(wildcards: Wildcards) -> dict[str, str]:
    """Return what a job names that decides which experts it mixes; the parts of `run`, if it names its run at once."""
    found = {name: getattr(wildcards, name, None) for name in ("scheme", "set", "variant", "tasks", "seed", "run")}
    named = {name: value for name, value in found.items() if value is not None}
    if "run" not in named:
        return named
    run = RunName.parse(named.pop("run"))
    return {"tasks": run.task_names, "variant": run.variant} | ({} if run.seed is None else {"seed": str(run.seed)})


def seed_in(named: Mapping[str, str]) -> int | None:
    """Return the seed that a job names, if it names any."""
    return int(named["seed"]) if "seed" in named else None


def test_of(wildcards: Wildcards) -> TestName:
    """Return the test that a job names."""
    return evaluation.test_of(wildcards.test_task, run_of(wildcards))


@dataclass(frozen=True, eq=False)
class Inputs:
    """Input functions."""

    plan: Plan

    def of(self, result: str) -> Callable[[Wildcards], Files]:
        """Return the input function of a table or figure."""
        return lambda wildcards: RESULTS[result].inputs_of(self.plan)

    def table(self, wildcards: Wildcards) -> Files:
        """Return what a table is made from."""
        return TABLES[wildcards.table].inputs_of(self.plan)

    def everything(self, wildcards: Wildcards) -> list[str]:
        """Return what the default target makes."""
        return results.everything(self.plan)

    def portraits(self, wildcards: Wildcards) -> list[str]:
        """Return all figures of single runs."""
        return results.portraits(self.plan)

    def study(self, wildcards: Wildcards) -> Files:
        """Return what the list of the study's runs is made from."""
        return tables.study_files(self.plan)

    def reachable(self, wildcards: Wildcards) -> list[str]:
        """Return the scores of Data Merge and of the micro tasks' oracles."""
        return tables.reachable_files(self.plan)

    def engine_check(self, wildcards: Wildcards) -> str:
        """Return the prompts that an engine is checked with."""
        return runs.prompts_of(self.plan, [self.plan.first_task()])[0]

    def base_files(self, wildcards: Wildcards) -> list[Path]:
        """Return the files of a base given by path."""
        return sources.base_files(self.plan, wildcards.base)

    def adapter_files(self, wildcards: Wildcards) -> list[Path]:
        """Return the files of an adapter given by path."""
        return sources.adapter_files(self.plan, wildcards.adapter)

    def corpora(self, wildcards: Wildcards) -> list[str]:
        """Return the corpora of an adapter."""
        return sources.corpora_of(self.plan, wildcards.adapter)

    def corpus_files(self, wildcards: Wildcards) -> list[Path]:
        """Return the files of a published corpus."""
        return sources.corpus_files(self.plan, wildcards.corpus)

    def task_rows(self, wildcards: Wildcards) -> list[Path]:
        """Return the files of a task's rows."""
        return sources.task_rows(self.plan, wildcards.task)

    def prompts(self, wildcards: Wildcards) -> list[str]:
        """Return the validation prompts of all tasks of a run."""
        return runs.validation_of(self.plan, tasks_of(wildcards))

    def control_prompts(self, wildcards: Wildcards) -> list[str]:
        """Return the validation prompts of a control that does not search."""
        return runs.control_prompts(self.plan, wildcards.variant, tasks_of(wildcards))

    def searched_prompts(self, wildcards: Wildcards) -> list[str]:
        """Return the validation prompts by which a variant scores its candidates."""
        measure = measure_of(self.plan.variant(wildcards.variant).settings)
        return runs.validation_of(self.plan, tasks_of(wildcards), measure)

    def initial_prompts(self, wildcards: Wildcards) -> list[str]:
        """Return the validation prompts of a generation 0."""
        runs.require_size(int(wildcards.n))
        _, _, measure = named_scheme(wildcards.scheme)
        return runs.validation_of(self.plan, tasks_of(wildcards), measure)

    def run_prompts(self, wildcards: Wildcards) -> list[str]:
        """Return the validation prompts of all tasks of a finished run."""
        return runs.validation_of(self.plan, run_of(wildcards).tasks)

    def scored_experts(self, wildcards: Wildcards) -> str:
        """Return the scored experts with which a run's result is compared."""
        return runs.scored_experts_of(self.plan, run_of(wildcards))

    def searched_experts(self, wildcards: Wildcards) -> str:
        """Return the scored experts that a search in one stage begins with."""
        named = parts_of(wildcards)
        return runs.experts_of(named["tasks"], self.plan.set_of(named), seed_in(named))

    def initial_experts(self, wildcards: Wildcards) -> str:
        """Return the scored experts that a generation 0 is made of."""
        return runs.experts_of(wildcards.tasks, self.plan.set_of({"scheme": wildcards.scheme}), int(wildcards.seed))

    def manifest(self, wildcards: Wildcards) -> str:
        """Return the list of checked experts that a job mixes or scores."""
        named = parts_of(wildcards)
        return runs.manifest_of(self.plan, self.plan.set_of(named), named.get("tasks", ""), seed_in(named))

    def last_population(self, wildcards: Wildcards) -> str:
        """Return the population that a run's finalists are from."""
        return evaluation.last_population(self.plan, run_of(wildcards))

    def tried(self, wildcards: Wildcards) -> list[str]:
        """Return the earlier populations that a run's front is made of; none if the run hands out no knee."""
        return runs.tried_populations(self.plan, run_of(wildcards))

    def previous(self, wildcards: Wildcards) -> str:
        """Return the population that a generation starts from."""
        return runs.previous_of(self.plan, evolving_run_of(wildcards), int(wildcards.generation))

    def spent_records(self, wildcards: Wildcards) -> list[str]:
        """Return what a generation needs to know of a budget's tokens that were spent before it."""
        return budget.spent_records(self.plan, evolving_run_of(wildcards), int(wildcards.generation))

    def populations(self, wildcards: Wildcards) -> list[str]:
        """Return the populations of a run, from the shared generation 0 to the last."""
        return runs.populations_of(self.plan, evolving_run_of(wildcards))

    def evaluations(self, wildcards: Wildcards) -> list[str]:
        """Return all validation answers of a run."""
        return runs.evaluations_of(self.plan, evolving_run_of(wildcards))

    def model(self, wildcards: Wildcards) -> str:
        """Return the file that describes the models that a run reports."""
        return evaluation.tested_model(self.plan, test_of(wildcards))

    def validation(self, wildcards: Wildcards) -> list[str]:
        """Return what a run's team is chosen by."""
        return evaluation.chosen_by(self.plan, run_of(wildcards))

    def calibration(self, wildcards: Wildcards) -> list[str]:
        """Return the calibrations of a run's finalists; none if they are not calibrated."""
        return evaluation.calibration_of(self.plan, run_of(wildcards))

    def merged_basis(self, wildcards: Wildcards) -> list[str]:
        """Return the joint basis in which a job of a variant merges experts; none outside of shared spaces."""
        return runs.basis_of(self.manifest(wildcards), self.plan.space_of({"variant": wildcards.variant}))

    def initial_basis(self, wildcards: Wildcards) -> list[str]:
        """Return the joint basis of a generation 0; none outside of shared spaces."""
        return runs.basis_of(self.manifest(wildcards), self.plan.space_of({"scheme": wildcards.scheme}))

    def run_basis(self, wildcards: Wildcards) -> list[str]:
        """Return the joint basis in which a run merges experts; none outside of shared spaces."""
        return runs.basis_of(self.manifest(wildcards), self.plan.space_of({"run": wildcards.run}))

    def exported_population(self, wildcards: Wildcards) -> str:
        """Return the population whose best individual is exported."""
        return evaluation.exported_population(self.plan, run_of(wildcards))

    def exported_splits(self, wildcards: Wildcards) -> list[str]:
        """Return the splits of an exported run's tasks."""
        return [f"results/splits/{whole_of(task)}/provenance.json" for task in run_of(wildcards).tasks]

    def exported_tests(self, file: str) -> Callable[[Wildcards], list[str]]:
        """Return the input function of a file of the tests of an exported run on its own tasks."""
        return lambda wildcards: evaluation.files_of(evaluation.own_tests(run_of(wildcards)), file)


@dataclass(frozen=True, eq=False)
class Settings:
    """What the result of a rule depends on, as one canonical JSON text."""

    plan: Plan

    def of(self, result: str) -> Callable[[Wildcards], str]:
        """Return the settings of a table or figure."""
        return lambda wildcards: canonical(RESULTS[result].settings_of(self.plan))

    def table(self, wildcards: Wildcards) -> str:
        """Return the settings of a table."""
        return canonical(TABLES[wildcards.table].settings_of(self.plan))

    def study(self, wildcards: Wildcards) -> str:
        """Return the settings of the list of the study's runs."""
        return canonical(tables.study_settings(self.plan))

    def base(self, wildcards: Wildcards) -> str:
        """Return the settings of a base model."""
        return canonical(settings.of_base(self.plan, wildcards.base))

    def training(self, wildcards: Wildcards) -> str:
        """Return the settings of a trained adapter."""
        return canonical(settings.of_training(self.plan, wildcards.adapter))

    def importing(self, wildcards: Wildcards) -> str:
        """Return the settings of an imported adapter."""
        return canonical(settings.of_import(self.plan, wildcards.adapter))

    def manifest(self, wildcards: Wildcards) -> str:
        """Return the settings of the list of checked experts."""
        return canonical(settings.of_manifest(self.plan))

    def corpus(self, wildcards: Wildcards) -> str:
        """Return the settings of a published corpus."""
        return canonical(settings.of_corpus(self.plan, wildcards.corpus))

    def split(self, wildcards: Wildcards) -> str:
        """Return the settings of a task's samples."""
        return canonical(settings.of_split(self.plan, wildcards.task))

    def part(self, wildcards: Wildcards) -> str:
        """Return the settings of a part of a task's validation samples; GenomeError if there can be none."""
        return canonical(settings.of_part(self.plan, f"{wildcards.whole}@{wildcards.part}"))

    def prompts(self, wildcards: Wildcards) -> str:
        """Return the settings of prepared prompts."""
        return canonical(settings.of_prompts(self.plan, wildcards.base, wildcards.task))

    def expected(self, wildcards: Wildcards) -> str:
        """Return the settings of the continuations of prepared prompts."""
        return canonical(settings.of_expected(self.plan, wildcards.base, wildcards.task))

    def fitness(self, wildcards: Wildcards) -> str:
        """Return the settings of the scored experts."""
        return canonical(settings.of_fitness(self.plan, tasks_of(wildcards)))

    def random_experts(self, wildcards: Wildcards) -> str:
        """Return the settings of random experts."""
        return canonical(settings.of_random_experts(self.plan))

    def scored_set(self, wildcards: Wildcards) -> str:
        """Return the settings of the scores of another set of experts than the given ones."""
        experts = self.plan.set_of({"set": wildcards.set})
        return canonical(settings.of_scored_set(self.plan, tasks_of(wildcards), experts))

    def initial(self, wildcards: Wildcards) -> str:
        """Return the settings of a generation 0."""
        return canonical(settings.of_initial(self.plan, tasks_of(wildcards), wildcards.scheme))

    def search(self, wildcards: Wildcards) -> str:
        """Return the settings of a method of one stage."""
        return settings.search_text(self.plan, tasks_of(wildcards), wildcards.variant)

    def generation(self, wildcards: Wildcards) -> str:
        """Return the settings of a generation."""
        return settings.generation_text(self.plan, evolving_run_of(wildcards), int(wildcards.generation))

    def finalists(self, wildcards: Wildcards) -> str:
        """Return the settings of the choice among a run's finalists."""
        return canonical(settings.of_finalists(self.plan, run_of(wildcards)))

    def validation_lora(self, wildcards: Wildcards) -> str:
        """Return the settings of a LoRA trained on validation samples."""
        return canonical(settings.of_validation_lora(self.plan, tasks_of(wildcards), wildcards.variant))

    def majority(self, wildcards: Wildcards) -> str:
        """Return the settings of the most frequent validation answers."""
        return canonical(settings.of_search(self.plan, tasks_of(wildcards), wildcards.variant))

    def merge(self, wildcards: Wildcards) -> str:
        """Return the settings of a merge that looks at no task."""
        return canonical(runs.search_settings(self.plan, wildcards.variant))

    def responses(self, wildcards: Wildcards) -> str:
        """Return the settings of the responses to a test."""
        return canonical(settings.of_responses(self.plan, test_of(wildcards)))

    def scores(self, wildcards: Wildcards) -> str:
        """Return the settings of the scores of a test."""
        return canonical(settings.of_scores(self.plan, test_of(wildcards)))

    def rate(self, wildcards: Wildcards) -> str:
        """Return the settings of a measured rate."""
        return canonical(settings.of_rate(self.plan, wildcards.task))

    def portrait(self, wildcards: Wildcards) -> str:
        """Return the settings of a figure of one run."""
        return canonical(settings.of_portrait(self.plan, evolving_run_of(wildcards)))

    def export(self, wildcards: Wildcards) -> str:
        """Return the settings of an exported adapter."""
        return canonical(settings.of_export(self.plan, run_of(wildcards)))
