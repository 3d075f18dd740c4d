"""Genotypes: individuals as expert coefficients and seeded noise.

Every operator of GENOME and GENOME+ is linear in the weights once its random scalars are drawn, so an individual is
a short vector in the space spanned by the experts and by noise that a seed determines:

    w = sum_k coefficients[k] * expert_k + sum_j noise[j].coefficient * unit_noise(noise[j].seed, noise[j].density)

Nothing here knows tensors; `genome.adapters` turns genotypes into files.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from genome.files import canonical_json


@dataclass(frozen=True, order=True)
class Noise:
    """`coefficient` times standard normal noise on a share `density` of the weights, both fixed by `seed`."""

    seed: int
    density: float
    coefficient: float


@dataclass(frozen=True)
class Genotype:
    """A point (or, as an experience, a direction) in weight space: one coefficient an expert, and noise terms.

    Make new ones with `expert` and `combine`, which keep noise terms sorted, merged and free of zeros, so that
    equal points have equal genotypes.
    """

    coefficients: tuple[float, ...]
    noise: tuple[Noise, ...] = ()


def expert(index: int, n: int) -> Genotype:
    """Return the genotype of expert `index` out of `n`."""
    return Genotype(tuple(float(k == index) for k in range(n)))


def combine(terms: Iterable[tuple[float, Genotype]]) -> Genotype:
    """Return the linear combination of genotypes over the same experts: `sum(factor * genotype)`.

    >>> combine([(0.25, expert(0, 2)), (0.75, expert(1, 2))])
    Genotype(coefficients=(0.25, 0.75), noise=())
    """
    terms = list(terms)
    columns = zip(*(genotype.coefficients for _, genotype in terms), strict=True)
    factors = [factor for factor, _ in terms]
    # Adding 0.0 turns a negative zero into zero: equal points must have one spelling.
    coefficients = tuple(
        math.fsum(factor * value for factor, value in zip(factors, column, strict=True)) + 0.0 for column in columns
    )
    noise: dict[tuple[int, float], float] = {}
    for factor, genotype in terms:
        for term in genotype.noise:
            key = (term.seed, term.density)
            noise[key] = noise.get(key, 0.0) + factor * term.coefficient
    return Genotype(
        coefficients,
        tuple(Noise(*key, coefficient) for key, coefficient in sorted(noise.items()) if coefficient != 0.0),
    )


def add_noise(genotype: Genotype, noise: Noise) -> Genotype:
    """Return `genotype` plus one noise term (Eq. 4, with sigma as the term's coefficient)."""
    return combine([(1.0, genotype), (1.0, Genotype((0.0,) * len(genotype.coefficients), (noise,)))])


def identity(genotype: Genotype, experts: Sequence[str]) -> str:
    """Return the SHA-256 that names an individual: of its genotype and of the experts' files (`experts`)."""
    text = canonical_json({"genotype": to_json(genotype), "experts": list(experts)})
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(genotype: Genotype) -> dict[str, Any]:
    """Return `genotype` as JSON values; floats survive exactly."""
    return {
        "coefficients": list(genotype.coefficients),
        "noise": [[term.seed, term.density, term.coefficient] for term in genotype.noise],
    }


def from_json(value: dict[str, Any]) -> Genotype:
    """Return the genotype that `to_json` wrote."""
    return Genotype(tuple(value["coefficients"]), tuple(Noise(*term) for term in value["noise"]))
