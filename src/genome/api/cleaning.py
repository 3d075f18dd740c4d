"""What of a folder can be deleted because it can be made again without asking an engine, and how much that frees.

Nothing else is touched: not what users have written, not results, not the answers of an interrupted stage.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from genome.api.runner import LOCK
from genome.engine.records import FOLDER
from genome.errors import GenomeError

KEPT = (".snakemake_timestamp",)
"""What stays in a folder of adapters: it is an output of Snakemake's."""


@dataclass(frozen=True)
class Deletable:
    """Paths of one kind that can be deleted, why, and the bytes that this frees."""

    what: str
    why: str
    paths: Sequence[Path]
    bytes: int


def deletable(folder: Path) -> list[Deletable]:
    """Return what can be deleted in a project's or a user's folder; GenomeError while a run is going on there."""
    _check_idle(folder)
    adapters = list(_adapters(folder))
    cache = sorted(path for path in (folder / FOLDER).glob("*") if path.name != ".lock")
    found = [
        ("adapters of generations", "`genome materialise` rebuilds each from its population.json", adapters),
        ("what engines have left", "the next run begins with an empty store", cache),
    ]
    freed = _freed([paths for _, _, paths in found])
    return [
        Deletable(what, why, paths, number) for (what, why, paths), number in zip(found, freed, strict=True) if paths
    ]


def delete(found: Sequence[Deletable]) -> None:
    """Delete what `deletable` has returned."""
    for path in (path for each in found for path in each.paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _adapters(folder: Path) -> Iterator[Path]:
    """Yield the adapters next to a population that rebuilds them."""
    for population in sorted((folder / "results/runs").glob("**/generation_*/population.json")):
        yield from sorted(path for path in (population.parent / "adapters").glob("*") if path.name not in KEPT)


def _freed(groups: Sequence[Sequence[Path]]) -> list[int]:
    """Return the bytes that each group frees; a file with several names is freed with the last of them."""
    names: dict[tuple[int, int], int] = defaultdict(int)
    freed: list[int] = []
    for paths in groups:
        total = 0
        for path in paths:
            for file in (path, *path.rglob("*")):
                found = file.lstat()
                if file.is_symlink() or not file.is_file():
                    continue
                names[found.st_dev, found.st_ino] += 1
                total += found.st_size if names[found.st_dev, found.st_ino] == found.st_nlink else 0
        freed.append(total)
    return freed


def _check_idle(folder: Path) -> None:
    """Raise GenomeError if Snakemake holds its lock in a folder, or a run of ours is going on."""
    if not folder.is_dir():
        raise GenomeError(f"{folder}: no such folder")
    busy = any((folder / ".snakemake/locks").glob("*"))
    if not busy and (folder / LOCK).exists():
        try:
            FileLock(folder / LOCK, timeout=0).acquire().__exit__(None, None, None)
        except Timeout:
            busy = True
    if busy:
        raise GenomeError(f"{folder}: a run is going on there, or was killed; end it, or continue it to its end first")
