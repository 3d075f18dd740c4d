"""Genotypes: individuals as expert coefficients and seeded noise.

Every operator of GENOME and GENOME+ is linear in the weights once its random scalars are drawn, so an individual is
a short vector in the space spanned by the experts and by seeded noise:

    w = sum_k coefficients[k] * expert_k + sum_j noise[j].coefficient * unit_noise(noise[j].seed, noise[j].density)

A genotype may also have separate coefficients of all experts for each group of layers (`genome.lora.layers`).

This is the paper's space, in which the factors A and B are merged separately, so that a model also contains products of
one expert's B and another's A. In the product space, a genotype means exactly `sum_k coefficients[k] * B_k A_k`, and in
a shared space the same sum of approximations of the experts in a joint basis (`genome.lora.shared`). Both are without
noise.

This module does not use tensors; `genome.lora.materialise` turns genotypes into files.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from genome import fields
from genome.files import canonical_json

FACTORS, PRODUCT = "factors", "product"
"""Spaces in which experts are merged (`merge_space`); there is also one `shared` space for each rank of a basis."""

SHARED = re.compile(r"shared-([1-9]\d*)")


@dataclass(frozen=True, order=True)
class Noise:
    """`coefficient` times standard normal noise on a share `density` of the weights, both fixed by `seed`."""

    seed: int
    density: float
    coefficient: float


@dataclass(frozen=True)
class Genotype:
    """A point (or, as an experience, a direction) in weight space: coefficients of experts, and noise terms.

    There is one coefficient per expert, or one per expert and group of layers, ordered by group and then by expert.

    Make new ones with `expert`, `mixture` and `combine`. These keep noise terms sorted, merged and free of zeros, so
    that equal points have equal genotypes. Only genotypes of the space of factors have noise.
    """

    coefficients: tuple[float, ...]
    noise: tuple[Noise, ...] = ()
    space: str = FACTORS


def shared(rank: int) -> str:
    """Return the space of cores in a joint basis of `rank`.

    >>> shared(64), shared_rank("shared-64"), shared_rank("product")
    ('shared-64', 64, None)
    """
    return f"shared-{rank}"


def shared_rank(space: str) -> int | None:
    """Return the rank of the joint basis of a shared space, None for the other spaces."""
    found = SHARED.fullmatch(space)
    return int(found[1]) if found else None


def expert(index: int, n: int, space: str = FACTORS) -> Genotype:
    """Return the genotype of expert `index` out of `n`."""
    return Genotype(tuple(float(k == index) for k in range(n)), space=space)


def mixture(coefficients: Iterable[float], space: str = FACTORS) -> Genotype:
    """Return the genotype of these coefficients, one per expert."""
    return combine([(1.0, Genotype(tuple(map(float, coefficients)), space=space))])


def combine(terms: Iterable[tuple[float, Genotype]]) -> Genotype:
    """Return the linear combination of genotypes over the same experts, in one space: `sum(factor * genotype)`.

    A value too large for a float becomes infinite or NaN; check it with `is_finite`.

    >>> combine([(0.25, expert(0, 2)), (0.75, expert(1, 2))])
    Genotype(coefficients=(0.25, 0.75), noise=(), space='factors')
    """
    terms = list(terms)
    [space] = {genotype.space for _, genotype in terms}
    columns = zip(*(genotype.coefficients for _, genotype in terms), strict=True)
    factors = [factor for factor, _ in terms]
    # Adding 0.0 turns a negative zero into zero: equal points must have the same text.
    coefficients = tuple(
        _sum([factor * value for factor, value in zip(factors, column, strict=True)]) + 0.0 for column in columns
    )
    noise: dict[tuple[int, float], float] = {}
    for factor, genotype in terms:
        for term in genotype.noise:
            key = (term.seed, term.density)
            noise[key] = noise.get(key, 0.0) + factor * term.coefficient
    return Genotype(
        coefficients,
        tuple(Noise(*key, coefficient) for key, coefficient in sorted(noise.items()) if coefficient != 0.0),
        space,
    )


def _sum(values: Sequence[float]) -> float:
    """Return the exactly rounded sum, NaN if it overflows (`math.fsum` raises an error)."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.nan


def is_finite(genotype: Genotype) -> bool:
    """Return whether all coefficients of experts and of noise are finite."""
    return all(map(math.isfinite, (*genotype.coefficients, *(term.coefficient for term in genotype.noise))))


def by_group(coefficients: Sequence[float], n: int) -> list[tuple[float, ...]]:
    """Return the coefficients of `n` experts for each group of layers; one tuple if all layers have the same."""
    return [tuple(coefficients[first : first + n]) for first in range(0, len(coefficients), n)]


def by_expert(coefficients: Sequence[float], n: int) -> list[float]:
    """Return one coefficient per expert (of `n`): the mean over groups of layers."""
    return [fmean(coefficients[k::n]) for k in range(n)]


def add_noise(genotype: Genotype, noise: Noise) -> Genotype:
    """Return `genotype` plus one noise term (Eq. 4, with sigma as the term's coefficient)."""
    return combine([(1.0, genotype), (1.0, Genotype((0.0,) * len(genotype.coefficients), (noise,)))])


def identity(genotype: Genotype, experts: Sequence[str]) -> str:
    """Return 128 bits, in hexadecimal, of a hash of a genotype and of the hashes of the experts' files (`experts`)."""
    text = canonical_json({"genotype": to_json(genotype), "experts": list(experts)})
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def to_json(genotype: Genotype) -> dict[str, Any]:
    """Return `genotype` as JSON values; floats are exact. `space` is left out for the paper's space."""
    return {
        "coefficients": list(genotype.coefficients),
        "noise": [[term.seed, term.density, term.coefficient] for term in genotype.noise],
        **({} if genotype.space == FACTORS else {"space": genotype.space}),
    }


def from_json(value: Any, n: int = 1, place: str = "genotype") -> Genotype:
    """Return the genotype over `n` experts that `to_json` wrote; UnexpectedError if the value is not a genotype.

    With separate coefficients for groups of layers, the number of coefficients is a multiple of `n`.
    """
    fields.mapping(value, place)
    coefficients = fields.sequence(value["coefficients"], f"{place}, coefficients", 1)
    if len(coefficients) % n:
        raise fields.UnexpectedError(f"{place}: {len(coefficients)} coefficients for {n} experts")
    for index, coefficient in enumerate(coefficients):
        fields.number(coefficient, f"{place}, coefficient {index}")
    space = value.get("space", FACTORS)
    if not isinstance(space, str) or (space not in (FACTORS, PRODUCT) and shared_rank(space) is None):
        raise fields.UnexpectedError(f"{place}: unknown space {fields.shown(space)}")
    noise = fields.sequence(value["noise"], f"{place}, noise")
    if noise and space != FACTORS:
        raise fields.UnexpectedError(f"{place}: noise in the space {space}, which has none")
    terms = tuple(_noise(term, f"{place}, noise term {index}") for index, term in enumerate(noise))
    return Genotype(tuple(coefficients), terms, space)


def _noise(term: Any, place: str) -> Noise:
    if len(fields.sequence(term, place)) != 3:
        raise fields.UnexpectedError(f"{place}: expected [seed, density, coefficient], found {fields.shown(term)}")
    seed, density, coefficient = term
    if not fields.share(density, f"{place}, density"):
        raise fields.UnexpectedError(f"{place}: expected a density above 0, found {fields.shown(density)}")
    return Noise(fields.whole(seed, f"{place}, seed"), density, fields.number(coefficient, f"{place}, coefficient"))
