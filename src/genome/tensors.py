"""Safetensors files as numpy arrays, bfloat16 included, without torch.

The layout is that of the safetensors specification: eight bytes of header length, a JSON header, then the tensors'
bytes. The package's own numpy reader refuses bfloat16 and its writer wants a whole file in memory, hence the few
lines here.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome.errors import GenomeError

STORAGE = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
"""Supported tensor types and the numpy type that holds their bytes."""


@dataclass(frozen=True)
class TensorInfo:
    """Type, shape and place (bytes from the start of the file) of one stored tensor."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path | str) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Return the tensors of a safetensors file by name, in file order, and the file's metadata.

    Raises GenomeError when the file is truncated, is no safetensors file, or holds another type than F32, F16, BF16.
    """
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise GenomeError(f"{path}: truncated or not a safetensors file; fetch or train it again")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise GenomeError(f"{path}: header is not JSON ({error}); fetch or train it again") from error
    metadata = header.pop("__metadata__", {})
    data = 8 + length
    tensors = {
        name: TensorInfo(
            entry["dtype"],
            tuple(entry["shape"]),
            data + entry["data_offsets"][0],
            data + entry["data_offsets"][1],
        )
        for name, entry in header.items()
    }
    for name, tensor in tensors.items():
        if tensor.dtype not in STORAGE:
            raise GenomeError(f"{path}: tensor {name} has type {tensor.dtype}, expected one of {', '.join(STORAGE)}")
    end = max((tensor.end for tensor in tensors.values()), default=data)
    if end != size:
        raise GenomeError(f"{path}: {size} bytes where its header promises {end}; fetch or train it again")
    return tensors, metadata


class TensorFile(Mapping[str, np.ndarray]):
    """The tensors of one safetensors file, read on access as float32 arrays of their shape.

    The file is memory mapped: what is not asked for is not read.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.tensors, self.metadata = read_header(path)
        self._bytes = np.memmap(self.path, dtype=np.uint8, mode="r")

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = self.tensors[name]
        stored = self._bytes[tensor.start : tensor.end].view(STORAGE[tensor.dtype]).reshape(tensor.shape)
        return to_float32(stored, tensor.dtype)

    def __iter__(self):
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def open_tensors(path: Path | str) -> TensorFile:
    """Open a safetensors file; GenomeError when it is truncated or holds an unsupported type."""
    return TensorFile(path)


def to_float32(stored: np.ndarray, dtype: str) -> np.ndarray:
    """Return stored values as float32; every F16 and BF16 value is exact in float32."""
    if dtype == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


def from_float32(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return float32 `values` in the storage of `dtype`, rounded to nearest, ties to even."""
    if dtype == "BF16":
        bits = values.astype("<f4", copy=False).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return values.astype(STORAGE[dtype])


def header_bytes(dtypes: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return the start of a safetensors file whose tensors follow in the order of `dtypes`, without gaps.

    Writing header and tensors one after the other keeps one tensor in memory, not one file.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, dtype in dtypes.items():
        size = math.prod(shapes[name]) * STORAGE[dtype].itemsize
        header[name] = {"dtype": dtype, "shape": list(shapes[name]), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
