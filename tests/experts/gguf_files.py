"""Tiny GGUF files, written with the gguf package from tiny models of transformers as llama.cpp's converter does."""

import gguf
import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

WORDS = ["<unk>", "<s>", "<|end|>", "<|turn|>", *sorted(ByteLevel.alphabet())]
MERGES = ["a b", "ab c", "Ġ a", "1 2"]
VOCABULARY = [*WORDS, *(merge.replace(" ", "") for merge in MERGES)]
TEMPLATE = "{% for m in messages %}<|turn|>{{ m.role }} {{ m.content }}<|end|>{% endfor %}"
NAMES = {"gemma3_text": "gemma3", "qwen3_moe": "qwen3moe", "mistral": "llama"}


def permuted(weight, heads):
    """Return a Llama query or key weight [out, in] in the order of llama.cpp's rotary positions."""
    return weight.reshape(heads, 2, len(weight) // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path, network, *, quantised=None, template=TEMPLATE, extra=None, metadata=None, without=(), pre="gpt-2"):
    """Write `network` of transformers as a GGUF file.

    quantised: the type of the matrices; extra: additional tensors; metadata: additional keys, (type, value) by key
    """
    config = network.config
    arch = NAMES.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(f"tiny {config.model_type}")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(width)
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_dimension_count(int(width * rope.get("partial_rotary_factor", 1)))
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(VOCABULARY)
    writer.add_token_merges(MERGES)
    writer.add_token_types([3 if word.startswith("<") else 1 for word in WORDS] + [1] * len(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_eot_token_id(3)
    writer.add_add_bos_token(False)
    if template:
        writer.add_chat_template(template)
    for key, (kind, value) in (metadata or {}).items():
        writer.add_key_value(key, value, gguf.GGUFValueType[kind])
    [number] = [number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == arch]
    names = gguf.get_tensor_name_map(number, config.num_hidden_layers)
    tensors = dict(extra or {})
    for name, weight in network.state_dict().items():
        values = weight.float().numpy()
        base, _, kind = name.rpartition(".")
        if kind not in ("weight", "bias"):
            tensors |= fused_experts(name, values)
            continue
        place = names.get_name(base)
        if base == "lm_head" and config.tie_word_embeddings:
            continue
        if arch == "llama" and place.endswith(("attn_q", "attn_k")):
            queries = place.endswith("attn_q")
            values = permuted(values, config.num_attention_heads if queries else config.num_key_value_heads)
        if arch.startswith("gemma") and place.endswith("norm"):
            values = values + 1
        tensors[f"{place}.{kind}"] = values
    for name, values in tensors.items():
        if name in without:
            continue
        if quantised is not None and values.ndim > 1:
            stored = gguf.quantize(np.ascontiguousarray(values), quantised)
            writer.add_tensor(name, stored, raw_shape=stored.shape, raw_dtype=quantised)
        else:
            writer.add_tensor(name, np.ascontiguousarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def fused_experts(name, values):
    """Return the tensors of a layer's experts, which llama.cpp stores as gate, up and down."""
    block = f"blk.{name.split('.')[2]}"
    if name.endswith("down_proj"):
        return {f"{block}.ffn_down_exps.weight": values}
    gate, up = np.split(values, 2, axis=1)
    return {f"{block}.ffn_gate_exps.weight": gate, f"{block}.ffn_up_exps.weight": up}
