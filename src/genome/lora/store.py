"""The store: a folder of adapters named by their content, from which engines read.

An engine caches adapters by name and path, so a folder of the store is never rewritten. Folders not requested for an
hour, and not locked by a job, are removed: a genotype rebuilds its adapter.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from genome.experts.expert import Expert
from genome.files import writing
from genome.genotype import Genotype
from genome.lora.materialise import CONFIG, WEIGHTS, materialise

UNUSED_SECONDS = 3600
"""How long an adapter that no job requests stays in the store."""

LOOK_SECONDS = 60
"""How often unused adapters are looked for."""

LOOKED = ".looked"
"""A file of the store that was touched when unused adapters were last looked for."""


def store_genotypes(
    genotypes: Sequence[Genotype],
    experts: Sequence[Expert],
    store: Path,
    names: Sequence[str] = (),
    basis: Path | None = None,
) -> list[Path]:
    """Materialise genotypes into the `store` and return their folders, each named by adapter id.

    `names` and `basis` are those of `genome.lora.materialise.materialise`.
    Unused adapters are removed first: a long workflow makes more adapters than fit on a disk.
    """
    with writing(store):
        store.mkdir(parents=True, exist_ok=True)
    _prune(store)
    with writing(store, store), tempfile.TemporaryDirectory(prefix=".new-", dir=store) as temporary:
        folders = [Path(temporary) / str(number) for number in range(len(genotypes))]
        ids = materialise(genotypes, experts, folders, names, basis)
        return [_publish(folder, store / name) for folder, name in zip(folders, ids, strict=True)]


def _publish(folder: Path, target: Path) -> Path:
    os.utime(folder)
    try:
        folder.rename(target)
    except OSError:
        # The same content is already there: the system refuses to rename onto a directory that is not empty.
        os.utime(target)
    return target


def _prune(store: Path) -> None:
    """Remove adapters that were not requested lately and that no job uses, unless a job has just done so.

    A run makes tens of thousands of adapters an hour, and looking at all of them takes longer than making some.
    """
    looked = store / LOOKED
    if looked.exists() and time.time() - looked.stat().st_mtime < LOOK_SECONDS:
        return
    with writing(store):
        looked.touch()
    for folder in store.iterdir():
        with suppress(OSError):  # in use, removed by another job, or on a file system without locks
            if folder.stat().st_mtime > time.time() - UNUSED_SECONDS:
                continue
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder.rename(folder.with_name(f".old-{folder.name}")))
            finally:
                os.close(lock)


def link_adapter(source: Path, target: Path) -> None:
    """Make `target` a PEFT folder with the files of `source`, as hard links, or as copies across file systems."""
    target.mkdir(parents=True)
    for name in (CONFIG, WEIGHTS):
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copyfile(source / name, target / name)
