"""Golden: the factors of imported LoRA adapters are PEFT's own changes of weights, on real architectures."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import AutoConfig, AutoModelForCausalLM

from genome.errors import GenomeError
from genome.experts.base_layers import read_base
from genome.experts.expert import PREFIX, Expert
from genome.experts.importing import check_source, import_expert
from genome.experts.tensors import open_tensors
from genome.files import read_json, write_json

SMALL = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "max_position_embeddings": 32}
SMALL |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GPT2 = {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32}
MODELS = {name: (name, SMALL) for name in ("llama", "qwen2", "qwen3", "mistral", "gemma2", "phi3", "olmo2", "smollm3")}
MODELS |= {"gemma3": ("gemma3_text", SMALL), "gpt2": ("gpt2", GPT2)}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Return a function that makes the folder of a tiny base of an architecture, once."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            kind, sizes = MODELS[name]
            torch.manual_seed(0)
            made[name] = tmp_path_factory.mktemp("bases") / name
            AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes)).save_pretrained(made[name])
        return made[name]

    return make


def trained(base: Path, folder: Path, dtype: str = "float32", seed: int = 1, **config: Any) -> dict[str, np.ndarray]:
    """Save a PEFT adapter of random weights; return the change of each layer's weight (outputs, inputs) by its name."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**config), autocast_adapter_dtype=False)
    torch.manual_seed(seed)
    for name, weight in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight)
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    # As loaded: PEFT sorts the keys of patterns when it saves them, and the first one that matches counts.
    loaded = peft.PeftModel.from_pretrained(wrapped.unload(), folder, autocast_adapter_dtype=False)
    return {
        name.removeprefix(PREFIX): _change(module)
        for name, module in loaded.named_modules()
        if isinstance(module, LoraLayer)
    }


def _change(layer: Any) -> np.ndarray:
    # Conv1D stores its weight transposed, and PEFT the change of it.
    change = layer.float().get_delta_weight("default").detach().numpy()
    return change.T if layer.fan_in_fan_out else change


def assert_changes(expert: Expert, changes: dict[str, np.ndarray]) -> None:
    """Assert that the products of an expert's factors are `changes`, to the rounding of float32."""
    factors = open_tensors(expert.path)
    assert {name.removeprefix(PREFIX).rpartition(".lora_")[0] for name in factors} == set(changes)
    for layer, change in changes.items():
        product = factors[f"{PREFIX}{layer}.lora_B.weight"] @ factors[f"{PREFIX}{layer}.lora_A.weight"]
        np.testing.assert_allclose(product, change, rtol=1e-6, atol=1e-6 * np.abs(change).max())
        recorded = expert.provenance["layers"][layer]
        assert recorded["norm"] == pytest.approx(np.linalg.norm(change), rel=1e-6)
        assert recorded["kept"] == 1.0


CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]},
    "odd scaling": {"r": 3, "lora_alpha": 7, "target_modules": ["q_proj", "down_proj"]},
    "rsLoRA": {"r": 8, "lora_alpha": 8, "use_rslora": True, "target_modules": ["o_proj"]},
    "pattern": {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj", "k_proj", "v_proj", "up_proj"],
        "rank_pattern": {"q_proj": 2, "model.layers.1.mlp.up_proj": 6, r"layers\.[01]\.self_attn.v_proj": 1},
        "alpha_pattern": {"^model.layers.0.self_attn.k_proj": 32, "proj": 100, r"mlp\..*_proj": 3},
    },
    "rsLoRA with patterns": {
        "r": 4,
        "lora_alpha": 5,
        "use_rslora": True,
        "target_modules": r".*layers\.1.*\.(q|gate)_proj",
        "rank_pattern": {"gate_proj": 9, "q_proj": 2},
        "alpha_pattern": {"1.self_attn.q_proj": 11},
    },
    "all-linear": {"r": 2, "lora_alpha": 16, "target_modules": "all-linear"},
    "some layers": {"r": 2, "lora_alpha": 4, "target_modules": ["v_proj"], "layers_to_transform": [1]},
    "orthogonal": {"r": 4, "lora_alpha": 4, "target_modules": ["k_proj"], "init_lora_weights": "orthogonal"},
    "MiCA": {"r": 2, "lora_alpha": 4, "target_modules": ["k_proj"], "init_lora_weights": "mica"},
}


@pytest.mark.parametrize("case", CONFIGS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_factors_are_pefts_change(tmp_path, bases, case, dtype):
    base = bases("llama")
    changes = trained(base, tmp_path / "adapter", dtype, **CONFIGS[case])
    expert = import_expert("one", {"path": str(tmp_path / "adapter")}, base, tmp_path / "one.safetensors")
    assert_changes(expert, changes)
    assert expert.dtype == {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[dtype]
    assert expert.provenance["kind"] == ("rsLoRA" if "rsLoRA" in case else "LoRA")


@pytest.mark.parametrize("name", MODELS)
def test_factors_are_pefts_change_on_each_architecture(tmp_path, bases, name):
    base = bases(name)
    changes = trained(base, tmp_path / "adapter", r=3, lora_alpha=9, target_modules="all-linear")
    expert = import_expert("one", {"path": str(tmp_path / "adapter")}, base, tmp_path / "one.safetensors")
    assert_changes(expert, changes)
    assert set(read_base(base).layers) == set(changes), "all-linear is every linear layer but the output layer"


def test_the_scaling_of_all_layers_is_the_experts(tmp_path, bases):
    base = bases("qwen2")
    for case, scale in (("plain", 2.0), ("odd scaling", 7 / 3), ("rsLoRA", 8 / 8**0.5), ("pattern", 1.0)):
        trained(base, tmp_path / case, **CONFIGS[case])
        expert = import_expert("one", {"path": str(tmp_path / case)}, base, tmp_path / "one.safetensors")
        assert expert.scale == pytest.approx(scale, rel=1e-15)


def test_a_rank_that_peft_would_refuse_is_refused_with_both(tmp_path, bases):
    base = bases("llama")
    trained(base, tmp_path / "adapter", r=4, target_modules=["q_proj"], rank_pattern={"layers.1.self_attn.q_proj": 2})
    config = tmp_path / "adapter" / "adapter_config.json"
    write_json(config, read_json(config) | {"rank_pattern": {}})
    with pytest.raises(GenomeError, match=r"1\.self_attn\.q_proj.* has rank 2, but by adapter_config.json it is 4"):
        import_expert("one", {"path": str(tmp_path / "adapter")}, base, tmp_path / "one.safetensors")
    with pytest.raises(RuntimeError, match="size mismatch"):
        peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter")


@pytest.mark.parametrize("start", ["pissa_niter_2", "olora", "orthogonal", "gaussian", "mica", True])
def test_starts_that_change_the_base_are_refused_and_others_are_not(tmp_path, bases, start):
    base = bases("llama")
    model = AutoModelForCausalLM.from_pretrained(base)
    before = model.model.layers[0].self_attn.q_proj.weight.clone()
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=start))
    changes = not torch.equal(wrapped.base_model.model.model.layers[0].self_attn.q_proj.base_layer.weight, before)
    wrapped.save_pretrained(tmp_path / "adapter")
    source, out = {"path": str(tmp_path / "adapter")}, tmp_path / "one.safetensors"
    if changes:
        with pytest.raises(GenomeError, match=r"init_lora_weights is .* which also changes the base model"):
            import_expert("one", source, base, out)
    else:
        assert import_expert("one", source, base, out).rank == 2


KINDS: dict[str, tuple[type[peft.PeftConfig], dict[str, Any]]] = {
    "DoRA": (peft.LoraConfig, {"r": 4, "use_dora": True}),
    "LoHa": (peft.LoHaConfig, {"r": 2}),
    "LoKr": (peft.LoKrConfig, {"r": 2}),
    "IA3": (peft.IA3Config, {"feedforward_modules": []}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_become_factors_of_pefts_change(tmp_path, bases, kind):
    base = bases("qwen2")
    kind_of_config, settings = KINDS[kind]
    model = AutoModelForCausalLM.from_pretrained(base)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    config = kind_of_config(target_modules=["q_proj", "down_proj"], **settings)
    wrapped = peft.get_peft_model(model, config)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in wrapped.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn_like(weight))
    wrapped.save_pretrained(tmp_path / "adapter")
    after = wrapped.merge_and_unload().state_dict()
    source = {"path": str(tmp_path / "adapter"), "rank": 16}
    check_source("one", source, base)
    expert = import_expert("one", source, base, tmp_path / "one.safetensors")
    assert (expert.provenance["kind"], expert.dtype, expert.scale) == (kind, "F32", 1.0)
    factors = open_tensors(expert.path)
    for layer in read_base(base).layers:
        change = (after[f"{layer}.weight"] - before[f"{layer}.weight"]).numpy()
        if not change.any():
            assert layer not in expert.provenance["layers"]
            continue
        product = factors[f"{PREFIX}{layer}.lora_B.weight"] @ factors[f"{PREFIX}{layer}.lora_A.weight"]
        np.testing.assert_allclose(product, change, atol=1e-5 * np.abs(change).max())
        assert expert.provenance["layers"][layer]["kept"] == pytest.approx(1, abs=1e-6)


EXTRAS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "embeddings": ({"target_modules": ["q_proj", "embed_tokens"]}, ["embeddings"]),
    "lm_head": ({"target_modules": ["q_proj", "lm_head"]}, ["lm_head"]),
    "saved whole": ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, ["lm_head"]),
    "tokens": ({"target_modules": ["q_proj"], "trainable_token_indices": [3, 5]}, ["embeddings"]),
    "lora_bias": ({"target_modules": ["q_proj"], "lora_bias": True}, ["biases"]),
    "biases": ({"target_modules": ["q_proj"], "bias": "lora_only"}, ["biases"]),
    "all biases": ({"target_modules": ["q_proj"], "bias": "all"}, ["biases"]),
    "norms": ({"target_modules": ["q_proj"], "modules_to_save": ["norm", "input_layernorm"]}, ["norms"]),
}


def moved(base: Path, folder: Path, **config: Any) -> float:
    """Save a PEFT adapter in which all trained weights have moved; return the norm of what is not a linear layer."""
    model = AutoModelForCausalLM.from_pretrained(base)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, lora_alpha=6, **config))
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in wrapped.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight))
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    layers = {f"{layer}.weight" for layer in read_base(base).layers}
    square = 0.0
    merged = wrapped.merge_and_unload().state_dict()
    for name, weight in merged.items():
        if name not in layers:
            square += float(((weight - before.get(name, torch.zeros_like(weight))) ** 2).sum())
    return square**0.5


@pytest.mark.parametrize("case", EXTRAS)
def test_what_cannot_be_merged_is_refused_or_dropped_with_its_norm(tmp_path, bases, case):
    config, drop = EXTRAS[case]
    base = bases("qwen2")  # its attention has biases
    lost = moved(base, tmp_path / "adapter", **config)
    out = tmp_path / "one.safetensors"
    source = {"path": str(tmp_path / "adapter")}
    with pytest.raises(
        GenomeError, match=rf"^expert one: .*cannot be merged: .*`drop: \[{', '.join(drop)}\]`"
    ) as error:
        import_expert("one", source, base, out)
    assert "\n" not in str(error.value)
    assert not out.exists()
    expert = import_expert("one", source | {"drop": drop}, base, out)
    kept = sum(layer["norm"] ** 2 for layer in expert.provenance["layers"].values())
    assert expert.provenance["dropped"]["share"] == pytest.approx(lost / (lost**2 + kept) ** 0.5, rel=1e-4)
    assert expert.provenance["dropped"]["tensors"]
    assert expert.target_modules == ("q_proj",)


def test_the_adapters_folder_stays_as_it_is(tmp_path, bases):
    base = bases("llama")
    trained(base, tmp_path / "adapter", **CONFIGS["plain"])
    shutil.copytree(tmp_path / "adapter", tmp_path / "copy")
    import_expert("one", {"path": str(tmp_path / "adapter")}, base, tmp_path / "one.safetensors")
    files = {file.name: file.read_bytes() for file in (tmp_path / "adapter").iterdir()}
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "copy").iterdir()}
