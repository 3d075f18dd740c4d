"""DARE-TIES: a static merge of the experts by PEFT's own merge utilities (the paper's DARE_TIES row).

As in PEFT's `add_weighted_adapter(combination_type="dare_ties")`, A and B are merged separately, both are multiplied by
the square root of an expert's weight times its scaling alpha/r, and the merged adapter's scaling is 1 (alpha = r).
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from peft.utils import merge_utils

from genome.experts.peft import CONFIG, WEIGHTS, load_experts, stored_types, write_provenance
from genome.experts.tensors import from_float32, header_bytes, open_tensors
from genome.files import read_json, replacing_directory, write_json
from genome.rng import stream


def dare_ties(
    experts: Sequence[Path],
    out: Path,
    density: float = 0.7,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> None:
    """Merge the experts' folders into the PEFT folder `out`, an expert named `dare_ties`.

    `density` in (0, 1) is the share of weights that DARE keeps (and rescales by its inverse). `weights` has one
    non-negative number per expert; None means 1 each. The merge is already a mean over the experts that agree in sign,
    so weights of 1 are TIES with its scale lambda = 1, and weights of 1/n would shrink the update a second time. The
    merge is done in float32 and stored in the widest of the experts' types. The dropped weights depend on `seed` and
    the layer's name.
    """
    members = load_experts(experts)
    weights = [1.0] * len(members) if weights is None else list(weights)
    scaled = [weight * member.alpha / member.rank for weight, member in zip(weights, members, strict=True)]
    roots = torch.tensor([math.sqrt(value) for value in scaled])
    sources = [open_tensors(member.path / WEIGHTS) for member in members]
    first, dtypes = members[0], stored_types(members)
    merged = {}
    with torch.random.fork_rng(devices=[]):
        for layer in sorted(name.removesuffix(".lora_A.weight") for name in first.tensors if "lora_A" in name):
            torch.manual_seed(layer_seed(seed, layer))
            # A before B, as PEFT draws them.
            for name in (f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"):
                tensors = [torch.from_numpy(source[name]) for source in sources]
                values = merge_utils.dare_ties(tensors, roots, density)
                merged[name] = from_float32(values.numpy(), dtypes[name])
    with replacing_directory(out) as folder:
        header = header_bytes(
            {name: dtypes[name] for name in merged},
            {name: values.shape for name, values in merged.items()},
        )
        (folder / WEIGHTS).write_bytes(header + b"".join(values.tobytes() for values in merged.values()))
        write_json(folder / CONFIG, {**read_json(first.path / CONFIG), "lora_alpha": first.rank})
        source = {
            "merge": "dare_ties",
            "density": density,
            "weights": weights,
            "seed": seed,
            "experts": {member.name: member.sha256 for member in members},
        }
        write_provenance(folder, "dare_ties", source)


def layer_seed(seed: int, layer: str) -> int:
    """Return torch's seed for dropping weights in one layer, named as its tensors up to `.lora_A.weight`."""
    return int(stream(seed, "dare_ties", layer).integers(2**63))
