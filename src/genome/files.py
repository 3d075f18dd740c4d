"""Writers that leave a file complete or absent, and readers whose errors are one line for any content.

Everything is written to a temporary name and renamed. Only regular files are read, never a pipe or a device, which may
have no end. Every error names the file and, if possible, the line.
"""

import codecs
import csv
import errno
import fcntl
import gzip
import hashlib
import io
import itertools
import json
import math
import os
import re
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from genome.errors import GenomeError

CORRECT = "correct the file"
REMAKE = "delete the file to have it made again"
"""The remedy for a file that the workflow has written; never used for a user's file."""

MARKS = ("provenance.json", "genotype.json")
"""Files that mark a folder as written by the workflow, so that it may be replaced."""

REMEDIES = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "free space on that disk",
    errno.EFBIG: "write to a disk that allows larger files",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""Remedies for errors of the system that are not about permissions or the place."""

BOM = "\ufeff"
GZIP = b"\x1f\x8b"

ARRAY_OF_ROWS = re.compile(r"\s*\[\s*[{\]]")

SPACE = re.compile(r"[ \t\r\n]*")

FICLONE = 0x40049409
"""Linux's ioctl to share the blocks of one file with another."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Errors of writing that do not give the name of a file."""

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""The start of a JSON escape for half of a character; two halves make one character."""

_serial = itertools.count()


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary file name next to `path`; rename it to `path` when the block succeeds.

    GenomeError if the system refuses to write. No temporary file is left, and no message names one.
    """
    path = Path(path)
    with writing(path):
        if path.exists() and not path.is_file():
            raise GenomeError(f"cannot write {path}: it is {_kind(path.stat().st_mode)}; choose another name")
        _make_parent(path)
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.{next(_serial)}.tmp")
    with writing(path, temporary):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: Path | str) -> Iterator[Path]:
    """Yield a temporary directory next to `path`; it becomes `path` when the block succeeds.

    An existing `path` is replaced only if it is an empty folder or one of ours: a folder with one of `MARKS` and only
    files that the new one has too. Anything else is refused, if possible before the block runs; links, names such as
    `..` and the working folder are refused too. GenomeError also if the system refuses to write. No temporary folder is
    left, and no message names one.
    """
    path = Path(path)
    with writing(path):
        _check_replaceable(path)
        _make_parent(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
    try:
        with writing(path, temporary):
            temporary.chmod(0o755)
            yield temporary
            _check_replaceable(path, _entries(temporary))
            _exchange(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _make_parent(path: Path) -> None:
    wrong = next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None)
    if wrong is not None:
        raise GenomeError(f"cannot write {path}: {wrong} is not a folder; choose another place")
    path.parent.mkdir(parents=True, exist_ok=True)


def _exchange(new: Path, path: Path) -> None:
    """Replace `path` by the folder `new`; the old folder is removed last."""
    aside = new.with_name(f"{new.name}.old")
    if path.exists():
        path.rename(aside)
    try:
        new.rename(path)
    except OSError:
        if aside.exists():
            aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _check_replaceable(path: Path, new: set[str] | None = None) -> None:
    """Raise GenomeError if a user's folder could be lost; `new` is the content of the new folder, once known."""
    where = f"cannot write the folder {path}"
    if path.name in ("", ".."):
        raise GenomeError(f"{where}: it has no name; choose a name other than dots")
    if path.is_symlink():
        raise GenomeError(f"{where}: it is a link to {path.readlink()}; remove the link or choose another folder")
    if Path.cwd().resolve().is_relative_to(path.resolve()):
        raise GenomeError(f"{where}: it contains the working folder; choose another folder")
    if not path.exists():
        return
    if not path.is_dir():
        raise GenomeError(f"{where}: it is {_kind(path.stat().st_mode)}; choose another folder")
    held = _entries(path)
    foreign = held if held.isdisjoint(MARKS) else held - (held if new is None else new)
    if foreign:
        raise GenomeError(
            f"{where}: it exists and contains files that were not written here, such as {min(foreign)}; "
            "move it away or choose another folder"
        )


def _entries(folder: Path) -> set[str]:
    """Return the relative names of a folder's content at all depths; links are not followed."""
    return {
        str(Path(place, name).relative_to(folder))
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


@contextmanager
def writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn the system's errors about writing into one line about `path`, which replaces `temporary` in messages.

    Errors about files outside `temporary` are not changed: they are not about writing `path`.
    """
    try:
        yield
    except GenomeError as error:
        text = str(error)
        if temporary is None or str(temporary) not in text:
            raise
        raise GenomeError(text.replace(str(temporary), str(path))) from error
    except OSError as error:
        names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if name is not None]
        places = [path, *path.parents, *([temporary] if temporary else [])]
        ours = any(name in places or (temporary and name.is_relative_to(temporary)) for name in names)
        if not (ours or (not names and error.errno in UNWRITABLE)):
            raise
        remedy = REMEDIES.get(error.errno or 0, "choose another place or correct its permissions")
        raise GenomeError(f"cannot write {path}: {error.strerror}; {remedy}") from error


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of `value`: sorted keys, no spaces; NaN and infinity are refused (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path | str, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as a CSV table."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(rows)
    write_text(path, lines.getvalue())


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON for people; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_jsonl(path: Path | str, rows: Iterable[Any], *, any_value: bool = False) -> None:
    """Write one JSON value per line; NaN and infinity are refused (ValueError).

    `any_value` is for users' rows: everything that `read_jsonl` reads with it is written unchanged, NaN and infinity by
    Python's names, and half of a surrogate pair as its escape.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows, start=1):
            try:
                line = json.dumps(row, allow_nan=any_value, ensure_ascii=False)
            except RecursionError as error:
                raise GenomeError(f"cannot write {path}: row {number} is nested too deeply; make it flatter") from error
            if any_value and not encodable(line):
                line = json.dumps(row)
            file.write(line + "\n")


def read_json(path: Path | str, remedy: str = CORRECT) -> Any:
    """Read a JSON file; GenomeError names the file, the fault and the remedy."""
    text = read_text(path, remedy)
    if not text.strip():
        raise GenomeError(f"{path}: not valid JSON (the file is empty); {remedy}")
    return parse_json(text, str(path), remedy)


def read_object(path: Path | str, remedy: str = CORRECT) -> dict[str, Any]:
    """Read a JSON file that must contain an object; GenomeError as `read_json`."""
    value = read_json(path, remedy)
    if not isinstance(value, dict):
        raise GenomeError(f"{path}: not a JSON object; {remedy}")
    return value


def parse_json(text: str, where: str, remedy: str = CORRECT) -> Any:
    """Return the JSON value in `text`; GenomeError names `where`, as `read_json` names a file."""
    return _parse(_OURS, text, where, remedy)


def read_jsonl(path: Path | str, remedy: str = CORRECT, *, any_value: bool = False) -> list[Any]:
    """Return the values of a JSON Lines file, or of one JSON array, read by `read_numbered`."""
    return [row for _, row in read_numbered(path, remedy, any_value=any_value)[1]]


def read_numbered(
    path: Path | str, remedy: str = CORRECT, *, any_value: bool = False, expected: str = "valid JSON"
) -> tuple[str, list[tuple[int, Any]]]:
    """Return the values of a JSON Lines file with their line numbers, and the word "line".

    Blank lines are skipped. For a file that is one JSON array of mappings, return these, counted from 1, and the word
    "row". GenomeError names the file, the line that is not what was `expected`, and the remedy.

    NaN, infinity and half surrogate pairs, which our JSON never contains, are refused; `any_value` allows them, for
    rows with columns that may be unused. A name repeated in one mapping is always refused: a value would be lost.
    """
    text = read_text(path, remedy)
    decoder = _THEIRS if any_value else _OURS
    if ARRAY_OF_ROWS.match(text):
        return "row", list(enumerate(_parse_array(decoder, text, str(path), remedy, expected), start=1))
    # Not splitlines: text may contain other line ends than JSON Lines has. Joined files each have a byte order mark.
    lines = ((number, line.removeprefix(BOM).strip()) for number, line in enumerate(text.split("\n"), start=1))
    return "line", [
        (number, _parse(decoder, line, f"{path}, line {number}", remedy, expected, one_line=True))
        for number, line in lines
        if line
    ]


def read_text(path: Path | str, remedy: str = CORRECT) -> str:
    """Return the text of a file, gzipped or not, without its byte order mark; GenomeError unless it is UTF-8."""
    with open_file(path) as file:
        content = file.read()
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise GenomeError(f"{path}: damaged gzip file ({error}); {remedy}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = "UTF-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else error.reason
        raise GenomeError(f"{path}, line {line}: not UTF-8 ({found}); save it as UTF-8") from error


def open_file(path: Path | str) -> BufferedReader:
    """Open a file for reading; GenomeError as `check_file`, and if the system refuses."""
    check_file(path)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise GenomeError(f"{path}: cannot be read ({error.strerror}); correct its permissions") from error


def copy_file(source: Path | str, target: Path | str) -> None:
    """Copy a file's bytes, never as a link, so that later changes of one file do not reach the other.

    Some file systems (Btrfs, XFS) share the bytes on the disk until either file is written; others store them twice.
    GenomeError if `source` cannot be read.
    """
    with open_file(source) as read, Path(target).open("wb") as written:
        try:
            fcntl.ioctl(written.fileno(), FICLONE, read.fileno())
        except OSError:
            shutil.copyfileobj(read, written, 2**20)


def check_file(path: Path | str) -> int:
    """Return the size of a file; GenomeError if there is none, or if it is not a regular file and may have no end."""
    path = Path(path)
    try:
        found = path.stat()
    except FileNotFoundError as error:
        dangling = f"a link to {path.readlink()}, which does not exist" if path.is_symlink() else "no such file"
        raise GenomeError(f"{path}: {dangling}") from error
    except OSError as error:
        raise GenomeError(f"{path}: cannot be read ({error.strerror}); correct the path") from error
    if not stat.S_ISREG(found.st_mode):
        raise GenomeError(f"{path}: it is {_kind(found.st_mode)}, expected a file; correct the path")
    return found.st_size


def is_file(path: Path | str) -> bool:
    """Return whether there is a file; GenomeError if the system refuses to say, as in a folder without permission."""
    with _looking(path):
        return Path(path).is_file()


def is_folder(path: Path | str) -> bool:
    """Return whether there is a folder that can be listed; GenomeError as `is_file`."""
    with _looking(path):
        found = Path(path).is_dir()
        if found:
            next(Path(path).iterdir(), None)  # raises an error if it cannot be listed
        return found


def is_taken(path: Path | str) -> bool:
    """Return whether anything has this path, including a broken link; GenomeError as `is_file`."""
    with _looking(path):
        return Path(path).is_symlink() or Path(path).exists()


@contextmanager
def _looking(path: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GenomeError(f"{path}: cannot be read ({error.strerror}); correct the path or its permissions") from error


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; GenomeError as `open_file`."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encodable(text: str) -> bool:
    """Return whether `text` can be written as UTF-8; half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(mode: int) -> str:
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _parse(
    decoder: json.JSONDecoder, text: str, where: str, remedy: str, expected: str = "valid JSON", one_line: bool = False
) -> Any:
    """Return the JSON value in `text`; `where` names the line if `one_line`, else the file."""
    try:
        value = decoder.decode(text)
        if decoder is _OURS and SURROGATE.search(text) and not encodable(json.dumps(value, ensure_ascii=False)):
            raise ValueError("half of a surrogate pair")
    except json.JSONDecodeError as error:
        place = where if one_line else f"{where}, line {error.lineno}"
        raise GenomeError(f"{place}: not {expected} ({error.msg}, column {error.colno}); {remedy}") from error
    except RecursionError as error:
        raise GenomeError(f"{where}: not {expected} (nested too deeply); {remedy}") from error
    except ValueError as error:
        # After a semicolon, Python's message names a setting of Python.
        raise GenomeError(f"{where}: not {expected} ({str(error).partition(';')[0]}); {remedy}") from error
    return value


def _parse_array(decoder: json.JSONDecoder, text: str, path: str, remedy: str, expected: str) -> list[Any]:
    """Return the elements of a JSON array; GenomeError names the line that is not JSON, or the faulty row."""
    try:
        return _parse(decoder, text, path, remedy, expected)
    except GenomeError as error:
        if isinstance(error.__cause__, json.JSONDecodeError):
            raise
        number, position = 0, text.index("[")
        with suppress(ValueError, RecursionError):
            while True:
                number += 1
                position = decoder.raw_decode(text, _after_space(text, position + 1))[1]
                position = _after_space(text, position)
        raise GenomeError(str(error).replace(path, f"{path}, row {number}", 1)) from error


def _after_space(text: str, position: int) -> int:
    found = SPACE.match(text, position)
    return found.end() if found else position


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is repeated")
    return mapping


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    return number if math.isfinite(number := float(text)) else _no_number(text)


_OURS = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)
_THEIRS = json.JSONDecoder(object_pairs_hook=_unique)
