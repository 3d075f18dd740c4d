"""TIES compared with its definition (arXiv 2306.01708, Section 4.2), and with what it does in one layer by hand."""

import numpy as np
import pytest

from builders import random_factors, write_expert
from genome.experts.expert import PREFIX, read_expert
from genome.experts.tensors import open_tensors
from genome.files import sha256
from genome.lora.layers import factors_of, layers_of
from genome.lora.ties import ties

pytestmark = pytest.mark.filterwarnings("ignore:The density 1:UserWarning")


def updates_of(path):
    tensors = open_tensors(path)
    return {layer: b @ a for layer in layers_of(tensors.tensors) for b, a in (factors_of(tensors, layer),)}


def defined(updates, density):
    """Trim, elect and average as the paper defines it, entry by entry."""
    trimmed = []
    for update in updates:
        least = np.sort(np.abs(update), axis=None)[-int(density * update.size)]
        trimmed.append(np.where(np.abs(update) >= least, update, 0))
    sign = np.where(np.sum(trimmed, axis=0) >= 0, 1, -1)
    agreeing = [np.where(np.sign(each) == sign, each, 0) for each in trimmed]
    return np.sum(agreeing, axis=0) / np.maximum(1, np.sum([each != 0 for each in agreeing], axis=0))


@pytest.fixture
def experts(tmp_path):
    return [write_expert(tmp_path / f"e{seed}", seed, rank=rank).path for seed, rank in ((1, 2), (2, 3), (3, 1))]


@pytest.mark.parametrize("density", [0.2, 0.5, 1])
def test_merge_of_full_rank_is_the_papers_definition(experts, tmp_path, density):
    merged = ties(experts, tmp_path / "ties.safetensors", density, rank=20)
    each = [updates_of(path) for path in experts]
    for layer, update in updates_of(merged.path).items():
        expected = defined([updates[layer] for updates in each], density)
        np.testing.assert_allclose(update, expected, atol=2e-5 * np.abs(expected).max())
    assert merged.provenance["kept"] == pytest.approx(1, abs=1e-6)


def test_merge_is_the_nearest_of_its_rank_and_states_what_is_kept(experts, tmp_path):
    merged = ties(experts, tmp_path / "ties.safetensors")
    assert merged.rank == 6, "the sum of the experts' ranks"
    kept = total = 0.0
    for layer, update in updates_of(merged.path).items():
        expected = defined([updates_of(path)[layer] for path in experts], 0.2)
        values = np.linalg.svd(expected, compute_uv=False)
        assert np.linalg.norm(expected - update) == pytest.approx(np.linalg.norm(values[6:]), abs=1e-3)
        share = merged.provenance["layers"][layer.removeprefix(PREFIX)]["kept"]
        assert share == pytest.approx(np.linalg.norm(values[:6]) / np.linalg.norm(values), abs=1e-5)
        kept, total = kept + np.sum(values[:6] ** 2), total + np.sum(values**2)
    assert merged.provenance["kept"] == pytest.approx(np.sqrt(kept / total), abs=1e-5)
    assert 0 < merged.provenance["kept"] < 1
    assert ties(experts, tmp_path / "two.safetensors", rank=2).rank == 2


def test_expert_without_a_layer_takes_no_part_in_it(tmp_path):
    missing = "model.layers.1.mlp.down_proj"
    both = write_expert(tmp_path / "one", 1, rank=2)
    part = write_expert(tmp_path / "two", 2, rank=2, missing=[missing])
    merged = ties([both.path, part.path], tmp_path / "ties.safetensors", 1, rank=20)
    b, a = random_factors(1, 2)[missing]
    scale = both.scale
    np.testing.assert_allclose(updates_of(merged.path)[PREFIX + missing], scale * b @ a, atol=1e-4)


def test_merge_depends_on_the_experts_alone(experts, tmp_path):
    one, two = (ties(experts, tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert sha256(one.path) == sha256(two.path)
    assert one == read_expert(one.path)
    assert (one.name, one.provenance["kind"]) == ("ties", "TIES")
    assert one.provenance["source"]["experts"] == {path.stem: sha256(path) for path in experts}
