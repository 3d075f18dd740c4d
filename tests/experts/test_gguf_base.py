"""GGUF files as base models: the same weights, answers, tokens and settings as the model in the file."""

from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tokenizers import Regex, pre_tokenizers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from experts.gguf_files import TEMPLATE, VOCABULARY, write_gguf
from genome.engine.model import Model
from genome.errors import GenomeError
from genome.experts.base_model import check_source, fetch_base, source_files
from genome.experts.gguf_base import _llama3, single_digits, unpack_gguf
from genome.files import read_object
from genome.jobs.importing import import_sources
from genome.tasks.chat import Chat, load_tokenizer, prompt_texts

SHAPE = {
    **{"vocab_size": len(VOCABULARY), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0},
    **{"bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3},
}
LLAMA3 = {
    **{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 500000.0},
    "original_max_position_embeddings": 64,
}
# By a name: the architecture, the fields of its config, what the file states about its positions.
MODELS = {
    "llama": ("llama", {"tie_word_embeddings": False}, {}),
    "llama tied": ("llama", {"tie_word_embeddings": True, "rope_theta": 500.0}, {}),
    "llama with biases": ("llama", {"attention_bias": True}, {}),
    "llama with wide heads": ("llama", {"head_dim": 32}, {}),
    "llama linear": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
        {"llama.rope.scaling.type": ("STRING", "linear"), "llama.rope.scaling.factor": ("FLOAT32", 4.0)},
    ),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}, {}),
    "qwen2 yarn": (
        "qwen2",
        {
            "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0}
            | {"original_max_position_embeddings": 32}
        },
        {"qwen2.rope.scaling.type": ("STRING", "yarn"), "qwen2.rope.scaling.factor": ("FLOAT32", 4.0)}
        | {"qwen2.rope.scaling.original_context_length": ("UINT32", 32)},
    ),
    "qwen3": ("qwen3", {"head_dim": 32}, {}),
    "qwen3_moe": (
        "qwen3_moe",
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "head_dim": 16}
        | {"norm_topk_prob": True},
        {"qwen3moe.expert_count": ("UINT32", 4), "qwen3moe.expert_used_count": ("UINT32", 2)}
        | {"qwen3moe.expert_feed_forward_length": ("UINT32", 32)},
    ),
    "gemma2": (
        "gemma2",
        {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16, "tie_word_embeddings": True}
        | {"attn_logit_softcapping": 40.0, "final_logit_softcapping": 20.0, "initializer_range": 0.1},
        {"gemma2.attn_logit_softcapping": ("FLOAT32", 40.0), "gemma2.final_logit_softcapping": ("FLOAT32", 20.0)}
        | {"gemma2.attention.sliding_window": ("UINT32", 16)},
    ),
    "gemma3": (
        "gemma3_text",
        {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16, "num_hidden_layers": 6}
        | {"initializer_range": 0.1}
        | {
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            }
        },
        {"gemma3.attention.sliding_window": ("UINT32", 16), "gemma3.rope.scaling.type": ("STRING", "linear")}
        | {"gemma3.rope.scaling.factor": ("FLOAT32", 8.0)},
    ),
    "phi3": ("phi3", {"sliding_window": 16}, {"phi3.attention.sliding_window": ("UINT32", 16)}),
    "phi3 partial": ("phi3", {"partial_rotary_factor": 0.75, "tie_word_embeddings": True}, {}),
}
PROMPTS = torch.tensor([[1, *range(5, 45)], [3, *range(100, 140)]])


def model(name):
    """Return a tiny model of transformers with random weights, norms included, and what its file states."""
    kind, changed, metadata = MODELS[name]
    torch.manual_seed(3)
    config = CONFIG_MAPPING[kind](**SHAPE | changed)
    network = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for tensor, weight in network.named_parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.1)
            assert weight.std() > 0, tensor
    return network, metadata


def unpacked(tmp_path, network, **settings):
    out = tmp_path / "base"
    out.mkdir()
    unpack_gguf(write_gguf(tmp_path / "model.gguf", network, **settings), out)
    return out


def loaded(folder):
    both: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", local_files_only=True, output_loading_info=True
    )
    network, found = both
    assert not any(found.values())
    return network.eval()


def refusal(function, *arguments):
    with pytest.raises(GenomeError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_unpack_gguf_gives_the_model_of_the_file(tmp_path, name):
    network, metadata = model(name)
    out = unpacked(tmp_path, network, metadata=metadata)
    again = loaded(out)
    expected, found = network.state_dict(), again.state_dict()
    assert expected.keys() == found.keys()
    for key, weight in expected.items():
        # Norms of Gemma are stored plus one.
        torch.testing.assert_close(found[key], weight, rtol=0, atol=1e-7 if "norm" in key else 0)
    with torch.inference_mode():
        torch.testing.assert_close(again(PROMPTS).logits, network(PROMPTS).logits, rtol=1e-4, atol=1e-4)
    assert again.config.architectures == [type(network).__name__]
    assert "quantization_config" not in read_object(out / "config.json")


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "Q5_0", "F16"])
def test_unpack_gguf_dequantises_as_gguf_does(tmp_path, kind):
    network, _ = model("qwen2")
    kind = gguf.GGMLQuantizationType[kind]
    out = unpacked(tmp_path, network, quantised=kind)
    found = load_file(out / "model.safetensors")
    for key, weight in found.items():
        expected = network.state_dict()[key].numpy()
        if expected.ndim > 1:
            expected = gguf.dequantize(gguf.quantize(expected, kind), kind)
        assert weight.dtype == torch.float32
        np.testing.assert_array_equal(weight.numpy(), expected)
    assert "lm_head.weight" not in found


def test_unpack_gguf_keeps_bfloat16(tmp_path):
    network, _ = model("llama")
    network.bfloat16().float()
    out = unpacked(tmp_path, network, quantised=gguf.GGMLQuantizationType.BF16)
    found = load_file(out / "model.safetensors")
    assert {weight.dtype for weight in found.values()} == {torch.bfloat16}
    assert all(torch.equal(weight.float(), network.state_dict()[key].float()) for key, weight in found.items())
    assert loaded(out).dtype == torch.bfloat16


def test_unpack_gguf_finds_the_scaling_of_llama_3(tmp_path):
    network, _ = model("llama")
    network.config.update({"rope_parameters": dict(LLAMA3), "head_dim": 64})
    network = type(network)(network.config).eval()
    exact = network.model.rotary_emb.inv_freq.numpy()
    divisors = 500000.0 ** (-np.arange(0, 64, 2) / 64) / exact
    out = unpacked(tmp_path, network, extra={"rope_freqs.weight": divisors.astype(np.float32)})
    again = loaded(out)
    assert again.config.rope_parameters == LLAMA3
    with torch.inference_mode():
        torch.testing.assert_close(again(PROMPTS).logits, network(PROMPTS).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("factor", "high", "length", "width"), [(8.0, 4.0, 8192, 128), (32.0, 4.0, 8192, 64), (32.0, 4.0, 8192, 128)]
)
def test_scaling_of_llama_3_is_found_from_its_divisors(factor, high, length, width):
    wavelength = 2 * np.pi * 500000.0 ** (np.arange(0, width, 2) / width)
    smooth = np.clip((length / wavelength - 1) / (high - 1), 0, 1)
    found = _llama3((1 / ((1 - smooth) / factor + smooth)).astype(np.float32), 500000.0, width)
    assert found["factor"] == factor
    assert found["high_freq_factor"] == high
    assert found["original_max_position_embeddings"] == length
    with pytest.raises(ValueError, match="not Llama 3's"):
        _llama3(np.linspace(1, 8, width // 2).astype(np.float32), 500000.0, width)


def test_unpack_gguf_writes_tokenizer_template_and_ends(tmp_path):
    network, _ = model("llama")
    rag = {"tokenizer.chat_template.rag": ("STRING", "rag " + TEMPLATE)}
    out = unpacked(tmp_path, network, metadata=rag)
    tokenizer = load_tokenizer(out)
    ids = tokenizer("abc ab 12<|end|>").input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ["abc", "Ġ", "ab", "Ġ", "12", "<|end|>"]
    assert tokenizer.decode(ids) == "abc ab 12<|end|>"
    assert prompt_texts(tokenizer, ["abc"], Chat()) == ["<|turn|>user abc<|end|>"]
    assert prompt_texts(tokenizer, ["abc"], Chat(template="rag")) == ["rag <|turn|>user abc<|end|>"]
    assert read_object(out / "generation_config.json")["eos_token_id"] == [2, 3]
    assert Model(out)._end_tokens.tolist() == [2, 3]


def test_unpack_gguf_splits_digits_where_llama_cpp_does(tmp_path, caplog):
    network, _ = model("llama")
    tokenizer = load_tokenizer(unpacked(tmp_path, network, pre="smollm"))
    assert tokenizer.tokenize("abc 12") == ["abc", "Ġ", "1", "2"]
    # As `tokenizer.json` of SmolLM2 has it: all spaces before a digit are one piece.
    found = tokenizer.backend_tokenizer.pre_tokenizer
    pieces = [piece for piece, _ in found.pre_tokenize_str("In 1969,   2 men\n  ½ 3.14")]
    assert pieces == ["In", "Ġ", *"1969", ",", "ĠĠĠ", "2", "Ġmen", "ĊĠĠ", "Â½", "Ġ", "3", ".", "1", "4"]
    assert not caplog.text
    # llama.cpp splits the first as no tokenizer.json does: files converted before tokenizers had names.
    for name in ("default", "something"):
        (tmp_path / name).mkdir()
        unpacked(tmp_path / name, network, pre=name)
        assert f"does not know how the tokenizer '{name}' splits text" in caplog.text


@given(st.text(st.sampled_from("ab 12½Ⅷ٣\t\n.,'sé中"), max_size=20))
def test_single_digits_are_split_as_llama_cpp_splits_them(text):
    """llama.cpp splits with each of its expressions in turn; what none of them matches is a piece too."""
    gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in (r"\p{N}", gpt2)]
    theirs = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    assert single_digits().pre_tokenize_str(text) == theirs.pre_tokenize_str(text)


def test_unpacked_base_is_trained_and_answers(tmp_path):
    network, _ = model("llama")
    fetch_base({"path": str(write_gguf(tmp_path / "m.gguf", network))}, tmp_path / "base")
    served = Model(tmp_path / "base")
    prompts = [[1, 5, 6, 7], [1, 8, 9]]
    for prompt, completion in zip(prompts, served.complete(prompts, 6), strict=True):
        expected = network.generate(
            torch.tensor([prompt]), max_new_tokens=6, do_sample=False, eos_token_id=[2, 3], pad_token_id=2
        )[0, len(prompt) :].tolist()
        assert completion.tokens == [token for token in expected if token not in (2, 3)]


def test_fetch_base_takes_a_folder_with_one_gguf(tmp_path):
    network, _ = model("llama")
    folder = tmp_path / "repository"
    folder.mkdir()
    file = write_gguf(folder / "m.Q8_0.gguf", network)
    (folder / "config.json").write_text("{}")
    before = file.read_bytes()
    source = {"path": str(folder)}
    check_source(source, folder)
    assert source_files(source) == [file]
    fetch_base(source, tmp_path / "base")
    names = {path.name for path in (tmp_path / "base").iterdir()}
    assert names >= {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert not [name for name in names if name.endswith(".gguf")]
    assert file.read_bytes() == before
    write_gguf(folder / "m.Q4_0.gguf", network)
    line = refusal(fetch_base, source, tmp_path / "other")
    assert "has several GGUF files (m.Q4_0.gguf, m.Q8_0.gguf); give the path of one" in line


def test_fetch_base_takes_one_gguf_of_a_repository(tmp_path, hub):
    network, _ = model("llama")
    folder = hub.root / "org" / "tiny"
    folder.mkdir(parents=True)
    for name in ("m.Q4_0.gguf", "m.Q8_0.gguf"):
        write_gguf(folder / name, network)
    fetch_base({"hub": "org/tiny", "file": "m.Q8_0.gguf"}, tmp_path / "base")
    assert (tmp_path / "base" / "model.safetensors").is_file()
    assert not [path for path in hub.requested if "Q4_0" in path]
    assert "`file`" in refusal(fetch_base, {"hub": "org/tiny"}, tmp_path / "other")
    assert "has no file m.gguf" in refusal(fetch_base, {"hub": "org/tiny", "file": "m.gguf"}, tmp_path / "other")


def test_import_compares_a_fine_tune_with_the_weights_of_a_gguf_base(tmp_path):
    network, _ = model("llama")
    file = write_gguf(tmp_path / "m.gguf", network)
    before = file.read_bytes()
    with torch.no_grad():
        network.model.layers[1].self_attn.q_proj.weight[0, :4] += 1.0
    network.save_pretrained(tmp_path / "tuned")
    imported = import_sources([str(tmp_path / "tuned")], str(file), tmp_path / "out", rank=2)
    assert not imported.problems
    [expert] = imported.experts
    changed = {name: layer["norm"] for name, layer in expert.provenance["layers"].items() if layer["norm"]}
    assert changed == {"model.layers.1.self_attn.q_proj": pytest.approx(2.0, rel=1e-5)}
    assert file.read_bytes() == before


def test_unusable_gguf_files_are_refused_in_one_line(tmp_path):
    network, _ = model("llama")
    whole = write_gguf(tmp_path / "m.gguf", network).read_bytes()
    out = tmp_path / "base"
    bad = tmp_path / "bad.gguf"
    for content, said in (
        (b"PK", "not a GGUF file"),
        (b"GGUF\0\0\0\3" + whole[8:], "little-endian"),
        (whole[: len(whole) // 2], "cannot read it"),
        (whole[:5000], "cannot read it"),
        (whole[:200], "cannot read it"),
        (whole.replace(b"llama", b"lxxma"), "architecture lxxma"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ):
        bad.write_bytes(content)
        assert said in refusal(fetch_base, {"path": str(bad)}, out)
        assert not out.exists()
    part = tmp_path / "m-00001-of-00002.gguf"
    part.write_bytes(whole)
    assert "one part of a split model" in refusal(fetch_base, {"path": str(part)}, out)
    assert "no such file" in refusal(fetch_base, {"path": str(tmp_path / "none.gguf")}, out)
    extra = {"blk.0.attn_sinks.weight": np.zeros(4, np.float32)}
    strange = write_gguf(tmp_path / "strange.gguf", network, extra=extra)
    assert "has tensors that are not the model's: 1, such as blk.0.attn_sinks.weight" in refusal(
        fetch_base, {"path": str(strange)}, out
    )
    short = write_gguf(tmp_path / "short.gguf", network, without=("blk.1.ffn_up.weight",))
    assert "lacks weights of the model: 1, such as model.layers.1.mlp.up_proj.weight" in refusal(
        fetch_base, {"path": str(short)}, out
    )
