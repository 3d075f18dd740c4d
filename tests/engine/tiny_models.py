"""Tiny models and adapters, built on the spot in the real formats."""

import warnings

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
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
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, "<eos>": 1, "<bos>": 2} | {f"w{i}": i for i in range(3, 96)}
    words_only = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    words_only.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words_only, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>")


def save_adapter(network, folder, seed, targets=TARGETS, rank=4):
    """Save a PEFT adapter with random A and B for `network`, which is left as it was."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(targets))
    random = torch.Generator().manual_seed(seed)
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that is to be removed, and warns of tied layers.
        warnings.simplefilter("ignore")
        adapted = get_peft_model(network, config)
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_" in name:
                    weight.copy_(torch.randn(weight.shape, generator=random) * 0.3)
        adapted.save_pretrained(folder)
    adapted.unload()
    return folder
