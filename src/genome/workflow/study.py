"""The study of hyper-parameters (Tables 10 and 11): variants that differ in three rates, drawn from a grid."""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from itertools import product

RATES = {"cr": "crossover_rate", "imr": "individual_mutation_rate", "gmr": "gene_mutation_rate"}
"""The settings that vary, by what variants' names call them."""

PATTERN = "-".join(["study", *(f"{short}(0[1-9]|10)" for short in RATES)])
"""What the names of all points match, and nothing else."""


@cache
def grid() -> Mapping[str, Mapping[str, float]]:
    """Return the points of the grid 0.1, 0.2 … 1.0 of each rate: the rates by the variant's name."""
    points: dict[str, Mapping[str, float]] = {}
    for steps in product(range(1, 11), repeat=len(RATES)):
        name = "-".join(["study", *(f"{short}{step:02}" for short, step in zip(RATES, steps, strict=True))])
        points[name] = {rate: step / 10 for rate, step in zip(RATES.values(), steps, strict=True)}
    return points


@cache
def drawn(seed: int, runs: int) -> Sequence[str]:
    """Return the names of the points that a study runs.

    They are those whose hashes with the seed come first: a study of more runs keeps the points of a smaller one.
    """
    hashes = {sha256(f"{seed}/{name}".encode()).hexdigest(): name for name in grid()}
    return [hashes[each] for each in sorted(hashes)[:runs]]
