"""The whole config as a value."""

from functools import cached_property
from typing import Any

from pydantic import Field, JsonValue

from genome.config.bases import Base
from genome.config.engine import AnyEngine, Transformers
from genome.config.log import Log
from genome.config.results import Results
from genome.config.run import Run
from genome.config.similarity import Chrf, Similarity
from genome.config.variants import Variant, labelled, read_variant, read_variants
from genome.errors import GenomeError


class Config(Results, Run):
    """What a user's config says; made by `genome.config.read_config`."""

    similarity: Similarity = Field(
        default_factory=Chrf.model_construct,
        description="How an ensemble compares answers that can be worded in several ways.",
    )
    engine: AnyEngine = Field(
        default_factory=Transformers.model_construct, description="The server that answers for the models."
    )
    log: Log | None = Field(
        None,
        description="Experiment trackers that are sent the metrics of each generation; null for none.",
    )
    methods: dict[str, dict[str, JsonValue]] = Field(
        {}, description="Changes to the defaults of methods, by their names."
    )
    changes: dict[str, dict[str, JsonValue] | None] = Field(
        {},
        alias="variants",
        description="Further variants: a `method` and the settings that it changes. Every method is a variant already.",
    )
    bases: dict[str, Base] = Field(description="Base models with their experts, by name.")

    @cached_property
    def suite(self) -> Base:
        """The base model to evolve, with its experts."""
        return self.bases[self.base]

    @property
    def variants(self) -> dict[str, Variant]:
        """All variants by name: one per method, then those of the config."""
        return self._read_variants[0]

    @property
    def variant_problems(self) -> list[str]:
        """What is wrong with the variants of the config; nothing once it has been read."""
        return self._read_variants[1]

    @cached_property
    def _read_variants(self) -> tuple[dict[str, Variant], list[str]]:
        return read_variants(self.methods, self.changes, self.labels)

    def variant(self, name: str, method: str, **changes: Any) -> Variant:
        """Return a variant that the config does not name, such as a point of the study."""
        variant, problems = read_variant(name, {"method": method, **changes}, self.methods, self.labels)
        if variant is None or problems:
            raise GenomeError("; ".join(problems))
        return variant

    def label_of(self, variant: str) -> str:
        """Return a variant's name for people."""
        return labelled(variant, self.labels)
