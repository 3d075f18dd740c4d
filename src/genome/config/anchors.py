"""Paths that begin with ./ or ../ start at the file that names them, all others at the working folder."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from genome.validation.readable import is_list, is_mapping
from genome.yaml_files import read_yaml

KEYS = ("beside", "corpus", "data_dir", "include_path", "path", "python", "template_file")
"""Keys of configs and task files whose values, at any depth, are paths."""

HERE = ("./", "../")

Place = tuple[str | int, ...]


def anchored(value: Any, file: str | Path, start: str | Path = "") -> Any:
    """Return what `file` says with the paths that start at it as the folder `start` names them."""
    return map_paths(value, lambda _, text: _from(file, text, start))


def anchored_config(
    config: Mapping[str, Any], files: Iterable[str | Path], defaults: str | Path, start: str | Path = ""
) -> dict[str, Any]:
    """Return a config that was read from `files`, a later one laid over those before, `defaults` below all of them.

    A path starts at the last file that says it; on the command line, at the working folder.
    """
    others = [file for file in files if Path(file).resolve() != Path(defaults).resolve()]
    said = [(file, _contents(file)) for file in (*reversed(others), defaults)]

    def change(place: Place, text: str) -> str:
        if text.startswith(HERE):
            for file, contents in said:
                if _at(contents, place) == text:
                    return _from(file, text, start)
        return text

    return map_paths(config, change)


def map_paths(value: Any, change: Callable[[Place, str], str], place: Place = (), *, inside: bool = False) -> Any:
    """Return a value whose paths are those that `change` returns for their places and texts."""
    if is_mapping(value):
        return {
            key: map_paths(entry, change, (*place, key), inside=inside or key in KEYS) for key, entry in value.items()
        }
    if is_list(value):
        return [map_paths(entry, change, (*place, index), inside=inside) for index, entry in enumerate(value)]
    return change(place, value) if inside and isinstance(value, str) else value


def _from(file: str | Path, text: str, start: str | Path) -> str:
    if not text.startswith(HERE):
        return text
    return os.path.relpath(os.path.join(Path(file).parent, text), start or os.curdir)  # noqa: PTH118


def _contents(file: str | Path) -> Any:
    """Return what a config file says; Snakemake reads JSON too, indented with tabs or not."""
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError:
        return read_yaml(file)


def _at(value: Any, place: Place) -> Any:
    for key in place:
        if is_mapping(value):
            value = value.get(key)
        elif is_list(value) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value
