"""DARE-TIES compared with PEFT."""

import shutil

import numpy as np
import pytest
import torch

from genome.errors import GenomeError
from genome.experts.peft import CONFIG, PROVENANCE, WEIGHTS, read_expert, write_provenance
from genome.experts.tensors import open_tensors
from genome.files import read_json, sha256, write_json
from genome.lora.dare_ties import dare_ties, layer_seed

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
    """Return the model and the folders of its adapters, as experts."""
    model = peft_model()
    model.save_pretrained(tmp_path, selected_adapters=list(NAMES), save_embedding_layers=False)
    folders = [tmp_path / name for name in NAMES]
    for folder in folders:
        write_provenance(folder, folder.name, "test")
    return model, folders


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
    model, folders = experts
    dare_ties(folders, tmp_path / "ours", density=0.7, weights=weights, seed=3)
    peft_merge(model, weights or (1.0,) * 3, 0.7, 3)
    model.save_pretrained(tmp_path / "peft", selected_adapters=["merged"], save_embedding_layers=False)
    ours, theirs = open_tensors(tmp_path / "ours" / WEIGHTS), open_tensors(tmp_path / "peft" / "merged" / WEIGHTS)
    assert sorted(ours) == sorted(theirs)
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    config = read_json(tmp_path / "peft" / "merged" / CONFIG)
    merged = read_expert(tmp_path / "ours")
    assert (merged.rank, merged.alpha) == (config["r"], config["lora_alpha"])
    assert merged.target_modules == tuple(sorted(config["target_modules"]))


def test_dare_ties_depends_only_on_its_seed(experts, tmp_path):
    _, folders = experts
    torch.manual_seed(1)
    dare_ties(folders, tmp_path / "one", seed=1)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1) == after, "the caller's random state was touched"
    dare_ties(folders, tmp_path / "again", seed=1)
    dare_ties(folders, tmp_path / "other", seed=2)
    assert sha256(tmp_path / "one" / WEIGHTS) == sha256(tmp_path / "again" / WEIGHTS)
    assert sha256(tmp_path / "one" / WEIGHTS) != sha256(tmp_path / "other" / WEIGHTS)


def test_dare_ties_writes_its_provenance(experts, tmp_path):
    _, folders = experts
    dare_ties(folders, tmp_path / "merged", density=0.5, seed=4)
    provenance = read_json(tmp_path / "merged" / PROVENANCE)
    assert provenance["name"] == "dare_ties"
    assert provenance["source"] == {
        "merge": "dare_ties",
        "density": 0.5,
        "weights": [1.0, 1.0, 1.0],
        "seed": 4,
        "experts": {folder.name: sha256(folder / WEIGHTS) for folder in folders},
    }
    assert provenance["sha256"] == sha256(tmp_path / "merged" / WEIGHTS)


def test_dare_ties_merges_bfloat16_in_float32_and_stores_bfloat16(tmp_path):
    from safetensors.torch import load_file, save_file

    model = peft_model(torch.bfloat16)
    model.save_pretrained(tmp_path, selected_adapters=list(NAMES), save_embedding_layers=False)
    for name in NAMES:
        path = tmp_path / name / WEIGHTS
        save_file({key: value.to(torch.bfloat16) for key, value in load_file(path).items()}, path, {"format": "pt"})
        write_provenance(tmp_path / name, name, "test")
    dare_ties([tmp_path / name for name in NAMES], tmp_path / "ours", seed=3)
    peft_merge(model, (1.0,) * 3, 0.7, 3)
    model.save_pretrained(tmp_path / "peft", selected_adapters=["merged"], save_embedding_layers=False)
    ours, theirs = load_file(tmp_path / "ours" / WEIGHTS), load_file(tmp_path / "peft" / "merged" / WEIGHTS)
    for name, expected in theirs.items():
        assert torch.equal(ours[name], expected.to(torch.bfloat16)), name


def test_peft_loads_a_dare_ties_merge(experts, tmp_path):
    model, folders = experts
    dare_ties(folders, tmp_path / "merged", seed=3)
    model.load_adapter(tmp_path / "merged", "merged")
    model.set_adapter("merged")
    assert torch.isfinite(model(torch.ones(1, 6))).all()


def test_dare_ties_refuses_incompatible_experts_and_writes_nothing(experts, tmp_path):
    _, folders = experts
    shutil.copytree(folders[0], tmp_path / "odd")
    write_json(tmp_path / "odd" / CONFIG, read_json(tmp_path / "odd" / CONFIG) | {"lora_alpha": 12})
    write_provenance(tmp_path / "odd", "odd", "test")
    with pytest.raises(GenomeError, match=r"experts math and odd cannot be merged: alpha is 6\.0 and 12\.0"):
        dare_ties([folders[0], tmp_path / "odd"], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
