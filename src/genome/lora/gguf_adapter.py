"""GGUF adapters for llama.cpp, from PEFT folders.

A GGUF adapter has the same two factors per layer as a PEFT folder. Three things differ: layers have llama.cpp's names,
of which the gguf package has a table; `adapter.lora.alpha` is the scaling, which llama.cpp divides by the rank of each
layer; and where llama.cpp rotates neighbouring values of an attention head (Llama and its relatives), rows of the
query and key projections are in another order than in transformers, so that rows of B are reordered too.
The format is documented by llama.cpp (`docs/gguf.md`) and checked when it loads an adapter (`src/llama-adapter.cpp`).
"""

import math
from contextlib import closing
from pathlib import Path

import numpy as np

from genome import fields
from genome.errors import GenomeError
from genome.experts.adapter_config import rank_and_scale, read_config
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.expert import PREFIX
from genome.experts.tensors import open_tensors
from genome.files import CORRECT, read_object, replacing
from genome.lora.layers import factors_of, layers_of

ARCHITECTURES = {
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3",
    "GemmaForCausalLM": "gemma",
    "GraniteForCausalLM": "granite",
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Olmo2ForCausalLM": "olmo2",
    "Olmo3ForCausalLM": "olmo2",
    "OlmoForCausalLM": "olmo",
    "Phi3ForCausalLM": "phi3",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "SmolLM3ForCausalLM": "smollm3",
}
"""llama.cpp's name of each architecture of transformers whose linear layers it stores one by one, without changes other
than the order of rows."""

REORDERED = ("granite", "llama", "olmo", "smollm3")
"""Architectures of which llama.cpp stores the rows of q_proj and k_proj in another order."""


def write_gguf(adapter: Path, base: Path, out: Path) -> None:
    """Write the adapter in a PEFT folder as a GGUF file, in float32.

    `base` is the folder of its base model, of which only config.json is read. GenomeError if `out` exists, if the
    architecture or a layer has no counterpart in llama.cpp, or if the adapter has anything but factors A and B.
    """
    import gguf

    if out.exists():
        raise GenomeError(f"{out}: exists already; choose another file or remove it")
    config = read_config(adapter / CONFIG)
    tensors = open_tensors(adapter / WEIGHTS)
    odd = next((name for name in tensors if not name.endswith((".lora_A.weight", ".lora_B.weight"))), None)
    if odd is not None:
        raise GenomeError(
            f"{tensors.path}: tensor {odd} is not a factor A or B of LoRA; `genome import` makes "
            "an expert of such an adapter, and `genome materialise` a folder that has only factors"
        )
    architecture, depth, heads = _read_base(base)
    [number] = [key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture]
    table = gguf.get_tensor_name_map(number, depth)
    names = {}
    for layer in layers_of(tensors):
        name = table.get_name(layer.removeprefix(PREFIX))
        rows = tensors.tensors[f"{layer}.lora_B.weight"].shape[0]
        if name is None or rows % (2 * heads.get(_kind(layer), 0) or 1):
            raise GenomeError(
                f"{tensors.path}: layer {layer.removeprefix(PREFIX)} of {rows} rows is not one of {base} "
                f"({architecture}, {depth} layers); give the base model of this adapter"
            )
        names[layer] = name
    with replacing(out) as temporary, closing(gguf.GGUFWriter(temporary, architecture)) as writer:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
        for layer, name in names.items():
            for side in "AB":
                shape = tensors.tensors[f"{layer}.lora_{side}.weight"].shape
                size = math.prod(shape) * 4
                writer.add_tensor_info(f"{name}.weight.lora_{side.lower()}", shape, np.dtype(np.float32), size)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for layer in names:
            b, a = factors_of(tensors, layer)
            rank, scale = rank_and_scale(config, layer.removeprefix(PREFIX))
            # llama.cpp knows one alpha, which it divides by each layer's rank: the rest of the scaling goes into B.
            rest = scale * rank / config["lora_alpha"]
            order = neighbouring(len(b), heads[_kind(layer)]) if _kind(layer) in heads else slice(None)
            writer.write_tensor_data(a)
            writer.write_tensor_data(b[order] * np.float32(rest))


def neighbouring(rows: int, heads: int) -> np.ndarray:
    """Return the order of a projection's rows in which rotated pairs are neighbours, as llama.cpp stores them.

    In transformers, a pair is one row of the first half of a head and the row at the same place of its second half.
    """
    return np.arange(rows).reshape(heads, 2, -1).swapaxes(1, 2).ravel()


def _kind(layer: str) -> str:
    """Return the last part of a layer's name."""
    return layer.rpartition(".")[2]


def _read_base(base: Path) -> tuple[str, int, dict[str, int]]:
    """Return llama.cpp's name of a base's architecture, its number of layers, and the heads of reordered projections.

    GenomeError if llama.cpp stores models of this architecture otherwise.
    """
    path = base / "config.json"
    config = read_object(path)
    with fields.reading(path, CORRECT):
        known = fields.text(fields.sequence(config["architectures"], "architectures", 1)[0], "architectures")
        if known not in ARCHITECTURES:
            raise GenomeError(
                f"{path}: no GGUF adapter can be written for a {known}, only for {', '.join(ARCHITECTURES)}; "
                "merge the adapter into the base instead, and convert that model"
            )
        architecture = ARCHITECTURES[known]
        depth = fields.whole(config["num_hidden_layers"], "num_hidden_layers", 1)
        heads = {}
        if architecture in REORDERED:
            queries = fields.whole(config["num_attention_heads"], "num_attention_heads", 1)
            keys = fields.whole(config.get("num_key_value_heads") or queries, "num_key_value_heads", 1)
            heads = {"q_proj": queries, "k_proj": keys}
    return architecture, depth, heads
