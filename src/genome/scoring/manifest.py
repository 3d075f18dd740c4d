"""The list of checked experts of a base model, which every stage reads that mixes or scores them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.experts.expert import Expert, read_expert
from genome.fields import UnexpectedError, mapping, reading, sequence, shown, text, whole
from genome.files import REMAKE, read_json
from genome.scoring.results import sample_name


@dataclass(frozen=True)
class Manifest:
    """The checked experts of a base model, in their order.

    files: their files, each with its SHA-256
    ranks: the highest rank of a layer of each
    mixed: whether ranks differ between experts (`genome.experts.expert.is_mixed`)
    unseen: of each task, the names of the validation samples that no expert was trained on; None if none was trained on
        any of them
    """

    files: tuple[tuple[str, str], ...]
    ranks: tuple[int, ...]
    mixed: bool
    unseen: Mapping[str, Sequence[Any]] | None = None

    @property
    def rank(self) -> int:
        """The highest rank of an expert."""
        return max(self.ranks)

    def with_rank(self, rank: int) -> "Manifest":
        """Return what is known of these experts and one more of `rank`, which has not been made yet."""
        return replace(self, ranks=(*self.ranks, rank), mixed=self.mixed or {*self.ranks} != {rank})

    def unseen_of(self, task: str, samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the validation samples of a task that no expert was trained on, in their order."""
        if self.unseen is None:
            return [*samples]
        names = {*self.unseen.get(task, ())}
        kept = [each for each in samples if each["id"] in names]
        if not kept or len(kept) < len(names):
            raise GenomeError(
                f"task {task}: {len(names) - len(kept)} of {len(names)} samples that were held out for these experts "
                "are not among its validation samples; train the Validation LoRA again"
            )
        return kept


def read_manifest(path: Path | str) -> Manifest:
    """Return the checked experts of a base model."""
    value = read_json(path, REMAKE)
    with reading(path):
        entries = [
            mapping(entry, "experts, entry") for entry in sequence(mapping(value, "it")["experts"], "experts", 1)
        ]
        if not isinstance(value["mixed"], bool):
            raise UnexpectedError(f"mixed: expected true or false, found {shown(value['mixed'])}")
        return Manifest(
            tuple(
                (text(entry["path"], "experts, path"), text(entry["sha256"], "experts, sha256")) for entry in entries
            ),
            tuple(whole(entry["rank"], "experts, rank", 1) for entry in entries),
            value["mixed"],
            _unseen(value["unseen"]) if "unseen" in value else None,
        )


def _unseen(value: Any) -> Mapping[str, Sequence[Any]]:
    tasks = mapping(value, "unseen")
    return {
        task: [sample_name(each, f"unseen, {task}") for each in sequence(samples, f"unseen, {task}", 1)]
        for task, samples in tasks.items()
    }


def read_experts(manifest: Path | str) -> list[Expert]:
    """Return the experts that a manifest lists, in its order; their files are not hashed again."""
    return [read_expert(file, digest) for file, digest in read_manifest(manifest).files]
