"""Seeded damage, as it happens to files from users, disks and other programs.

A mutation changes one file in place. Its `effect` is the allowed outcome: `NEUTRAL` must not change the result, `FATAL`
must be refused, and `OPEN` may be either, but never a traceback, a hang or an incomplete file.
"""

import json
import os
import random
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEUTRAL, FATAL, OPEN = "neutral", "fatal", "open"

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    8.5,
    1e308,
    -1e308,
    10**30,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    " ",
    "8",
    "nan",
    "None",
    "no",
    "..",
    ".",
    "/",
    "../../etc",
    "a/b",
    "a\nb",
    "\x00",
    "\ud800",
    "\u202e",
    "{{ 7 * 7 }}",
    "{% for",
    "{{ 'x' * 10**9 }}",
    "{{ range(10**9) | list }}",
    "(a+)+$",
    "(",
    "%n%s",
    "x" * 100_000,
    [],
    [None],
    [[]],
    [1, "1", None, {}],
    {},
    {"": None},
    {"a": {"b": [{"c": float("nan")}]}},
)
"""Values that replace a value of any type."""


NAMES = ("id", "examples", "options", "labels", "sample", "self", "range", "", "a b", "__class__")
"""Names of unexpected fields."""


@dataclass(frozen=True)
class Mutation:
    """A way to damage a file, by name; `apply` changes the file at a path and may draw from the generator."""

    name: str
    effect: str
    apply: Callable[[Path, random.Random], None]


def _bytes(name: str, effect: str, change: Callable[[bytes, random.Random], bytes]) -> Mutation:
    return Mutation(name, effect, lambda path, rng: path.write_bytes(change(path.read_bytes(), rng)) and None)


def _replaced(make: Callable[[Path], None]) -> Callable[[Path, random.Random], None]:
    def apply(path: Path, rng: random.Random) -> None:
        path.unlink()
        make(path)

    return apply


def _flipped(data: bytes, rng: random.Random) -> bytes:
    position = rng.randrange(len(data))
    return data[:position] + bytes([data[position] ^ (1 << rng.randrange(8))]) + data[position + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _inserted(data: bytes, rng: random.Random) -> bytes:
    position = rng.randrange(len(data) + 1)
    return data[:position] + rng.randbytes(rng.randint(1, 40)) + data[position:]


FILES = (
    Mutation("missing", FATAL, lambda path, rng: path.unlink()),
    Mutation("a folder", FATAL, _replaced(Path.mkdir)),
    Mutation("a fifo", FATAL, _replaced(os.mkfifo)),
    Mutation("a dangling link", FATAL, _replaced(lambda path: path.symlink_to("nowhere"))),
    Mutation("/dev/zero", FATAL, _replaced(lambda path: path.symlink_to("/dev/zero"))),
    Mutation("a link to itself", FATAL, _replaced(lambda path: path.symlink_to(path.name))),
    _bytes("empty", FATAL, lambda data, rng: b""),
    _bytes("zeros", FATAL, lambda data, rng: bytes(len(data))),
    _bytes("noise", FATAL, lambda data, rng: rng.randbytes(len(data))),
)
"""Damage that can happen to any file."""

DAMAGE = (
    _bytes("cut", OPEN, _cut),
    _bytes("a bit flipped", OPEN, _flipped),
    _bytes("bytes inserted", OPEN, _inserted),
    _bytes("doubled", OPEN, lambda data, rng: data + data),
    _bytes("a number of 5,000 digits", OPEN, lambda data, rng: re.sub(rb"\\b\\d\\b", b"9" * 5000, data, count=1)),
)
"""Damage to bytes during a transfer."""

TEXT = (
    _bytes("a byte order mark", NEUTRAL, lambda data, rng: b"\xef\xbb\xbf" + data),
    _bytes("line ends of Windows", NEUTRAL, lambda data, rng: data.replace(b"\n", b"\r\n")),
    _bytes("a blank line at the end", NEUTRAL, lambda data, rng: data + b"\n\n"),
    _bytes("UTF-16", OPEN, lambda data, rng: data.decode().encode("utf-16")),
    _bytes("Latin-1", OPEN, lambda data, rng: data + b"\n\xe9\xff\n"),
    _bytes("NUL bytes", OPEN, lambda data, rng: data[: len(data) // 2] + b"\x00" * 8 + data[len(data) // 2 :]),
    _bytes("deep", OPEN, lambda data, rng: b"[" * 100_000 + data),
)


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the paths of all values inside a JSON value."""
    if isinstance(value, dict):
        for key in value:
            yield (*path, key)
            yield from places(value[key], (*path, key))
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield (*path, index)
            yield from places(entry, (*path, index))


def parent(value: Any, path: tuple) -> Any:
    """Return the container of the value at `path`."""
    for key in path[:-1]:
        value = value[key]
    return value


def _in_json(name: str, effect: str, change: Callable[[Any, random.Random], Any], lines: bool) -> Mutation:
    """A change of a parsed value: of a whole JSON file, or of the list of rows of JSON Lines."""

    def apply(path: Path, rng: random.Random) -> None:
        text = path.read_text(encoding="utf-8")
        value = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
        changed = change(value, rng)
        written = "\n".join(map(json.dumps, changed)) + "\n" if lines else json.dumps(changed)
        path.write_text(written, encoding="utf-8")

    return Mutation(name, effect, apply)


def _pick(value: Any, rng: random.Random) -> tuple:
    return rng.choice([*places(value)])


def _other_value(value: Any, rng: random.Random) -> Any:
    path = _pick(value, rng)
    parent(value, path)[path[-1]] = rng.choice(VALUES)
    return value


def _dropped(value: Any, rng: random.Random) -> Any:
    path = _pick(value, rng)
    del parent(value, path)[path[-1]]
    return value


def _added(value: Any, rng: random.Random) -> Any:
    path = _pick(value, rng)
    target = parent(value, path)
    if isinstance(target, dict):
        target[
            rng.choice(["id", "examples", "options", "labels", "self", "range", "", "a b", "__class__", "sample"])
        ] = rng.choice(VALUES)
    else:
        target.append(rng.choice(VALUES))
    return value


def _moved(value: Any, rng: random.Random) -> Any:
    """Exchange two values of the same container, or of two containers, as editors and scripts do by mistake."""
    one, other = _pick(value, rng), _pick(value, rng)
    if one[: len(other)] == other or other[: len(one)] == one:
        return value
    a, b = parent(value, one), parent(value, other)
    a[one[-1]], b[other[-1]] = b[other[-1]], a[one[-1]]
    return value


def _nested(value: Any, rng: random.Random) -> Any:
    path = _pick(value, rng)
    parent(value, path)[path[-1]] = {"value": parent(value, path)[path[-1]]}
    return value


def _changes(lines: bool) -> tuple[Mutation, ...]:
    return (
        *[_in_json("another value", OPEN, _other_value, lines)] * 6,
        *[_in_json("a field left out", OPEN, _dropped, lines)] * 2,
        *[_in_json("a field added", OPEN, _added, lines)] * 2,
        _in_json("two values exchanged", OPEN, _moved, lines),
        _in_json("a value nested", OPEN, _nested, lines),
    )


JSON_FILE = (
    *FILES,
    *DAMAGE,
    *TEXT,
    *_changes(lines=False),
    _in_json("indented", NEUTRAL, lambda value, rng: value, lines=False),
    _bytes("a key twice", OPEN, lambda data, rng: data.rstrip()[:-1] + b', "r": 4, "r": 5, "seed": 1}\n'),
    _bytes("another value", FATAL, lambda data, rng: b"null"),
    _bytes("a number", FATAL, lambda data, rng: b"7"),
    _bytes("another document behind it", FATAL, lambda data, rng: data + b"{}\n"),
)
"""Mutations of a JSON file whose value is a mapping."""

JSON_LINES = (
    *FILES,
    *DAMAGE,
    *TEXT,
    *_changes(lines=True),
    _bytes("an array of rows", NEUTRAL, lambda data, rng: b"[" + b",".join(data.split(b"\n")[:-1]) + b"]"),
    _bytes("blank lines between", NEUTRAL, lambda data, rng: data.replace(b"\n", b"\n\n")),
    _bytes("spaces around", NEUTRAL, lambda data, rng: b"".join(b"  " + x + b" \n" for x in data.splitlines())),
    _bytes("a line of another kind", FATAL, lambda data, rng: data + b"7\n"),
    _bytes("a line of text", FATAL, lambda data, rng: data + b"the end\n"),
)
"""Mutations of rows, one per line."""


def _header(change: Callable[[dict, random.Random], Any]) -> Callable[[bytes, random.Random], bytes]:
    """A change of a safetensors file's header; its length is corrected."""

    def apply(data: bytes, rng: random.Random) -> bytes:
        [size] = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + size])
        text = json.dumps(change(header, rng)).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + size :]

    return apply


def _tensor(header: dict, rng: random.Random) -> dict:
    return header[rng.choice([name for name in header if name != "__metadata__"])]


def _set(**fields: Any) -> Callable[[dict, random.Random], dict]:
    def change(header: dict, rng: random.Random) -> dict:
        _tensor(header, rng).update(fields)
        return header

    return change


def _overlapping(header: dict, rng: random.Random) -> dict:
    one, other = rng.sample([name for name in header if name != "__metadata__"], 2)
    size = header[one]["data_offsets"][1] - header[one]["data_offsets"][0]
    start = header[other]["data_offsets"][0]
    header[one]["data_offsets"] = [start, start + size]
    return header


def _shifted(header: dict, rng: random.Random) -> dict:
    tensor = _tensor(header, rng)
    tensor["data_offsets"] = [offset - 4 for offset in tensor["data_offsets"]]
    return header


SAFETENSORS = (
    *FILES,
    _bytes("cut", FATAL, _cut),
    _bytes("bytes behind it", FATAL, lambda data, rng: data + b"\x00" * 8),
    _bytes("a bit flipped", OPEN, _flipped),
    _bytes("a length of 2^63", FATAL, lambda data, rng: b"\xff" * 8 + data[8:]),
    _bytes("a length of nothing", FATAL, lambda data, rng: bytes(8) + data[8:]),
    _bytes("tensors overlap", FATAL, _header(_overlapping)),
    _bytes("a tensor begins before the last one ends", FATAL, _header(_shifted)),
    _bytes("negative offsets", FATAL, _header(_set(data_offsets=[-8, 0]))),
    _bytes("offsets exchanged", FATAL, _header(_set(data_offsets=[8, 0]))),
    _bytes("offsets of text", FATAL, _header(_set(data_offsets=["0", "8"]))),
    _bytes("one offset", FATAL, _header(_set(data_offsets=[0]))),
    _bytes("fractions as offsets", FATAL, _header(_set(data_offsets=[0.0, 8.5]))),
    _bytes("a negative shape", FATAL, _header(_set(shape=[-4, -8]))),
    _bytes("another shape", FATAL, _header(_set(shape=[3, 5]))),
    _bytes("a shape of text", FATAL, _header(_set(shape="4x8"))),
    _bytes("no shape", FATAL, _header(_set(shape=None))),
    _bytes("an unknown type", FATAL, _header(_set(dtype="F4"))),
    _bytes("a type of another kind", FATAL, _header(_set(dtype=["F32"]))),
    _bytes("half the type", FATAL, _header(_set(dtype="F16"))),
    _bytes("a tensor that is a list", FATAL, _header(lambda header, rng: {name: [] for name in header})),
    _bytes("a header that is a list", FATAL, _header(lambda header, rng: [header])),
    _bytes("deep header", FATAL, lambda data, rng: struct.pack("<Q", 200_000) + b"[" * 200_000 + data),
    _bytes("NaN in a weight", FATAL, lambda data, rng: data[:-4] + struct.pack("<f", float("nan"))),
    _bytes("infinity in a weight", FATAL, lambda data, rng: data[:-4] + struct.pack("<f", float("inf"))),
)
"""Mutations of an adapter's weights."""

YAML_FILE = (
    *FILES,
    *DAMAGE,
    *TEXT[:3],
    _bytes("a tab", OPEN, lambda data, rng: data.replace(b": ", b":\t", 1)),
    _bytes("a key twice", FATAL, lambda data, rng: data + data.splitlines()[0] + b"\n"),
    _bytes("an alias of itself", FATAL, lambda data, rng: data + b"extra: &a [*a]\n"),
    _bytes(
        "aliases of aliases",
        FATAL,
        lambda data, rng: (
            data
            + b"extra:\n- &a0 [x, x]\n"
            + b"".join(b"- &a%d [%s]\n" % (i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 30))
        ),
    ),
    _bytes("a tag of Python", FATAL, lambda data, rng: data + b'extra: !!python/object/apply:os.system ["true"]\n'),
    _bytes("text", FATAL, lambda data, rng: b"just some words\n"),
    _bytes("a list", FATAL, lambda data, rng: b"- 1\n- 2\n"),
    _bytes("a key that is a list", FATAL, lambda data, rng: data + b"[1, 2]: 3\n"),
    _bytes("an unknown key", FATAL, lambda data, rng: data + b"no_such_key: 1\n"),
)
"""Mutations of a YAML file whose value is a mapping."""
