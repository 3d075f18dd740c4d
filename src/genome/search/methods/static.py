"""Methods that look at no task.

TIES and DARE-TIES merge the experts (`genome.lora`), Data Merge is trained on all corpora, and Pack of LLMs adds the
experts' logits (`genome.engine.fusion`).
"""

from dataclasses import dataclass
from typing import Literal

from genome.search.method import Method, Number, setting
from genome.search.settings import Nothing


@dataclass(frozen=True)
class DareTiesSettings:
    """Settings of DARE-TIES."""

    density: Number = setting(0.7, "Share of the weights that DARE keeps.", pinned=True, gt=0, le=1)
    merges: Literal["updates", "factors"] = setting(
        "updates",
        "What is merged: the updates BA, as the authors merge changes of weights, or A and B separately, as PEFT does.",
        pinned=True,
    )
    rank: int | None = setting(
        None,
        "Highest rank of a merge of updates; null: the sum of the experts' ranks.",
        only={"merges": "updates"},
        ge=1,
    )


@dataclass(frozen=True)
class TiesSettings:
    """Settings of TIES."""

    density: Number = setting(0.2, "Share of the entries of an update that are kept.", pinned=True, gt=0, le=1)
    rank: int | None = setting(None, "Highest rank of the merge; null: the sum of the experts' ranks.", ge=1)


@dataclass(frozen=True)
class PackOfLlmsSettings:
    """Settings of Pack of LLMs."""

    weights: Literal["sim", "opt"] = setting(
        "sim",
        "How much each expert counts for a prompt: by how well it predicts the prompt, or a greedy search for the sum "
        "that predicts it best.",
        pinned=True,
    )
    tau: Number = setting(
        1, "Temperature of the softmax of negative losses.", pinned=True, gt=0, only={"weights": "sim"}
    )


TIES = Method("ties", "TIES", stage="merge", settings=TiesSettings, group="control")
DARE_TIES = Method("dare_ties", "DARE_TIES", stage="merge", settings=DareTiesSettings, version=2, seeded=True)
DATA_MERGE = Method("data_merge", "Data Merge", stage="adapter", settings=Nothing)
PACK_OF_LLMS = Method("pack_of_llms", "Pack of LLMs", stage="fusion", settings=PackOfLlmsSettings, version=2)
