"""Controls that do not search: the Validation LoRA (`genome.lora.held_out`) and Majority.

They show what the validation samples are worth without any expert (the critique of arXiv 2602.12323 and 2511.21437).
"""

from dataclasses import dataclass

from genome.search.method import Method, Number, setting
from genome.search.settings import Nothing


@dataclass(frozen=True)
class ValidationLoraSettings:
    """Settings of the Validation LoRA; what is null, and what is not here, is that of the base's `training`."""

    epochs: tuple[int, ...] = setting(
        (1, 2, 3, 5, 8, 12, 20),
        "Numbers of epochs to choose among by the loss on held-out samples.",
        pinned=True,
        rising=True,
        least=1,
        min_length=1,
    )
    held_out: Number = setting(0.2, "Share of each task's samples that is held out for it.", pinned=True, gt=0, lt=1)
    batch_size: int = setting(16, "Samples per step: few, since there are few samples.", pinned=True, ge=1)
    learning_rate: Number | None = setting(None, "Highest learning rate.", gt=0)
    rank: int | None = setting(None, "Rank of the adapter.", ge=1)


VALIDATION_LORA = Method(
    "validation_lora",
    "Validation LoRA",
    stage="training",
    settings=ValidationLoraSettings,
    group="control",
    seeded=True,
)
MAJORITY = Method("majority", "Majority", stage="constant", settings=Nothing, group="control")
