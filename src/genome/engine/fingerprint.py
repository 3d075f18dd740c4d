"""Fingerprints of engines: all properties that determine answers, so that answers of different engines are not mixed.

A fingerprint is a flat dict of JSON values with the keys of `unknown()`. Engines with equal fingerprints give
comparable answers. The values come from the server that answers, not from the config:

- `backend` ("transformers" or "vllm"; for a URL, the server's own name) and `version`, the version of transformers and
  torch, or of vLLM.
- `base`: a digest of the base model's folder (`of_base`); for a URL, the path or hub id that the server reports.
- `device` ("cpu", "cuda", …), `dtype`, `quantization` and `kv_cache_dtype` of the loaded model, and `attention`, the
  implementation that the built-in engine uses. vLLM chooses its own by version, device and dtype.
- `max_model_len`, the longest prompt with its answer, and `batch_invariant`: whether answers are independent of the
  other requests.

Unknown values are None. vLLM reports its version and length at two addresses, and its types only in one line of its
log. Without such a line, the flags are used, with `auto` resolved by the base's config.json.

Properties that change no answer, or only by rounding, are left out: host, port, type and number of processors and GPUs,
copies of the model, threads, memory limits, and `batch_tokens`.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Fingerprint = Mapping[str, str | int | bool | None]

SAMPLES, SAMPLE_BYTES = 64, 1024
"""Number and size of the samples of each weights file for a base's digest, so that it never reads gigabytes."""

_CONFIG_LINE = re.compile(r"Initializing a V\d LLM engine \(v(?P<version>[^)]+)\) with config: (?P<config>.*)")
_TYPES = {
    "dtype": re.compile(r"\bdtype=(?:torch\.)?(\w+)"),
    "quantization": re.compile(r"\bquantization=([\w-]+)"),
    "kv_cache_dtype": re.compile(r"\bkv_cache_dtype=(?:torch\.)?(\w+)"),
    "device": re.compile(r"\bdevice_config=(\w+)"),
}


def unknown() -> dict[str, Any]:
    """Return a fingerprint in which every value is unknown."""
    return dict.fromkeys(
        (
            *("backend", "version", "base", "device", "dtype", "quantization", "kv_cache_dtype", "attention"),
            *("max_model_len", "batch_invariant"),
        )
    )


def of_base(folder: Path) -> str:
    """Return a digest of a base model's folder: its config, tokenizer, and samples of its weights.

    Size, header and samples of each safetensors file are included. Training changes all weights, so two models of the
    same architecture also differ in the samples.
    """
    digest = hashlib.sha256()
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        if (folder / name).is_file():
            digest.update(name.encode() + (folder / name).read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with file.open("rb") as weights:
            start = 8 + int.from_bytes(weights.read(8), "little")
            weights.seek(0)
            digest.update(weights.read(min(start, size)))
            for index in range(SAMPLES):
                weights.seek(start + (size - start) * index // SAMPLES)
                digest.update(weights.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def of_loaded(network: Any, base: Path | str) -> dict[str, Any]:
    """Return the fingerprint of the built-in engine, which has loaded `network` from the folder `base`."""
    from importlib.metadata import version  # slow to import, and jobs import this module

    config = network.config
    quantized = getattr(config, "quantization_config", None)
    method = quantized.get("quant_method") if isinstance(quantized, dict) else getattr(quantized, "quant_method", None)
    return unknown() | {
        "backend": "transformers",
        "version": ", ".join(f"{name} {version(name)}" for name in ("transformers", "torch")),
        "base": of_base(Path(base)),
        "device": network.device.type,
        "dtype": str(network.dtype).removeprefix("torch."),
        "quantization": None if method is None else str(getattr(method, "value", method)),
        "attention": config._attn_implementation,
        "max_model_len": getattr(config.get_text_config(), "max_position_embeddings", None),
        "batch_invariant": True,
    }


def of_vllm(
    get: Callable[[str], Any], flags: Sequence[str], base: Path, log: str, batch_invariant: bool
) -> dict[str, Any]:
    """Return the fingerprint of a vLLM server that we have started.

    `get` returns the JSON value at a path of the server (None: no answer). `flags` are the flags it was started with,
    and `log` is the text it has logged since.
    """
    found = _CONFIG_LINE.search(log)
    return unknown() | {
        "backend": "vllm",
        **(_types(found["config"]) if found else _types_of_flags(flags, base)),
        "version": _version(get) or (found and found["version"]),
        "base": of_base(base),
        "max_model_len": _served(get).get("max_model_len"),
        "batch_invariant": batch_invariant,
    }


def of_url(get: Callable[[str], Any], name: str) -> dict[str, Any]:
    """Return the fingerprint of an external server that serves its base model as `name`.

    Its types are known only if it is vLLM with VLLM_SERVER_DEV_MODE=1, which shows its config.
    """
    shown, served = get("/server_info"), _served(get, name)
    config = shown.get("vllm_config") if isinstance(shown, dict) else None
    root, owner = served.get("root"), served.get("owned_by")
    return unknown() | {
        "backend": owner if isinstance(owner, str) else None,
        **(_types(config) if isinstance(config, str) else {}),
        "version": _version(get),
        "base": root if isinstance(root, str) else None,
        "max_model_len": served.get("max_model_len"),
    }


def difference(before: Fingerprint, after: Fingerprint) -> tuple[str, str]:
    """Return the differing values of two fingerprints as two texts: ("dtype bfloat16", "dtype float16")."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    one, other = (", ".join(f"{key} {each.get(key)}" for key in keys) for each in (before, after))
    return one, other


def _types(config: str) -> dict[str, str | None]:
    """Return the types in the text of vLLM's config, which its log and /server_info contain."""
    # The text before "tokenizer=" has settings of a second model that drafts answers.
    text = config[max(0, config.find("tokenizer=")) :]
    found = {key: pattern.search(text) for key, pattern in _TYPES.items()}
    return {key: None if match is None or match[1] == "None" else match[1] for key, match in found.items()}


def _types_of_flags(flags: Sequence[str], base: Path) -> dict[str, str | None]:
    """Return the types that flags request, with `auto` resolved by the base's config.json if that is sufficient.

    It is not for float32 weights: the type that vLLM uses for them depends on the GPU.
    """
    split = [part for flag in flags for part in (flag.split("=", 1) if flag.startswith("--") else [flag])]
    given = {name.replace("_", "-"): value for name, value in itertools.pairwise(split) if name.startswith("-")}
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    text = {**config, **(config.get("text_config") or {})}
    dtype = given.get("--dtype", "auto")
    if dtype == "auto":
        stored = str(text.get("dtype") or text.get("torch_dtype") or "").removeprefix("torch.")
        dtype = stored if stored in ("bfloat16", "float16") else None
    names: dict[str | None, str] = {"half": "float16", "float": "float32"}
    quantization = given.get("--quantization", given.get("-q"))
    return {
        "dtype": names.get(dtype, dtype),
        "quantization": quantization or (text.get("quantization_config") or {}).get("quant_method"),
        "kv_cache_dtype": given.get("--kv-cache-dtype", "auto"),
    }


def _version(get: Callable[[str], Any]) -> str | None:
    shown = get("/version")
    version = shown.get("version") if isinstance(shown, dict) else None
    return version if isinstance(version, str) else None


def _served(get: Callable[[str], Any], name: str | None = None) -> dict[str, Any]:
    """Return the entry of the base model `name` (default: the first) in /v1/models; {} if it cannot be read."""
    shown = get("/v1/models")
    models = shown.get("data") if isinstance(shown, dict) else None
    for model in models if isinstance(models, list) else []:
        if isinstance(model, dict) and name in (None, model.get("id")):
            return model
    return {}
