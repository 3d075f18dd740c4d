"""Random LoRAs: shapes and norms of the experts whose place they take, and the same bytes for the same seed."""

import numpy as np
import pytest

from builders import write_expert
from genome.experts.expert import FACTOR, read_expert
from genome.experts.tensors import open_tensors
from genome.files import sha256
from genome.lora.random_experts import random_expert, update_norm


def factors_of(expert):
    """Return (A, B) by layer."""
    weights = open_tensors(expert.path)
    layers = {FACTOR.fullmatch(name)[1] for name in weights}
    return {layer: (weights[f"{layer}A.weight"], weights[f"{layer}B.weight"]) for layer in layers}


@pytest.mark.parametrize("rank", [2, 5])
def test_each_layer_has_the_rank_and_norm_of_the_expert(tmp_path, rank):
    given = write_expert(tmp_path / "add", 3, rank=rank)
    made = random_expert(given, 1, tmp_path)
    assert (made.name, made.rank, made.alpha, made.dtype) == ("random_add", rank, given.alpha, given.dtype)
    assert made.target_modules == given.target_modules
    ours, theirs = factors_of(made), factors_of(given)
    assert ours.keys() == theirs.keys()
    for layer, (a, b) in ours.items():
        given_a, given_b = theirs[layer]
        assert (a.shape, b.shape) == (given_a.shape, given_b.shape)
        assert np.linalg.norm(b @ a) == pytest.approx(np.linalg.norm(given_b @ given_a), rel=1e-4)
        assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(given_a), rel=1e-4)
        cosine = np.sum(a * given_a) / np.linalg.norm(a) / np.linalg.norm(given_a)
        assert abs(cosine) < 6 / np.sqrt(a.size), "unrelated to the expert"


def test_seed_and_expert_decide_every_byte(tmp_path):
    one, two = (write_expert(tmp_path / name, seed) for seed, name in enumerate(("one", "two")))
    (tmp_path / "again").mkdir()
    first = random_expert(one, 1, tmp_path)
    assert sha256(random_expert(one, 1, tmp_path / "again").path) == first.sha256
    digests = {first.sha256, random_expert(two, 1, tmp_path).sha256, random_expert(one, 2, tmp_path / "again").sha256}
    assert len(digests) == 3
    assert read_expert(first.path) == first


def test_values_are_normal(tmp_path):
    """Neither factor depends on the other: the entries of each are like draws of one normal distribution."""
    a, b = next(iter(factors_of(random_expert(write_expert(tmp_path / "one", 1, rank=8), 7, tmp_path)).values()))
    for factor in (a, b):
        z = factor / factor.std()
        assert abs(z.mean()) < 5 / np.sqrt(z.size)
        assert abs((z**4).mean() - 3) < 5 * np.sqrt(96 / z.size)


def test_norm_of_an_update_is_that_of_the_product():
    generator = np.random.default_rng(1)
    b, a = generator.normal(size=(7, 3)), generator.normal(size=(3, 5))
    assert update_norm(b, a) == pytest.approx(np.linalg.norm(b @ a), rel=1e-12)
    assert update_norm(0 * b, a) == 0
