"""Methods that look at no task: DARE-TIES (`genome.lora.dare_ties`), and Data Merge, trained on all corpora."""

from dataclasses import dataclass

from genome.search.method import Method, Number, setting
from genome.search.settings import Nothing


@dataclass(frozen=True)
class DareTiesSettings:
    """Settings of DARE-TIES."""

    density: Number = setting(0.7, "Share of the weights that DARE keeps.", pinned=True, gt=0, le=1)


DARE_TIES = Method("dare_ties", "DARE_TIES", stage="merge", settings=DareTiesSettings, seeded=True)
DATA_MERGE = Method("data_merge", "Data Merge", stage="adapter", settings=Nothing)
