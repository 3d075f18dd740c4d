"""The plan: a checked config, resolved. All that rules ask for is computed from it, without Snakemake."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, TypeVar

from genome.config import Config, Variant, names, paths
from genome.config.bases import Base, GeneratedModel
from genome.config.check import task_definition
from genome.config.references import named_tasks
from genome.errors import GenomeError, nearest
from genome.search.finalists import VALIDATION_LORA
from genome.search.method import Stage
from genome.search.settings import (
    WITH_VALIDATION_LORA,
    ExpertSet,
    named_scheme,
    set_of,
    set_of_scheme,
    space_name,
)
from genome.tasks import parse_task
from genome.tasks.file import check_task
from genome.tasks.harness_file import expanded
from genome.validation.section import Section
from genome.workflow import study
from genome.workflow.names import RunName, part_of

Part = TypeVar("Part", bound=Section)

JSON = Any
"""A value that JSON has."""

Definition = Mapping[str, Any]
"""A task as its file defines it."""


def canonical(value: JSON) -> str:
    """Return the one JSON text of a value: Snakemake compares it to decide whether a job has to run again."""
    return json.dumps(value, sort_keys=True, allow_nan=False)


def unique(values: Iterable[str]) -> list[str]:
    """Return values in their order, each once."""
    return list(dict.fromkeys(values))


@dataclass(frozen=True, eq=False)
class Plan:
    """What follows from a config: experts, variants with all their settings, tasks with all their changes.

    `task_files` are the contents of config/tasks by their stems, `versions` those of stages (workflow/internal.yaml).
    """

    config: Config
    task_files: Mapping[str, Definition]
    versions: Mapping[str, int]

    @property
    def base(self) -> str:
        """The name of the base model."""
        return self.config.base

    @property
    def per_job(self) -> bool:
        """Whether jobs that need an engine are submitted to a cluster, each with a separate engine."""
        return self.config.engine.per_job

    @property
    def trains_base(self) -> bool:
        """Whether the base model is trained here; otherwise it is fetched: compute nodes may lack internet."""
        return isinstance(self.suite.model, GeneratedModel)

    @property
    def engine_text(self) -> str:
        """The engine's settings as one text."""
        return canonical(self.of_scripts["engine"])

    @cached_property
    def of_scripts(self) -> Mapping[str, JSON]:
        """What scripts and the report read of the config, with defaults: no result depends on it but through params."""
        config = self.config
        return {
            "base": config.base,
            "seeds": list(config.seeds),
            "population_size": config.population_size,
            "splits": config.splits.model_dump(),
            "engine": {"backend": config.engine.backend, **config.engine.given()},
            "data_dir": self.config.data_folder,
            "unparsed": config.unparsed,
            "adapters": config.adapters,
            "generations": config.generations,
        }

    def submission_problem(self, *, local: bool) -> str | None:
        """Return why jobs that are not `local` cannot be submitted: all nodes have to reach an engine."""
        engine = self.config.engine
        if local or engine.per_job or engine.slurm or engine.backend == "url":
            return None
        return (
            "jobs are submitted, but engine.slurm is not set: use profiles/slurm; `--config` on the command line "
            "replaces the profile's, so put settings into a `--configfile`"
        )

    def space_of(self, wildcards: Mapping[str, str]) -> str:
        """Return the space in which a job merges experts: `factors`, `product`, `shared-R`, or "" if these choose it.

        A job that merges nothing serves the experts as they are, as in the space of factors.
        """
        if "scheme" in wildcards:
            return named_scheme(wildcards["scheme"])[1]
        return space_name(getattr(self._settings_of(wildcards), "merge_space", "factors"))

    def set_of(self, wildcards: Mapping[str, str]) -> ExpertSet:
        """Return the set of experts that a job mixes or scores."""
        if "scheme" in wildcards:
            return set_of_scheme(wildcards["scheme"])
        if "set" in wildcards:
            return set_of_scheme(f"experts-{wildcards['set']}")
        return set_of(self._settings_of(wildcards))

    def _settings_of(self, wildcards: Mapping[str, str]) -> Any:
        """Return the settings of the variant that a job's wildcards name, None if they name none."""
        named = wildcards.get("variant") or (RunName.parse(wildcards["run"]).variant if "run" in wildcards else "")
        return self.variants[named].settings if named in self.variants else None

    def added_rank(self, sets: Iterable[ExpertSet]) -> int:
        """Return the rank of the LoRA that some sets of experts have in addition to the given ones; 0 if none has.

        It is trained later, so that jobs on the given experts cannot read it.
        """
        if WITH_VALIDATION_LORA not in sets:
            return 0
        trained = self.variants.get(VALIDATION_LORA)
        return getattr(trained and trained.settings, "rank", None) or self.suite.training.rank

    @property
    def generations(self) -> range:
        """The generations of a run after generation 0."""
        return range(1, self.config.generations + 1)

    @property
    def suite(self) -> Base:
        """The base model with its experts, as the config has them."""
        return self.config.suite

    @cached_property
    def own_corpora(self) -> Mapping[str, str]:
        """The corpora that the workflow writes, by their resolved paths."""
        return paths.own_corpora(self.config, self.task_files)

    @cached_property
    def adapters(self) -> Mapping[str, Mapping[str, Any]]:
        """The sources of all adapters that can be made: experts, Data Merge, and the micro tasks' oracles."""
        return paths.adapters_of(self.config, self.task_files)

    @cached_property
    def experts(self) -> Sequence[str]:
        """The names of the experts."""
        return [name for name in self.adapters if self.suite.experts.get(name)]

    @cached_property
    def trained(self) -> Sequence[str]:
        """The names of adapters that are trained here."""
        return [name for name, source in self.adapters.items() if "corpus" in source]

    @cached_property
    def imported(self) -> Sequence[str]:
        """The names of adapters that are imported from the hub or a folder."""
        return [name for name in self.adapters if name not in self.trained]

    @cached_property
    def grid(self) -> Mapping[str, Mapping[str, float]]:
        """The rates of all points that a study can run, by their names; empty without a study."""
        return study.grid() if self.config.study else {}

    @cached_property
    def points(self) -> Sequence[str]:
        """The points of the grid that the config's study runs; none without a study."""
        shown = self.config.study
        return study.drawn(shown.seed, shown.runs) if shown else []

    @cached_property
    def micro_tasks(self) -> Sequence[str]:
        """The tasks whose rows are generated."""
        return names.micro_tasks(self.task_files)

    @cached_property
    def variants(self) -> Mapping[str, Variant]:
        """All variants with their settings: the config's, and the points of its study."""
        return {**self.config.variants, **self._points()}

    def _points(self) -> dict[str, Variant]:
        """Return the study's points: its method's defaults with other rates, and an ensemble as a second outcome."""
        shown = self.config.study
        if shown is None:
            return {}
        common = self.config.variant("study", shown.method, ensemble={"k": 3})
        return {
            name: replace(common, name=name, label=name, settings=replace(common.settings, **rates))
            for name, rates in self.grid.items()
        }

    def variant(self, name: str) -> Variant:
        """Return a variant by its name; GenomeError if there is none."""
        if name not in self.variants:
            raise GenomeError(f"unknown variant {name!r}; {nearest(name, self.config.variants)}")
        return self.variants[name]

    def of_stage(self, stage: Stage, *, seeded: bool | None = None) -> list[str]:
        """Return the variants whose methods a rule runs; `seeded` ones once per seed, others once, None for both."""
        return [
            name
            for name, variant in self.variants.items()
            if variant.method.stage == stage and seeded in (None, variant.method.seeded)
        ]

    def evolves(self, variant: str) -> bool:
        """Tell whether a variant has a population and generations."""
        return variant in self.variants and self.variants[variant].method.stage == "generation"

    def definition(self, task: str) -> Definition:
        """Return a task as its file defines it, with the config's changes; GenomeError unless it is valid.

        `TASK@NUMBER` is the task with its first NUMBER validation samples.
        """
        whole, number = part_of(task)
        if number is not None and (problem := names.part_problem(self.config, number)):
            raise GenomeError(f"task {task}: {problem}")
        return _definition(self, whole)

    def metric(self, task: str) -> str:
        """Return the metric of a task: by default the first that suits its kind."""
        return parse_task(task, self.definition(task)).metric

    def first_task(self) -> str:
        """Return the first task that a table or figure names, Table 2 first; GenomeError if none names any."""
        shown = self.config.table2
        tasks = list(shown.tasks) if shown else named_tasks(self.config)
        if not tasks:
            raise GenomeError("no table or figure of this config names a task; give one, such as config.table2")
        return tasks[0]

    def section(self, part: str, kind: type[Part]) -> Part:
        """Return the part of the config that describes a table or figure; GenomeError if it is null."""
        found = getattr(self.config, part)
        if not isinstance(found, kind):
            raise GenomeError(f"config.{part} is null; set it to make this target")
        return found


@cache
def _definition(plan: Plan, task: str) -> Definition:
    if task not in plan.task_files and task not in plan.config.tasks:
        raise GenomeError(f"unknown task {task!r}; {nearest(task, [*plan.task_files, *plan.config.tasks])}")
    definition = task_definition(plan.config, plan.task_files, task)
    check_task(task, definition)  # reading the config has checked only the tasks that it names
    return expanded(definition)
