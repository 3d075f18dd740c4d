"""Full fine-tunes as changes of weights: W - W0, one tensor after another, from the files of both models.

Files are memory mapped, so no more than a few tensors are in memory at once, whatever the size of the models. Tensors
are paired by name; the two models may have different types, shards, and prefixes of names. A tied output layer is the
embedding, whether it is stored or not.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome.errors import GenomeError
from genome.experts.base_layers import Base, part_of, read_base, weight_files
from genome.experts.tensors import TensorFile, TensorInfo, from_float32, open_tensors, to_float32

VALUES = 1 << 22
"""Values of a tensor that are compared at a time; an embedding may have a billion."""

COMPUTED = ("rotary_emb.inv_freq", "attn.masked_bias", "attn.attention.masked_bias")
"""Ends of the names of tensors that older checkpoints have and that models compute."""


@dataclass(frozen=True)
class Stored:
    """One tensor of a model: its file and its name there."""

    file: TensorFile
    name: str

    @property
    def info(self) -> TensorInfo:
        """Its type, shape and place in the file."""
        return self.file.tensors[self.name]

    @property
    def bits(self) -> np.ndarray:
        """Its values as stored, mapped and not read; a single number is a vector of one."""
        return np.atleast_1d(self.file.stored(self.name))

    def values(self, rows: slice = slice(None)) -> np.ndarray:
        """Return rows of the tensor in float32; GenomeError if a value is NaN or infinite."""
        values = to_float32(self.bits[rows], self.info.dtype)
        wrong = values.size - np.count_nonzero(np.isfinite(values))
        if wrong:
            raise GenomeError(
                f"{self.file.path}: {wrong} weights of tensor {self.name} are NaN or infinite; fetch an intact copy"
            )
        return values


Pair = tuple[Stored, Stored]
"""The same tensor in the fine-tune and in the base."""


def check_full(folder: Path | str, base: Path | str) -> list[str]:
    """Return the base's names of the tensors that certainly differ: those of a vocabulary of another size.

    Only headers are read. Raises GenomeError, with all differences, unless each tensor of the fine-tune in `folder` has
    one in the base; embeddings and output layers may have different numbers of rows.
    """
    pairs = _pairs(Path(folder), read_base(base))
    return [name for name, (ours, theirs) in pairs.items() if ours.info.shape != theirs.info.shape]


def full_changes(folder: Path | str, base: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the change [out, in], float32, of each linear layer that differs between fine-tune and base.

    Both are folders of safetensors. A weight that equals the base's, or the base's in the fine-tune's type, counts as
    unchanged. Raises GenomeError as `check_full` before the first layer, and for a weight that is NaN or infinite.
    """
    known = read_base(base)
    pairs = _pairs(Path(folder), known)
    for layer in known.layers:
        pair = pairs.get(f"{layer}.weight")
        if pair and not are_equal(*pair):
            change = pair[0].values() - pair[1].values()
            yield layer, np.ascontiguousarray(change.T) if known.conv1d else change


def other_changes(folder: Path | str, base: Path | str) -> dict[str, float]:
    """Return the Frobenius norm of the change of each tensor that differs, except linear layers' weights.

    These are embeddings, norms, biases and output layers, by the base's name of the tensor. Rows of a resized
    vocabulary that one of the models lacks count as zeros there. Raises GenomeError as `full_changes`.
    """
    known, ours = read_base(base), open_model(folder)
    weights = {f"{layer}.weight" for layer in known.layers}
    pairs = {name: pair for name, pair in _pairs(Path(folder), known).items() if name not in weights}
    # An output layer that only the fine-tune stores, though it equals its embedding, is not counted twice.
    tied = _embedding(ours)
    if tied:
        again = {name for name, (our, _) in pairs.items() if name not in known.tensors and are_equal(our, tied)}
        pairs = {name: pair for name, pair in pairs.items() if name not in again}
    return {name: distance(*pair) for name, pair in pairs.items() if not are_equal(*pair)}


def open_model(folder: Path | str, *, any_type: bool = False) -> dict[str, Stored]:
    """Return the tensors of a model in safetensors by name; GenomeError if a file is missing or not readable.

    With `any_type`, the model may have tensors whose values cannot be read, such as quantised ones.
    """
    files = (open_tensors(file, any_type=any_type) for file in weight_files(Path(folder)))
    return {name: Stored(file, name) for file in files for name in file.tensors if not name.endswith(COMPUTED)}


def _pairs(folder: Path, base: Base) -> dict[str, Pair]:
    """Return the tensors of the fine-tune and the base, by the base's names; GenomeError as `check_full`."""
    assert base.folder is not None
    theirs, ours = open_model(base.folder), open_model(folder)
    pairs: dict[str, Pair] = {}
    extra: list[str] = []
    for name, tensor in ours.items():
        known = base.find_tensor(name)
        if known in theirs:
            pairs[known] = tensor, theirs[known]
        elif _is_head(name) and (tied := _embedding(theirs)):
            pairs[name] = tensor, tied
        else:
            extra.append(name)
    missing: list[str] = []
    for name, tensor in theirs.items():
        if name not in pairs:
            if _is_head(name) and (tied := _embedding(ours)):
                pairs[name] = tied, tensor
            else:
                missing.append(name)
    shapes = [
        f"{our.name}: {list(our.info.shape)}, in the base {list(their.info.shape)}"
        for name, (our, their) in pairs.items()
        if our.info.shape != their.info.shape and not _is_resized(name, our, their)
    ]
    wrong = (("lacks", missing), ("has, and the base has not,", extra), ("has in another shape", shapes))
    if any(names for _, names in wrong):
        found = "; it ".join(f"{what} {len(names)} tensor(s), first {names[0]}" for what, names in wrong if names)
        raise GenomeError(
            f"{folder}: not a fine-tune of the base {base.where}: it {found}; correct the expert, or the base"
        )
    return pairs


def _is_head(name: str) -> bool:
    return name.endswith(".weight") and part_of(name.removesuffix(".weight")) == "lm_head"


def _embedding(tensors: dict[str, Stored]) -> Stored | None:
    """Return the input embedding of a model: of its embeddings, the one with most rows."""
    found = [
        tensor
        for name, tensor in tensors.items()
        if len(tensor.info.shape) == 2 and part_of(name.removesuffix(".weight")) == "embeddings"
    ]
    return max(found, key=lambda tensor: tensor.info.shape[0], default=None)


def _is_resized(name: str, ours: Stored, theirs: Stored) -> bool:
    """Return whether two tensors are embeddings, or output layers, of vocabularies of different sizes."""
    rows = part_of(name.rpartition(".")[0]) in ("embeddings", "lm_head")
    return rows and ours.info.shape[1:] == theirs.info.shape[1:]


def are_equal(ours: Stored, theirs: Stored) -> bool:
    """Return whether a tensor is unchanged: bit for bit, or as the base's values in the fine-tune's type."""
    if ours.info.shape != theirs.info.shape:
        return False
    a, b, dtype = ours.bits, theirs.bits, ours.info.dtype
    if dtype == theirs.info.dtype:
        whole = np.dtype(f"u{a.itemsize}")  # NaN differs from itself
        return all(np.array_equal(a[rows].view(whole), b[rows].view(whole)) for rows in _chunks(a.shape))
    for rows in _chunks(a.shape):
        base = to_float32(b[rows], theirs.info.dtype)
        with np.errstate(over="ignore"):
            rounded = to_float32(from_float32(base, dtype), dtype)
        if not np.array_equal(to_float32(a[rows], dtype), rounded):
            return False
    return True


def distance(ours: Stored, theirs: Stored) -> float:
    """Return the Frobenius norm of the difference of two tensors; rows that one of them lacks are zeros there."""
    shorter, longer = sorted((ours, theirs), key=lambda tensor: tensor.info.shape)
    common, total = len(shorter.bits), 0.0
    for rows in _chunks(longer.bits.shape):
        values = longer.values(rows)
        both = min(rows.stop, common)
        if both > rows.start:
            values[: both - rows.start] -= shorter.values(slice(rows.start, both))
        total += float(np.square(values, dtype=np.float64).sum())
    return float(np.sqrt(total))


def norm(tensor: Stored) -> float:
    """Return the Frobenius norm of a tensor."""
    squares = (np.square(tensor.values(rows), dtype=np.float64).sum() for rows in _chunks(tensor.bits.shape))
    return float(np.sqrt(sum(map(float, squares))))


def _chunks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices of rows, of about `VALUES` values each, that cover a tensor of this shape."""
    step = max(1, VALUES // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))
