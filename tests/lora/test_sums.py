"""Sums of experts and noise for whole populations."""

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genome.genotype import Noise
from genome.lora import sums
from genome.lora.noise import draw, unit_noise
from genome.lora.sums import tabulate, weighted_sums


@settings(max_examples=30)
@given(st.integers(0, 2**53 - 1), st.floats(0.01, 0.99), st.integers(1, 5000))
def test_unit_noise_covers_its_share_of_the_weights(seed, density, size):
    noise = unit_noise(seed, density, "layer", size)
    assert noise.shape == (size,)
    assert abs(np.count_nonzero(noise) - size * density) <= 6 * np.sqrt(size * density * (1 - density)) + 1


def test_unit_noise_is_standard_normal():
    noise = unit_noise(5, 0.3, "layer", 200_000)
    drawn = noise[noise != 0]
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    positions = np.flatnonzero(noise)
    assert abs(np.corrcoef(positions[:-1] % 7, np.diff(positions))[0, 1]) < 0.02


def test_unit_noise_depends_on_seed_and_tensor():
    base = unit_noise(1, 0.5, "a", 100)
    np.testing.assert_array_equal(base, unit_noise(1, 0.5, "a", 100))
    assert not np.array_equal(base, unit_noise(2, 0.5, "a", 100))
    assert not np.array_equal(base, unit_noise(1, 0.5, "b", 100))


def test_unit_noise_has_not_changed():
    """Numpy does not guarantee equal streams across versions: if this fails, stored runs cannot be rebuilt."""
    noise = unit_noise(42, 0.2, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 1000)
    digest = hashlib.sha256(noise.astype("<f4").tobytes()).hexdigest()
    assert digest == "48d4efa53100ed78bc3a4ad243ca30962c7f15832993f2d13294a329cf71432d"


def plain_noise(seed, density, tensor, size):
    """Return noise as release 0.1 drew it: from a new generator each time, with arrays of 64 bits."""
    key = hashlib.sha256(f"{seed}/{tensor}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    noise = np.zeros(size, np.float32)
    if density == 1.0:
        return generator.standard_normal(size, dtype=np.float32)
    expected, positions = size * density, np.array([-1])
    while positions[-1] < size:
        gaps = generator.standard_exponential(int(expected + 6 * math.sqrt(expected) + 16)) / -math.log1p(-density)
        positions = np.append(positions, positions[-1] + np.cumsum(gaps.astype(np.int64) + 1))
    positions = positions[(positions >= 0) & (positions < size)]
    noise[positions] = generator.standard_normal(len(positions), dtype=np.float32)
    return noise


terms = st.tuples(st.integers(0, 2**53 - 1), st.sampled_from([1.0, 0.2, 0.5, 0.99, 1e-3, 1e-9]))


@settings(max_examples=50, deadline=None)
@given(st.lists(terms, min_size=1, max_size=5), st.integers(1, 3000))
def test_terms_drawn_together_are_those_drawn_alone(drawn, size):
    together = list(draw(drawn, "t", size))
    for term, (positions, values) in zip(drawn, together, strict=True):
        expected = plain_noise(*term, "t", size)
        np.testing.assert_array_equal(unit_noise(*term, "t", size), expected)
        np.testing.assert_array_equal(positions, np.flatnonzero(expected))
        np.testing.assert_array_equal(values, expected[positions])


def test_draw_continues_when_the_first_positions_do_not_suffice(monkeypatch):
    """The bound on their number is exceeded about once in 10^9 tensors."""
    monkeypatch.setattr("genome.lora.noise.most_drawn", lambda density, size: 20)
    [(positions, values)] = draw([(3, 0.5)], "t", 1000)
    assert (np.diff(positions) > 0).all()
    assert positions[-1] < 1000
    assert abs(len(positions) - 500) < 100
    assert len(values) == len(positions)


def looped(tensor, sources, mixtures, noises):
    """Return sums as release 0.1 made them: for each term, a multiplication and an addition of whole tensors."""
    totals = [np.zeros(sources[0].shape, np.float32) for _ in mixtures]
    for mixture, total in zip(mixtures, totals, strict=True):
        for coefficient, source in zip(mixture, sources, strict=True):
            if coefficient:
                total += source * np.float32(coefficient)
    for seed, density in sorted({(term.seed, term.density) for each in noises for term in each}):
        noise = plain_noise(seed, density, tensor, totals[0].size).reshape(totals[0].shape)
        for each, total in zip(noises, totals, strict=True):
            for term in each:
                if (term.seed, term.density) == (seed, density):
                    total += noise * np.float32(term.coefficient)
    return totals


def population(members, distinct, held, seed=0, densities=(0.2, 0.5, 1.0)):
    """Return coefficients of three experts and noise terms of each member."""
    generator = np.random.default_rng(seed)
    mixtures = generator.normal(size=(members, 3)).round(1).tolist()
    noises = []
    for _ in range(members):
        numbers = np.sort(generator.choice(distinct, held, replace=False)).tolist()
        noises.append(tuple(Noise(i, densities[i % len(densities)], float(generator.normal())) for i in numbers))
    return mixtures, noises


def experts(shape, seed=1):
    return list(np.random.default_rng(seed).standard_normal((3, *shape), dtype=np.float32))


def assert_same_bits(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32))


@pytest.mark.parametrize("many", [0, 2**62], ids=["product of matrices", "loop"])
@settings(max_examples=40, deadline=None)
@given(
    members=st.integers(1, 40),
    distinct=st.integers(1, 12),
    size=st.integers(1, 700),
    block=st.integers(1, 900),
    span=st.integers(1, 900),
    drawn=st.integers(1, 3000),
    seed=st.integers(0, 100),
)
def test_sums_are_those_of_a_loop_over_terms(many, members, distinct, size, block, span, drawn, seed):
    mixtures, noises = population(members, distinct, min(distinct, 4), seed)
    noises[0] = ()
    sources = experts((2, size), seed)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"MANY": many, "BLOCK": block, "SPAN": span, "DRAWN": drawn}.items():
            patch.setattr(sums, name, value)
        found = weighted_sums("t", sources, mixtures, tabulate(noises))
    assert_same_bits(found, looped("t", sources, mixtures, noises))


def test_member_of_a_large_population_has_the_bytes_that_it_has_alone():
    """At the real limits: 30 members with 40 terms each are a product of matrices, one of them alone is a loop."""
    mixtures, noises = population(30, 60, 40)
    sources = experts((8, 2304))
    held = sum(map(len, noises)) * sources[0].size
    assert held >= sums.MANY > held / 30
    together = weighted_sums("t", sources, mixtures, tabulate(noises))
    for i in (0, 13, 29):
        [alone] = weighted_sums("t", sources, [mixtures[i]], tabulate([noises[i]]))
        assert_same_bits([together[i]], [alone])


def test_sums_do_not_use_scipy_where_it_rounds_once(monkeypatch):
    mixtures, noises = population(3, 5, 4)
    sources = experts((2, 50))
    monkeypatch.setattr(sums, "MANY", 0)
    monkeypatch.setattr(sums, "_rounds_each_step", lambda: False)
    monkeypatch.setattr(sums, "_add_product", None)
    assert_same_bits(weighted_sums("t", sources, mixtures, tabulate(noises)), looped("t", sources, mixtures, noises))


@pytest.mark.parametrize("many", [0, 2**62])
@pytest.mark.filterwarnings("error")
def test_coefficients_too_large_for_float32_make_only_their_member_infinite(monkeypatch, many):
    monkeypatch.setattr(sums, "MANY", many)
    noises = [(Noise(1, 0.5, 1e300),), (Noise(1, 0.5, 1.0),), ()]
    with np.errstate(over="ignore", invalid="ignore"):
        first, *others = weighted_sums(
            "t", experts((2, 50)), [(1.0, 0.0, 0.0), (0.0, 1e300, 0.0), (1.0, 1.0, 1.0)], tabulate(noises)
        )
    assert not np.isfinite(first).all()
    assert not np.isfinite(others[0]).all()
    assert np.isfinite(others[1]).all()


def test_small_populations_do_not_import_scipy():
    code = (
        "import sys, numpy as np\n"
        "from genome.genotype import Noise\n"
        "from genome.lora.sums import tabulate, weighted_sums\n"
        "noise = tabulate([(Noise(i, 0.2, 1.0),) for i in range(10)])\n"
        "weighted_sums('t', [np.ones((8, 500), np.float32)], [[1.0]] * 10, noise)\n"
        "print('scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
