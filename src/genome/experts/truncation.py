"""Changes of weights as factors: the truncated singular value decomposition of one layer after another.

The best approximation of rank R keeps the R largest singular values (Eckart and Young). Layers whose smaller side is at
most `EXACT` times the rank are decomposed exactly. For the others, randomised subspace iteration (Halko, Martinsson and
Tropp, arXiv 0909.4061) is faster. Full fine-tunes have flat spectra, for which it converges slowly; with the
oversampling and the iterations used here its error is at most 1 % above the optimum (benchmarks/imports.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from genome.errors import GenomeError
from genome.experts.expert import Factors
from genome.rng import stream

EXACT = 8
OVERSAMPLING, ITERATIONS = 16, 4
"""Directions beyond the rank, at least (as many as the rank if that is more), and passes over a matrix both ways."""

NEGLIGIBLE = 1e-6
"""Singular values below this share of the largest are rounding: the changes are differences of float32 values."""


@dataclass(frozen=True)
class Truncated:
    """Factors of changed layers; `kept` is the share of a change's Frobenius norm in its factors, `norms` the norm."""

    factors: dict[str, Factors]
    kept: dict[str, float]
    norms: dict[str, float]


def truncate_changes(changes: Iterable[tuple[str, np.ndarray]], rank: int) -> Truncated:
    """Return factors of at most `rank` for the changes [out, in] of layers, given one after another.

    Layers whose change is zero are left out. Raises GenomeError for a rank below 1.
    """
    factors, kept, norms = {}, {}, {}
    for layer, change in changes:
        found, values, norm = truncate(layer, change, rank)
        if norm:
            factors[layer], norms[layer] = found, norm
            kept[layer] = min(1.0, float(np.linalg.norm(values)) / norm)
    return Truncated(factors, kept, norms)


def truncate(layer: str, change: np.ndarray, rank: int) -> tuple[Factors, np.ndarray, float]:
    """Return the factors, the singular values they keep and the Frobenius norm of a layer's change [out, in], float32.

    The product of the factors B [out, r] and A [r, in] is the approximation; each has the roots of the singular values.
    The rank r is `rank`, or less if the change has a lower rank. One thread and a random stream named by the layer make
    the result depend on the change alone (on one type of machine and version of BLAS). Raises GenomeError for a rank
    below 1.
    """
    # Slow to import. Both must be loaded before their threads are limited.
    import scipy.linalg  # noqa: F401
    import sklearn.utils.extmath
    from threadpoolctl import threadpool_limits

    if rank < 1:
        raise GenomeError(f"rank {rank}: the rank of an expert must be at least 1")
    norm = float(np.sqrt(np.einsum("ij,ij->i", change, change).sum(dtype=np.float64)))
    # BLAS adds in another order for each number of threads.
    with threadpool_limits(1):
        if min(change.shape) <= EXACT * rank:
            u, values, v = _exact(change, min(rank, *change.shape))
        else:
            u, values, v = sklearn.utils.extmath.randomized_svd(
                change,
                rank,
                n_oversamples=max(OVERSAMPLING, rank),
                n_iter=ITERATIONS,  # pyright: ignore[reportArgumentType]: guessed from the default, "auto"
                random_state=int(stream(0, "truncation", layer).integers(2**32)),
            )
    r = np.count_nonzero(values > NEGLIGIBLE * values[0])
    roots = np.sqrt(values[:r])
    b, a = u[:, :r] * roots, roots[:, None] * v[:r]
    return (b.astype(np.float32), a.astype(np.float32)), values[:r], norm


def _exact(change: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the `rank` leading singular vectors and values, from the eigenvectors of the smaller Gram matrix.

    In float64 the squares keep all digits that the change has in float32.
    """
    from scipy.linalg import eigh

    outputs, inputs = change.shape
    if outputs < inputs:
        u, values, v = _exact(change.T, rank)
        return v.T, values, u.T
    wide = change.astype(np.float64)
    squares, vectors = eigh(wide.T @ wide, subset_by_index=(inputs - rank, inputs - 1))
    values = np.sqrt(np.maximum(squares[::-1], 0))
    v = vectors[:, ::-1].T
    # The largest entry of each vector is positive: its sign is arbitrary.
    v = v * np.where(v[range(rank), np.abs(v).argmax(axis=1)] < 0, -1, 1)[:, None]
    u = (wide @ v.T) / np.where(values > 0, values, 1)
    return u, values, v
