"""Tiny models and adapters, built during the test in the real formats."""

import warnings

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 2,
    # Wide random weights and many end tokens: answers differ, and end at different times.
    "initializer_range": 0.4,
    "eos_token_id": [1, *range(70, 96)],
}
# Untied and narrower: saturated soft caps would make ties.
GEMMA = {
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
    "sliding_window": 16,
    "initializer_range": 0.15,
    "tie_word_embeddings": False,
}
FAMILIES = {
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SHAPE | GEMMA)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE, tie_word_embeddings=True)),
}
OTHERS = {"wide": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE | {"hidden_size": 40}))}
SMALL = SHAPE | {"initializer_range": 0.3, "eos_token_id": [1, *range(80, 96)]}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "moe_intermediate_size": 16, "num_experts_per_tok": 2}
DELTA = {
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
    **{"linear_conv_kernel_dim": 4, "head_dim": 8, "layer_types": ["linear_attention", "full_attention"]},
}
MAMBA = {
    **{"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 8},
    **{"mamba_d_conv": 4, "mamba_expand": 2, "shared_intermediate_size": 32},
}
# By model_type: the config fields beyond SMALL, grouped by the kind of the model's state.
ARCHITECTURES = {
    # A state of at most a window, or only a recurrent state.
    "bamba": MAMBA | {"attn_layer_indices": [1]},
    "falcon_mamba": {"state_size": 8},
    "falcon_h1": MAMBA | {"mamba_d_ssm": 64},
    "granitemoehybrid": MAMBA | EXPERTS | {"layer_types": ["mamba", "attention"]},
    "jamba": EXPERTS | {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": EXPERTS | {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "mamba": {"state_size": 8},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8, "chunk_size": 8},
    "minimax": EXPERTS | {"head_dim": 8, "layer_types": ["linear_attention", "full_attention"]},
    "nemotron_h": {"layers_block_type": ["linear_attention", "full_attention", "mlp"], "head_dim": 8}
    | {"mamba_num_heads": 8, "mamba_head_dim": 8, "n_groups": 1, "ssm_state_size": 8, "chunk_size": 8},
    "olmo_hybrid": DELTA,
    "qwen3_5_moe_text": DELTA | EXPERTS | {"shared_expert_intermediate_size": 16},
    "qwen3_5_text": DELTA,
    "qwen3_next": DELTA | EXPERTS | {"shared_expert_intermediate_size": 16},
    "recurrent_gemma": {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8, "head_dim": 8},
    "olmo2": {},
    "smollm3": {},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2, "n_mamba_heads": 2},
    "rwkv": {"attention_hidden_size": 32},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"], "mamba_headdim": 16, "n_mamba_heads": 4},
    # No argument for positions.
    "bloom": {"n_head": 4},
    # Plain attention, to all tokens or in windows and chunks.
    "deepseek_v3": EXPERTS
    | {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_key_value_heads": 4, "q_lora_rank": 16}
    | {"kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16},
    "gemma3_text": {"sliding_window": 8, "head_dim": 8, "layer_types": ["sliding_attention", "full_attention"]},
    "gpt2": {},
    "gpt_oss": EXPERTS | {"sliding_window": 8, "head_dim": 8},
    "llama": {},
    "llama4_text": EXPERTS | {"attention_chunk_size": 8, "head_dim": 8, "intermediate_size_mlp": 32},
    "mistral": {"sliding_window": 8},
    # Rotary positions that change with the longest row of a batch.
    "phi3": {
        "original_max_position_embeddings": 16,
        "rope_parameters": {
            **{"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 16},
            **{"short_factor": [1.0] * 4, "long_factor": [4.0] * 4},
        },
    },
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, "<eos>": 1, "<bos>": 2} | {f"w{i}": i for i in range(3, 96)}
    words_only = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    words_only.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words_only, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>")


def architecture(name: str):
    """Return a tiny model of a `model_type` with random weights."""
    config = CONFIG_MAPPING[name](**SMALL | ARCHITECTURES[name])
    torch.manual_seed(7)
    return AutoModelForCausalLM.from_config(config).eval()


def save_adapter(network, folder, seed, targets=TARGETS, rank=4):
    """Save a PEFT adapter with random A and B for `network`, which is not changed."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(targets))
    random = torch.Generator().manual_seed(seed)
    with warnings.catch_warnings():
        # PEFT uses a deprecated name of transformers, and warns about tied layers.
        warnings.simplefilter("ignore")
        adapted = get_peft_model(network, config)
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_" in name:
                    weight.copy_(torch.randn(weight.shape, generator=random) * 0.3)
        adapted.save_pretrained(folder)
    adapted.unload()
    return folder
