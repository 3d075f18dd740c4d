"""TIES (Yadav et al. 2023, arXiv 2306.01708): a static merge of the experts' updates BA, by PEFT's `merge_utils.ties`.

PEFT's definition: in each layer the largest entries of each update are kept (the authors take them over the whole
model), the sign of their sum is elected for each entry, and the entries of that sign are averaged; lambda is 1. The
merged update is then reduced to a rank by its singular values.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft.utils import merge_utils

from genome.experts.expert import PREFIX, Expert, read_expert, write_expert
from genome.experts.tensors import open_tensors
from genome.experts.truncation import truncate_changes
from genome.lora.layers import factors_of, target_modules, union_of

NAME = "ties"

Merge = Callable[[list[torch.Tensor], str], torch.Tensor]
"""Returns the merge of updates [out, in] of a layer, which it also gets the name of."""


def ties(experts: Sequence[Path], out: Path, density: float = 0.2, rank: int | None = None) -> Expert:
    """Merge the experts' files into the file `out` of one expert, named `ties`, and return it.

    `density` in (0, 1] is the share of entries that are kept of each update. `rank` is that of `merge_updates`.
    """

    def merge(updates: list[torch.Tensor], layer: str) -> torch.Tensor:
        return merge_utils.ties(updates, torch.ones(len(updates)), density)

    return merge_updates(NAME, "TIES", experts, out, merge, rank, {"density": density})


def merge_updates(
    name: str,
    kind: str,
    experts: Sequence[Path],
    out: Path,
    merge: Merge,
    rank: int | None,
    settings: Mapping[str, Any],
) -> Expert:
    """Merge the experts' updates by `merge` into the file `out` of one expert, and return it.

    `rank` is the highest rank of a layer, None the sum of the experts' ranks. The share of the merged update's
    Frobenius norm that is kept is in the expert's provenance: by layer, and of all layers. So are the `settings`.
    """
    members = [read_expert(path) for path in experts]
    chosen = sum(member.rank for member in members) if rank is None else rank
    merged = truncate_changes(_merged(members, merge), chosen)
    norms, kept = merged.norms, merged.kept
    whole = math.hypot(*norms.values())
    ranks = {layer: len(a) for layer, (_, a) in merged.factors.items()}
    digests = {each.name: each.sha256 for each in members}
    return write_expert(
        out,
        name,
        merged.factors,
        alpha=float(max(ranks.values())),
        dtype="F32",
        target_modules=target_modules(members),
        base_model=members[0].base_model,
        provenance={
            "kind": kind,
            "source": {"merge": name, **settings, "rank": rank, "experts": digests},
            "revision": None,
            "layers": {each: {"rank": ranks[each], "norm": norms[each], "kept": kept[each]} for each in norms},
            "kept": math.hypot(*(kept[each] * norms[each] for each in norms)) / whole,
        },
    )


def _merged(members: Sequence[Expert], merge: Merge) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the merged update [out, in] of each layer; an expert that does not change a layer takes no part in it."""
    opened = [(member, open_tensors(member.path)) for member in members]
    for layer in sorted(union_of(members)):
        pairs = [factors_of(tensors, layer) for member, tensors in opened if f"{layer}.lora_A.weight" in member.tensors]
        updates = [torch.from_numpy(b @ a) for b, a in pairs]
        yield layer.removeprefix(PREFIX), merge(updates, layer).numpy()
