"""Geometry of adapters: cosines between experts' factors A and B and updates BA, and norms of merged updates.

Merging averages A and B separately (Section 2.1), but an adapter's effect is their product. If two experts share A
(or B), the product of the averages is the average of the products. If they share neither, it is half of that average,
plus cross terms that belong to neither expert. The cosines show which case applies before anything runs.

No update is ever formed: `<B1 A1, B2 A2> = trace((B1' B2)(A2 A1'))`, a sum over two small matrices.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from genome.experts.peft import WEIGHTS, Expert, stored_types
from genome.experts.tensors import open_tensors, to_float32
from genome.files import write_text
from genome.genotype import Genotype
from genome.lora.layers import layers_of, parts_of
from genome.lora.materialise import tensors_of

MATRICES = ("A", "B", "BA")
COLUMNS = ("expert_a", "expert_b", "group", "factor", "cosine")
DIGITS = 6
"""Digits of a cosine or norm; the last bits of the sums depend on how many threads numpy's BLAS uses."""

Products = dict[str, np.ndarray]
"""Inner products of all pairs of experts, by factor."""


def cosines(experts: Sequence[Expert]) -> Iterator[tuple[str, str, str, str, float | None]]:
    """Yield (expert, expert, group, factor, cosine) for each pair, group of layers and factor.

    Groups are all layers, the attention, the MLP, and the thirds of the depth. The cosine is None if a factor is zero,
    such as B of an untrained adapter. The experts must agree (`genome.experts.peft`).
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
    weights = [open_tensors(expert.path / WEIGHTS) for expert in experts]
    groups: dict[str, Products] = {}
    for module, parts in parts_of(layers_of(experts[0].tensors)).items():
        # Rank is the first axis of A and the second of B (outputs, rank).
        gram_a = gram_matrix([tensors[f"{module}.lora_A.weight"] for tensors in weights])
        gram_b = gram_matrix([tensors[f"{module}.lora_B.weight"].T for tensors in weights])
        products = {"A": _traces(gram_a, count), "B": _traces(gram_b, count), "BA": _sums(gram_a * gram_b, count)}
        for name in ("all", *parts):
            total = groups.setdefault(name, {factor: np.zeros((count, count)) for factor in MATRICES})
            for factor in MATRICES:
                total[factor] += products[factor]
    return groups


def write_cosines(experts: Sequence[Expert], path: Path | str) -> None:
    """Write the pairwise cosines of experts as a long CSV table; the cell of an undefined cosine is empty."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    for *labels, cosine in cosines(experts):
        writer.writerow([*labels, "" if cosine is None else f"{cosine:.{DIGITS}f}"])
    write_text(path, lines.getvalue())


def update_norms(genotypes: Sequence[Genotype], experts: Sequence[Expert]) -> list[float]:
    """Return the Frobenius norm of each genotype's updates `s * B * A`, s = alpha / rank, over all layers, as served.

    `|BA|^2 = trace((B' B)(A A'))`, a sum over two matrices of rank by rank. A and B are the merged factors, including
    noise and rounding to the experts' type. Nothing is written. Memory use: one tensor of every expert and two of every
    genotype.
    """
    first, dtypes = experts[0], stored_types(experts)
    layers = layers_of(first.tensors)
    names = [f"{layer}.lora_{side}.weight" for layer in layers for side in "AB"]
    tensors = iter(tensors_of(genotypes, experts, names))
    squares = np.zeros(len(genotypes))
    for layer in layers:
        factors_a = [to_float32(stored, dtypes[f"{layer}.lora_A.weight"]) for stored in next(tensors)]
        factors_b = [to_float32(stored, dtypes[f"{layer}.lora_B.weight"]) for stored in next(tensors)]
        # Rank is the first axis of A and the second of B (outputs, rank).
        pairs = zip(factors_a, factors_b, strict=True)
        squares += [(gram_matrix([a]) * gram_matrix([b.T])).sum() for a, b in pairs]
    return [float(f"{first.alpha / first.rank * norm:.{DIGITS}g}") for norm in np.sqrt(squares)]


def gram_matrix(factors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the inner products of all rows of all experts' factors, each (rank, width), in float64."""
    stacked = np.concatenate(factors).astype(np.float64)
    return stacked @ stacked.T


def _blocks(gram: np.ndarray, count: int) -> np.ndarray:
    """Return a view of shape (expert, rank, expert, rank)."""
    rank = len(gram) // count
    return gram.reshape(count, rank, count, rank)


def _traces(gram: np.ndarray, count: int) -> np.ndarray:
    """Return <F1, F2> of each pair of factors: the trace of the pair's block."""
    return np.einsum("ikjk->ij", _blocks(gram, count))


def _sums(gram: np.ndarray, count: int) -> np.ndarray:
    """Return <B1 A1, B2 A2> of each pair: the sum over (B1' B2) times (A1 A2'), element by element."""
    return np.einsum("ikjl->ij", _blocks(gram, count))
