"""Compression of adapters: optimal by layer, with the loss of the weights as written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import random_factors, write_adapter
from genome.errors import GenomeError
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.expert import PREFIX
from genome.experts.tensors import from_float32, header_bytes, open_tensors
from genome.files import read_json, write_json
from genome.lora.compress import compress, lost, truncate
from genome.lora.layers import layers_of


def update(folder):
    """Return the update of each layer in a PEFT folder, alpha/r * BA, in float64."""
    tensors, config = open_tensors(folder / WEIGHTS), read_json(folder / CONFIG)
    return {
        layer: config["lora_alpha"]
        / config["r"]
        * tensors[f"{layer}.lora_B.weight"].astype("f8")
        @ tensors[f"{layer}.lora_A.weight"].astype("f8")
        for layer in layers_of(tensors)
    }


def norm(updates):
    return np.sqrt(sum(np.sum(values**2) for values in updates.values()))


def difference(first, second):
    return {layer: first[layer] - second[layer] for layer in first}


def write_padded(folder, ranks, rank, alpha):
    """Write a PEFT folder of `rank` whose layers have factors of these ranks, padded with zeros."""
    folder.mkdir()
    factors = random_factors(3, max(ranks))
    tensors = {}
    for (layer, (b, a)), true in zip(factors.items(), ranks, strict=True):
        missing = rank - true
        tensors[f"{PREFIX}{layer}.lora_A.weight"] = np.pad(a[:true], ((0, missing), (0, 0)))
        tensors[f"{PREFIX}{layer}.lora_B.weight"] = np.pad(b[:, :true], ((0, 0), (0, missing)))
    header = header_bytes(dict.fromkeys(tensors, "F32"), {name: each.shape for name, each in tensors.items()})
    stored = b"".join(from_float32(each, "F32").tobytes() for each in tensors.values())
    (folder / WEIGHTS).write_bytes(header + stored)
    write_json(folder / CONFIG, {"peft_type": "LORA", "r": rank, "lora_alpha": alpha})


@pytest.mark.parametrize("rank", [1, 4, 9])
def test_compression_is_optimal_and_returns_its_loss(tmp_path, rank):
    wide = update(write_adapter(tmp_path / "wide", 1, rank=12, alpha=24))
    loss = compress(tmp_path / "wide", rank, tmp_path / "narrow")
    narrow, config = update(tmp_path / "narrow"), read_json(tmp_path / "narrow" / CONFIG)
    assert (config["r"], config["lora_alpha"]) == (rank, 2 * rank)
    assert loss == pytest.approx(norm(difference(wide, narrow)) / norm(wide), rel=1e-3, abs=1e-6)
    rest = [np.linalg.svd(values, compute_uv=False)[rank:] for values in wide.values()]
    assert loss == pytest.approx(np.sqrt(sum(np.sum(r**2) for r in rest)) / norm(wide), rel=1e-3, abs=1e-6)


def test_layers_that_are_padded_with_zeros_lose_nothing_down_to_their_rank(tmp_path):
    write_padded(tmp_path / "wide", (5, 2, 3, 1), 8, 4)
    assert compress(tmp_path / "wide", 5, tmp_path / "five") < 1e-6
    before, after = update(tmp_path / "wide"), update(tmp_path / "five")
    assert norm(difference(before, after)) < 1e-5 * norm(before)
    assert read_json(tmp_path / "five" / CONFIG)["lora_alpha"] == 2.5
    first = next(iter(before))
    loss = compress(tmp_path / "wide", 3, tmp_path / "three")
    rest = np.linalg.svd(before[first], compute_uv=False)[3:]
    assert loss == pytest.approx(np.linalg.norm(rest) / norm(before), rel=1e-4)


def test_layers_without_a_change_stay_so(tmp_path):
    write_padded(tmp_path / "wide", (4, 0, 0, 0), 4, 4)
    loss = compress(tmp_path / "wide", 2, tmp_path / "narrow")
    found = list(update(tmp_path / "narrow").values())
    assert 0 < loss < 1
    assert not any(values.any() for values in found[1:])


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_loss_includes_rounding(tmp_path, dtype):
    wide = update(write_adapter(tmp_path / "wide", 1, rank=12, dtype=dtype))
    loss = compress(tmp_path / "wide", 11, tmp_path / "narrow")
    narrow = update(tmp_path / "narrow")
    assert loss == pytest.approx(norm(difference(wide, narrow)) / norm(wide), rel=1e-4)
    assert 1e-4 < loss < 0.2
    assert {info.dtype for info in open_tensors(tmp_path / "narrow" / WEIGHTS).tensors.values()} == {dtype}


def test_adapter_of_lower_rank_is_copied(tmp_path):
    write_adapter(tmp_path / "one", 1)
    assert compress(tmp_path / "one", 4, tmp_path / "out") == 0
    for name in (CONFIG, WEIGHTS):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    with pytest.raises(GenomeError, match="exists already"):
        compress(tmp_path / "one", 4, tmp_path / "out")
    with pytest.raises(GenomeError, match="at least 1"):
        compress(tmp_path / "one", 0, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_difference_of_two_folders_includes_their_scaling(tmp_path):
    one = write_adapter(tmp_path / "one", 1, rank=4, alpha=8)
    other = write_adapter(tmp_path / "other", 2, rank=3, alpha=9)
    expected = norm(difference(update(one), update(other))) / norm(update(one))
    assert lost(one, other) == pytest.approx(expected, rel=1e-6)
    assert lost(one, one) < 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_truncate_splits_singular_values_evenly(rank, seed):
    generator = np.random.default_rng(seed)
    b, a = truncate((generator.normal(size=(9, 6)), generator.normal(size=(6, 7))), rank)
    assert (b.shape, a.shape) == ((9, rank), (rank, 7))
    np.testing.assert_allclose(np.linalg.norm(b, axis=0), np.linalg.norm(a, axis=1))
