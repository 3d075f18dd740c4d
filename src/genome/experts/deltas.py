"""Adapters that are not plain LoRA as changes of weights, computed by PEFT.

PEFT merges an adapter into the weight W of a layer; the change is `merge(W) - W` in float32. The whole model is never
built. PEFT's modules are put around a skeleton of the adapted layers, whose weights are zeros that take no memory; then
one layer after another gets its weight from the base, is merged and gives it back. The skeleton has all layers at once
because some kinds share parameters between layers, or size them by the largest one (VeRA, RandLoRA, VB-LoRA).

Kinds that decompose the base's weights when they are made, and do not store the result, would come out differently
here; they are refused, as are those that do not change weights.

torch and peft are imported here, so only the job that imports an expert imports this module.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
from peft.utils import PeftType
from safetensors.torch import load_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from genome.errors import GenomeError, one_line
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.base_layers import Base, part_of, read_base
from genome.experts.expert import PREFIX
from genome.experts.full import Stored, open_model

SUPPORTED = {"ADALORA", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "GLORA", "GRALORA"}
SUPPORTED |= {"HIRA", "HRA", "IA3", "LOHA", "LOKR", "LORA", "MISS", "OFT"}
SUPPORTED |= {"PEANUT", "PVERA", "RANDLORA", "ROAD", "SHIRA", "SUPERTUNING", "VBLORA", "VERA"}
SUPPORTED |= {"WAVEFT"}
"""PEFT's types of adapters that are changes of weights, whatever the weights were when the adapter was made."""

WHOLE_MODEL = {
    "exclude_modules": None,
    "layers_to_transform": None,
    "layers_pattern": None,
    "modules_to_save": None,
    "trainable_token_indices": None,
    "bias": "none",
    "lora_bias": False,
    "task_type": None,
    "base_model_name_or_path": None,
    "auto_mapping": None,
    "init_lora_weights": True,
}
"""Fields of a config that select modules of a whole model, or the start of training, and their neutral values."""


def peft_changes(
    folder: Path | str, config: Mapping[str, Any], base: Path | str, biases: dict[str, float | None] | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name in the base and the change [out, in], float32, of each linear layer that an adapter changes.

    `folder` has the adapter's tensors, `config` is its adapter_config.json, `base` the folder of the base model. The
    adapted layers are those of its tensors; tensors of other modules are passed over. Some kinds change biases too:
    that is refused, unless `biases` is given, which then gets the norm of each bias's change by its name in the base.
    Raises GenomeError for a type of adapter that does not change weights, and for tensors that do not fit the config or
    the base.
    """
    where, peft_type = Path(folder) / WEIGHTS, config["peft_type"]
    if peft_type not in SUPPORTED:
        raise GenomeError(
            f"{Path(folder) / CONFIG}: adapters of type {peft_type} cannot be imported; if PEFT can merge it, call "
            "`PeftModel.from_pretrained(BASE, FOLDER).merge_and_unload().save_pretrained(NEW)` and give NEW as `path`"
        )
    known, weights = read_base(base), open_model(base)
    tensors, modules = _adapter_tensors(where, known)
    for name, layer in modules.items():
        if known.layers[layer] is None:
            raise GenomeError(f"{where}: {name} needs the base's weights, which {base} stores quantised")
    with _quiet(where):
        model = _skeleton(config, tensors, modules, known, weights)
    _load(model, tensors, peft_type, where)
    for name, layer in modules.items():
        with _quiet(where):
            change, bias = _merged(model, name, layer, known.conv1d, weights)
        if not np.isfinite(change).all():
            raise GenomeError(f"{where}: merging gives NaN or infinite weights in {name}; fetch an intact copy")
        if bias and biases is None:
            raise GenomeError(
                f"{where}: it also changes the bias of {name}, which cannot be merged: leave biases out with "
                "`drop: [biases]`, or train without"
            )
        if bias and biases is not None:
            biases[f"{layer}.bias"] = bias
        yield layer, change


def _adapter_tensors(where: Path, base: Base) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors of linear layers, or shared by them, and the layers: names in the adapter and in the base."""
    tensors, modules = {}, {}
    for name, values in load_file(where).items():
        parts = name.removeprefix(PREFIX).split(".")
        containing = [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
        found = next((module for module in containing if base.find(module)), None)
        if any(map(part_of, containing)) or parts[-1] == "bias":
            continue
        if found:
            modules[found] = base.find(found)
        if found or not any(part.isdigit() for part in parts):
            tensors[name] = values
    if not modules:
        raise GenomeError(f"{where}: no tensor belongs to a linear layer of the base {base.where}")
    return tensors, {name: modules[name] for name in sorted(modules, key=_natural)}


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbered modules as a model has them: layer 2 before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"\.", name)]


def _skeleton(
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    modules: Mapping[str, str],
    base: Base,
    weights: Mapping[str, Stored],
) -> PeftModel:
    """Return PEFT's modules for the adapted layers, without the weights of the adapter and of the base."""
    root = nn.Module()
    for name, layer in modules.items():
        parent = root
        *path, last = name.split(".")
        for part in path:
            if part not in dict(parent.named_children()):
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        parent.add_module(last, _empty_layer(layer, base, weights))
    neutral = {field: value for field, value in WHOLE_MODEL.items() if field in config}
    targets: dict[str, Any] = {"target_modules": list(modules)}
    if config["peft_type"] == PeftType.IA3:
        # IA3 scales the inputs of these layers, so its vector is a row, and the outputs of the others.
        rows = {name for name, values in tensors.items() if values.ndim == 2 and len(values) == 1}
        targets["feedforward_modules"] = [name for name in modules if f"{PREFIX}{name}.ia3_l" in rows]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return get_peft_model(root, PeftConfig.from_peft_type(**{**config, **neutral, **targets}))


def _empty_layer(layer: str, base: Base, weights: Mapping[str, Stored]) -> nn.Module:
    """Return a linear layer of zeros that share one number."""
    outputs, inputs = base.layers[layer] or (0, 0)
    with torch.device("meta"):
        empty = Conv1D(outputs, inputs) if base.conv1d else nn.Linear(inputs, outputs, bias=f"{layer}.bias" in weights)
    for name, parameter in list(empty.named_parameters()):
        zeros = torch.zeros((1,) * parameter.ndim).expand(parameter.shape)
        setattr(empty, name, nn.Parameter(zeros, requires_grad=False))
    return empty


def _load(model: PeftModel, tensors: dict[str, torch.Tensor], peft_type: str, where: Path) -> None:
    """Load the adapter's tensors; GenomeError unless they are those that PEFT saves for such an adapter."""
    with _quiet(where):
        result = set_peft_model_state_dict(model, tensors)
        expected = get_peft_model_state_dict(model)
    prefix = PEFT_TYPE_TO_PREFIX_MAPPING[PeftType(peft_type)]
    # Other tensors are those of modules saved whole, which are not this module's matter.
    extra = [name for name in result.unexpected_keys if prefix in name]
    missing = [name for name in expected if name not in tensors]
    for names, what in ((missing, "lacks"), (extra, "has, and PEFT does not know,")):
        if names:
            raise GenomeError(
                f"{where}: it {what} {len(names)} tensor(s) of the adapter that {CONFIG} describes, first {names[0]}; "
                "fetch it again with both files of the same version"
            )


def _merged(
    model: PeftModel, name: str, layer: str, conv1d: bool, weights: Mapping[str, Stored]
) -> tuple[np.ndarray, float]:
    """Return the change [out, in] of a layer's weight, and the norm of its bias's change."""
    module: Any = model.get_submodule(f"{PREFIX}{name}")
    linear = module.get_base_layer()
    empty = dict(linear.named_parameters())
    before = {part: torch.from_numpy(weights[f"{layer}.{part}"].values()) for part in empty}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in another order for each number of threads
    try:
        for part, values in before.items():
            setattr(linear, part, nn.Parameter(values.clone(), requires_grad=False))
        with torch.no_grad():
            module.merge()
            after = {part: values.detach() for part, values in module.get_base_layer().named_parameters()}
            change = (after["weight"] - before["weight"]).numpy()
    finally:
        torch.set_num_threads(threads)
        for part, values in empty.items():
            setattr(linear, part, values)
    bias = float(torch.linalg.vector_norm(after["bias"] - before["bias"])) if "bias" in before else 0.0
    return (np.ascontiguousarray(change.T) if conv1d else change), bias


@contextmanager
def _quiet(where: Path) -> Iterator[None]:
    """Turn PEFT's errors in the block into one line about the adapter, and hide its advice on training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except GenomeError:
            raise
        except Exception as error:
            raise GenomeError(f"{where}: PEFT cannot merge it into the base: {one_line(error)}") from error
