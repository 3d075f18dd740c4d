"""Mixtures of products: `sum_k c_k * B_k A_k`, represented exactly by one adapter that has the sum of the ranks.

Merging A and B separately (Section 2.1 of arXiv 2503.01155) gives `(sum c_k B_k)(sum c_k A_k)`, whose cross terms
`B_j A_k` belong to no expert. Here the A are stacked and the B concatenated, each B times its coefficient. The scaling
alpha/r does not change, so alpha grows with the rank. A coefficient is rounded into B only: A is copied bit for bit,
and a product has one rounding instead of two.
"""

from collections.abc import Sequence

import numpy as np

from genome.lora.layers import is_a


def used(coefficients: Sequence[float], n: int) -> list[int]:
    """Return which of `n` experts a mixture uses in any layer; [0] if none, since an adapter cannot have rank 0."""
    return [k for k in range(n) if any(coefficients[k::n])] or [0]


def stack(name: str, coefficients: Sequence[float], chosen: Sequence[int], sources: Sequence[np.ndarray]) -> np.ndarray:
    """Return tensor `name` of a mixture of the `chosen` experts in float32; `sources` holds every expert's tensor.

    The experts' ranks may differ. Each expert's tensor has its rank: layers with less are padded with zeros.
    """
    if is_a(name):
        return np.concatenate([sources[k] for k in chosen])
    return np.concatenate([np.float32(coefficients[k]) * sources[k] for k in chosen], axis=1)
