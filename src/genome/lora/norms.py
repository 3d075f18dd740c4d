"""How far models are from their base: the Frobenius norm of all updates `s * B * A`, s = alpha / rank.

No update is ever formed: `|BA|^2 = trace((B' B)(A A'))`, a sum over two small matrices of rank by rank.
"""

from collections.abc import Sequence

import numpy as np

from genome.experts.peft import Expert, stored_types
from genome.experts.tensors import to_float32
from genome.genotype import Genotype
from genome.lora.cosines import gram_matrix
from genome.lora.layers import modules
from genome.lora.materialise import tensors_of

DIGITS = 6
"""Digits of a norm; the last bits of the sums depend on how many threads numpy's BLAS uses."""


def update_norms(genotypes: Sequence[Genotype], experts: Sequence[Expert]) -> list[float]:
    """Return the norm of what each genotype adds to the base's weights, over all layers, as it is served.

    The factors are the merged ones, noise and rounding to the experts' type included. Nothing is written; memory holds
    one tensor of every expert and two of every genotype.
    """
    first, dtypes = experts[0], stored_types(experts)
    names = [f"{layer}.lora_{side}.weight" for layer in modules(first.tensors) for side in "AB"]
    factors = (
        [to_float32(values, dtypes[name]) for values in stored]
        for name, stored in zip(names, tensors_of(genotypes, experts, names), strict=True)
    )
    squares = np.zeros(len(genotypes))
    for factors_a, factors_b in zip(factors, factors, strict=True):
        # Rank is the first axis of A and the second of B (outputs, rank).
        pairs = zip(factors_a, factors_b, strict=True)
        squares += [(gram_matrix([a]) * gram_matrix([b.T])).sum() for a, b in pairs]
    return [float(f"{first.alpha / first.rank * norm:.{DIGITS}g}") for norm in np.sqrt(squares)]
