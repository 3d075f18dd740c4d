"""The linear layers of a base, from headers of every type, and the names by which fine-tunes call them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import TARGETS, write_base
from genome.errors import GenomeError
from genome.experts.base_layers import Base, named_in, part_of, read_base, read_hub_base
from genome.files import write_json


def write_header(path: Path, tensors: dict[str, tuple[str, list[int], int]]) -> None:
    """Write a safetensors file of zeros: {name: (type, shape, bytes)}."""
    entries, start = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(entries).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(start))


def base_of(*layers: str) -> Base:
    return Base("made up", None, {f"{layer}.weight": ("F32", (4, 4)) for layer in layers})


def test_layers_are_matrices_that_are_not_embeddings_heads_or_norms(tmp_path):
    assert read_base(write_base(tmp_path / "base")).layers == {
        f"model.layers.{layer}.{module}": shape for layer in range(2) for module, shape in TARGETS.items()
    }


QUANTISED = {
    "bitsandbytes 4 bit": ({"q.weight": ("U8", [64, 1], 64), "q.weight.absmax": ("F32", [2], 8)}, None),
    "bitsandbytes 8 bit": ({"q.weight": ("I8", [4, 8], 32), "q.SCB": ("F32", [4], 16)}, (4, 8)),
    "FP8": ({"q.weight": ("F8_E4M3", [4, 8], 32), "q.weight_scale": ("F32", [1], 4)}, (4, 8)),
    "F64": ({"q.weight": ("F64", [4, 8], 256)}, (4, 8)),
    "GPTQ": ({"q.qweight": ("I32", [1, 8], 32), "q.qzeros": ("I32", [1, 1], 4), "q.g_idx": ("I32", [8], 32)}, None),
    "compressed": ({"q.weight_packed": ("I32", [4, 1], 16), "q.weight_shape": ("I64", [2], 16)}, None),
    "FP4": ({"q.weight": ("F4", [4, 8], 16)}, None),
}


@pytest.mark.parametrize("case", QUANTISED)
def test_headers_of_quantised_models_are_read(tmp_path, case):
    tensors, shape = QUANTISED[case]
    write_header(tmp_path / "model.safetensors", tensors)
    assert read_base(tmp_path).layers == {"q": shape}


def test_shards_are_those_of_the_index(tmp_path):
    write_header(tmp_path / "a.safetensors", {"layers.0.q.weight": ("F32", [2, 3], 24)})
    write_header(tmp_path / "b.safetensors", {"layers.1.q.weight": ("BF16", [2, 3], 12)})
    write_header(tmp_path / "consolidated.safetensors", {"other.weight": ("BF16", [2, 3], 12)})
    places = {"layers.0.q.weight": "a.safetensors", "layers.1.q.weight": "b.safetensors"}
    write_json(tmp_path / "model.safetensors.index.json", {"weight_map": places})
    assert read_base(tmp_path).layers == {"layers.0.q": (2, 3), "layers.1.q": (2, 3)}
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(GenomeError, match=r"lacks 1 of the 2 files of its weights, first b\.safetensors"):
        read_base(tmp_path)


@pytest.mark.parametrize("index", [{}, {"weight_map": {}}, {"weight_map": {"x": 1}}, {"weight_map": {"x": "../a"}}])
def test_an_index_without_files_next_to_it_is_refused(tmp_path, index):
    write_json(tmp_path / "model.safetensors.index.json", index)
    with pytest.raises(GenomeError, match="no weight_map of tensors to files next to it"):
        read_base(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(GenomeError, match=r"lacks model\.safetensors or model\.safetensors\.index\.json"):
        read_base(tmp_path)


def test_layers_of_gpt2_are_stored_transposed(tmp_path):
    write_header(tmp_path / "model.safetensors", {"h.0.attn.c_attn.weight": ("F32", [4, 12], 192)})
    write_json(tmp_path / "config.json", {"model_type": "gpt2"})
    assert read_base(tmp_path).layers == {"h.0.attn.c_attn": (12, 4)}


PARTS = {
    "embeddings": ["model.embed_tokens", "transformer.wte", "bert.embeddings.word_embeddings", "gpt_neox.embed_in"],
    "lm_head": ["lm_head", "embed_out", "output", "transformer.output_layer"],
    "norms": ["model.norm", "model.layers.0.input_layernorm", "transformer.h.1.ln_1", "layers.0.attn.q_norm"],
    None: ["model.layers.0.self_attn.q_proj", "encoder.layer.0.output.dense", "layers.0.output", "visual.embed_proj"],
}


@pytest.mark.parametrize(("part", "module"), [(part, module) for part, modules in PARTS.items() for module in modules])
def test_modules_are_told_apart_by_their_names(part, module):
    assert part_of(module) == part


@pytest.mark.parametrize(
    ("module", "entry", "inside"),
    [
        ("model.layers.3.mlp.up_proj", "mlp", True),
        ("model.layers.3.mlp.up_proj", "layers.3", True),
        ("model.layers.13.mlp.up_proj", "layers.1", False),
        ("lm_head", "lm_head", True),
        ("model.layers.3.mlp.up_proj", "up", False),
        ("model.layers.3.mlp.up_proj", "layers.3.*", False),
    ],
)
def test_named_in_compares_whole_parts(module, entry, inside):
    assert named_in(module, [entry]) is inside


# Names

VISION = [
    "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj",
    "language_model.model.layers.0.self_attn.q_proj",
]


@pytest.mark.parametrize(
    ("module", "place"),
    [
        ("model.layers.0.self_attn.q_proj", 1),
        ("base_model.model.model.language_model.layers.0.self_attn.q_proj", 1),
        ("base_model.model.model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj", 0),
    ],
)
def test_towers_of_a_model_are_told_apart(module, place):
    assert base_of(*VISION).find(module) == VISION[place]


def test_a_vision_layer_is_not_a_layer_of_a_text_model():
    assert base_of("model.layers.0.self_attn.q_proj").find(VISION[0]) is None


def test_an_ambiguous_name_finds_nothing():
    twice = base_of("model.a.layers.0.q", "model.transformer.a.layers.0.q")
    assert twice.find("a.layers.0.q") is None
    assert twice.find("model.a.layers.0.q") == "model.a.layers.0.q"


WRAPPERS = st.lists(st.sampled_from(["model", "base_model", "language_model", "module", "_orig_mod"]), max_size=4)
MODULES = st.sampled_from(["self_attn.q_proj", "mlp.down_proj", "mlp.experts.3.w1", "block_sparse_moe.gate"])


@given(WRAPPERS, WRAPPERS, st.integers(0, 30), MODULES)
def test_classes_around_a_model_do_not_change_its_layers(theirs, ours, layer, module):
    def name(wrappers: list[str], number: int) -> str:
        return ".".join([*wrappers, "layers", str(number), module])

    layers = [name(theirs, number) for number in range(31)]
    assert base_of(*layers).find(name(ours, layer)) == layers[layer]
    assert base_of(*layers).find(name(ours, 31)) is None
    assert base_of(*layers).find(name([*ours, "vision_tower"], layer)) is None


@given(st.lists(st.from_regex(r"[a-z_]{1,6}(\.[a-z0-9_]{1,6}){0,4}", fullmatch=True), unique=True, max_size=8))
def test_each_layer_finds_itself(names):
    base = base_of(*names)
    for layer in base.layers:
        assert base.find(layer) == layer
        assert base.find(f"base_model.model.{layer}") in (layer, base.find(layer))


def test_a_hub_base_is_known_by_its_headers(tmp_path, hub, monkeypatch):
    from huggingface_hub import constants

    folder = write_base(hub.root / "org" / "tiny")
    known = read_hub_base("org/tiny")
    assert (known.layers, known.where, known.folder) == (read_base(folder).layers, "org/tiny", None)
    with pytest.raises(GenomeError, match="base model org/nothing does not exist or is private"):
        read_hub_base("org/nothing")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(GenomeError, match=r"lacks model\.safetensors"):
        read_hub_base("org/tiny")
