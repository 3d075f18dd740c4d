"""The algebra of genotypes."""

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.fields import UnexpectedError
from genome.genotype import (
    PRODUCT,
    Genotype,
    Noise,
    add_noise,
    by_expert,
    by_group,
    combine,
    expert,
    from_json,
    identity,
    is_finite,
    mixture,
    shared,
    shared_rank,
    to_json,
)

values = st.floats(-4, 4, allow_nan=False)
noises = st.builds(Noise, st.integers(0, 3), st.sampled_from([0.2, 1.0]), values)


@st.composite
def genotypes(draw, n=3):
    plain = Genotype(tuple(draw(st.lists(values, min_size=n, max_size=n))))
    return combine([(1.0, plain), *((1.0, add_noise(plain, noise)) for noise in draw(st.lists(noises, max_size=3)))])


def close(first: Genotype, second: Genotype) -> bool:
    rest = combine([(1.0, first), (-1.0, second)])
    return all(abs(value) < 1e-9 for value in (*rest.coefficients, *(noise.coefficient for noise in rest.noise)))


def test_genotype_functions_on_values_computed_by_hand():
    """Checks the linear map with numbers that are exact in binary."""
    assert [expert(i, 3).coefficients for i in range(3)] == [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    assert mixture([0.25, -2, 3]) == Genotype((0.25, -2.0, 3.0))
    first = Genotype((1.0, 2.0), (Noise(3, 0.5, 8.0), Noise(9, 0.5, 1.0)))
    second = Genotype((-4.0, 0.5), (Noise(3, 0.5, 2.0), Noise(3, 1.0, 4.0)))
    assert combine([(0.5, first), (-2.0, second)]) == Genotype((8.5, 0.0), (Noise(3, 1.0, -8.0), Noise(9, 0.5, 0.5)))
    assert add_noise(first, Noise(1, 0.25, -0.5)) == Genotype(first.coefficients, (Noise(1, 0.25, -0.5), *first.noise))


@given(genotypes(), genotypes())
def test_combine_with_factor_one_returns_the_parent(first, second):
    assert combine([(1.0, first), (0.0, second)]) == first


@given(genotypes(), genotypes(), values, values)
def test_combine_is_linear(first, second, a, b):
    both = combine([(a, first), (b, second)])
    assert close(combine([(2.0, both)]), combine([(2 * a, first), (2 * b, second)]))
    assert close(both, combine([(b, second), (a, first)]))


@given(genotypes())
def test_combine_of_a_difference_to_itself_is_zero(genotype):
    assert combine([(1.0, genotype), (-1.0, genotype)]) == Genotype((0.0,) * 3)


@given(genotypes())
def test_from_json_restores_every_bit(genotype):
    assert from_json(json.loads(json.dumps(to_json(genotype)))) == genotype


def test_to_json_gives_the_stored_form():
    genotype = Genotype((0.5, 0.0), (Noise(7, 0.2, 0.001),))
    value = {"coefficients": [0.5, 0.0], "noise": [[7, 0.2, 0.001]]}
    assert to_json(genotype) == value
    assert to_json(replace(genotype, space=PRODUCT)) == {**value, "space": "product"}
    assert from_json({**value, "space": "factors"}) == from_json(value) == genotype
    assert to_json(from_json({**value, "space": "".join(["fac", "tors"])})) == value


def test_combine_gives_positive_zeros():
    zero = combine([(-1.0, Genotype((0.0, 0.0)))])
    assert identity(zero, ["a", "b"]) == identity(Genotype((0.0, 0.0)), ["a", "b"])


def test_combine_sorts_and_merges_noise():
    once = add_noise(add_noise(expert(0, 2), Noise(7, 0.2, 0.5)), Noise(3, 0.2, 1.0))
    twice = add_noise(once, Noise(7, 0.2, 0.25))
    assert twice.noise == (Noise(3, 0.2, 1.0), Noise(7, 0.2, 0.75))


@pytest.mark.parametrize("values", [(1.7e308, 1.7e308), (np.inf, -np.inf), (np.nan, 1.0), (np.inf, 1.0)])
def test_combine_that_overflows_is_not_finite(values):
    """For coefficients and noise, without an exception: the caller can name the genotype in its message."""
    first, second = (Genotype((1.0, value), (Noise(1, 0.2, value),)) for value in values)
    for a, b in ((first, second), (replace(first, noise=()), replace(second, noise=()))):
        assert not is_finite(combine([(1.0, a), (1.0, b)]))
    of_noise = [Genotype((1.0, 0.0), (Noise(1, 0.2, value),)) for value in values]
    assert not is_finite(combine([(1.0, x) for x in of_noise]))
    assert is_finite(combine([(0.5, Genotype((1.7e308, 0.0), (Noise(1, 0.2, 1.7e308),)))]))


def test_by_group_and_by_expert_split_coefficients():
    both = (0.1, 0.2, 0.3, 0.5, 0.6, 0.7)
    assert by_group(both, 3) == [(0.1, 0.2, 0.3), (0.5, 0.6, 0.7)]
    assert by_group(both[:3], 3) == [both[:3]]
    assert by_expert(both, 3) == pytest.approx([0.3, 0.4, 0.5])
    assert by_expert(both[:3], 3) == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("value", [Genotype((1.0,)), Noise(1, 0.2, 0.1)])
def test_genotypes_are_frozen(value):
    """Genotypes are compared, hashed and shared by individuals, so they must not be changed in place."""
    with pytest.raises(FrozenInstanceError):
        value.coefficients = ()


def test_identity_depends_on_genotype_and_experts():
    names = {
        identity(expert(0, 2), ["a", "b"]),
        identity(expert(1, 2), ["a", "b"]),
        identity(expert(0, 2), ["a", "c"]),
        identity(add_noise(expert(0, 2), Noise(1, 0.2, 0.1)), ["a", "b"]),
        identity(add_noise(expert(0, 2), Noise(1, 1.0, 0.1)), ["a", "b"]),
    }
    assert len(names) == 5


def test_combine_refuses_different_numbers_of_experts():
    with pytest.raises(ValueError, match="zip"):
        combine([(1.0, expert(0, 2)), (1.0, expert(0, 3))])


@given(genotypes(), values, st.sampled_from([PRODUCT, shared(4), shared(64)]))
def test_spaces_have_different_identities_and_do_not_mix(genotype, factor, space):
    plain = Genotype(genotype.coefficients)
    product = Genotype(genotype.coefficients, space=space)
    assert identity(plain, "abc") != identity(product, "abc")
    assert combine([(factor, product)]).coefficients == combine([(factor, plain)]).coefficients
    assert from_json(json.loads(json.dumps(to_json(product)))) == product
    assert "space" not in to_json(plain)
    with pytest.raises(ValueError, match="too many values"):
        combine([(1.0, plain), (1.0, product)])


def test_expert_beyond_the_256th_has_coefficient_one():
    assert expert(300, 302).coefficients == (0.0,) * 300 + (1.0, 0.0)


def test_from_json_accepts_one_coefficient():
    assert from_json(to_json(expert(0, 1))) == expert(0, 1)


def test_shared_spaces_have_the_rank_of_their_basis():
    assert [shared_rank(space) for space in (shared(8), shared(128), PRODUCT, "factors")] == [8, 128, None, None]
    assert identity(mixture([1.0], shared(8)), ["a"]) != identity(mixture([1.0], shared(16)), ["a"])


@pytest.mark.parametrize("space", ["products", "shared", "shared-0", "shared-04", "shared-4 ", "shared--4", 4, None])
def test_from_json_refuses_other_spaces(space):
    with pytest.raises(UnexpectedError, match=r"^genotype: unknown space "):
        from_json({"coefficients": [1.0], "noise": [], "space": space})


@pytest.mark.parametrize("space", [PRODUCT, shared(4)])
def test_from_json_refuses_noise_outside_the_space_of_factors(space):
    with pytest.raises(UnexpectedError, match=rf"^genotype: noise in the space {space}, which has none$"):
        from_json({"coefficients": [1.0], "noise": [[1, 0.5, 0.1]], "space": space})
