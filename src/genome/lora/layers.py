"""The layers that adapters change, and groups of them: attention and MLP, early, middle and late."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from genome.experts.expert import PREFIX, Expert, Factors

THIRDS = ("early", "middle", "late")
LAYER = re.compile(r"\.(\d+)\.")
PARTS = {"attention": re.compile(r"attn|attention"), "mlp": re.compile(r"mlp|feed_forward|ffn")}


def union_of(experts: Iterable[Expert]) -> dict[str, tuple[int, int]]:
    """Return the layers that any of the experts changes, with their numbers of outputs and inputs.

    Layers are named as tensors are, and in the order of the first expert's file, then of the others'.
    """
    layers: dict[str, tuple[int, int]] = {}
    for expert in experts:
        for layer in layers_of(expert.tensors):
            if layer not in layers:
                a, b = (expert.tensors[name].shape for name in factor_names(layer))
                layers[layer] = b[0], a[1]
    return layers


def factor_names(layer: str) -> tuple[str, str]:
    """Return the names of the tensors A and B of a layer."""
    return f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"


def factors_of(tensors: Mapping[str, np.ndarray], layer: str) -> Factors:
    """Return B and A of a layer."""
    a, b = (tensors[name] for name in factor_names(layer))
    return b, a


def is_a(tensor: str) -> bool:
    """Return whether a tensor is a factor A, whose first axis is the rank."""
    return tensor.endswith(".lora_A.weight")


def shape_of(tensor: str, size: tuple[int, int], rank: int) -> tuple[int, int]:
    """Return the shape of a factor of `rank` in a layer of `size` (outputs, inputs)."""
    outputs, inputs = size
    return (rank, inputs) if is_a(tensor) else (outputs, rank)


def padded(factor: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """Return a factor with zeros up to `shape`, all zeros if there is none."""
    if factor is not None and factor.shape == shape:
        return factor
    whole = np.zeros(shape, np.float32)
    if factor is not None:
        rows, columns = factor.shape
        whole[:rows, :columns] = factor
    return whole


def target_modules(experts: Sequence[Expert]) -> tuple[str, ...]:
    """Return what an adapter_config.json names as the layers of a mixture of `experts`.

    This is the experts' own spelling if all have the same, otherwise the full names of all layers that they change.
    """
    layers = [layer.removeprefix(PREFIX) for layer in union_of(experts)]
    names = experts[0].target_modules
    same = all(expert.target_modules == names for expert in experts)
    return names if same and all(_is_named(layer, names) for layer in layers) else tuple(sorted(layers))


def _is_named(layer: str, names: Iterable[str]) -> bool:
    """Return whether PEFT finds a layer by one of the names: all of its name, or the end of it."""
    return any(layer == name or layer.endswith(f".{name}") for name in names)


def layers_of(tensors: Iterable[str]) -> list[str]:
    """Return the layers that an adapter changes, in the order of its file."""
    return list(dict.fromkeys(layer_of(name) for name in tensors))


def layer_of(tensor: str) -> str:
    """Return the layer that a factor belongs to."""
    return tensor.rpartition(".lora_")[0]


def parts_of(names: Sequence[str]) -> Mapping[str, list[str]]:
    """Return the parts that each layer belongs to: the attention or the MLP, and a third of the depth, where known."""
    numbers = {name: int(found[1]) for name in names if (found := LAYER.search(f"{name}."))}
    depth = max(numbers.values(), default=0) + 1
    result = {}
    for name in names:
        parts = [part for part, pattern in PARTS.items() if pattern.search(name)]
        third = [THIRDS[3 * numbers[name] // depth]] if name in numbers else []
        result[name] = [*parts, *third]
    return result


def layer_groups(tensors: Iterable[str]) -> dict[str, int]:
    """Return the number of each factor's group, from 0: the attention or the MLP of one third of the depth.

    There are six groups, or fewer if a model has fewer than three layers or if only one kind of layer is adapted. The
    order of the tensors does not matter.
    """
    tensors = list(tensors)
    parts = parts_of(layers_of(tensors))
    numbers = {group: number for number, group in enumerate(sorted({tuple(each) for each in parts.values()}))}
    return {name: numbers[tuple(parts[layer_of(name)])] for name in tensors}
