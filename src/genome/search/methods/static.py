"""Methods that look at no task: TIES and DARE-TIES (`genome.lora`), and Data Merge, trained on all corpora."""

from dataclasses import dataclass

from genome.search.method import Method, Number, setting
from genome.search.settings import Nothing


@dataclass(frozen=True)
class DareTiesSettings:
    """Settings of DARE-TIES."""

    density: Number = setting(0.7, "Share of the weights that DARE keeps.", pinned=True, gt=0, le=1)


@dataclass(frozen=True)
class TiesSettings:
    """Settings of TIES."""

    density: Number = setting(0.2, "Share of the entries of an update that are kept.", pinned=True, gt=0, le=1)
    rank: int | None = setting(None, "Highest rank of the merge; null: the sum of the experts' ranks.", ge=1)


TIES = Method("ties", "TIES", stage="merge", settings=TiesSettings, group="control")
DARE_TIES = Method("dare_ties", "DARE_TIES", stage="merge", settings=DareTiesSettings, seeded=True)
DATA_MERGE = Method("data_merge", "Data Merge", stage="adapter", settings=Nothing)
