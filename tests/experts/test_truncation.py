"""Truncated singular value decompositions: the optimum, exactly or within one per cent, and the same bytes again."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genome.errors import GenomeError
from genome.experts.truncation import EXACT, truncate, truncate_changes

FLAT, DECAYING, STEEP, STEP = "flat", "decaying", "steep", "step"


def matrix(seed: int, shape: tuple[int, int], spectrum: str, rank: int) -> np.ndarray:
    """Return a change [out, in] with singular values of a certain course."""
    generator = np.random.default_rng(seed)
    if spectrum == FLAT:
        return generator.standard_normal(shape, dtype="f4")
    n = min(shape)
    places = np.arange(n)
    values = {
        DECAYING: 1 / (1 + places),
        STEEP: 0.9**places,
        STEP: np.where(places < rank, 1.0, 0.98),
    }[spectrum]
    (u, _), (v, _) = (np.linalg.qr(generator.standard_normal((side, n))) for side in shape)
    return ((u * values) @ v.T).astype("f4")


def assert_near_the_optimum(change: np.ndarray, rank: int, share: float) -> None:
    (b, a), values, norm = truncate("layer", change, rank)
    exact = np.linalg.svd(change.astype("f8"), compute_uv=False)
    rounding = 1e-5 * norm
    error = np.linalg.norm(change - b.astype("f8") @ a)
    assert error <= (1 + share) * np.linalg.norm(exact[rank:]) + rounding
    assert norm == pytest.approx(np.linalg.norm(exact), rel=1e-5)
    assert np.linalg.norm(values) == pytest.approx(np.linalg.norm(b.astype("f8") @ a), rel=1e-4)
    assert b.dtype == a.dtype == np.float32
    # Singular values are split evenly.
    np.testing.assert_allclose(np.linalg.norm(b, axis=0), np.linalg.norm(a, axis=1), rtol=1e-3)


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    spectrum=st.sampled_from((FLAT, DECAYING, STEEP, STEP)),
    rank=st.integers(1, 90),
)
@example(seed=0, shape=(1, 70), spectrum=FLAT, rank=3)
@example(seed=0, shape=(70, 1), spectrum=FLAT, rank=1)
@settings(deadline=None, max_examples=60)
def test_the_approximation_is_the_best_of_its_rank(seed, shape, spectrum, rank):
    assert_near_the_optimum(matrix(seed, shape, spectrum, rank), rank, 0.01)


@pytest.mark.parametrize("spectrum", [FLAT, DECAYING, STEEP, STEP])
@pytest.mark.parametrize("shape", [(300, 300), (260, 900), (700, 290)], ids=str)
@pytest.mark.parametrize("rank", [1, 4, 16, 32])
def test_the_randomised_approximation_is_within_one_per_cent_of_the_best(shape, spectrum, rank):
    assert min(shape) > EXACT * rank
    assert_near_the_optimum(matrix(rank, shape, spectrum, rank), rank, 0.01)


@pytest.mark.parametrize("seed", range(3))
def test_a_flat_spectrum_just_beyond_the_exact_sizes(seed):
    assert_near_the_optimum(matrix(seed, (EXACT * 48 + 1, 420), FLAT, 48), 48, 0.01)


@pytest.mark.parametrize("shape", [(40, 30), (500, 400)], ids=str)
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
def test_a_change_of_low_rank_keeps_its_rank_and_all_of_its_norm(shape, scale):
    generator = np.random.default_rng(0)
    b, a = generator.standard_normal((shape[0], 5)), generator.standard_normal((5, shape[1]))
    change = (scale * b @ a).astype("f4")
    found = truncate_changes([("layer", change)], 16)
    (b, a), kept = found.factors["layer"], found.kept["layer"]
    assert (b.shape, a.shape) == ((shape[0], 5), (5, shape[1]))
    np.testing.assert_allclose(b @ a, change, atol=1e-5 * np.abs(change).max())
    assert kept == pytest.approx(1, abs=1e-5)
    assert kept <= 1


def test_the_share_kept_and_the_norm_are_of_the_change():
    change = np.diag(np.float32([4, 3, 2, 1]))
    found = truncate_changes([("layer", change)], 2)
    assert found.norms == {"layer": pytest.approx(np.sqrt(30))}
    assert found.kept == {"layer": pytest.approx(5 / np.sqrt(30))}
    b, a = found.factors["layer"]
    np.testing.assert_allclose(b @ a, np.diag([4, 3, 0, 0]), atol=1e-6)


def test_layers_without_a_change_are_left_out():
    changes = {"same": np.zeros((6, 4), "f4"), "wide": np.zeros((300, 300), "f4"), "changed": np.eye(4, dtype="f4")}
    found = truncate_changes(changes.items(), 2)
    assert found.factors.keys() == found.kept.keys() == found.norms.keys() == {"changed"}


def test_no_change_at_all_gives_no_factors():
    assert truncate_changes([], 4).factors == {}


def test_a_rank_below_one_is_refused():
    with pytest.raises(GenomeError, match="at least 1"):
        truncate_changes([("layer", np.eye(3, dtype="f4"))], 0)


def test_the_input_stays_as_it_is():
    change = matrix(0, (50, 40), FLAT, 4)
    before = change.copy()
    change.flags.writeable = False
    truncate("layer", change, 4)
    np.testing.assert_array_equal(change, before)


DIGEST = """
import hashlib, numpy as np
from genome.experts.truncation import truncate
digest = hashlib.sha256()
for shape in ((500, 600), (100, 700)):
    change = np.random.default_rng(0).standard_normal(shape, dtype="f4")
    for part in truncate("layer", change, 24)[0]:
        digest.update(np.ascontiguousarray(part).tobytes())
print(digest.hexdigest())
"""


def test_the_bytes_depend_neither_on_the_process_nor_on_the_number_of_threads():
    digests = set()
    for threads in ("1", "2", "5"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        run = [sys.executable, "-P", "-c", DIGEST]
        digests.add(subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1
    assert digests != {f"{hashlib.sha256().hexdigest()}\n"}


def test_the_order_of_layers_does_not_matter():
    changes = {name: matrix(seed, (300, 290), FLAT, 4) for seed, name in enumerate("abc")}
    forward, backward = (truncate_changes(order, 8) for order in (changes.items(), reversed(changes.items())))
    for name in changes:
        for one, other in zip(forward.factors[name], backward.factors[name], strict=True):
            np.testing.assert_array_equal(one, other)
