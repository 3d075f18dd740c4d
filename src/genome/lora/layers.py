"""The layers that an adapter changes, and groups of them: attention and MLP, early, middle and late."""

import re
from collections.abc import Iterable, Mapping, Sequence

THIRDS = ("early", "middle", "late")
LAYER = re.compile(r"\.(\d+)\.")
PARTS = {"attention": re.compile(r"attn|attention"), "mlp": re.compile(r"mlp|feed_forward|ffn")}


def modules(tensors: Iterable[str]) -> list[str]:
    """Return the layers that an adapter changes, in the order of its file."""
    return list(dict.fromkeys(module_of(name) for name in tensors))


def module_of(tensor: str) -> str:
    """Return the layer that a factor belongs to."""
    return tensor.rpartition(".lora_")[0]


def parts_of(names: Sequence[str]) -> Mapping[str, list[str]]:
    """Return what each layer is part of: the attention or the MLP, and a third of the depth; or of neither."""
    numbers = {name: int(found[1]) for name in names if (found := LAYER.search(f"{name}."))}
    depth = max(numbers.values(), default=0) + 1
    result = {}
    for name in names:
        parts = [part for part, pattern in PARTS.items() if pattern.search(name)]
        third = [THIRDS[3 * numbers[name] // depth]] if name in numbers else []
        result[name] = [*parts, *third]
    return result


def layer_groups(tensors: Iterable[str]) -> dict[str, int]:
    """Return the number of the group that each factor is in: attention or MLP of one third of the depth, from 0.

    Six groups in all, fewer where a model has fewer than three layers or only one kind of them is adapted. The order of
    the tensors makes no difference.
    """
    tensors = list(tensors)
    parts = parts_of(modules(tensors))
    numbers = {group: number for number, group in enumerate(sorted({tuple(each) for each in parts.values()}))}
    return {name: numbers[tuple(parts[module_of(name)])] for name in tensors}
