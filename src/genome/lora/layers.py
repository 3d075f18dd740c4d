"""The layers that an adapter changes, and groups of them: attention and MLP, early, middle and late."""

import re
from collections.abc import Iterable, Mapping, Sequence

THIRDS = ("early", "middle", "late")
LAYER = re.compile(r"\.(\d+)\.")
PARTS = {"attention": re.compile(r"attn|attention"), "mlp": re.compile(r"mlp|feed_forward|ffn")}


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
