"""DARE-TIES compared with PEFT."""

import numpy as np
import pytest
import torch
from peft.utils import merge_utils

from builders import expert_of, update_of, write_expert
from genome.experts.expert import read_expert
from genome.experts.tensors import open_tensors
from genome.files import read_json, sha256
from genome.genotype import expert
from genome.lora.dare_ties import layer_seed, of_factors, of_updates
from genome.lora.layers import factor_names
from genome.lora.materialise import CONFIG, WEIGHTS, materialise

NAMES = ("math", "law", "code")


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = torch.nn.Linear(6, 8, bias=False)
        self.down_proj = torch.nn.Linear(8, 6, bias=False)

    def forward(self, x):
        return self.down_proj(self.q_proj(x))


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.name_or_path = "models/tiny"
        self.layers = torch.nn.ModuleList(Block() for _ in range(2))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def peft_model(dtype: torch.dtype = torch.float32):
    """Return a PEFT model with the adapters of NAMES, each with random A and B, alpha/r = 2."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    torch.manual_seed(7)
    model = get_peft_model(Tiny(), config, adapter_name=NAMES[0])
    for name in NAMES[1:]:
        model.add_adapter(name, config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            # Values that the stored type represents exactly, so that saving does not round.
            parameter.data = parameter.data.to(dtype).to(torch.float32)
    return model


@pytest.fixture
def experts(tmp_path):
    """Return the model, and the files of its adapters as experts."""
    model = peft_model()
    model.save_pretrained(tmp_path, selected_adapters=list(NAMES), save_embedding_layers=False)
    return model, [expert_of(tmp_path / name, tmp_path / f"expert_{name}").path for name in NAMES]


def served(merged, folder):
    """Write a merged expert as the adapter that the engine serves, and return its folder."""
    materialise([expert(0, 1)], [read_expert(merged)], [folder])
    return folder


def peft_merge(model, weights, density, seed):
    """Merge by PEFT's add_weighted_adapter, with torch seeded before each layer as `genome.lora.dare_ties` does."""
    tuner = model.base_model
    names = {id(module): name for name, module in model.named_modules()}
    merge_layer = tuner._generalized_task_arithmetic_weighted_adapter

    def seeded(combination_type, adapters, weights, target, *rest):
        torch.manual_seed(layer_seed(seed, f"base_model.{names[id(target)].removeprefix('base_model.')}"))
        return merge_layer(combination_type, adapters, weights, target, *rest)

    tuner._generalized_task_arithmetic_weighted_adapter = seeded
    model.add_weighted_adapter(list(NAMES), list(weights), "merged", "dare_ties", density=density)


@pytest.mark.parametrize("weights", [None, (1.0, 1.0, 1.0), (0.5, 0.25, 2.0)])
def test_dare_ties_gives_the_tensors_of_peft(experts, tmp_path, weights):
    model, paths = experts
    of_factors(paths, tmp_path / "ours.safetensors", density=0.7, weights=weights, seed=3)
    peft_merge(model, weights or (1.0,) * 3, 0.7, 3)
    model.save_pretrained(tmp_path / "peft", selected_adapters=["merged"], save_embedding_layers=False)
    folder = served(tmp_path / "ours.safetensors", tmp_path / "served")
    ours, theirs = open_tensors(folder / WEIGHTS), open_tensors(tmp_path / "peft" / "merged" / WEIGHTS)
    assert sorted(ours) == sorted(theirs)
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    found, expected = (read_json(each / CONFIG) for each in (folder, tmp_path / "peft" / "merged"))
    assert (found["r"], found["lora_alpha"]) == (expected["r"], expected["lora_alpha"])
    assert found["target_modules"] == sorted(expected["target_modules"])


def test_dare_ties_depends_only_on_its_seed(experts, tmp_path):
    _, paths = experts
    one, again, other = (tmp_path / f"{name}.safetensors" for name in ("one", "again", "other"))
    torch.manual_seed(1)
    of_factors(paths, one, seed=1)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1) == after, "the caller's random state was touched"
    of_factors(paths, again, seed=1)
    of_factors(paths, other, seed=2)
    assert sha256(one) == sha256(again) != sha256(other)


def test_dare_ties_writes_its_provenance(experts, tmp_path):
    _, paths = experts
    merged = of_factors(paths, tmp_path / "merged.safetensors", density=0.5, seed=4)
    assert merged == read_expert(tmp_path / "merged.safetensors")
    assert (merged.name, merged.provenance["kind"], merged.rank, merged.alpha) == ("dare_ties", "DARE-TIES", 3, 3)
    assert merged.provenance["source"] == {
        "merge": "dare_ties",
        "density": 0.5,
        "weights": [1.0, 1.0, 1.0],
        "seed": 4,
        "experts": {path.stem: sha256(path) for path in paths},
    }


def test_dare_ties_merges_bfloat16_in_float32_and_stores_bfloat16(tmp_path):
    from safetensors.torch import load_file, save_file

    model = peft_model(torch.bfloat16)
    model.save_pretrained(tmp_path, selected_adapters=list(NAMES), save_embedding_layers=False)
    for name in NAMES:
        path = tmp_path / name / WEIGHTS
        save_file({key: value.to(torch.bfloat16) for key, value in load_file(path).items()}, path, {"format": "pt"})
    paths = [expert_of(tmp_path / name, tmp_path / f"expert_{name}").path for name in NAMES]
    of_factors(paths, tmp_path / "ours.safetensors", seed=3)
    folder = served(tmp_path / "ours.safetensors", tmp_path / "served")
    peft_merge(model, (1.0,) * 3, 0.7, 3)
    model.save_pretrained(tmp_path / "peft", selected_adapters=["merged"], save_embedding_layers=False)
    ours, theirs = load_file(folder / WEIGHTS), load_file(tmp_path / "peft" / "merged" / WEIGHTS)
    for name, expected in theirs.items():
        assert torch.equal(ours[name], expected.to(torch.bfloat16)), name


def test_peft_loads_a_dare_ties_merge(experts, tmp_path):
    model, paths = experts
    of_factors(paths, tmp_path / "merged.safetensors", seed=3)
    model.load_adapter(served(tmp_path / "merged.safetensors", tmp_path / "served"), "merged")
    model.set_adapter("merged")
    assert torch.isfinite(model(torch.ones(1, 6))).all()


@pytest.mark.filterwarnings("ignore:The density 1.0:UserWarning")
def test_dare_ties_pads_experts_of_other_ranks_and_layers_with_zeros(tmp_path):
    missing = ["model.layers.1.mlp.down_proj"]
    small = write_expert(tmp_path / "small", 1, rank=2, alpha=2)
    large = write_expert(tmp_path / "large", 2, rank=4, alpha=8, missing=missing)
    merged = of_factors([small.path, large.path], tmp_path / "merged.safetensors", density=1.0, weights=[0.5, 2.0])
    assert (merged.rank, merged.alpha, len(merged.tensors)) == (4, 4, 8)
    # With all weights kept, a weight is the mean over the experts that agree in sign, or the only one there is.
    tensors, of_small, of_large = (open_tensors(each.path) for each in (merged, small, large))
    for name in of_small:
        factor = np.float32(np.sqrt(0.5))
        first = of_small[name]
        if name not in of_large:
            found = tensors[name][: first.shape[0], : first.shape[1]]
            np.testing.assert_allclose(found, factor * first, rtol=1e-6)
            assert np.count_nonzero(tensors[name]) == first.size
        elif "lora_A" in name:
            # Rows beyond the lower rank come from the other expert alone: its weight times its scaling is 4.
            np.testing.assert_allclose(tensors[name][2:], 2 * of_large[name][2:], rtol=1e-6)
    for layer, update in update_of(served(merged.path, tmp_path / "served")).items():
        a, b = (tensors[name] for name in factor_names(layer))
        np.testing.assert_allclose(update, b.astype("f8") @ a, rtol=1e-6)


def test_merge_of_updates_is_that_of_peft_s_utilities(experts, tmp_path):
    _, files = experts
    merged = of_updates(files, tmp_path / "merged.safetensors", density=0.5, seed=3)
    given = [update_of(served(file, tmp_path / f"given_{i}")) for i, file in enumerate(files)]
    for layer, found in update_of(served(merged.path, tmp_path / "merged")).items():
        updates = [torch.from_numpy(each[layer]).float() for each in given]
        torch.manual_seed(layer_seed(3, layer))
        expected = merge_utils.dare_ties(updates, torch.ones(len(updates)), 0.5).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert merged.provenance["kept"] == pytest.approx(1)
    again, other = (of_updates(files, tmp_path / f"{seed}.safetensors", density=0.5, seed=seed) for seed in (3, 4))
    assert sha256(again.path) == sha256(merged.path) != sha256(other.path)
    narrow = of_updates(files, tmp_path / "narrow.safetensors", density=0.5, seed=3, rank=2)
    assert (narrow.rank, narrow.provenance["kept"] < 1) == (2, True)
