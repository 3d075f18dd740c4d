"""Seeded noise: the weights that a mutation adds (Eq. 4), drawn again whenever a genotype is written.

A counter-based generator keyed by (seed, tensor name) makes the noise independent of the order of tensors, of threads
and of the machine. Random numbers are drawn for the chosen positions only: the gaps between them are geometric, drawn
as floored exponentials.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator

import numpy as np

Term = tuple[int, float]
"""Seed and density of a noise term."""

Drawn = tuple[np.ndarray, np.ndarray]
"""Rising positions (int32) of the weights that a noise term changes, and its values there (float32)."""

ZEROS = np.zeros(4, np.uint64)


def draw(terms: Iterable[Term], tensor: str, size: int) -> Iterator[Drawn]:
    """Yield each noise term for a tensor of `size` weights (fewer than 2^31): a random share `density` is changed.

    The values are standard normal.
    """
    philox = np.random.Philox(0)  # one for all: making one reads the system's entropy, which takes longer than drawing
    generator = np.random.Generator(philox)
    gaps = np.empty(0)
    for seed, density in terms:
        key = np.frombuffer(hashlib.sha256(f"{seed}/{tensor}".encode()).digest()[:16], "<u8")
        philox.state = {
            "bit_generator": "Philox",
            "state": {"counter": ZEROS, "key": key},
            "buffer": ZEROS,
            "buffer_pos": len(ZEROS),
            "has_uint32": 0,
            "uinteger": 0,
        }
        if density == 1.0:
            yield np.arange(size, dtype=np.int32), generator.standard_normal(size, dtype=np.float32)
            continue
        count = most_drawn(density, size)
        if len(gaps) < count:
            gaps = np.empty(count)
        parts = list(_positions(generator, density, size, gaps[:count]))
        positions = np.concatenate(parts) if len(parts) > 1 else parts[0]
        yield positions, generator.standard_normal(len(positions), dtype=np.float32)


def most_drawn(density: float, size: int) -> int:
    """Return how many positions to draw at once: in practice as many as are needed, and a few more."""
    if density == 1.0:
        return size
    expected = size * density
    return int(expected + 6 * math.sqrt(expected) + 16)


def _positions(generator: np.random.Generator, density: float, size: int, gaps: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the positions below `size`, with `gaps` as working memory; its length is how many are drawn at once."""
    rate = -math.log1p(-density)
    last = -1
    while last < size:
        generator.standard_exponential(out=gaps)
        np.divide(gaps, rate, out=gaps)
        positions = gaps.astype(np.int64)
        positions += 1
        positions[0] += last
        np.cumsum(positions, out=positions)
        last = int(positions[-1])
        yield positions[: np.searchsorted(positions, size)].astype(np.int32)


def unit_noise(seed: int, density: float, tensor: str, size: int) -> np.ndarray:
    """Return a noise term as an array of `size` weights, zero where `draw` gives no value."""
    [drawn] = draw([(seed, density)], tensor, size)
    return dense(drawn, size)


def dense(drawn: Drawn, size: int) -> np.ndarray:
    """Return a drawn noise term as an array of `size` weights."""
    noise = np.zeros(size, np.float32)
    noise[drawn[0]] = drawn[1]
    return noise
