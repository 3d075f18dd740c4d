"""Experts in canonical form: one file each, whatever the fine-tune was (`genome.experts.importing` makes them).

For each linear layer that an expert changes, the file has factors A [rank, in] and B [out, rank] whose product BA is
the change of the layer's weight: scalings are folded into B. Ranks may differ between layers. Layers without a change
are absent. A tensor is named as PEFT names it, by the layer's name in the base model. What is known of the expert
besides its factors is JSON in the file's metadata, so the file can be moved and read alone.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genome import fields
from genome.errors import GenomeError
from genome.experts.tensors import STORAGE, TensorInfo, from_float32, header_bytes, read_header, to_float32, widest
from genome.files import is_taken, parse_json, replacing, sha256

ENDING = ".safetensors"
METADATA = "genome"
"""The entry of the file's metadata that describes the expert."""

PREFIX = "base_model.model."
"""The start of PEFT's names of tensors, before the name of the layer."""

FACTOR = re.compile(rf"({re.escape(PREFIX)}.+\.lora_)([AB])\.weight")
AGAIN = "import the expert again"

Factors = tuple[np.ndarray, np.ndarray]
"""B (outputs, rank) and A (rank, inputs) of one layer."""


@dataclass(frozen=True)
class Expert:
    """One expert: `path` is its file, `sha256` the hash of the file; `tensors` are in file order.

    name: of the expert in the config
    base_model: the name of the base that the fine-tune states, None if it states none
    rank: the highest rank of a layer
    alpha: `alpha / rank` is the scaling of the adapter it came from, in which its mixtures are written if all experts
        of a set have the same; the factors in the file include it. Equal to `rank` if there was no single scaling.
    target_modules: names of the changed layers, as in an adapter_config.json
    dtype: the type of the fine-tune's own weights, in which its mixtures are stored
    provenance: source, kind and licence; the share of each layer's change that was kept; what was dropped
    """

    name: str
    path: Path
    base_model: str | None
    rank: int
    alpha: float
    target_modules: tuple[str, ...]
    sha256: str
    tensors: Mapping[str, TensorInfo]
    dtype: str = "F32"
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def scale(self) -> float:
        """The scaling of its adapters; its factors B are divided by it when they are written."""
        return self.alpha / self.rank


def write_expert(
    path: Path | str,
    name: str,
    factors: Mapping[str, Factors],
    *,
    alpha: float,
    dtype: str,
    target_modules: Sequence[str],
    base_model: str | None = None,
    provenance: Mapping[str, Any],
) -> Expert:
    """Write an expert's file and return the expert.

    `factors` are float32, by the name of the layer in the base model, with all scalings folded into B. Each tensor is
    stored in `dtype` if that represents all of its values, otherwise in float32. `provenance` is JSON.
    """
    tensors = {
        f"{PREFIX}{layer}.lora_{side}.weight": matrix
        for layer, (b, a) in factors.items()
        for side, matrix in (("A", a), ("B", b))
    }
    dtypes, stored = {}, {}
    for tensor, values in tensors.items():
        with np.errstate(over="ignore"):  # beyond the range of half precision
            narrow = from_float32(values, dtype)
        exact = np.array_equal(to_float32(narrow, dtype), values)
        dtypes[tensor] = dtype if exact else "F32"
        stored[tensor] = narrow if exact else from_float32(values, "F32")
    known = {
        "name": name,
        "base_model": base_model,
        "rank": max(len(a) for _, a in factors.values()),
        "alpha": alpha,
        "target_modules": list(target_modules),
        "dtype": dtype,
        **provenance,
    }
    header = header_bytes(
        dtypes,
        {tensor: values.shape for tensor, values in tensors.items()},
        {METADATA: json.dumps(known, ensure_ascii=False, allow_nan=False)},
    )
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header)
        for values in stored.values():
            file.write(values.tobytes())
    return read_expert(path)


def read_expert(path: Path | str, digest: str | None = None) -> Expert:
    """Read an expert's description and the header of its file, but not its weights.

    `digest` is the SHA-256 of the file where it is known; otherwise the file is hashed. Raises GenomeError for a
    missing, truncated or foreign file, and for tensors that are not pairs of factors.
    """
    path = Path(path)
    if not is_taken(path):
        raise GenomeError(f"{path}: missing; {AGAIN}")
    tensors, metadata = read_header(path)
    if METADATA not in metadata or not tensors:
        raise GenomeError(f"{path}: not the file of an imported expert; {AGAIN}")
    known = parse_json(metadata[METADATA], f"{path}: metadata", AGAIN)
    _check_pairs(path, tensors)
    with fields.reading(path, AGAIN):
        fields.mapping(known, "metadata")
        base_model, alpha, dtype = known["base_model"], fields.number(known["alpha"], "alpha"), known["dtype"]
        if alpha <= 0 or dtype not in STORAGE:
            raise GenomeError(f"{path}: alpha {alpha} or type {dtype} is not one of an expert; {AGAIN}")
        return Expert(
            name=fields.text(known["name"], "name"),
            path=path,
            base_model=None if base_model is None else fields.text(base_model, "base_model"),
            rank=fields.whole(known["rank"], "rank", 1),
            alpha=float(alpha),
            target_modules=tuple(fields.sequence(known["target_modules"], "target_modules", 1)),
            sha256=digest or sha256(path),
            tensors=tensors,
            dtype=dtype,
            provenance=known,
        )


def _check_pairs(path: Path, tensors: Mapping[str, TensorInfo]) -> None:
    """Raise GenomeError unless the tensors of a file are factors A and B of layers, of one rank in each layer."""
    for name, info in tensors.items():
        found = FACTOR.fullmatch(name)
        other = tensors.get(f"{found[1]}{'B' if found[2] == 'A' else 'A'}.weight") if found else None
        if found is None or other is None or len(info.shape) != 2 or len(other.shape) != 2:
            raise GenomeError(f"{path}: tensor {name} is not one of the two factors of a layer; {AGAIN}")
        a, b = (info, other) if found[2] == "A" else (other, info)
        if a.shape[0] != b.shape[1]:
            raise GenomeError(f"{path}: tensor {name} has another rank than its partner; {AGAIN}")


def is_mixed(experts: Iterable[Expert]) -> bool:
    """Return whether experts have different ranks in a layer, so that merging by factors has to pad them with zeros."""
    ranks: dict[str, set[tuple[int, ...]]] = {}
    for each in experts:
        for tensor, info in each.tensors.items():
            ranks.setdefault(tensor, set()).add(info.shape)
    return any(len(shapes) > 1 for shapes in ranks.values())


def common_scale(experts: Sequence[Expert]) -> float:
    """Return the scaling in which mixtures of `experts` are written: theirs if they have the same one, otherwise 1."""
    scales = {each.scale for each in experts}
    return scales.pop() if len(scales) == 1 else 1.0


def stored_type(experts: Iterable[Expert]) -> str:
    """Return the type in which mixtures of `experts` are stored: the widest of theirs."""
    return widest(each.dtype for each in experts)
