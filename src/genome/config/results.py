"""What is shown: tables, figures and the study, numbered as in the paper. A part that is null is not made."""

from typing import Annotated, Literal

from pydantic import Field

from genome.config.naming import JoinedTasks, Refers, Shown, TaskName, TaskNames, VariantName, VariantNames
from genome.validation.section import LISTED, UNIQUE, OneOf, Section, Seed, Text

COMPARED = "Variants, one per row."
COLUMNS = "Tasks, one per column."


class TaskTable(Shown):
    """The tasks of Table 1."""

    tasks: TaskNames = Field(description="Tasks, one per row.")


class ByTask(Shown):
    """Variants as rows, tasks as columns."""

    tasks: TaskNames = Field(description=COLUMNS)
    variants: VariantNames = Field(description=COMPARED)


class Comparison(ByTask):
    """Variants, and optionally experts, as rows, tasks as columns."""

    rows: Literal["methods", "experts"] = Field(
        "methods", description="`experts` adds a row for each expert alone, and for the base model."
    )


class Domain(Section):
    """Tasks that one run evolves on."""

    name: Text = Field(description="The heading above the domain's columns.")
    tasks: Annotated[TaskNames, Field(min_length=2)] = Field(
        description="The tasks; fitness is the weighted mean of their scores."
    )


class DomainTable(Shown):
    """Several tasks at once: one run per domain."""

    domains: Annotated[tuple[Domain, ...], Field(min_length=1)] = Field(
        description="Groups of tasks, each a `name` and two or more `tasks`."
    )
    variants: VariantNames = Field(description=COMPARED)


class TransferTable(Shown):
    """Evolved on one task, tested on another."""

    pairs: Annotated[tuple[Annotated[tuple[TaskName, TaskName], UNIQUE], ...], LISTED, UNIQUE, Refers("task")] = Field(
        description="Pairs of tasks: evolved on, tested on. `TASK@NUMBER` is a task with its first NUMBER validation "
        "samples, to evolve on."
    )
    variants: VariantNames = Field(description=COMPARED)


class TimingTable(ByTask):
    """Time and score of runs."""

    beside: Annotated[tuple[Text, ...], UNIQUE] = Field(
        (), description="Files table7.csv from other machines, shown next to this machine's."
    )


class AblationTable(Shown):
    """A variant and its ablations."""

    tasks: TaskNames = Field(description=COLUMNS)
    full: VariantName = Field(description="The variant that the others are compared with.")
    without: VariantNames = Field(description="Its ablations, one per row.")

    @property
    def compared(self) -> tuple[str, ...]:
        """The variant and its ablations."""
        return (self.full, *self.without)


class Study(Shown):
    """The study of hyper-parameters behind Tables 10 and 11: how the rates of crossover and mutation affect a run."""

    task: TaskName = Field(description="The task.")
    method: Literal["genome", "genome_plus"] = Field(
        description="The method whose crossover, individual and gene mutation rates vary; all else is its defaults."
    )
    runs: int = Field(
        ge=1,
        le=1000,
        description="Points drawn from the grid 0.1, 0.2 … 1.0 of each rate, no two equal; a higher number keeps the "
        "points of a lower one.",
    )
    seed: Seed = Field(description="Seed of the draw and of every run.")


class Efficiency(Shown):
    """How many samples each variant evaluates to reach a score, compared with one of them."""

    tasks: TaskNames = Field(description="The tasks.")
    variants: VariantNames = Field(
        description="Variants that evaluate candidates in sequence: evolving or searching ones."
    )
    reference: VariantName = Field(description="The one of `variants` that the others are compared with.")


class PublicScoring(Shown):
    """The public code's rules of scoring next to ours, on the same responses of runs whose whole population answers."""

    tasks: TaskNames = Field(description="The tasks.")
    variant: VariantName = Field(description="A variant that reports an ensemble of its fittest members.")


class CrossBase(Shown):
    """A vote of this base's ensembles with those of other bases, which their own workflows have made."""

    tasks: TaskNames = Field(description="The tasks.")
    variant: VariantName = Field(
        description="A variant that reports an ensemble; runs have the same names in all workflows."
    )
    beside: Annotated[dict[str, Text], Field(min_length=1)] = Field(
        description="The results folders of the other workflows, by the names of their bases."
    )


class ScalingFigure(Shown):
    """Test scores by population size."""

    tasks: TaskNames = Field(description="The tasks.")
    variants: VariantNames = Field(description="Variants, one line each.")
    sizes: Annotated[tuple[Annotated[int, Field(ge=2)], ...], LISTED, UNIQUE] = Field(
        description="Population sizes; one run per size, task, variant and seed."
    )


class LearningCurve(Shown):
    """Test scores by the number of validation samples."""

    tasks: TaskNames = Field(description="The tasks, one panel each.")
    variants: VariantNames = Field(
        description="Variants, one line each; the base model, the uniform mixture and, without `draws`, the best "
        "expert of all validation samples are level."
    )
    sizes: Annotated[tuple[Annotated[int, Field(ge=2)], ...], LISTED, UNIQUE] = Field(
        description="Numbers of validation samples; one run per number, task, variant and seed, on the first samples "
        "of the task. `splits.validation` or more means all of them, as in other tables."
    )
    draws: bool = Field(
        False,
        description="Whether each seed has its own random draw of the samples; all runs of a seed have the same. A "
        "smaller number is a part of a larger one.",
    )


class ExpertFigure(Shown):
    """What each expert is good at, by the categories of tasks."""

    tasks: TaskNames = Field(description="The tasks; one axis per category.")


class FrontFigure(Shown):
    """The Pareto front of runs over several tasks, and what is handed out of it, for the first seed."""

    tasks: JoinedTasks = Field(description="What runs evolve on: two or more tasks joined by +, one panel each.")
    knee: VariantName = Field(description="A variant with `result: knee`.")
    mean: VariantName = Field(description="A variant of the same search that hands out the best weighted mean.")


class RunFigures(Shown):
    """Runs of which figures are drawn, for the first seed."""

    tasks: JoinedTasks = Field(description="What runs evolve on: a task, or several joined by +.")
    variants: VariantNames = Field(description="Evolving variants.")


class Parts(Section):
    """What each table and figure shows. A part that is null is not made."""

    table1: TaskTable | None = Field(None, description="The tasks; null for none.")
    table2: Comparison | None = Field(None, description="The main comparison; null for none.")
    table3: Comparison | None = Field(
        None, description="Knowledge and reasoning, with gains over Best Single; null for none."
    )
    table4: DomainTable | None = Field(None, description="Several tasks at once, one run per domain; null for none.")
    table5: TransferTable | None = Field(None, description="Evolved on one task, tested on another; null for none.")
    table6: Comparison | None = Field(
        None, description="Languages that the base supports, and languages that it does not; null for none."
    )
    table7: TimingTable | None = Field(None, description="Time and score of runs; null for none.")
    table8: AblationTable | None = Field(None, description="A variant and its ablations; null for none.")
    study: Study | None = Field(
        None, description="Tables 10 and 11: the study of the rates of crossover and mutation; null for none."
    )
    efficiency: Efficiency | None = Field(
        None, description="Samples that each variant evaluates to reach the score of a reference; null for none."
    )
    protocol: PublicScoring | None = Field(
        None, description="The public code's scoring next to ours, on the same responses; null for none."
    )
    across: CrossBase | None = Field(
        None, description="A vote with runs of other bases, made by their own workflows; null for none."
    )
    figure2: ScalingFigure | None = Field(None, description="Test scores by population size; null for none.")
    figure3: ExpertFigure | None = Field(None, description="What each expert is good at; null for none.")
    learning_curve: LearningCurve | None = Field(
        None, description="Test scores by the number of validation samples; null for none."
    )
    front: FrontFigure | None = Field(
        None, description="The Pareto front of runs over several tasks, with its knee; null for none."
    )
    portraits: RunFigures | None = Field(None, description="Figures of single runs; null for none.")


PARTS = tuple(Parts.model_fields)
"""The parts of a config by which tables and figures are requested."""


class Results(Parts):
    """What tables and figures show, and which of them are made."""

    all: Annotated[tuple[Annotated[str, OneOf(PARTS)], ...], LISTED, UNIQUE] = Field(
        PARTS, description="What is made if no target is named; parts that are null are left out."
    )
    labels: dict[str, str] = Field(
        {}, description="Names of variants in tables; a method has its own, other variants are shown by their keys."
    )

    @property
    def shown(self) -> dict[str, Shown]:
        """The parts that are not null, by name."""
        parts: dict[str, Shown | None] = {part: getattr(self, part) for part in PARTS}
        return {part: shown for part, shown in parts.items() if shown is not None}
