"""Geometry of adapters: cosines between experts' factors A and B and updates BA, and norms of merged updates.

Merging averages A and B separately (Section 2.1), but an adapter's effect is their product. If two experts share A
(or B), the product of the averages is the average of the products. If they share neither, it is half of that average,
plus cross terms that belong to neither expert. The cosines show which case applies before anything runs.

No update is ever formed: `<B1 A1, B2 A2> = trace((B1' B2)(A2 A1'))`, a sum over two small matrices.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from genome.experts.expert import Expert, common_scale, stored_type
from genome.experts.tensors import open_tensors, to_float32
from genome.files import write_csv
from genome.genotype import Genotype
from genome.lora.layers import factor_names, parts_of, union_of
from genome.lora.materialise import basis_of, tensors_of

MATRICES = ("A", "B", "BA")
COLUMNS = ("expert_a", "expert_b", "group", "factor", "cosine")
DIGITS = 6
"""Digits of a cosine or norm; the last bits of the sums depend on how many threads numpy's BLAS uses."""

Products = dict[str, np.ndarray]
"""Inner products of all pairs of experts, by factor."""


def cosines(experts: Sequence[Expert]) -> Iterator[tuple[str, str, str, str, float | None]]:
    """Yield (expert, expert, group, factor, cosine) for each pair, group of layers and factor.

    Groups are all layers, the attention, the MLP, and the thirds of the depth. The cosine is None if a factor is zero,
    such as B of an untrained adapter. A layer that an expert lacks is zero. Factors A and B of different ranks are
    padded with zeros, as in the space of factors; B contains the expert's scaling.
    """
    for group, products in inner_products(experts).items():
        for factor, gram in products.items():
            lengths = np.sqrt(np.diag(gram))
            for one, other in combinations(range(len(experts)), 2):
                scale = lengths[one] * lengths[other]
                cosine = float(gram[one, other] / scale) if scale else None
                yield experts[one].name, experts[other].name, group, factor, cosine


def inner_products(experts: Sequence[Expert]) -> dict[str, Products]:
    """Return the inner products of each group of layers. Memory use: one layer's factors of all experts."""
    count = len(experts)
    weights = [open_tensors(expert.path) for expert in experts]
    groups: dict[str, Products] = {}
    for layer, parts in parts_of([*union_of(experts)]).items():
        name_a, name_b = factor_names(layer)
        having = [k for k in range(count) if name_a in weights[k]]
        # Rank is the first axis of A and the second of B (outputs, rank).
        factors_a = [weights[k][name_a] for k in having]
        grams = gram_matrix(factors_a), gram_matrix([weights[k][name_b].T for k in having])
        ends = np.cumsum([len(a) for a in factors_a])[:-1]
        blocks_a, blocks_b, blocks = (_blocks(gram, ends) for gram in (*grams, grams[0] * grams[1]))
        products = {factor: np.zeros((count, count)) for factor in MATRICES}
        pairs = np.ix_(having, having)
        products["A"][pairs], products["B"][pairs] = _traces(blocks_a), _traces(blocks_b)
        products["BA"][pairs] = [[block.sum() for block in row] for row in blocks]
        for name in ("all", *parts):
            total = groups.setdefault(name, {factor: np.zeros((count, count)) for factor in MATRICES})
            for factor in MATRICES:
                total[factor] += products[factor]
    return groups


def write_cosines(experts: Sequence[Expert], path: Path | str) -> None:
    """Write the pairwise cosines of experts as a long CSV table; the cell of an undefined cosine is empty."""
    cells = ([*labels, "" if cosine is None else f"{cosine:.{DIGITS}f}"] for *labels, cosine in cosines(experts))
    write_csv(path, [COLUMNS, *cells])


def update_norms(genotypes: Sequence[Genotype], experts: Sequence[Expert], basis: Path | None = None) -> list[float]:
    """Return the Frobenius norm of each genotype's updates `s * B * A`, s = alpha / rank, over all layers, as served.

    `|BA|^2 = trace((B' B)(A A'))`, a sum over two matrices of rank by rank. A and B are the merged factors, including
    noise and rounding to the experts' type. `basis` is the file of the joint basis, which genotypes of a shared space
    need. Nothing is written. Memory use: one tensor of every expert and two of every genotype.
    """
    dtype = stored_type(experts)
    tensors = tensors_of(genotypes, experts, basis_of(genotypes, experts, basis))
    squares = np.zeros(len(genotypes))
    # A and B of each layer follow each other. Rank is the first axis of A and the second of B (outputs, rank).
    for (_, all_a), (_, all_b) in zip(tensors, tensors, strict=True):
        pairs = ([to_float32(stored, dtype) for stored in pair] for pair in zip(all_a, all_b, strict=True))
        squares += [(gram_matrix([a]) * gram_matrix([b.T])).sum() for a, b in pairs]
    return [float(f"{common_scale(experts) * norm:.{DIGITS}g}") for norm in np.sqrt(squares)]


def gram_matrix(factors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the inner products of all rows of all experts' factors, each (rank, width), in float64."""
    stacked = np.concatenate(factors).astype(np.float64)
    return stacked @ stacked.T


def _blocks(gram: np.ndarray, ends: np.ndarray) -> list[list[np.ndarray]]:
    """Return the block of each pair of experts, (rank, rank)."""
    return [np.split(rows, ends, axis=1) for rows in np.split(gram, ends)]


def _traces(blocks: list[list[np.ndarray]]) -> list[list[float]]:
    """Return <F1, F2> of each pair of factors: the trace of the pair's block, zeros beyond the lower rank."""
    return [[float(np.trace(block)) for block in row] for row in blocks]
