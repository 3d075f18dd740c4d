"""What is run: the base, seeds, sizes, splits, and where the data is."""

import os
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from genome.errors import GenomeError
from genome.validation.section import LISTED, UNIQUE, Count, Names, Number, Section, Seed, Text


class Splits(Section):
    """How many samples of each task choose, and how many report."""

    validation: Count = Field(200, description="Samples that choose: fitness is measured on them.")
    test: Count | Literal["rest"] = Field(1000, description="Samples that report; `rest` is every sample that is left.")
    seed: Seed = Field(42, description="Seed of the draw, independent of the seeds of runs.")


class Run(Section):
    """The keys at the top of a config."""

    base: Text = Field(description="The entry of `bases` to evolve.")
    seeds: Annotated[tuple[Seed, ...], LISTED, UNIQUE] = Field(
        (1, 2), description="Seeds of runs; tables show means over them."
    )
    population_size: int = Field(10, ge=2, description="Individuals in a population (N).")
    generations: int = Field(
        10, ge=1, le=300, description="Generations of a run (K); Snakemake cannot chain more than 300 jobs."
    )
    adapters: Literal["all", "final", "none"] = Field(
        "all", description="Which generations keep their members as PEFT folders."
    )
    export_rank: Count | None = Field(
        None,
        description="The highest rank of an exported adapter: a wider one is compressed to it, and its card says what "
        "that loses. null: the rank that was evaluated.",
    )
    unparsed: Literal["stop", "warn"] = Field(
        "stop",
        description="What to do if no expert gives a single answer to a task that can be read; a search on such "
        "answers finds nothing.",
    )
    splits: Splits = Field(
        default_factory=Splits.model_construct, description="How samples are divided into validation and test."
    )
    data_dir: Text | Names | None = Field(
        None,
        description="A folder with local copies of published data sets, or several, of which the first that exists is "
        "used; `$NAME` is replaced by an environment variable. null: data sets are downloaded.",
    )
    tasks: dict[str, dict[str, JsonValue]] = Field(
        {}, description="Your own tasks, and changes to the files of `config/tasks`."
    )
    weights: dict[str, Annotated[Number, Field(gt=0)]] = Field(
        {}, description="Weights of tasks in a fitness over several tasks; 1 if not given."
    )

    @cached_property
    def data_folder(self) -> str | None:
        """The folder of local data sets: of several the first that exists; GenomeError if none does."""
        if self.data_dir is None:
            return None
        choices = [self.data_dir] if isinstance(self.data_dir, str) else self.data_dir
        folders = [os.path.expandvars(choice) for choice in choices]
        found = next((folder for folder in folders if os.path.isdir(folder)), None)  # noqa: PTH112
        if found is None:
            raise GenomeError(
                f"config.data_dir: no folder {' or '.join(folders)}; correct it, or set it to null for the hub"
            )
        return found
