"""How alike experts are: pairwise cosines of their factors A and B, and of the updates BA.

Merging averages A and B separately (Section 2.1), yet what an adapter does is their product. Where two experts share A
(or B), the product of the averages is the average of the products; where they share neither, it is half of that, and
cross terms that belong to neither expert. These numbers say which case it is before anything runs.

No update is ever formed: `<B1 A1, B2 A2> = trace((B1' B2)(A2 A1'))`, a sum over two small matrices.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from genome.experts.peft import WEIGHTS, Expert
from genome.experts.tensors import open_tensors
from genome.files import write_text
from genome.lora.layers import modules, parts_of

FACTORS = ("A", "B", "BA")
COLUMNS = ("expert_a", "expert_b", "group", "factor", "cosine")
DIGITS = 6
"""Digits that stand in the table; the last bits of the sums depend on how many threads numpy's BLAS uses."""

Products = dict[str, np.ndarray]
"""For each factor the inner products of all pairs of experts."""


def cosines(experts: Sequence[Expert]) -> Iterator[tuple[str, str, str, str, float | None]]:
    """Yield (expert, expert, group, factor, cosine) for each pair, group of layers and factor.

    Groups are all layers, the attention, the MLP, and the thirds of the depth. None stands for the cosine of a factor
    that is zero, such as B of an adapter that was never trained. The experts must agree (`genome.experts.peft`).
    """
    for group, products in inner_products(experts).items():
        for factor, gram in products.items():
            lengths = np.sqrt(np.diag(gram))
            for one, other in combinations(range(len(experts)), 2):
                scale = lengths[one] * lengths[other]
                cosine = float(gram[one, other] / scale) if scale else None
                yield experts[one].name, experts[other].name, group, factor, cosine


def inner_products(experts: Sequence[Expert]) -> dict[str, Products]:
    """Return the inner products of each group of layers; memory holds one layer's factors of all experts."""
    count = len(experts)
    weights = [open_tensors(expert.path / WEIGHTS) for expert in experts]
    groups: dict[str, Products] = {}
    for module, parts in parts_of(modules(experts[0].tensors)).items():
        # Rank is the first axis of A and the second of B (outputs, rank).
        gram_a = gram_matrix([tensors[f"{module}.lora_A.weight"] for tensors in weights])
        gram_b = gram_matrix([tensors[f"{module}.lora_B.weight"].T for tensors in weights])
        products = {"A": _traces(gram_a, count), "B": _traces(gram_b, count), "BA": _sums(gram_a * gram_b, count)}
        for name in ("all", *parts):
            total = groups.setdefault(name, {factor: np.zeros((count, count)) for factor in FACTORS})
            for factor in FACTORS:
                total[factor] += products[factor]
    return groups


def write_cosines(experts: Sequence[Expert], path: Path | str) -> None:
    """Write the pairwise cosines of experts as a long CSV table; an empty cell is a cosine that is not defined."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    for *labels, cosine in cosines(experts):
        writer.writerow([*labels, "" if cosine is None else f"{cosine:.{DIGITS}f}"])
    write_text(path, lines.getvalue())


def gram_matrix(factors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the products of all rank-one rows of all experts' factors, each (rank, width), in float64."""
    stacked = np.concatenate(factors).astype(np.float64)
    return stacked @ stacked.T


def _blocks(gram: np.ndarray, count: int) -> np.ndarray:
    """Return a view of shape (expert, rank, expert, rank)."""
    rank = len(gram) // count
    return gram.reshape(count, rank, count, rank)


def _traces(gram: np.ndarray, count: int) -> np.ndarray:
    """Return <F1, F2> of each pair of factors: the trace of its block."""
    return np.einsum("ikjk->ij", _blocks(gram, count))


def _sums(gram: np.ndarray, count: int) -> np.ndarray:
    """Return <B1 A1, B2 A2> of each pair: the sum over (B1' B2) times (A1 A2'), element by element."""
    return np.einsum("ikjl->ij", _blocks(gram, count))
