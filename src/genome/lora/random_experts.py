"""Random LoRAs in the place of experts: what a search finds on them, it does not owe to what experts have learnt.

A control of searches on experts (arXiv 2602.12323): each has the layers, ranks and, per layer, the Frobenius norm of
the update BA of the expert whose place it takes. Both factors are standard normal before they are scaled: A to the norm
of the expert's A, so that noise on weights means the same, and B so that BA has the norm of the expert's.
"""

from pathlib import Path

import numpy as np

from genome.experts.expert import ENDING, PREFIX, Expert, Factors, write_expert
from genome.experts.tensors import from_float32, open_tensors, to_float32
from genome.lora.layers import factor_names, union_of
from genome.lora.noise import unit_noise


def random_expert(given: Expert, seed: int, folder: Path | str) -> Expert:
    """Write the random LoRA of a seed that takes the place of `given` into `folder`, and return it.

    Each factor is drawn by a counter-based generator keyed by the seed, the expert and the tensor, and stored in the
    type of the given expert.
    """
    weights, name = open_tensors(given.path), f"random_{given.name}"
    factors: dict[str, Factors] = {}
    layers: dict[str, dict[str, float]] = {}
    for layer in union_of([given]):
        names = factor_names(layer)
        a, b = (weights[each] for each in names)
        drawn_a, drawn_b = (
            unit_noise(seed, 1.0, f"random/{given.name}/{each}", factor.size).reshape(factor.shape)
            for each, factor in zip(names, (a, b), strict=True)
        )
        new_a = _stored(drawn_a * (np.linalg.norm(a) / np.linalg.norm(drawn_a)), given.dtype)
        # Of a zero A, the update is zero whatever B is.
        norm, left = update_norm(b, a), update_norm(drawn_b, new_a)
        new_b = _stored(drawn_b * (norm / left if left else 0.0), given.dtype)
        factors[layer.removeprefix(PREFIX)] = new_b, new_a
        layers[layer.removeprefix(PREFIX)] = {"rank": len(a), "norm": update_norm(new_b, new_a), "kept": 1.0}
    known = {
        "kind": "random LoRA",
        "source": f"random, seed {seed}, in place of {given.name}",
        "revision": None,
        "licence": None,
        "layers": layers,
        "dropped": {"tensors": [], "share": 0.0},
    }
    return write_expert(
        Path(folder) / f"{name}{ENDING}",
        name,
        factors,
        alpha=given.alpha,
        dtype=given.dtype,
        target_modules=given.target_modules,
        base_model=given.base_model,
        provenance=known,
    )


def update_norm(b: np.ndarray, a: np.ndarray) -> float:
    """Return the Frobenius norm of BA without forming it: the root of trace((B'B)(AA')), in float64."""
    left, right = b.astype(np.float64), a.astype(np.float64)
    return float(np.sqrt(max(0.0, np.sum((left.T @ left) * (right @ right.T)))))


def _stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return values as float32 that the type represents."""
    return to_float32(from_float32(values.astype(np.float32), dtype), dtype)
