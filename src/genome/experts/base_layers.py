"""The linear layers of a base model: names and shapes from the headers of its safetensors files, without its weights.

An adapter names the modules that it changes as they were called when it was saved: behind `base_model.model.`, with or
without the `model.` or `language_model.` of a class around the model. A layer is the same if the name behind these
prefixes is the same (`Base.find`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.experts.expert import PREFIX
from genome.experts.hub import download, hub_errors
from genome.experts.tensors import read_header
from genome.files import is_file, read_object

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

Shape = tuple[int, int]
"""Outputs and inputs of a linear layer."""

Key = tuple[frozenset[str], str]
"""What identifies a module or a tensor, whatever classes are around the model."""

WRAPPERS = {"base_model", "model", "module", "_orig_mod", "_fsdp_wrapped_module", "transformer", "backbone"}
WRAPPERS |= {"language_model", "text_model", "llm", "decoder", "gpt_neox"}
"""Parts of a module's name that depend on the classes around the language model; other parts tell models apart."""

HEADS = {"lm_head", "embed_out", "output_layer"}
EMBEDDINGS = {"wte", "wpe", "shared", "relative_attention_bias"}
NORMS = {"ln", "ln_f", "ln_1", "ln_2"}

CONV1D = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer"}
"""Model types whose linear layers are transformers' Conv1D, stored as (inputs, outputs)."""

WHOLE = {"F64", "F32", "F16", "BF16", "I8", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}
"""Types that store one value per weight, so that the stored shape is the layer's; others pack several."""

PACKED = (".qweight", ".weight_packed")
"""Ends of the names of packed weights (GPTQ, AWQ, compressed-tensors)."""


@dataclass(frozen=True)
class Base:
    """The tensors of a base model: names, types and stored shapes.

    where: its folder or hub id, for messages
    folder: where its files are, None if only headers are known
    tensors: type and stored shape of each tensor, by name
    conv1d: whether linear layers are stored transposed
    """

    where: str
    folder: Path | None
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    conv1d: bool = False

    @cached_property
    def layers(self) -> dict[str, Shape | None]:
        """Outputs and inputs of each linear layer, by name; None if packed weights hide them."""
        found: dict[str, Shape | None] = {}
        for tensor, (dtype, shape) in self.tensors.items():
            packed = next((tensor.removesuffix(end) for end in PACKED if tensor.endswith(end)), None)
            if packed is not None:
                found[packed] = None
            elif tensor.endswith(".weight") and len(shape) == 2:
                layer = tensor.removesuffix(".weight")
                if part_of(layer) is None:
                    known = (shape[1], shape[0]) if self.conv1d else (shape[0], shape[1])
                    found[layer] = known if dtype in WHOLE else None
        return found

    @cached_property
    def _layers_by_key(self) -> dict[Key, list[str]]:
        return _by_key(self.layers)

    @cached_property
    def _tensors_by_key(self) -> dict[Key, list[str]]:
        return _by_key(self.tensors)

    def find(self, module: str) -> str | None:
        """Return the name of the linear layer that a fine-tune calls `module`; None if no layer, or several, fit."""
        name = module.removeprefix(PREFIX)
        if name in self.layers:
            return name
        same = self._layers_by_key.get(_key(name), [])
        return same[0] if len(same) == 1 else None

    def find_tensor(self, tensor: str) -> str | None:
        """Return the name of the base's tensor that a fine-tune calls `tensor`, of whatever kind; None if none fits."""
        name = tensor.removeprefix(PREFIX)
        if name in self.tensors:
            return name
        same = self._tensors_by_key.get(_key(name), [])
        return same[0] if len(same) == 1 else None

    def nearest(self, module: str) -> list[str]:
        """Return up to three names of layers similar to `module`."""
        return get_close_matches(module.removeprefix(PREFIX), list(self.layers), n=3, cutoff=0.5)


def read_base(folder: Path | str) -> Base:
    """Read the headers of a base model's safetensors files, of any types.

    Raises GenomeError if the folder has neither model.safetensors nor its index, or for an invalid header.
    """
    folder = Path(folder)
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for file in weight_files(folder):
        header, _ = read_header(file, any_type=True)
        tensors |= {name: (info.dtype, info.shape) for name, info in header.items()}
    return Base(str(folder), folder, tensors, is_conv1d(folder))


def read_hub_base(repo: str, revision: str | None = None) -> Base:
    """Read the headers of a base model on the hub, without its weights. Without a network, the hub's cache is used.

    Raises GenomeError if the repository cannot be read or has no safetensors.
    """
    from huggingface_hub import HfApi, errors  # slow to import

    with hub_errors(f"base model {repo}", repo, revision):
        snapshot = download(repo, revision, [CONFIG, INDEX])
        try:
            known = HfApi().get_safetensors_metadata(repo, revision=revision)
        except errors.NotASafetensorsRepoError as error:
            raise GenomeError(f"base model {repo} has no weights in safetensors; give another base") from error
        except (errors.HTTPError, OSError):  # pyright: ignore[reportPrivateImportUsage]
            return replace(read_base(snapshot), where=repo)
    headers = (file.tensors for file in known.files_metadata.values())
    tensors = {name: (info.dtype, tuple(info.shape)) for header in headers for name, info in header.items()}
    return Base(repo, None, tensors, is_conv1d(snapshot))


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model's folder: those of its index, or the single one; GenomeError if none."""
    if is_file(folder / WEIGHTS):
        return [folder / WEIGHTS]
    if not is_file(folder / INDEX):
        raise GenomeError(f"{folder}: lacks {WEIGHTS} or {INDEX}; give the folder of a model in safetensors")
    names = shards(folder / INDEX)
    missing = [name for name in names if not is_file(folder / name)]
    if missing:
        raise GenomeError(
            f"{folder} lacks {len(missing)} of the {len(names)} files of its weights, first {missing[0]}; "
            "fetch the model again"
        )
    return [folder / name for name in names]


def shards(index: Path) -> list[str]:
    """Return the names of the files in an index of weights; GenomeError if it names none, or a file elsewhere."""
    places = read_object(index).get("weight_map")
    names = sorted(set(places.values())) if isinstance(places, dict) and _all_text(places.values()) else []
    if not names or any(Path(name).name != name for name in names):
        raise GenomeError(f"{index}: has no weight_map of tensors to files next to it; fetch the model again")
    return names


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def is_conv1d(folder: Path) -> bool:
    """Return whether the linear layers of the model in `folder` are stored transposed, by the type in config.json."""
    return is_file(folder / CONFIG) and read_object(folder / CONFIG).get("model_type") in CONV1D


def part_of(module: str) -> str | None:
    """Return the part of a model that a module is: `embeddings`, `lm_head` or `norms`; None for others, such as layers.

    Modules are told apart by their names, as architectures call them.
    """
    parts = module.split(".")
    last = parts[-1].lower()
    if last in HEADS or (last == "output" and not any(map(str.isdigit, parts))):
        return "lm_head"
    if last in EMBEDDINGS or ("embed" in last and "proj" not in last):
        return "embeddings"
    if last in NORMS or "norm" in last or last.endswith("_ln"):
        return "norms"
    return None


def named_in(module: str, entries: Iterable[str]) -> bool:
    """Return whether `module`, or a module that contains it, is among the names in `entries`.

    A name is one or more parts of the path: `lm_head`, `vision_tower`, `layers.3.mlp`.
    """
    return any(re.search(rf"(^|\.){re.escape(entry)}(\.|$)", module) for entry in entries)


def _by_key(names: Iterable[str]) -> dict[Key, list[str]]:
    keys: dict[Key, list[str]] = {}
    for name in names:
        keys.setdefault(_key(name), []).append(name)
    return keys


def _key(name: str) -> Key:
    """Return what identifies a module: the parts before its numbered block, without WRAPPERS, and the rest.

    A name without a number has no such parts, and its rest starts with its first part that is not in WRAPPERS.
    """
    parts = name.split(".")
    number = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    start = next((place for place, part in enumerate(parts[:-1]) if part not in WRAPPERS), len(parts) - 1)
    if number is not None:
        start = max(0, number - 1)
    return frozenset(parts[:start]) - WRAPPERS, ".".join(parts[start:])
