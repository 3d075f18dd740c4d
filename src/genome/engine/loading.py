"""Loading of a base model from its folder, checked; errors name the folder, the reason and the remedy in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    __version__,
)

from genome.errors import GenomeError, one_line
from genome.files import read_object

LOADING_ERRORS = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, AssertionError),
    *(ImportError, ArithmeticError, SafetensorError, StrictDataclassError),
)
"""Errors that transformers raises for files that it cannot load; they differ between releases."""

TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""The types of weights into which an adapter can be merged."""

if TYPE_CHECKING:

    class Network(PreTrainedModel):
        """What AutoModelForCausalLM returns: a model that can generate."""

        generate: Callable[..., torch.Tensor]


AGAIN = "fetch the base model again"


def load_network(base: Path, dtype: str | None = None) -> "Network":
    """Load a transformers folder: safetensors only, no remote code, no adapter, in `dtype` or as stored.

    Attention is torch's scaled dot product if the architecture allows it, else transformers' own ("eager").

    Raises GenomeError unless the folder is one complete causal language model that transformers supports.
    """
    _check_config(base)
    _check_weights(base)
    _check_generation(base)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=dtype or "auto",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except ImportError as error:
        raise GenomeError(
            f"{base}: this model needs a package that is not installed ({one_line(error)}); "
            "install it, or choose a base model that is not quantised"
        ) from error
    except LOADING_ERRORS as error:
        raise GenomeError(
            f"{base}: transformers {__version__} cannot load this model ({one_line(error)}); {AGAIN}"
        ) from error
    network, found = loaded  # two values because of output_loading_info
    if missing := sorted(found["missing_keys"]):
        raise GenomeError(
            f"{base}: the weights lack {len(missing)} tensors of the model, such as {missing[0]}, "
            f"which would be random; {AGAIN}, or correct config.json"
        )
    types = {weight.dtype for weight in network.parameters()}
    if getattr(network, "is_quantized", False) or not types.issubset(TYPES):
        raise GenomeError(
            f"{base}: the weights are quantised, and adapters cannot be merged into them; "
            "choose the same model in bfloat16 or float32, or set engine.backend to vllm"
        )
    return network.requires_grad_(False).eval()


def end_tokens(base: Path, network: "Network", tokenizer: Any) -> list[int]:
    """Return the token ids that end an answer, from the generation settings and the tokenizer, as in vLLM.

    The settings come from generation_config.json; only without that file from config.json.
    """
    stated = network.generation_config.eos_token_id
    stated = stated if isinstance(stated, list | tuple) else [stated]
    tokens = list(dict.fromkeys(token for token in [*stated, tokenizer.eos_token_id] if token is not None))
    if not all(type(token) is int and 0 <= token < 2**31 for token in tokens):
        raise GenomeError(f"{base}/config.json: eos_token_id is {str(stated)[:80]}, expected token ids; correct it")
    if not tokens:
        raise GenomeError(
            f"{base}: no token ends an answer; set eos_token_id in generation_config.json (a token id) "
            "or eos_token in tokenizer_config.json"
        )
    return tokens


def positions(config: Any) -> int | None:
    """Return the most tokens of a prompt with its answer, None if the architecture has no limit.

    Unlike `genome.tasks.lengths.context_length`, it ignores scaled positions, because some scalings change the
    positions of a whole batch with its longest row.
    """
    found = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def _check_config(base: Path) -> None:
    for file in sorted(base.iterdir()) if base.is_dir() else []:
        if file.exists() and not (file.is_file() or file.is_dir()):
            # Reading a pipe or a device among the tokenizer's files would never end.
            raise GenomeError(f"{file}: neither a file nor a folder; remove it")
    if not (base / "config.json").is_file():
        raise GenomeError(f"{base}: no config.json; a base model is a folder that transformers loads")
    if (base / "adapter_config.json").exists():
        # transformers would merge the adapter into the base.
        raise GenomeError(
            f"{base}: contains adapter_config.json, so it is a base model and an adapter at once; "
            "move the adapter to a separate folder"
        )
    config = read_object(base / "config.json", AGAIN)
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        if config.get("auto_map"):
            raise GenomeError(
                f"{base}: this model needs remote code (auto_map in config.json), which is never run here; "
                "choose a base model that transformers supports itself"
            )
        raise GenomeError(
            f"{base}/config.json: model_type is {kind!r}, which transformers {__version__} does not know; "
            "install a newer transformers or choose another base model"
        )
    if CONFIG_MAPPING[kind] not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise GenomeError(
            f"{base}/config.json: model_type is {kind!r}, not a causal language model; choose another base model"
        )


def _check_weights(base: Path) -> None:
    single, index = base / "model.safetensors", base / "model.safetensors.index.json"
    if single.exists() and index.exists():
        raise GenomeError(
            f"{base}: contains the weights twice, in model.safetensors and in the files listed in {index.name}; "
            "remove one of the two"
        )
    files = [single]
    if index.exists():
        names = read_object(index, AGAIN).get("weight_map")
        if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
            raise GenomeError(f"{index}: weight_map does not name the files of the weights; {AGAIN}")
        files = [base / name for name in sorted(set(names.values()))]
    for file in files:
        if not file.is_file():
            other = "; weights in other formats are not read" if file == single else ""
            raise GenomeError(f"{base}: no {file.name}{other}; {AGAIN}, in safetensors")
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise GenomeError(f"{file}: not a whole safetensors file ({one_line(error)}); {AGAIN}") from error


def _check_generation(base: Path) -> None:
    file = base / "generation_config.json"
    if not file.exists():
        return
    stated = read_object(file, "correct or remove it").get("eos_token_id")
    ids = stated if isinstance(stated, list) else [] if stated is None else [stated]
    if not all(type(token) is int and 0 <= token < 2**31 for token in ids):
        raise GenomeError(f"{file}: eos_token_id is {str(stated)[:80]}, expected token ids; correct it")
    try:
        GenerationConfig.from_pretrained(base)
    except LOADING_ERRORS as error:
        raise GenomeError(f"{file}: transformers cannot use it ({one_line(error)}); correct or remove it") from error


def rope_switch(config: Any) -> int | None:
    """Return the length above which the longest row changes the rotary positions of its whole batch (LongRoPE)."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if rope.get("rope_type", rope.get("type")) != "longrope":
        return None
    return rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", 0)
