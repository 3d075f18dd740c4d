"""Weighted sums of experts and noise for all members of a population: `sum c_k * expert_k + sum d_j * noise_j`.

Sums run in float32 in a fixed order (experts as given, then noise by seed and density), so that a genotype always gives
the same bytes, alone or in any population. After many generations of GENOME+ a member has hundreds of noise terms, and
most members have the same. Experts and noise are then added as one product of matrices per block of weights, (weights x
terms) times (terms x members). The first matrix is sparse, and its product adds the terms one by one in the order of
its columns, with a rounding after each multiplication and each addition, as the loop over terms does. A term that a
member does not have adds zeros, which change nothing.

Memory holds one tensor of all members, and 8 bytes for each position of at most `DRAWN` drawn at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from genome.genotype import Noise
from genome.lora.noise import Drawn, Term, dense, draw, most_drawn

SPAN = 2**13
"""Weights of all experts that are summed at a time: they fit into a processor's cache."""

BLOCK = 2**9
"""Weights of all members to which noise is added at a time as a product of matrices: they fit into a cache, too."""

MANY = 2**24
"""Above how many weights times noise terms of members on a product of matrices is faster than a loop over the terms.

Up to there, importing scipy would take longer than it saves.
"""

DRAWN = 2**22
"""How many positions of noise terms are drawn before they are added (32 MiB, and a copy), but at least one term."""


@dataclass(frozen=True)
class NoiseTable:
    """The noise of a population: its distinct `terms` in order, and float32 `coefficients`, one row per term.

    The coefficients have a column per member, zero where a member does not have the term.
    """

    terms: Sequence[Term]
    coefficients: np.ndarray


def tabulate(noises: Sequence[Sequence[Noise]]) -> NoiseTable:
    """Return the table of the noise terms of each member."""
    terms = sorted({(term.seed, term.density) for each in noises for term in each})
    rows = {term: row for row, term in enumerate(terms)}
    coefficients = np.zeros((len(terms), len(noises)), np.float32)
    with np.errstate(over="ignore"):  # what becomes infinite is found in the sums
        for member, each in enumerate(noises):
            for term in each:
                coefficients[rows[term.seed, term.density], member] = term.coefficient
    return NoiseTable(terms, coefficients)


def weighted_sums(
    tensor: str, sources: Sequence[np.ndarray], mixtures: Sequence[Sequence[float]], noise: NoiseTable
) -> list[np.ndarray]:
    """Return one tensor of every member in float32, of the shape of the `sources`: the experts' tensors, one each.

    `mixtures` has the coefficients of the experts for each member, `noise` the noise of the same members.
    """
    shape, size = sources[0].shape, sources[0].size
    flat = [source.reshape(-1) for source in sources]
    totals = np.zeros((len(mixtures), size), np.float32)
    large = np.count_nonzero(noise.coefficients) * size > MANY
    if large and _rounds_each_step():
        every = np.arange(size, dtype=np.int32)
        drawn, coefficients = [(every, source) for source in flat], [_rounded(mixtures).T]
        for first, last in _chunks(noise.terms, size):
            drawn += draw(noise.terms[first:last], tensor, size)
            _add_product(totals, drawn, np.concatenate([*coefficients, noise.coefficients[first:last]]))
            drawn, coefficients = [], []
    else:
        _add_experts(totals, flat, mixtures)
        for each, row in zip(draw(noise.terms, tensor, size), noise.coefficients, strict=True):
            _add_term(totals, each, row)
    return [total.reshape(shape) for total in totals]


def _rounded(coefficients: Sequence[Sequence[float]]) -> np.ndarray:
    with np.errstate(over="ignore"):  # what becomes infinite is found in the sums
        return np.array(coefficients, np.float32)


def _add_experts(totals: np.ndarray, sources: Sequence[np.ndarray], mixtures: Sequence[Sequence[float]]) -> None:
    product = np.empty(SPAN, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # the sums are checked afterwards
        for first in range(0, totals.shape[1], SPAN):
            parts = [source[first : first + SPAN] for source in sources]
            for mixture, total in zip(mixtures, totals[:, first : first + SPAN], strict=True):
                for coefficient, part in zip(mixture, parts, strict=True):
                    if coefficient:
                        np.multiply(part, np.float32(coefficient), out=product[: len(part)])
                        total += product[: len(part)]


def _chunks(terms: Sequence[Term], size: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of terms that have at most `DRAWN` positions together, or of one term."""
    first, drawn = 0, 0
    for number, (_, density) in enumerate(terms):
        count = most_drawn(density, size)
        if drawn and drawn + count > DRAWN:
            yield first, number
            first, drawn = number, 0
        drawn += count
    if drawn:
        yield first, len(terms)


def _add_term(totals: np.ndarray, drawn: Drawn, coefficients: np.ndarray) -> None:
    """Add a noise term to the members that have it, one coefficient each."""
    noise = dense(drawn, totals.shape[1])
    product = np.empty_like(noise)
    for member in np.flatnonzero(coefficients):
        np.multiply(noise, coefficients[member], out=product)
        totals[member] += product


def _add_product(totals: np.ndarray, drawn: Sequence[Drawn], coefficients: np.ndarray) -> None:
    """Add terms (rows of `coefficients`) to all members (columns) as sparse products of matrices."""
    from scipy.sparse import csc_array

    size = totals.shape[1]
    edges = np.append(np.arange(0, size, BLOCK), size)
    # The terms' positions and values, one term after another, and where each block of each term begins.
    positions, values = (np.concatenate(arrays) for arrays in zip(*drawn, strict=True))
    before = np.cumsum([0, *(len(each) for each, _ in drawn[:-1])])
    cuts = np.array([np.searchsorted(each, edges) for each, _ in drawn]) + before[:, np.newaxis]

    for block, (first, last) in enumerate(pairwise(edges.tolist())):
        count, drawn_counts = last - first, cuts[:, block + 1] - cuts[:, block]
        ends = np.cumsum(drawn_counts)
        chosen = np.repeat(cuts[:, block] - (ends - drawn_counts), drawn_counts)
        chosen += np.arange(len(chosen))
        # The first columns are an identity, by which the sums so far enter the product before any term.
        rows = np.concatenate([np.arange(count, dtype=np.int32), positions[chosen] - np.int32(first)])
        columns = np.concatenate([np.arange(count + 1), count + ends]).astype(np.int32)
        data = np.concatenate([np.ones(count, np.float32), values[chosen]])
        matrix: Any = csc_array((data, rows, columns), shape=(count, count + len(drawn)))
        totals[:, first:last] = (matrix @ np.concatenate([totals[:, first:last].T, coefficients])).T


@cache
def _rounds_each_step() -> bool:
    """Return whether scipy rounds after each multiplication and after each addition on this machine.

    On processors other than x86-64, a compiler may have joined the two into one operation with a single rounding.
    """
    from scipy.sparse import csc_array

    x = np.float32(1 + 2**-12)  # x * x is 1 + 2^-11 + 2^-24, which float32 rounds to 1 + 2^-11
    matrix: Any = csc_array(np.array([[1, x]], np.float32))
    return not (matrix @ np.array([[-1 - 2**-11] * 100, [x] * 100], np.float32)).any()
