"""Safetensors files as numpy arrays, including bfloat16, without torch.

The layout follows the safetensors specification: eight bytes of header length, a JSON header, then the tensors' bytes.
The numpy reader of the safetensors package refuses bfloat16, and its writer needs a whole file in memory.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.files import open_file, parse_json

STORAGE = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
"""Supported tensor types and the numpy types of their bytes."""

BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "I32": 32,
    "U32": 32,
    "I16": 16,
    "U16": 16,
    "I8": 8,
    "U8": 8,
    "BOOL": 8,
    "C64": 64,
}
BITS |= {"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8}
BITS |= {"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4}
"""Other types of the format: quantised models have them. Their headers can be read, their values cannot."""

LONGEST_HEADER = 100_000_000
LARGEST = 2**60
"""More values than any tensor has; the safetensors library computes sizes modulo 2**64."""

STRINGS = re.compile(rb'"(?:\\.|[^"\\])*"')
AGAIN = "fetch or train it again"


@dataclass(frozen=True)
class TensorInfo:
    """Type, shape and position (bytes from the start of the file) of one stored tensor."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path | str, *, any_type: bool = False) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Return the tensors of a safetensors file by name, in file order, and the file's metadata.

    `any_type` allows all types of the format, for headers whose tensors are not read.

    Raises GenomeError for everything that the safetensors library refuses: bytes that belong to no tensor or to two, a
    range that does not fit its shape and type, a header that does not follow the specification. Also raises it for a
    path that is not a file, and, unless `any_type`, for a type other than F32, F16, BF16.
    """
    path = Path(path)
    with open_file(path) as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise GenomeError(f"{path}: truncated or not a safetensors file; {AGAIN}")
        if length > LONGEST_HEADER:
            raise GenomeError(f"{path}: a header of {length} bytes, more than a safetensors file has; {AGAIN}")
        text = file.read(length)
    try:
        header = parse_json(text.decode(), f"{path}: header", AGAIN) if text.startswith(b"{") else None
    except UnicodeDecodeError as error:
        raise GenomeError(f"{path}: header is not UTF-8; {AGAIN}") from error
    if header is None:
        raise GenomeError(f"{path}: header is not JSON (it does not start with a brace); {AGAIN}")
    # Python reads -0 as 0, but the specification allows no sign.
    if b"-" in STRINGS.sub(b"", text):
        raise GenomeError(f"{path}: a negative number in its header; {AGAIN}")
    metadata = header.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise GenomeError(f"{path}: __metadata__ in its header is not a mapping of texts; {AGAIN}")
    bits = {name: 8 * dtype.itemsize for name, dtype in STORAGE.items()} | (BITS if any_type else {})
    tensors = {name: _info(path, name, entry, 8 + length, bits) for name, entry in header.items()}
    end = 8 + length
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != end:
            wrong = "a gap before" if tensor.start > end else "another tensor overlaps"
            raise GenomeError(f"{path}: {wrong} tensor {name} (byte {tensor.start}, expected {end}); {AGAIN}")
        end = tensor.end
    if end != size:
        raise GenomeError(f"{path}: {size} bytes, but its header describes {end}; {AGAIN}")
    return tensors, metadata


def _info(path: Path, name: str, entry: Any, data: int, bits: Mapping[str, int]) -> TensorInfo:
    """Return one entry of a header; `data` is where the tensors' bytes start, `bits` the size of a value by type.

    Raises GenomeError if the entry is invalid.
    """
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise GenomeError(f"{path}: tensor {name} is not described by dtype, shape and data_offsets; {AGAIN}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in bits:
        raise GenomeError(f"{path}: tensor {name} has type {dtype}, expected one of {', '.join(bits)}")
    if not _sizes(shape) or max(accumulate(shape, mul), default=1) > LARGEST:
        raise GenomeError(f"{path}: tensor {name} has shape {shape}, expected possible sizes; {AGAIN}")
    expected = math.prod(shape) * bits[dtype] // 8
    if not _sizes(offsets) or len(offsets) != 2 or offsets[1] - offsets[0] != expected:
        raise GenomeError(
            f"{path}: tensor {name} has data_offsets {offsets}, expected {expected} bytes for {dtype} {shape}; {AGAIN}"
        )
    return TensorInfo(dtype, tuple(shape), data + offsets[0], data + offsets[1])


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size <= LARGEST for size in value)


class TensorFile(Mapping[str, np.ndarray]):
    """The tensors of one safetensors file, read on access as float32 arrays of their shape.

    The file is memory mapped: only requested tensors are read. With `any_type`, the file may have tensors of other
    types than F32, F16 and BF16; these cannot be read.
    """

    def __init__(self, path: Path | str, *, any_type: bool = False):
        self.path = Path(path)
        self.tensors, self.metadata = read_header(path, any_type=any_type)
        self._bytes = np.memmap(self.path, dtype=np.uint8, mode="r")

    def __getitem__(self, name: str) -> np.ndarray:
        return to_float32(self.stored(name), self.tensors[name].dtype)

    def rows(self, name: str, rows: Sequence[int]) -> np.ndarray:
        """Return some rows of a tensor as float32."""
        return to_float32(self.stored(name)[list(rows)], self.tensors[name].dtype)

    def stored(self, name: str) -> np.ndarray:
        """Return a tensor as it is stored, mapped and not read; the type of its bytes is that of `STORAGE`."""
        tensor = self.tensors[name]
        return self._bytes[tensor.start : tensor.end].view(STORAGE[tensor.dtype]).reshape(tensor.shape)

    def __iter__(self):
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def open_tensors(path: Path | str, *, any_type: bool = False) -> TensorFile:
    """Open a safetensors file; GenomeError if it is truncated, or contains an unsupported type unless `any_type`."""
    return TensorFile(path, any_type=any_type)


def widest(dtypes: Iterable[str]) -> str:
    """Return the type that represents all values of `dtypes`: their common type, else F32.

    Neither of F16 and BF16 represents all values of the other.
    """
    first, *others = set(dtypes)
    return "F32" if others else first


def to_float32(stored: np.ndarray, dtype: str) -> np.ndarray:
    """Return stored values as float32; every F16 and BF16 value is exact in float32."""
    if dtype == "BF16":
        return np.asarray(stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


def from_float32(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return float32 `values` in the storage type of `dtype`, rounded to nearest, ties to even."""
    if dtype == "BF16":
        bits = values.astype("<f4", copy=False).view(np.uint32)
        rounded = np.asarray(
            bits >> 16
        )  # in place from here on: large temporary arrays take longer than the arithmetic
        rounded &= 1
        rounded += 0x7FFF
        rounded += bits
        rounded >>= 16
        return rounded.astype("<u2")
    return values.astype(STORAGE[dtype])


def header_bytes(
    dtypes: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return the start of a safetensors file whose tensors follow in the order of `dtypes`, without gaps.

    Writing the header and then each tensor needs memory for one tensor, not for a whole file.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    offset = 0
    for name, dtype in dtypes.items():
        size = math.prod(shapes[name]) * STORAGE[dtype].itemsize
        header[name] = {"dtype": dtype, "shape": list(shapes[name]), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
