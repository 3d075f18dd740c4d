"""Adapters of all of PEFT's types: their changes are those of a whole model that PEFT merges, or they are refused."""

import copy
import inspect
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel, PeftType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedModel, Qwen2Config

from genome.errors import GenomeError
from genome.experts.deltas import SUPPORTED, peft_changes

TARGETS = ["q_proj", "k_proj", "up_proj", "down_proj"]
SETTINGS = {
    "ADALORA": {"total_step": 100},
    "BOFT": {"boft_block_size": 4},
    "C3A": {"block_size": 4},
    "FOURIERFT": {"n_frequency": 20},
    "GRALORA": {"r": 4, "gralora_k": 2},
    "IA3": {"feedforward_modules": ["down_proj"]},
    "LORA": {"use_dora": True, "rank_pattern": {"layers.1.*q_proj": 3}, "alpha_pattern": {"up_proj": 5}},
    "MISS": {"r": 4},
    "OFT": {"oft_block_size": 4, "r": 0},
    "PSOFT": {"r": 4},
    "RANDLORA": {"r": 4},
    "ROAD": {"group_size": 8},
    "SHIRA": {"r": 3},
    "VBLORA": {"num_vectors": 8, "vector_length": 4, "r": 4},
    "WAVEFT": {"n_frequency": 20},
}
"""What a type needs beyond its defaults on a small model, or what makes it worth testing."""

MORE = {
    "LOKR-factors": ("LOKR", {"decompose_both": True, "decompose_factor": 4}),
    "LOHA-ranks": ("LOHA", {"r": 6, "alpha": 12, "rank_pattern": {"k_proj": 2}, "alpha_pattern": {"up_proj": 3}}),
    "VERA-drawn": ("VERA", {"save_projection": False, "projection_prng_key": 3}),
    "RANDLORA-drawn": ("RANDLORA", {"r": 4, "save_projection": False, "projection_prng_key": 3}),
    "OFT-blocks": ("OFT", {"r": 2, "oft_block_size": 0, "coft": True}),
    "MISS-bat": ("MISS", {"r": 4, "init_weights": "bat"}),
    "LORA-rsdora": ("LORA", {"use_dora": True, "use_rslora": True, "r": 4}),
    "LORA-plain": ("LORA", {"r": 4}),
    "LORA-pattern": ("LORA", {"use_dora": True, "target_modules": r".*layers\.(0|1)\..*(k_proj|down_proj)"}),
    "LORA-layers": ("LORA", {"use_dora": True, "layers_to_transform": [1], "exclude_modules": ["k_proj"]}),
}

BIASED = {"GLORA", "IA3", "ROAD"}
"""Types that change the bias of a layer that has one."""

ADAPTERS = {name: (name, SETTINGS.get(name, {})) for name in sorted(SUPPORTED)} | MORE


def tiny(kind, layers: int) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = AutoModelForCausalLM.from_config(kind(vocab_size=64, num_hidden_layers=layers, **sizes))
    with torch.no_grad():
        for values in model.parameters():
            values.normal_(0, 0.2)
    return model.eval()


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Models and their folders; qwen2 has biases, and the names of the deep one sort otherwise than its layers."""
    root = tmp_path_factory.mktemp("bases")
    models = {"llama": tiny(LlamaConfig, 2), "deep": tiny(LlamaConfig, 11), "qwen2": tiny(Qwen2Config, 2)}
    for name, model in models.items():
        model.save_pretrained(root / name)
    return {name: (model, root / name) for name, model in models.items()}


def adapt(model: PreTrainedModel, folder: Path, peft_type: str, settings) -> dict[str, np.ndarray]:
    """Save an adapter with random weights, and return what PEFT's merge of the whole model changes, by tensor."""
    config = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(peft_type)]
    fields = {"task_type": "CAUSAL_LM", **settings}
    if "target_modules" in inspect.signature(config).parameters:
        fields = {"target_modules": TARGETS, **fields}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(copy.deepcopy(model), config(**fields))
        torch.manual_seed(1)
        with torch.no_grad():
            for values in adapted.parameters():
                if values.requires_grad:
                    values.add_(0.1 * torch.randn_like(values))
        adapted.save_pretrained(folder)
        merged = PeftModel.from_pretrained(copy.deepcopy(model), folder).merge_and_unload()
    before = model.state_dict()
    return {
        name: (after - before[name]).numpy()
        for name, after in merged.state_dict().items()
        if not torch.equal(after, before[name])
    }


def read_config(folder: Path):
    return json.loads((folder / "adapter_config.json").read_text())


def assert_equal_changes(found, expected) -> None:
    weights = {name.removesuffix(".weight"): each for name, each in expected.items() if name.endswith(".weight")}
    assert found.keys() == weights.keys()
    for layer, change in found.items():
        assert change.dtype == np.float32
        assert np.linalg.norm(change - weights[layer]) <= 1e-5 * np.linalg.norm(weights[layer])
        assert np.linalg.norm(change) > 0


SHARING = ("LORA", "PVERA", "RANDLORA-drawn", "VBLORA", "VERA-drawn")
"""Adapters that could depend on the order of layers, and DoRA."""

CASES = [(base, name) for base in ("llama", "qwen2") for name in ADAPTERS] + [("deep", name) for name in SHARING]


@pytest.mark.parametrize(("base", "name"), CASES)
def test_changes_are_those_of_the_whole_model_merged_by_peft(tmp_path, bases, base, name):
    model, folder = bases[base]
    peft_type, settings = ADAPTERS[name]
    expected = adapt(model, tmp_path / "adapter", peft_type, settings)
    biases = {}
    changes = peft_changes(tmp_path / "adapter", read_config(tmp_path / "adapter"), folder, biases)
    assert_equal_changes(dict(changes), expected)
    assert bool(biases) == (peft_type in BIASED and base == "qwen2")
    norms = {tensor: np.linalg.norm(each) for tensor, each in expected.items() if tensor.endswith(".bias")}
    assert biases == pytest.approx(norms)


@pytest.mark.parametrize("peft_type", sorted(BIASED))
def test_a_changed_bias_is_refused(tmp_path, bases, peft_type):
    model, folder = bases["qwen2"]
    adapt(model, tmp_path / "adapter", peft_type, SETTINGS.get(peft_type, {}))
    with pytest.raises(GenomeError, match=r"drop: \[biases\]") as error:
        list(peft_changes(tmp_path / "adapter", read_config(tmp_path / "adapter"), folder))
    assert "_proj" in str(error.value)


@pytest.mark.parametrize("peft_type", [*sorted({each.value for each in PeftType} - SUPPORTED), "BONE", "NEW"])
def test_other_types_are_refused_by_name(tmp_path, bases, peft_type):
    with pytest.raises(GenomeError, match=f"type {peft_type} cannot be imported.*merge_and_unload") as error:
        next(peft_changes(tmp_path, {"peft_type": peft_type}, bases["llama"][1]))
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_all_supported_types_are_types_of_peft():
    assert {each.value for each in PeftType} >= SUPPORTED


def test_adapters_and_bases_in_half_precision_are_merged_in_float32(tmp_path, bases):
    model, _ = bases["qwen2"]
    half = copy.deepcopy(model).to(torch.bfloat16)
    half.save_pretrained(tmp_path / "base")
    adapt(model, tmp_path / "adapter", "LORA", {"use_dora": True})
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: each.to(torch.bfloat16) for name, each in load_file(file).items()}, file)
    changes = dict(peft_changes(tmp_path / "adapter", read_config(tmp_path / "adapter"), tmp_path / "base"))
    exact = half.to(torch.float32)
    merged = PeftModel.from_pretrained(copy.deepcopy(exact), tmp_path / "adapter").merge_and_unload().state_dict()
    before = exact.state_dict()
    expected = {f"{layer}.weight": (merged[f"{layer}.weight"] - before[f"{layer}.weight"]).numpy() for layer in changes}
    assert_equal_changes(changes, expected)


def test_transposed_layers(tmp_path):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=32))
    model.save_pretrained(tmp_path / "base")
    settings = {"use_dora": True, "target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True}
    expected = adapt(model, tmp_path / "adapter", "LORA", settings)
    changes = dict(peft_changes(tmp_path / "adapter", read_config(tmp_path / "adapter"), tmp_path / "base"))
    assert_equal_changes(changes, {name: each.T for name, each in expected.items()})


def test_modules_saved_whole_are_passed_over(tmp_path, bases):
    model, folder = bases["llama"]
    settings = {"use_dora": True, "modules_to_save": ["lm_head", "embed_tokens"]}
    expected = adapt(model, tmp_path / "adapter", "LORA", settings)
    changes = dict(peft_changes(tmp_path / "adapter", read_config(tmp_path / "adapter"), folder))
    assert_equal_changes(changes, {name: each for name, each in expected.items() if "_proj" in name})


def test_names_of_modules_may_have_other_prefixes(tmp_path, bases):
    model, folder = bases["llama"]
    expected = adapt(model, tmp_path / "adapter", "LOHA", {})
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    renamed = {name.replace(".layers", ".language_model.layers"): each for name, each in load_file(file).items()}
    save_file(renamed, file)
    config = read_config(tmp_path / "adapter") | {"target_modules": None}
    assert_equal_changes(dict(peft_changes(tmp_path / "adapter", config, folder)), expected)


def test_a_new_field_of_a_later_version_is_ignored(tmp_path, bases):
    model, folder = bases["qwen2"]
    expected = adapt(model, tmp_path / "adapter", "LOHA", {})
    config = read_config(tmp_path / "adapter") | {"field_of_tomorrow": None}
    assert_equal_changes(dict(peft_changes(tmp_path / "adapter", config, folder)), expected)


def test_the_state_of_torch_stays(tmp_path, bases):
    model, folder = bases["qwen2"]
    adapt(model, tmp_path / "adapter", "LOHA", {})
    torch.manual_seed(7)
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    list(peft_changes(tmp_path / "adapter", read_config(tmp_path / "adapter"), folder))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def refused(folder: Path, base: Path, **fields) -> str:
    with pytest.raises(GenomeError) as error:
        list(peft_changes(folder, read_config(folder) | fields, base))
    message = str(error.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_tensors_that_do_not_fit_are_refused(tmp_path, bases):
    model, folder = bases["qwen2"]
    adapt(model, tmp_path / "adapter", "LOKR", {})
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    whole = load_file(file)
    first = sorted(whole)[0]

    save_file({name: each for name, each in whole.items() if name != first}, file)
    assert f"lacks 1 tensor(s) of the adapter that adapter_config.json describes, first {first}" in refused(
        tmp_path / "adapter", folder
    )
    save_file(whole | {f"{first}_more": whole[first].clone()}, file)
    assert f"{first}_more" in refused(tmp_path / "adapter", folder)
    save_file(whole | {first: torch.zeros(3, 3)}, file)
    assert "size mismatch" in refused(tmp_path / "adapter", folder)
    save_file(whole | {first: whole[first] * torch.inf}, file)
    assert "NaN or infinite" in refused(tmp_path / "adapter", folder)
    save_file(whole, file)
    assert "PEFT cannot merge it" in refused(tmp_path / "adapter", folder, r="eight")
    save_file({"base_model.model.model.layers.9.self_attn.q_proj.lokr_w1": whole[first]}, file)
    assert "no tensor belongs to a linear layer" in refused(tmp_path / "adapter", folder)


def test_two_runs_give_the_same_bytes(tmp_path, bases):
    model, folder = bases["qwen2"]
    adapt(model, tmp_path / "adapter", "OFT", SETTINGS["OFT"])
    config = read_config(tmp_path / "adapter")
    runs = [dict(peft_changes(tmp_path / "adapter", config, folder)) for _ in range(2)]
    for layer, change in runs[0].items():
        np.testing.assert_array_equal(change, runs[1][layer])


def test_sources_are_not_written(tmp_path, bases):
    model, _ = bases["qwen2"]
    adapt(model, tmp_path / "adapter", "LOHA", {})
    shutil.copytree(bases["qwen2"][1], tmp_path / "base")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    before = {file: file.read_bytes() for file in files}
    list(peft_changes(tmp_path / "adapter", read_config(tmp_path / "adapter"), tmp_path / "base"))
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_plain_lora_gives_its_product(tmp_path, bases):
    model, folder = bases["llama"]
    adapt(model, tmp_path / "adapter", "LORA", {"r": 2, "lora_alpha": 6, "target_modules": ["o_proj"]})
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    for layer, change in peft_changes(tmp_path / "adapter", read_config(tmp_path / "adapter"), folder):
        a, b = (tensors[f"base_model.model.{layer}.lora_{side}.weight"].numpy() for side in "AB")
        np.testing.assert_allclose(change, 3 * b @ a, atol=1e-6)
