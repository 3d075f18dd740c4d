"""Safetensors as numpy, against the package and against torch."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from genome.errors import GenomeError
from genome.tensors import from_float32, header_bytes, open_tensors, to_float32

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@pytest.mark.parametrize("dtype", TYPES)
def test_reads_what_torch_wrote(tmp_path, dtype):
    values = {"a": torch.randn(3, 5).to(TYPES[dtype]), "b": torch.randn(7).to(TYPES[dtype])}
    save_file(values, tmp_path / "x.safetensors")
    tensors = open_tensors(tmp_path / "x.safetensors")
    assert set(tensors) == {"a", "b"}
    for name, tensor in values.items():
        np.testing.assert_array_equal(tensors[name], tensor.float().numpy())


@pytest.mark.parametrize("dtype", TYPES)
def test_torch_reads_what_is_written(tmp_path, dtype):
    values = {"a": np.random.default_rng(0).normal(size=(3, 5)).astype("f4"), "b": np.ones((2, 2), "f4")}
    stored = {name: from_float32(array, dtype) for name, array in values.items()}
    header = header_bytes(dict.fromkeys(values, dtype), {name: array.shape for name, array in values.items()})
    (tmp_path / "x.safetensors").write_bytes(header + b"".join(array.tobytes() for array in stored.values()))
    for name, tensor in load_file(tmp_path / "x.safetensors").items():
        assert torch.equal(tensor, torch.from_numpy(values[name]).to(TYPES[dtype]))


def test_bfloat16_rounds_like_torch():
    bits = np.random.default_rng(1).integers(0, 2**32, 200_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    ours = to_float32(from_float32(values, "BF16"), "BF16")
    np.testing.assert_array_equal(ours, torch.from_numpy(values).bfloat16().float().numpy())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-3], "where its header promises"),
        (lambda data: data[:4], "truncated or not a safetensors file"),
        (lambda data: data[:20], "truncated or not a safetensors file"),
        (lambda data: data[:8] + b"x" * (len(data) - 8), "header is not JSON"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, damage, message):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(4)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(GenomeError, match=message) as error:
        open_tensors(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_unsupported_types_are_named(tmp_path):
    save_file({"a": torch.ones(4, dtype=torch.int64)}, tmp_path / "x.safetensors")
    with pytest.raises(GenomeError, match="tensor a has type I64"):
        open_tensors(tmp_path / "x.safetensors")
