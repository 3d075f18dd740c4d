"""Base models as local folders, from the hub or from a path."""

import codecs
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.experts.hub import download, hub_errors
from genome.files import check_file, copy_file, is_file, is_folder, open_file, read_object, replacing_directory
from genome.tasks.chat import check_packages

PATTERNS = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt")
PATTERNS += ("additional_chat_templates/*.jinja",)
"""The files of a base model, without any that must be unpickled or run."""

BELOW = ("[!a]*/*", "a[!d]*/*")
"""Files in subfolders of a repository, except chat templates: other formats of the same model, which are not needed."""

ADAPTER, ADAPTER_CONFIG = "adapter_", "adapter_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

SETTINGS = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
"""Small JSON files next to config.json that transformers reads; other JSON files may contain anything."""

POINTER = b"version https://git-lfs"

log = logging.getLogger("genome")


def fetch_base(source: Mapping[str, Any], out: Path | str) -> None:
    """Make `out` a folder of the base model in `source`: {hub, revision?} or {path}.

    All files are copied, including the weights, so that a change of the source does not reach the copy, or the reverse.
    Some file systems share the bytes (see `genome.files.copy_file`). An adapter in the same folder is left out, since
    transformers would load it with the model. Raises GenomeError if the source is missing, gated, only an adapter, or
    without a config or weights in safetensors.
    """
    origin = _download(source) if "hub" in source else Path(source["path"]).expanduser()
    check_source(source, origin)
    where = _where(source, origin)
    if origin.resolve() == Path(out).resolve():
        raise GenomeError(f"{where}: it is its own source; move it to another folder")
    adapter = sorted(file.name for file in origin.glob(f"{ADAPTER}*"))
    if adapter:
        log.warning("%s: %s left out; give the adapter as an expert", where, " and ".join(adapter))
    files = model_files(origin)
    log.info("%s: %d files copied, %.1f MB", where, len(files), sum(map(check_file, files)) / 1e6)
    with replacing_directory(out) as folder:
        for file in files:
            target = folder / file.relative_to(origin)
            target.parent.mkdir(exist_ok=True)
            copy_file(file, target)


def source_files(source: Mapping[str, Any]) -> list[Path]:
    """Return the files of a base model given by `path`; an empty list for a hub's or a generator's."""
    return model_files(Path(source["path"]).expanduser()) if "path" in source else []


def model_files(folder: Path) -> list[Path]:
    """Return the files of a folder that belong to a base model, without those of an adapter."""
    found = {file for pattern in PATTERNS for file in folder.glob(pattern)}
    return sorted(file for file in found if not file.name.startswith(ADAPTER))


def check_source(source: Mapping[str, Any], origin: Path) -> None:
    """Raise GenomeError unless the folder `origin` holds a base model that transformers can load."""
    where = _where(source, origin)
    has = {file.name for file in origin.iterdir()} if is_folder(origin) else set()
    if ADAPTER_CONFIG in has and "config.json" not in has:
        raise GenomeError(
            f"{where}: it is an adapter ({ADAPTER_CONFIG} without config.json); list it as an expert, and set `model` "
            "to the base that it was trained on"
        )
    if "config.json" not in has or has.isdisjoint((WEIGHTS, INDEX)):
        raise GenomeError(
            f"{where} lacks config.json or weights in safetensors ({WEIGHTS}, or {INDEX} with its files); "
            "correct `model` in the config"
        )
    read_object(origin / "config.json")
    if WEIGHTS not in has:
        _check_index(where, origin)
    for file in model_files(origin):
        with open_file(file) as opened:
            start = opened.read(len(POINTER))
        if start == POINTER:
            raise GenomeError(f"{file}: a Git LFS pointer, not the file; run `git lfs pull` in its repository")
        if start.startswith(codecs.BOM_UTF8):
            raise GenomeError(f"{file}: starts with a byte order mark, which transformers cannot read; save it without")
        if file.name in SETTINGS:
            read_object(file)
    if "tokenizer.json" not in has:
        check_packages(origin)


def _check_index(where: str, origin: Path) -> None:
    """Raise GenomeError unless all files in the index of the weights exist."""
    places = read_object(origin / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise GenomeError(f"{where}: {INDEX} has no weight_map of tensors to files; fetch the model again")
    missing = sorted({name for name in places.values() if Path(name).name != name or not is_file(origin / name)})
    if missing:
        number = f"{len(missing)} of the {len(set(places.values()))}"
        raise GenomeError(f"{where} lacks {number} files of its weights, first {missing[0]}; fetch the model again")


def _where(source: Mapping[str, Any], origin: Path) -> str:
    return f"base model {source['hub']} ({origin})" if "hub" in source else f"base model {origin}"


def _download(source: Mapping[str, Any]) -> Path:
    repo, asked = source["hub"], source.get("revision")
    with hub_errors(f"base model {repo}", repo, asked):
        return download(repo, asked, PATTERNS, BELOW)
