"""GGUF files as base models: unpacked once into a folder that transformers, the built-in engine and vLLM load.

transformers reads GGUF files, but does not save what it loaded. This module uses its tables: which tensor of the file
is which weight, how to undo what llama.cpp's converter did (queries and keys permuted, norms plus one), and how to
rebuild config and tokenizer. Values are those of `gguf.dequantize`. Settings that decide the model's output and that
transformers leaves out (positions scaled for long contexts, soft caps, scales of attention) are added from the file.

A file that holds bfloat16 is stored in bfloat16; any other in float32, which represents all its values exactly.
Weights are unpacked one tensor at a time, except in mixtures of experts and the few architectures for which
transformers has no such tables: those are in memory once.
"""

import logging
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError, one_line
from genome.experts.tensors import from_float32, header_bytes
from genome.files import open_file, write_json

ENDING = ".gguf"
MAGIC = b"GGUF"
SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")

WEIGHTS = "model.safetensors"

NOT_WEIGHTS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
"""Tensors that scale rotary positions: settings of the config in transformers."""

SINGLE_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
"""Names by which llama.cpp splits every digit off before it splits as GPT-2 does."""

AS_GPT2 = ("gpt-2", "gpt2", "phi-2", "olmo", "mpt", "jais", "jina-es", "jina-de", "roberta-bpe", "trillion")
"""Names by which llama.cpp splits as GPT-2 does, which is what transformers does for names that it does not know."""

CONFIG_FIELDS = {
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "attention.sliding_window": "sliding_window",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
}
"""Fields of a config that decide the model's output, by the file's key after the architecture's name."""

PLAIN = ("mistral", "phi3", "qwen2", "qwen3", "stablelm", "starcoder2", "falcon")
"""Architectures whose weights llama.cpp's converter does not change."""

REMEDY = "choose another file, or the same model in safetensors"

log = logging.getLogger("genome")


def check_gguf(file: Path) -> None:
    """Raise GenomeError unless `file` is a whole model in GGUF, as far as its first bytes and its name tell."""
    with open_file(file) as opened:
        start = opened.read(8)
    if start[:4] != MAGIC:
        raise GenomeError(f"{file}: not a GGUF file; {REMEDY}")
    version = int.from_bytes(start[4:], "little")
    if version not in (2, 3):
        raise GenomeError(f"{file}: GGUF version {version}, expected 2 or 3 in little-endian order; {REMEDY}")
    if SPLIT.search(file.name):
        raise GenomeError(f"{file}: one part of a split model; join the parts with `llama-gguf-split --merge`")


def unpack_gguf(file: Path, out: Path) -> None:
    """Write the model in a GGUF file to the empty folder `out`: config, weights, tokenizer, generation settings.

    Raises GenomeError for an architecture or a tokenizer that transformers cannot read from GGUF, and for a file whose
    tensors are not exactly those of the model.
    """
    check_gguf(file)
    with tempfile.TemporaryDirectory() as folder:
        # transformers would read other files in the folder of the GGUF file too, such as another tokenizer.
        alone = Path(folder) / "model.gguf"
        alone.symlink_to(file.resolve())
        with _reading(file, alone):
            from gguf import GGUFReader

            reader = GGUFReader(alone)
            metadata = {key: field.contents() for key, field in reader.fields.items() if len(field.data) < 1000}
            config = _config(alone, reader, metadata)
            _write_tokenizer(file, alone, metadata, out)
            _write_weights(file, alone, reader, config, out)
    _write_generation(metadata, out)


@contextmanager
def _reading(file: Path, alone: Path) -> Iterator[None]:
    """Turn any error of the libraries in the block into one line about `file`, which they know as `alone`."""
    try:
        yield
    except GenomeError:
        raise
    except OSError as error:
        if error.errno is not None and error.filename not in (str(alone), str(file)):
            raise  # the system's, about what is written; transformers raises this class for its own reasons too
        raise GenomeError(f"{file}: cannot be read ({one_line(error)}); {REMEDY}") from error
    except Exception as error:  # the reader indexes a damaged file like a whole one
        from transformers import __version__

        reason = one_line(error).replace(str(alone), file.name)
        raise GenomeError(f"{file}: transformers {__version__} cannot read it ({reason}); {REMEDY}") from error


def _config(alone: Path, reader: Any, metadata: Mapping[str, Any]) -> Any:
    """Return the model's config, with the settings that transformers leaves out."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(alone.parent, gguf_file=alone.name, local_files_only=True)
    arch = metadata["general.architecture"]
    given = {key.removeprefix(f"{arch}."): value for key, value in metadata.items() if key.startswith(f"{arch}.")}
    for key, name in CONFIG_FIELDS.items():
        # Qwen's files state no window; Phi's configs have none unless it is set.
        if key in given and hasattr(config, name) and not isinstance(given[key], list):
            setattr(config, name, given[key])
    width = getattr(config, "head_dim", None)
    if width is not None and "attention.key_length" in given and not hasattr(config, "global_head_dim"):
        width = config.head_dim = given["attention.key_length"]
    if arch in ("gemma2", "gemma3"):
        # llama.cpp, too, knows by the number of layers which of these models scale by another width (27B).
        other = config.num_hidden_layers == {"gemma2": 46, "gemma3": 62}[arch]
        config.query_pre_attn_scalar = config.hidden_size // config.num_attention_heads if other else config.head_dim
    names = {tensor.name for tensor in reader.tensors}
    if hasattr(config, "attention_bias") and "blk.0.attn_q.bias" in names:
        config.attention_bias = True
    _scale_positions(config, given, {t.name: t.data for t in reader.tensors if t.name in NOT_WEIGHTS})
    for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
        if f"tokenizer.ggml.{key}_token_id" not in metadata:  # the default is another model's
            setattr(config, f"{name}_token_id", None)
    for name in ("_model_name_or_path", "unk_token_id"):  # leftovers of the file's metadata
        if hasattr(config, name):
            delattr(config, name)
    return config


def _scale_positions(config: Any, given: Mapping[str, Any], factors: Mapping[str, np.ndarray]) -> None:
    """Set how rotary positions are scaled, and how much of a head is rotated, which transformers leaves out."""
    rope = getattr(config, "rope_parameters", None)
    if not rope:
        return
    rope = rope.get("full_attention", rope)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rotated = given.get("rope.dimension_count", width)
    if "partial_rotary_factor" in rope and int(width * rope["partial_rotary_factor"]) != rotated:
        rope["partial_rotary_factor"] = rotated / width
    kind, factor = given.get("rope.scaling.type"), given.get("rope.scaling.factor", given.get("rope.scale_linear"))
    before = given.get("rope.scaling.original_context_length")
    if len(factors) == 2:
        long, short = (factors[f"rope_factors_{length}.weight"].tolist() for length in ("long", "short"))
        before = before or config.max_position_embeddings
        rope.update(rope_type="longrope", long_factor=long, short_factor=short, original_max_position_embeddings=before)
        config.original_max_position_embeddings = before
    elif "rope_freqs.weight" in factors:
        rope.update(_llama3(factors["rope_freqs.weight"], rope["rope_theta"], width))
    elif kind == "yarn":
        betas = {name: given[f"rope.scaling.yarn_{name}"] for name in ("beta_fast", "beta_slow")
                 if f"rope.scaling.yarn_{name}" in given}  # fmt: skip
        rope.update(rope_type="yarn", factor=factor, original_max_position_embeddings=before, **betas)
    elif factor and kind in (None, "linear"):
        rope.update(rope_type="linear", factor=factor)
    elif kind not in (None, "none", "linear"):
        raise ValueError(f"positions scaled by {kind!r}")


def _llama3(factors: np.ndarray, theta: float, width: int) -> dict[str, Any]:
    """Return the settings of Llama 3's scaling whose divisors of the rotary frequencies are `factors` [width / 2].

    With the wavelength l of a frequency, 1 / divisor is 1 for short, 1 / factor for long wavelengths, and in between
    (1 - s) / factor + s, where s = (length / l - low) / (high - low). Only length / high and low / high matter, so low
    is set to 1, its usual value.
    """
    wavelength = 2 * np.pi * theta ** (np.arange(0, width, 2) / width)
    factor = round(float(factors.max()), 4)
    between = (factors > 1.0001) & (factors < factor * 0.9999)
    s = (1 / factors[between].astype(float) - 1 / factor) / (1 - 1 / factor)
    if len(s) < 2:
        raise ValueError("rope_freqs.weight is not Llama 3's scaling of positions")
    slope, offset = np.polyfit(1 / wavelength[between], s, 1)
    high = 1 - 1 / offset
    length = slope * (high - 1)
    smooth = np.clip((length / wavelength - 1) / (high - 1), 0, 1)
    if not np.allclose(1 / ((1 - smooth) / factor + smooth), factors, rtol=1e-3):
        raise ValueError("rope_freqs.weight is not Llama 3's scaling of positions")
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": round(float(high), 3),
        "original_max_position_embeddings": round(float(length)),
    }


def _write_tokenizer(file: Path, alone: Path, metadata: Mapping[str, Any], out: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and the chat templates."""
    from transformers import AutoTokenizer
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    tokenizer: Any = AutoTokenizer.from_pretrained(alone.parent, gguf_file=alone.name, local_files_only=True)
    split = metadata.get("tokenizer.ggml.pre", "default")
    if metadata.get("tokenizer.ggml.model") == "gpt2" and split not in GGUF_PRE_TOKENIZER_SPLITS:
        if split in SINGLE_DIGITS:
            tokenizer.backend_tokenizer.pre_tokenizer = single_digits()
        elif split not in AS_GPT2:
            log.warning(
                "%s: transformers does not know how the tokenizer %r splits text and splits as GPT-2 does; compare it "
                "with the model's own tokenizer",
                file,
                split,
            )
    names = [key.removeprefix("tokenizer.chat_template.") for key in metadata if "tokenizer.chat_template." in key]
    if names:
        own = {name: metadata[f"tokenizer.chat_template.{name}"] for name in names}
        tokenizer.chat_template = {"default": metadata["tokenizer.chat_template"], **own}
    tokenizer.save_pretrained(out)


def single_digits() -> Any:
    """Return the pre-tokenizer of SmolLM2's own tokenizer.json: digits one by one, then what lies between as GPT-2.

    llama.cpp's expressions for the names in SINGLE_DIGITS do the same. GPT-2's alone, which transformers uses, would
    split the last of several spaces before a digit from the others.
    """
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def _write_generation(metadata: Mapping[str, Any], out: Path) -> None:
    """Write generation_config.json: the tokens that end a text, a turn and a message, as llama.cpp stops at all."""
    ids = {name: metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom", "bos", "padding")}
    ends = list(dict.fromkeys(ids[name] for name in ("eos", "eot", "eom") if ids[name] is not None))
    named = {"bos_token_id": ids["bos"], "eos_token_id": ends or None, "pad_token_id": ids["padding"]}
    write_json(out / "generation_config.json", {key: value for key, value in named.items() if value is not None})


def _write_weights(file: Path, alone: Path, reader: Any, config: Any, out: Path) -> None:
    """Write config.json and the weights."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES, TENSOR_PROCESSORS

    tensors = [tensor for tensor in reader.tensors if tensor.name not in NOT_WEIGHTS]
    half = {tensor.tensor_type.name for tensor in tensors if len(tensor.shape) > 1} == {"BF16"}
    config.dtype = torch.bfloat16 if half else torch.float32
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
    arch = reader.fields["general.architecture"].contents()
    experts = any("_exps." in tensor.name for tensor in tensors)
    if arch in GGUF_SUPPORTED_ARCHITECTURES and not experts and arch in (*TENSOR_PROCESSORS, *PLAIN):
        _unpack_each(file, tensors, network, arch, "BF16" if half else "F32", out)
        config.architectures = [type(network).__name__]
        config.save_pretrained(out)
    else:
        _unpack_all(file, alone, network, config, out)


def _unpack_each(file: Path, tensors: Sequence[Any], network: Any, arch: str, dtype: str, out: Path) -> None:
    """Write the weights one at a time, in the order of the file."""
    from gguf import dequantize
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    processor = TENSOR_PROCESSORS.get(arch, TensorProcessor)(config=network.config.to_dict())
    places = get_gguf_hf_weights_map(network, processor)
    own = {id(weight): name for name, weight in reversed(network.state_dict(keep_vars=True).items())}  # tied ones once
    weights = network.state_dict()
    _refuse(file, "has tensors that are not the model's", [t.name for t in tensors if t.name not in places])
    _refuse(file, "lacks weights of the model", set(own.values()) - {places[tensor.name] for tensor in tensors})
    shapes = {places[tensor.name]: tuple(weights[places[tensor.name]].shape) for tensor in tensors}
    with (out / WEIGHTS).open("wb") as opened:
        opened.write(header_bytes(dict.fromkeys(shapes, dtype), shapes))
        for tensor in tensors:
            values = dequantize(tensor.data, tensor.tensor_type)
            values = processor.process(
                weights=values, name=tensor.name, tensor_key_mapping=places, parsed_parameters={"tensors": {}}
            ).weights
            if values.shape != shapes[places[tensor.name]]:
                raise ValueError(f"{tensor.name} has shape {values.shape}, expected {shapes[places[tensor.name]]}")
            opened.write(from_float32(np.ascontiguousarray(values), dtype).data)


def _unpack_all(file: Path, alone: Path, network: Any, config: Any, out: Path) -> None:
    """Write the weights as transformers loads them, all at once, and saves those of `network`, which it did not load.

    The names and shapes of experts in a folder differ from those in memory; only `save_pretrained` knows them.
    """
    from transformers import AutoModelForCausalLM, GgufConfig

    both: Any = AutoModelForCausalLM.from_pretrained(
        alone.parent,
        gguf_file=alone.name,
        config=config,
        dtype=config.dtype,
        quantization_config=GgufConfig(dequantize=True),
        local_files_only=True,
        output_loading_info=True,
    )
    loaded, found = both  # declared as the model alone
    _refuse(file, "has tensors that are not the model's", set(found["unexpected_keys"]) - set(NOT_WEIGHTS))
    _refuse(file, "lacks weights of the model", found["missing_keys"])
    network.load_state_dict(loaded.state_dict(), assign=True)
    network.save_pretrained(out)


def _refuse(file: Path, what: str, names: Collection[str]) -> None:
    if names:
        raise GenomeError(f"{file}: {what}: {len(names)}, such as {min(names)}; {REMEDY}")
