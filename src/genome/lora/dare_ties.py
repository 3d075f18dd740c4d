"""DARE-TIES (Yu et al. 2024, arXiv 2311.03099): a static merge of the experts by PEFT's own merge utilities.

Its authors merge the changes of weights, here the updates BA. PEFT's
`add_weighted_adapter(combination_type="dare_ties")` merges A and B separately instead, which works for experts that
share their A: both are multiplied by the square root of an expert's weight times its scaling alpha/r, and the merged
adapter's scaling is 1 (alpha = r). Lower ranks and missing layers, which PEFT refuses, are padded with zeros.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from peft.utils import merge_utils

from genome.experts.expert import PREFIX, Expert, Factors, read_expert, stored_type, write_expert
from genome.experts.tensors import from_float32, open_tensors, to_float32
from genome.lora.layers import factor_names, padded, shape_of, target_modules, union_of
from genome.lora.materialise import unscaled
from genome.lora.ties import merge_updates
from genome.rng import stream

NAME = "dare_ties"


def of_updates(
    experts: Sequence[Path], out: Path, density: float = 0.7, seed: int = 0, rank: int | None = None
) -> Expert:
    """Merge the experts' updates into the file `out` of one expert, named `dare_ties`, and return it.

    `density` in (0, 1] is the share of entries that DARE keeps of each update, and rescales by its inverse. Weights are
    1, as in `of_factors`. `rank` is that of `genome.lora.ties.merge_updates`. The dropped entries depend on `seed` and
    the layer's name.
    """

    def merge(updates: list[torch.Tensor], layer: str) -> torch.Tensor:
        torch.manual_seed(layer_seed(seed, layer))
        return merge_utils.dare_ties(updates, torch.ones(len(updates)), density)

    with torch.random.fork_rng(devices=[]):
        return merge_updates(NAME, "DARE-TIES", experts, out, merge, rank, {"density": density, "seed": seed})


def of_factors(
    experts: Sequence[Path],
    out: Path,
    density: float = 0.7,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> Expert:
    """Merge the experts' A and B separately into the file `out` of one expert, named `dare_ties`, and return it.

    `density` in (0, 1) is the share of weights that DARE keeps (and rescales by its inverse). `weights` has one
    non-negative number per expert; None means 1 each. The merge is already a mean over the experts that agree in sign,
    so weights of 1 are TIES with its scale lambda = 1, and weights of 1/n would shrink the update a second time. The
    merge is done in float32 and stored in the widest of the experts' types. The dropped weights depend on `seed` and
    the layer's name.
    """
    members = [read_expert(path) for path in experts]
    weights = [1.0] * len(members) if weights is None else list(weights)
    roots = torch.tensor([math.sqrt(each * member.scale) for each, member in zip(weights, members, strict=True)])
    opened = [open_tensors(member.path) for member in members]
    rank, dtype = max(member.rank for member in members), stored_type(members)
    layers = union_of(members)
    merged: dict[str, Factors] = {}
    with torch.random.fork_rng(devices=[]):
        for layer in sorted(layers):
            torch.manual_seed(layer_seed(seed, layer))
            # A before B, as PEFT draws them.
            factors = []
            for name in factor_names(layer):
                shape = shape_of(name, layers[layer], rank)
                pairs = zip(members, opened, strict=True)
                sources = [padded(unscaled(each, tensors, name, each.scale), shape) for each, tensors in pairs]
                values = merge_utils.dare_ties([torch.from_numpy(source) for source in sources], roots, density)
                factors.append(to_float32(from_float32(values.numpy(), dtype), dtype))
            merged[layer.removeprefix(PREFIX)] = factors[1], factors[0]
    known = {
        "merge": "dare_ties",
        "density": density,
        "weights": weights,
        "seed": seed,
        "experts": {member.name: member.sha256 for member in members},
    }
    return write_expert(
        out,
        NAME,
        merged,
        alpha=rank,
        dtype=dtype,
        target_modules=target_modules(members),
        base_model=members[0].base_model,
        provenance={"kind": "DARE-TIES", "source": known, "revision": None},
    )


def layer_seed(seed: int, layer: str) -> int:
    """Return torch's seed for dropping weights in one layer, named as its tensors up to `.lora_A.weight`."""
    return int(stream(seed, "dare_ties", layer).integers(2**63))
