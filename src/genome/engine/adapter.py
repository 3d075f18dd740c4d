"""LoRA adapters in PEFT's format, read and checked against the linear layers of a base model."""

import json
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from genome.engine.loading import TYPES
from genome.errors import GenomeError, one_line
from genome.files import read_object

PLAIN_LORA = {
    "peft_type": "LORA",
    "bias": "none",
    "use_dora": False,
    "use_rslora": False,
    "fan_in_fan_out": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": None,
}
"""The values that fields of adapter_config.json must have, if set, so that the model is W₀ + (alpha / rank) · B·A."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: (A [rank, in], B [out, rank]) in float32 by module name; `scale` is alpha / rank."""

    folder: Path
    scale: float
    factors: dict[str, tuple[torch.Tensor, torch.Tensor]]


def read_adapter(folder: Path | str, linear: Mapping[str, torch.Tensor]) -> Adapter:
    """Read a PEFT folder; GenomeError if it does not fit the `linear` layers of the base model, by name."""
    folder = Path(folder)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        _check_file(folder, name)
    config = read_object(folder / "adapter_config.json", "make the adapter again")
    for field, plain in PLAIN_LORA.items():
        if config.get(field, plain) not in (plain, None):
            raise GenomeError(
                f"{folder}/adapter_config.json: {field} is {_as_json(config[field])}, "
                f"expected {json.dumps(plain)}; only plain LoRA adapters are served"
            )
    for field in ("r", "lora_alpha"):
        value = config.get(field)
        if not (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 < value < 2**31
            and (field == "lora_alpha" or value == int(value))
        ):
            raise GenomeError(
                f"{folder}/adapter_config.json: {field} is {_as_json(value)}, expected a positive number; "
                "make the adapter again"
            )
    file, rank = folder / "adapter_model.safetensors", int(config["r"])
    try:
        tensors = safetensors.torch.load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise GenomeError(
            f"{file}: not a whole safetensors file ({one_line(error)}); make the adapter again"
        ) from error
    if not tensors:
        raise GenomeError(f"{file}: contains no tensors; make the adapter again")
    factors = {}
    for key in tensors:
        stem, letter = key.removesuffix(".weight")[:-1], key.removesuffix(".weight")[-1:]
        name = stem.removeprefix("base_model.model.").removesuffix(".lora_")
        module = _module(name, linear)
        if module is None:
            raise GenomeError(f"{file}: tensor {key} does not belong to a linear layer of the base model")
        partner = stem + {"A": "B.weight", "B": "A.weight"}.get(letter, "")
        if partner not in tensors:
            raise GenomeError(f"{file}: tensor {key} has no partner {partner}")
        if letter == "B":
            continue
        if not {tensors[key].dtype, tensors[partner].dtype}.issubset(TYPES):
            raise GenomeError(
                f"{file}: {name} has {tensors[key].dtype} and {tensors[partner].dtype}, "
                "expected float32, bfloat16 or float16"
            )
        A, B = tensors[key].float(), tensors[partner].float()
        outputs, inputs = linear[module].shape
        if A.shape != (rank, inputs) or B.shape != (outputs, rank):
            raise GenomeError(
                f"{file}: {name} has A {list(A.shape)} and B {list(B.shape)}, expected "
                f"[{rank}, {inputs}] and [{outputs}, {rank}] for rank {rank} on this base model"
            )
        if not (A.isfinite().all() and B.isfinite().all()):
            raise GenomeError(f"{file}: {name} contains NaN or infinity")
        if module in factors:
            raise GenomeError(f"{file}: {name} belongs to {module}, which has other tensors; make the adapter again")
        factors[module] = (A, B)
    return Adapter(folder, config["lora_alpha"] / rank, factors)


def _module(layer: str, modules: Collection[str]) -> str | None:
    """Return the module that a layer's name in the base's files stands for; None if none or several may be meant.

    Some names change on loading, such as `language_model.model.layers.0.mlp.up_proj`, which becomes
    `model.language_model.layers.0.mlp.up_proj`. What follows `layers.` stays; of several modules that share it (a text
    and a vision model), the one whose name before it has the most words in common is meant.
    """
    if layer in modules:
        return layer
    before, _, after = layer.rpartition("layers.")
    words = set(before.split("."))
    shared = {
        module: len(words & set(module.removesuffix(f"layers.{after}").split(".")))
        for module in modules
        if after and f".{module}".endswith(f".layers.{after}")
    }
    best = [module for module, number in shared.items() if number == max(shared.values())]
    return best[0] if len(best) == 1 else None


def _check_file(folder: Path, name: str) -> None:
    """Raise GenomeError if a file of an adapter is missing or is not a regular file."""
    try:
        regular = stat.S_ISREG((folder / name).stat().st_mode)
    except (OSError, ValueError) as error:  # ValueError: an invalid path, such as one with a NUL
        reason = getattr(error, "strerror", None) or one_line(error)
        raise GenomeError(f"{str(folder)[:1000]!r}: no {name} ({reason}); an adapter is a PEFT folder") from error
    if not regular:
        raise GenomeError(f"{folder}/{name}: not a regular file; an adapter is a PEFT folder")


def _as_json(value: Any) -> str:
    """Return a value of a JSON file for a message, in at most 80 characters."""
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
