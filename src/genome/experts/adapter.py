"""What an adapter changes, by the names and shapes of its tensors and the base's headers.

Weights are read only of modules that are saved whole, to tell copies of the base's from changes.

The names of tensors are PEFT's: `base_model.model.MODULE.lora_A.weight` and, for modules saved whole,
`base_model.model.MODULE.weight`. The names of modules may differ from the base's (`genome.experts.base_layers`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.experts.adapter_config import EXACT, kind_of, rank_and_scale, read_config
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.base_layers import Base, Shape, named_in, part_of
from genome.experts.expert import PREFIX
from genome.experts.full import Stored, are_equal, open_model
from genome.experts.tensors import STORAGE, TensorInfo, open_tensors, read_header

FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(\.(?!weight$|bias$)[^.]+)?\.(?P<what>weight|bias)")
EMBEDDING = re.compile(r"(?P<module>.+)\.lora_embedding_(?P<side>[AB])(\.[^.]+)?")
MAGNITUDE = re.compile(r"(?P<module>.+)\.lora_magnitude_vector(\.[^.]+)*")
TOKENS = re.compile(r"(?P<module>.+)\.token_adapter\.trainable_tokens_delta(\.[^.]+)?")
WHOLE = re.compile(
    r"(?P<module>.+?)(\.modules_to_save(\.(?!weight$|bias$)[^.]+)?|\.base_layer|\.original_module)?\.(?P<what>weight|bias)"
)
UNUSED = re.compile(r".+\.(lora_velora_embed|lora_monteclora_sampler)(\..+)?")
"""Tensors that PEFT uses in training only."""

GROUPS = ("embeddings", "norms", "biases", "lm_head", "modules_to_save")
"""What `drop` may list, besides names of modules."""

SHOWN = 3
"""How many of several problems a message names."""


@dataclass(frozen=True)
class Pair:
    """The factors of one module: names of the tensors A and B, and the scaling of their product."""

    module: str
    a: str
    b: str
    scale: float = 1.0


@dataclass(frozen=True)
class Part:
    """A change that cannot be merged, because it does not change a linear layer's weight, or that is not wanted.

    `group` is one of GROUPS, or `layers` for a linear layer that `drop` names. `is_whole` says that the adapter has the
    module's own new weights instead of a change of them.
    """

    module: str
    group: str
    tensors: tuple[str, ...]
    pair: Pair | None = None
    is_whole: bool = False


@dataclass(frozen=True)
class Adapter:
    """An adapter by its config and the header of its weights.

    tensors: its file's, by name
    layers: the tensors of each linear layer that it changes, by the layer's name in the base; None for other kinds than
        LoRA, whose tensors PEFT reads
    parts: what cannot be merged
    dropped: of these, what `drop` names
    """

    folder: Path
    config: Mapping[str, Any]
    kind: str
    tensors: Mapping[str, TensorInfo]
    layers: Mapping[str, Pair | None]
    dropped: Sequence[Part]

    @property
    def is_exact(self) -> bool:
        """Whether its changes are products of the adapter's factors."""
        return self.kind in EXACT


def read_adapter(folder: Path, base: Base | None, drop: Sequence[str] = ()) -> Adapter:
    """Read the config and the header of an adapter in `folder`, and compare it with `base`, if that is known.

    Raises one GenomeError with all disagreements: modules that the base does not have, other shapes, ranks that are not
    those of the config, factors without a partner, and changes that cannot be merged unless `drop` names them.
    """
    config = read_config(folder / CONFIG)
    # Other kinds than LoRA may have tensors of whole numbers, such as positions.
    tensors, _ = read_header(folder / WEIGHTS, any_type=config["peft_type"] != "LORA")
    if not tensors:
        raise GenomeError(f"{folder / WEIGHTS}: contains no tensors; fetch or train the expert again")
    kind = kind_of(config, tensors)
    reading = _Reading(config, tensors, base)
    with_lora_names = config["peft_type"] == "LORA"
    (reading.read_lora if with_lora_names else reading.read_other)()
    dropped, kept = [], []
    for part in reading.parts:
        if base and part.is_whole and not part.pair and _is_copy(part, folder, base):
            continue
        (dropped if is_dropped(part, drop) else kept).append(part)
    for layer, pair in [*reading.layers.items()]:
        if named_in(layer, drop) or (pair and named_in(pair.module, drop)):
            dropped.append(Part(layer, "layers", (pair.a, pair.b) if pair else (), pair))
            del reading.layers[layer]
    problems = [*reading.problems, *unmergeable(kept)]
    if problems:
        raise GenomeError(f"{folder / WEIGHTS}: {summary(problems)}")
    if not reading.layers:
        raise GenomeError(f"{folder / WEIGHTS}: changes no linear layer, so there is nothing to merge")
    return Adapter(folder, config, kind, tensors, reading.layers, dropped)


def has_whole_modules(tensors: Iterable[str]) -> bool:
    """Return whether some of a LoRA adapter's tensors are modules saved whole, which may be copies of the base's."""
    return any(not any(kind.fullmatch(each) for kind in (FACTOR, EMBEDDING, MAGNITUDE, UNUSED)) for each in tensors)


def tensor_in_base(base: Base, part: Part, what: str) -> str | None:
    """Return the base's name of the tensor `what` (weight, bias) of a module saved whole; None if it has none.

    An output layer that the base does not store is its embedding.
    """
    known = base.find_tensor(f"{part.module}.{what}")
    if known is None and part.group == "lm_head":
        return next((name for name in base.tensors if part_of(name.rpartition(".")[0]) == "embeddings"), None)
    return known


def _is_copy(part: Part, folder: Path, base: Base) -> bool:
    """Return whether a module saved whole has the base's own weights: PEFT can save embeddings and biases untrained.

    They are compared in place, and reading ends at the first difference. Without the base's weights no part is a copy.
    """
    if base.folder is None or any(TOKENS.fullmatch(tensor) for tensor in part.tensors):
        return False
    ours, theirs = open_tensors(folder / WEIGHTS, any_type=True), open_model(base.folder, any_type=True)
    for tensor in part.tensors:
        known = tensor_in_base(base, part, tensor.rpartition(".")[2])
        if known not in theirs or {ours.tensors[tensor].dtype, theirs[known].info.dtype} - set(STORAGE):
            return False
        if not are_equal(Stored(ours, tensor), theirs[known]):
            return False
    return True


def is_dropped(part: Part, drop: Sequence[str]) -> bool:
    """Return whether `drop` names a part: its group, its module, or `modules_to_save` for a module saved whole."""
    whole = part.is_whole and part.group != "biases" and "modules_to_save" in drop
    return part.group in drop or whole or named_in(part.module, drop)


def unmergeable(parts: Sequence[Part]) -> list[str]:
    """Return one line for all parts that cannot be merged, an empty list if there are none."""
    if not parts:
        return []
    groups: dict[str, list[str]] = {}
    for part in parts:
        modules = groups.setdefault(part.group, [])
        if part.module not in modules:
            modules.append(part.module)
    found = ", ".join(f"{group} ({_first(modules)})" for group, modules in groups.items())
    names = ", ".join(groups)
    return [f"it also changes {found}, which cannot be merged: leave them out with `drop: [{names}]`, or train without"]


def summary(problems: Sequence[str]) -> str:
    """Return several problems as one line: the first ones, and how many more there are."""
    more = len(problems) - SHOWN
    return "; ".join(problems[:SHOWN]) + (f"; and {more} more of this kind" if more > 0 else "")


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)}, first {names[0]}"


class _Reading:
    """The layers, the other parts and the problems of an adapter, collected tensor by tensor."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo], base: Base | None):
        self.config, self.tensors, self.base = config, tensors, base
        self.layers: dict[str, Pair | None] = {}
        self.parts: list[Part] = []
        self.problems: list[str] = []

    def read_lora(self) -> None:
        factors: dict[tuple[str, bool], dict[str, list[str]]] = {}
        for tensor in self.tensors:
            if found := FACTOR.fullmatch(tensor):
                if found["what"] == "bias":
                    self._part(tensor, found["module"], "biases")
                else:
                    factors.setdefault((found["module"], False), {}).setdefault(found["side"], []).append(tensor)
            elif found := EMBEDDING.fullmatch(tensor):
                factors.setdefault((found["module"], True), {}).setdefault(found["side"], []).append(tensor)
            elif not MAGNITUDE.fullmatch(tensor) and not UNUSED.fullmatch(tensor):
                self._whole(tensor)
        for (module, is_embedding), sides in factors.items():
            self._pair(module.removeprefix(PREFIX), sides, is_embedding)
        self._check_magnitudes({module for module, _ in factors})

    def _check_magnitudes(self, modules: Set[str]) -> None:
        """Collect the modules of a DoRA adapter without a magnitude: PEFT would make one up."""
        found = {match["module"] for tensor in self.tensors if (match := MAGNITUDE.fullmatch(tensor))}
        for module in sorted(modules - found) if found or self.config.get("use_dora") else ():
            self.problems.append(f"{module.removeprefix(PREFIX)} has no lora_magnitude_vector, but the adapter is DoRA")

    def read_other(self) -> None:
        for tensor in self.tensors:
            modules = [*_containing(tensor)]
            layer = next((layer for module in modules if (layer := self._find(module))), None)
            group = next((group for module in modules if (group := part_of(module))), None)
            if self._is_saved_whole(tensor):
                self._whole(tensor)
            elif group:
                self._part(tensor, modules[0], group)
            elif layer:
                self.layers[layer] = None
            elif any(part.isdigit() for part in tensor.split(".")):
                self._unknown(modules[0])

    def _pair(self, module: str, sides: Mapping[str, list[str]], is_embedding: bool) -> None:
        for side, other in ("AB", "BA"):
            if side not in sides:
                self.problems.append(f"tensor {sides[other][0]} has no partner lora_{side}")
                return
            if len(sides[side]) > 1:
                self.problems.append(f"{module} has {len(sides[side])} tensors lora_{side}; save one adapter alone")
                return
        a, b = sides["A"][0], sides["B"][0]
        (ranks, inputs), (outputs, ranks_b) = ((*self.tensors[name].shape, 0, 0)[:2] for name in (a, b))
        for name in (a, b):
            if len(self.tensors[name].shape) != 2 or 0 in self.tensors[name].shape:
                shape = list(self.tensors[name].shape)
                self.problems.append(f"tensor {name} of shape {shape} is not a LoRA matrix of a linear layer")
                return
        rank, scale = rank_and_scale(self.config, module)
        if (ranks, ranks_b) != (rank, rank):
            name, found = (a, ranks) if ranks != rank else (b, ranks_b)
            self.problems.append(f"tensor {name} has rank {found}, but by {CONFIG} it is {rank}")
            return
        pair = Pair(module, a, b, scale)
        layer = None if is_embedding else self._find(module)
        if layer is not None:
            if layer in self.layers:
                self.problems.append(f"{module} is {layer} in the base, as is another of its modules")
            self._compare(module, layer, (outputs, inputs))
            self.layers[layer] = pair
        elif group := "embeddings" if is_embedding else part_of(module):
            self.parts.append(Part(module, group, (a, b), pair))
        else:
            self._unknown(module)

    def _find(self, module: str) -> str | None:
        if self.base:
            return self.base.find(module)
        return None if part_of(module) else module.removeprefix(PREFIX)

    def _compare(self, module: str, layer: str, shape: Shape) -> None:
        expected = self.base.layers[layer] if self.base else None
        if expected is not None and shape != expected:
            self.problems.append(f"{module} is {list(shape)} here (outputs, inputs), {list(expected)} in the base")

    def _whole(self, tensor: str) -> None:
        tokens, whole = TOKENS.fullmatch(tensor), WHOLE.fullmatch(tensor)
        if tokens:
            self._part(tensor, tokens["module"], part_of(tokens["module"]) or "embeddings", is_whole=True)
        elif whole and self._is_saved_whole(tensor):
            is_bias = whole["what"] == "bias" and not self._is_listed(whole["module"])
            group = "biases" if is_bias else part_of(whole["module"]) or "modules_to_save"
            self._part(tensor, whole["module"], group, is_whole=True)
        else:
            shape = list(self.tensors[tensor].shape)
            self.problems.append(f"tensor {tensor} of shape {shape} belongs to no known kind of adapter")

    def _is_saved_whole(self, tensor: str) -> bool:
        """Return whether a tensor is a module's own weight or bias, trained and saved with the adapter."""
        found = WHOLE.fullmatch(tensor)
        if not found:
            return TOKENS.fullmatch(tensor) is not None
        module, what = found["module"].removeprefix(PREFIX), found["what"]
        known = self.base is not None and self.base.find_tensor(f"{module}.{what}") is not None
        return known or what == "bias" or part_of(module) is not None or self._is_listed(module)

    def _is_listed(self, module: str) -> bool:
        return named_in(module.removeprefix(PREFIX), self.config.get("modules_to_save") or ())

    def _part(self, tensor: str, module: str, group: str, *, is_whole: bool = False) -> None:
        self.parts.append(Part(module.removeprefix(PREFIX), group, (tensor,), is_whole=is_whole))

    def _unknown(self, module: str) -> None:
        if not self.base:
            return
        name = module.removeprefix(PREFIX)
        near = self.base.nearest(name)
        similar = f" (similar: {', '.join(near)})" if near else ""
        problem = f"it changes {name}, which base {self.base.where} does not have{similar}"
        if problem not in self.problems:
            self.problems.append(problem)


def _containing(tensor: str) -> Iterator[str]:
    """Yield the names of the modules that a tensor may belong to, the longest first."""
    parts = tensor.removeprefix(PREFIX).split(".")
    for end in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:end])
