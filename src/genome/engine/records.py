"""Small files in `.genome`, each with one dataclass as JSON, and their folder.

A crash, a full disk or a user may have damaged or replaced any of them. A damaged file is treated as missing, and is
replaced or removed.
"""

import json
import os
import shutil
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from filelock import FileLock

from genome.errors import GenomeError
from genome.files import replacing

FOLDER = Path(".genome")

Record = TypeVar("Record")


def read_record(file: Path, kind: type[Record]) -> Record | None:
    """Return the record of type `kind` in a file; None if the file is missing or has anything else."""
    try:
        record = kind(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    types = get_type_hints(kind).items()
    typed = record is not None and all(isinstance(getattr(record, name), each) for name, each in types)
    return record if typed else None


def write_record(file: Path, record: Any) -> None:
    """Write a dataclass to a file that only this user can read; anything of the same name is replaced."""
    if not file.is_file():
        remove(file)
    with replacing(file) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(vars(record)), encoding="utf-8")


def remove(file: Path) -> None:
    """Remove a file of ours, or a folder of the same name; a failure does no harm."""
    with suppress(OSError):
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)
        else:
            file.unlink(missing_ok=True)


def own_folder() -> Path:
    """Return the folder of these files and make it if it is missing; GenomeError if that fails."""
    folder = FOLDER.absolute()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise GenomeError(f"{folder} is not a folder; the workflow keeps its engine's files there: move it") from error
    except OSError as error:
        raise GenomeError(f"{folder} cannot be made ({error.strerror}); make its parent folder writable") from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise GenomeError(f"{folder} cannot be written to; the workflow keeps its engine's files there: chmod u+rwx it")
    return folder


def lock(folder: Path) -> AbstractContextManager:
    """Return the lock that guards the start of engines; it is released when its process ends."""
    file = folder / ".lock"
    if not file.is_file():
        remove(file)
    return FileLock(file)
