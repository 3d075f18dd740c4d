"""GGUF adapters: what llama.cpp makes of the file is the change of weights that PEFT computes."""

import warnings

import numpy as np
import pytest
import torch
from gguf import GGUFReader, Keys
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map
from typer.testing import CliRunner

from engine.tiny_models import SHAPE
from genome.cli import app
from genome.errors import GenomeError
from genome.experts.adapter_files import WEIGHTS
from genome.experts.tensors import open_tensors
from genome.files import read_json, write_json
from genome.lora.gguf_adapter import neighbouring, write_gguf

MODELS = {
    "gemma2": {"head_dim": 8},
    "gemma3_text": {"head_dim": 8},
    "llama": {},
    "mistral": {"head_dim": 16},
    "phi3": {},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
}
"""Model types whose GGUF files transformers reads, with changes to the shape of the tiny model."""


def tiny(kind, **changes):
    """Return a tiny model of a `model_type`, with random weights."""
    return AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**SHAPE | MODELS.get(kind, {}) | changes))


def save(folder, kind="llama", model=None, **settings):
    """Save a base's config and a random adapter; return its change of each weight, as PEFT computes it."""
    model = model or tiny(kind)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder / "base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns about tied layers
        settings = {"r": 4, "lora_alpha": 6, "target_modules": "all-linear", **settings}
        adapted = get_peft_model(model, LoraConfig(init_lora_weights=False, **settings), autocast_adapter_dtype=False)
        adapted.save_pretrained(folder / "adapter")
    layers = {name: layer for name, layer in adapted.base_model.model.named_modules() if hasattr(layer, "lora_A")}
    changes = {name: layer.get_delta_weight("default") for name, layer in layers.items()}
    return {f"{name}.weight": change.detach().float().numpy() for name, change in changes.items()}


def read(path):
    """Return the change of each weight as llama.cpp applies it, by its own names: BA times alpha / rank."""
    reader = GGUFReader(path)
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    alpha = reader.fields[Keys.Adapter.LORA_ALPHA].contents()
    names = [name.removesuffix(".lora_a") for name in tensors if name.endswith(".lora_a")]
    assert len(tensors) == 2 * len(names)
    changes = {}
    for name in names:
        a, b = tensors[f"{name}.lora_a"], tensors[f"{name}.lora_b"]
        changes[name] = np.float32(alpha / b.shape[1]) * b @ a
    return changes


@pytest.mark.parametrize("kind", MODELS)
def test_transformers_reads_the_change_of_each_weight_from_it(tmp_path, kind):
    """transformers undoes llama.cpp's names and order of rows when it loads a GGUF file."""
    model = tiny(kind)
    expected = save(tmp_path, model=model)
    write_gguf(tmp_path / "adapter", tmp_path / "base", tmp_path / "out.gguf")
    architecture = GGUFReader(tmp_path / "out.gguf").fields[Keys.General.ARCHITECTURE].contents()
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=model.config.to_dict())
    names = get_gguf_hf_weights_map(tiny(kind), processor, architecture)
    found = {
        names[name]: processor.process(change, name).weights for name, change in read(tmp_path / "out.gguf").items()
    }
    assert found.keys() == expected.keys()
    for name, change in expected.items():
        np.testing.assert_allclose(found[name], change, rtol=1e-5, atol=1e-6)
    assert len(expected) >= 8


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 20))
def test_rows_are_ordered_so_that_rotated_pairs_are_neighbours(heads, pairs, position):
    """transformers rotates values i and i + d/2 of a head, llama.cpp values 2i and 2i + 1: the scores are the same."""
    size = 2 * pairs
    query, key = np.random.default_rng(position).normal(size=(2, heads * size))
    angles = position * 10000.0 ** (-np.arange(pairs) / pairs)
    halves, neighbours = np.zeros((size, size)), np.zeros((size, size))
    for i, angle in enumerate(angles):
        turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        halves[np.ix_([i, i + pairs], [i, i + pairs])] = turn
        neighbours[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = turn
    order = neighbouring(heads * size, heads)
    for head in range(heads):
        rows = slice(head * size, (head + 1) * size)
        theirs = query[order][rows] @ neighbours @ key[order][rows]
        assert theirs == pytest.approx(query[rows] @ halves @ key[rows])


@pytest.mark.parametrize("kind", ["granite", "olmo", "olmo2", "smollm3"])
def test_other_architectures_differ_in_names_and_order_of_rows_only(tmp_path, kind):
    expected = save(tmp_path, kind)
    write_gguf(tmp_path / "adapter", tmp_path / "base", tmp_path / "out.gguf")
    found = read(tmp_path / "out.gguf")
    assert len(found) == len(expected) == 14
    reordered = {"attn_q": 4, "attn_k": 2} if kind != "olmo2" else {}
    parts = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
    parts |= {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
    for name, change in expected.items():
        _, _, number, _, module, _ = name.split(".")
        part = parts[module]
        rows = neighbouring(len(change), reordered[part]) if part in reordered else slice(None)
        np.testing.assert_allclose(found[f"blk.{number}.{part}.weight"], change[rows], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [{"use_rslora": True}, {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.up_proj": 3, "q_proj": 5}}],
    ids=["rslora", "patterns"],
)
def test_scalings_by_layer_are_in_the_factors(tmp_path, settings):
    expected = save(tmp_path, "qwen2", **settings)
    write_gguf(tmp_path / "adapter", tmp_path / "base", tmp_path / "out.gguf")
    found = sorted(np.linalg.norm(change) for change in read(tmp_path / "out.gguf").values())
    np.testing.assert_allclose(found, sorted(np.linalg.norm(change) for change in expected.values()), rtol=1e-5)


def test_the_file_says_what_it_is(tmp_path):
    save(tmp_path)
    write_gguf(tmp_path / "adapter", tmp_path / "base", tmp_path / "out.gguf")
    reader = GGUFReader(tmp_path / "out.gguf")
    contents = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert contents == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 6.0,
    }


def test_narrow_types_are_written_in_float32(tmp_path):
    model = tiny("llama").to(torch.bfloat16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(tmp_path, model=model)
    write_gguf(tmp_path / "adapter", tmp_path / "base", tmp_path / "out.gguf")
    tensors = open_tensors(tmp_path / "adapter" / WEIGHTS)
    found = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "out.gguf").tensors}
    assert {info.dtype for info in tensors.tensors.values()} == {"BF16"}
    assert {tensor.tensor_type.name for tensor in found.values()} == {"F32"}
    for side in "AB":
        stored = tensors[f"base_model.model.model.layers.1.mlp.down_proj.lora_{side}.weight"]
        np.testing.assert_array_equal(found[f"blk.1.ffn_down.weight.lora_{side.lower()}"].data, stored)


def test_the_command_line(tmp_path):
    save(tmp_path)
    arguments = ["gguf", *(str(tmp_path / name) for name in ("adapter", "out.gguf")), "--base", str(tmp_path / "base")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    before = (tmp_path / "out.gguf").read_bytes()
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "out.gguf: exists already" in again.output
    assert (tmp_path / "out.gguf").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["BloomForCausalLM"]},
            "no GGUF adapter can be written for a BloomForCausalLM, only for Gemma2",
        ),
        ({"architectures": None}, r"config\.json: architectures: expected a list of 1 or more, found None"),
        (
            {"num_hidden_layers": 1},
            r"layer model\.layers\.1\.\w+\.\w+ of \d+ rows is not one of .*/base \(llama, 1 layers\)",
        ),
        ({"num_attention_heads": 24}, r"layer model\.layers\.0\.self_attn\.q_proj of 32 rows is not one of"),
    ],
)
def test_bases_that_do_not_fit_are_refused_in_one_line(tmp_path, changes, message):
    save(tmp_path)
    write_json(tmp_path / "base/config.json", read_json(tmp_path / "base/config.json") | changes)
    with pytest.raises(GenomeError, match=message) as error:
        write_gguf(tmp_path / "adapter", tmp_path / "base", tmp_path / "out.gguf")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.gguf").exists()


def test_an_adapter_with_more_than_factors_is_refused(tmp_path):
    save(tmp_path, use_dora=True)
    with pytest.raises(GenomeError, match=r"lora_magnitude_vector.*genome import"):
        write_gguf(tmp_path / "adapter", tmp_path / "base", tmp_path / "out.gguf")
