"""Safetensors as numpy, compared with the package and with torch."""

import json
import os
import random

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save
from safetensors.torch import load_file, save_file

from genome.errors import GenomeError
from genome.experts.tensors import from_float32, header_bytes, open_tensors, read_header, to_float32, widest

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@pytest.mark.parametrize("dtype", TYPES)
def test_open_tensors_reads_files_written_by_torch(tmp_path, dtype):
    values = {"a": torch.randn(3, 5).to(TYPES[dtype]), "b": torch.randn(7).to(TYPES[dtype])}
    save_file(values, tmp_path / "x.safetensors")
    tensors = open_tensors(tmp_path / "x.safetensors")
    assert set(tensors) == {"a", "b"}
    for name, tensor in values.items():
        np.testing.assert_array_equal(tensors[name], tensor.float().numpy())


@pytest.mark.parametrize("dtype", TYPES)
def test_torch_reads_written_files(tmp_path, dtype):
    values = {"a": np.random.default_rng(0).normal(size=(3, 5)).astype("f4"), "b": np.ones((2, 2), "f4")}
    stored = {name: from_float32(array, dtype) for name, array in values.items()}
    header = header_bytes(dict.fromkeys(values, dtype), {name: array.shape for name, array in values.items()})
    (tmp_path / "x.safetensors").write_bytes(header + b"".join(array.tobytes() for array in stored.values()))
    for name, tensor in load_file(tmp_path / "x.safetensors").items():
        assert torch.equal(tensor, torch.from_numpy(values[name]).to(TYPES[dtype]))


@pytest.mark.parametrize("name", ["a" * length for length in range(1, 10)])
def test_written_files_equal_those_of_the_library(name):
    """The header is padded so that the tensors start at a multiple of eight, for names of any length."""
    values = np.arange(6, dtype="f4").reshape(2, 3)
    header = header_bytes({name: "F32"}, {name: values.shape})
    assert header + values.tobytes() == save({name: values}, metadata={"format": "pt"})
    assert len(header) % 8 == 0


def test_read_header_accepts_large_sizes_without_values(tmp_path):
    """A tensor without values may have any size; the library also reads it."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(content({"a": entry(0, 0, (2**60, 0)), "b": entry(0, 0, (0, 2**60))}, 0))
    tensors, metadata = read_header(path)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {"a": (2**60, 0), "b": (0, 2**60)}
    assert metadata == {}
    assert len(deserialize(path.read_bytes())) == 2


def test_from_float32_rounds_bfloat16_like_torch():
    bits = np.random.default_rng(1).integers(0, 2**32, 200_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    ours = to_float32(from_float32(values, "BF16"), "BF16")
    np.testing.assert_array_equal(ours, torch.from_numpy(values).bfloat16().float().numpy())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-3], "but its header describes"),
        (lambda data: data[:4], "truncated or not a safetensors file"),
        (lambda data: data[:20], "truncated or not a safetensors file"),
        (lambda data: data[:8] + b"x" * (len(data) - 8), "header is not JSON"),
    ],
)
def test_read_header_refuses_damaged_files_in_one_line(tmp_path, damage, message):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(4)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(GenomeError, match=message) as error:
        open_tensors(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_read_header_names_unsupported_types(tmp_path):
    save_file({"a": torch.ones(4, dtype=torch.int64)}, tmp_path / "x.safetensors")
    with pytest.raises(GenomeError, match="tensor a has type I64"):
        open_tensors(tmp_path / "x.safetensors")


def one_line(path) -> str:
    with pytest.raises(GenomeError) as error:
        open_tensors(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    return str(error.value)


def entry(start, end, shape=(1,), dtype="F32", **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end], **more}


def content(header, size, length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(range(size))


REFUSED = {
    "overlap": ({"a": entry(0, 4), "b": entry(0, 4)}, 4, "another tensor overlaps tensor b"),
    "half overlap": ({"a": entry(0, 8, (2,)), "b": entry(4, 8)}, 8, "another tensor overlaps tensor b"),
    "gap": ({"a": entry(0, 4), "b": entry(8, 12)}, 12, "a gap before tensor b"),
    "gap first": ({"a": entry(4, 8)}, 8, "a gap before tensor a"),
    "negative": ({"a": entry(-4, 0)}, 4, "a negative number"),
    "negative zero": (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-0, 4]}}', 4, "a negative number"),
    "backwards": ({"a": entry(4, 0)}, 4, "data_offsets [4, 0], expected 4 bytes for F32 [1]"),
    "too short": ({"a": entry(0, 4, (2,))}, 4, "expected 8 bytes for F32 [2]"),
    "too long": ({"a": entry(0, 8)}, 8, "expected 4 bytes for F32 [1]"),
    "other type": ({"a": entry(0, 4, dtype="F16")}, 4, "expected 2 bytes for F16 [1]"),
    "trailing": ({"a": entry(0, 4)}, 5, "but its header describes"),
    "lacking": ({"a": entry(0, 4)}, 3, "but its header describes"),
    "floats": ({"a": {**entry(0, 4), "data_offsets": [0.0, 4]}}, 4, "data_offsets [0.0, 4]"),
    "three": ({"a": {**entry(0, 4), "data_offsets": [0, 4, 4]}}, 4, "data_offsets [0, 4, 4]"),
    "none": ({"a": {**entry(0, 4), "data_offsets": None}}, 4, "data_offsets None"),
    "truth": ({"a": entry(0, 4, (True,))}, 4, "has shape [True]"),
    "float shape": ({"a": entry(0, 4, (1.0,))}, 4, "has shape [1.0]"),
    "no list": ({"a": {**entry(0, 4), "shape": 1}}, 4, "has shape 1"),
    "vast": ({"a": entry(0, 0, (2**63, 4, 0))}, 0, "has shape"),
    "vast product": ({"a": entry(0, 0, (2**40, 2**40, 0))}, 0, "has shape"),
    "vast behind none": ({"a": entry(0, 0, (0, 2**64))}, 0, "has shape"),
    "type": ({"a": entry(0, 4, dtype=32)}, 4, "has type 32"),
    "type list": ({"a": entry(0, 4, dtype=["F32"])}, 4, "has type ['F32']"),
    "no mapping": ({"a": [0, 4]}, 4, "not described by dtype, shape and data_offsets"),
    "lacks": ({"a": {"dtype": "F32", "shape": [1]}}, 4, "not described by"),
    "twice": (b'{"a": 1, "a": 2}', 0, "'a' is repeated"),
    "metadata": ({"__metadata__": {"rank": 8}}, 0, "__metadata__"),
    "metadata list": ({"__metadata__": []}, 0, "__metadata__"),
    "list": (b"[]", 0, "does not start with a brace"),
    "space": (b" {}", 0, "does not start with a brace"),
    "mark": (b"\xef\xbb\xbf{}", 0, "does not start with a brace"),
    "no utf-8": (b'{"\xe9": 1}', 0, "not UTF-8"),
    "surrogate": (b'{"\\ud800": 1}', 0, "surrogate"),
    "deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 0, "nested too deeply"),
    "long number": (b'{"a":' + b"9" * 5000 + b"}", 0, "4300 digits"),
    "empty header": (b"", 0, "does not start with a brace"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_read_header_refuses_what_the_library_refuses(tmp_path, case):
    header, size, message = REFUSED[case]
    path = tmp_path / "x.safetensors"
    path.write_bytes(content(header, size))
    assert message in one_line(path)
    # The library uses the last of two equal names, and allows space before the brace.
    if case not in ("twice", "space"):
        with pytest.raises(SafetensorError):
            deserialize(path.read_bytes())


@pytest.mark.parametrize("length", [0, 2**40, 2**64 - 1])
def test_read_header_refuses_a_header_beyond_the_file(tmp_path, length):
    (tmp_path / "x").write_bytes(content({"a": entry(0, 4)}, 4, length))
    one_line(tmp_path / "x")


def test_read_header_refuses_a_too_long_header_unread(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little") + b"{")
        file.truncate(100_000_009)
    assert "a header of 100000001 bytes" in one_line(tmp_path / "x")
    with (tmp_path / "x").open("wb") as file:
        file.write((100_000_000).to_bytes(8, "little"))
        file.truncate(100_000_008)
    assert "does not start with a brace" in one_line(tmp_path / "x")


def test_read_header_opens_only_regular_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "zero").symlink_to("/dev/zero")
    kinds = {"pipe": "a pipe", "link": "a link to nowhere", "zero": "a device", "": "a folder", "none": "no such file"}
    for name, kind in kinds.items():
        assert kind in one_line(tmp_path / name)
    (tmp_path / "empty").touch()
    assert "truncated" in one_line(tmp_path / "empty")


@pytest.mark.parametrize("dtype", TYPES)
def test_open_tensors_reads_any_shape_alignment_and_order(tmp_path, dtype):
    shapes = {"empty": (0, 3), "number": (), "row": (3,), "grid": (2, 2)}
    stored = {name: from_float32(np.full(shape, 1.5, "f4"), dtype) for name, shape in shapes.items()}
    data = b"".join(array.tobytes() for array in stored.values())
    path, odd = tmp_path / "x.safetensors", tmp_path / "odd.safetensors"
    path.write_bytes(header_bytes(dict.fromkeys(shapes, dtype), shapes) + data)
    text = path.read_bytes()[8:].partition(b"}}")[0] + b"}}"
    turned = json.dumps(dict(reversed(json.loads(text).items()))).encode()
    turned += b" " * (1 - len(turned) % 2)
    odd.write_bytes(len(turned).to_bytes(8, "little") + turned + data)
    for file in (path, odd):
        tensors = open_tensors(file)
        for name, shape in shapes.items():
            np.testing.assert_array_equal(tensors[name], np.full(shape, 1.5, "f4"))
            assert tensors[name].shape == shape


def test_widest_type_represents_every_value():
    assert [widest(types) for types in (["F16"], ["BF16", "BF16"], ["BF16", "F32"], ["F16", "BF16"])] == [
        "F16", "BF16", "F32", "F32",
    ]  # fmt: skip


def test_read_header_reads_no_faulty_header_that_the_library_refuses(tmp_path):
    """Golden: small headers with random faults; the library also reads every file that we read."""
    draw = random.Random(1)
    path, read = tmp_path / "x.safetensors", 0
    marks = [b"-", b"0", b" ", b"{", b"}", b"[", b"]", b'"', b",", b"\\ud800", b"1", b"\xff", b".0", b"e0"]
    for _ in range(400):
        header, end = {}, 0
        for number in range(draw.randint(0, 3)):
            shape, dtype = draw.choice([[1], [2], [], [0], [1, 2]]), draw.choice(["F32", "F16", "BF16"])
            size = int(np.prod(shape)) * (4 if dtype == "F32" else 2)
            shift = draw.choice([0] * 12 + [-2, 2, 4])
            header[f"t{number}"] = entry(end + shift, end + size + draw.choice([shift, shift, shift, 0]), shape, dtype)
            end += size
        text = bytearray(json.dumps(header).encode())
        for _ in range(draw.choice([0, 0, 1, 2])):
            place = draw.randrange(len(text) + 1)
            text[place : place + draw.randint(0, 1)] = draw.choice(marks)
        path.write_bytes(content(bytes(text), max(0, end + draw.choice([0] * 8 + [1, -1]))))
        try:
            read_header(path)
        except GenomeError:
            one_line(path)
        else:
            read += 1
            deserialize(path.read_bytes())
    assert read > 100
