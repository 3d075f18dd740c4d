"""Base models as local folders, from the hub or from a path."""

import codecs
import glob
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.experts.adapter_files import CONFIG
from genome.experts.base_layers import INDEX, WEIGHTS
from genome.experts.gguf_base import ENDING, check_gguf, unpack_gguf
from genome.experts.hub import check_pointer, download, hub_errors, nearest_first, repository_files
from genome.files import check_file, copy_file, is_file, is_folder, read_object, replacing_directory
from genome.tasks.chat import check_packages

PATTERNS = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt")
PATTERNS += ("additional_chat_templates/*.jinja",)
"""The files of a base model, without any that must be unpickled or run."""

BELOW = ("[!a]*/*", "a[!d]*/*")
"""Files in subfolders of a repository, except chat templates: other formats of the same model, which are not needed."""

ADAPTER = "adapter_"

SETTINGS = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
"""Small JSON files next to config.json that transformers reads; other JSON files may contain anything."""

log = logging.getLogger("genome")


def fetch_base(source: Mapping[str, Any], out: Path | str) -> None:
    """Make `out` a folder of the base model in `source`: {hub, revision?, file?} or {path}.

    A GGUF file (`file` of the hub, `path`, or the only one in a folder without other weights) is unpacked. Of another
    base model, all files are copied, including the weights, so that a change of the source does not reach the copy, or
    the reverse. Some file systems share the bytes (see `genome.files.copy_file`). An adapter in the same folder is left
    out, since transformers would load it with the model. Raises GenomeError if the source is missing, gated, only an
    adapter, or without a config or weights in safetensors.
    """
    origin = _download(source) if "hub" in source else Path(source["path"]).expanduser()
    check_source(source, origin)
    where = _where(source, origin)
    file = gguf_file(source, origin)
    if file is not None:
        with replacing_directory(out) as folder:
            unpack_gguf(file, folder)
        log.info("%s: %s unpacked", where, file.name)
        return
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
    if "path" not in source:
        return []
    origin = Path(source["path"]).expanduser()
    file = gguf_file(source, origin)
    return model_files(origin) if file is None else [file]


def gguf_file(source: Mapping[str, Any], origin: Path) -> Path | None:
    """Return the GGUF file that is the base model of `source` at `origin`; None for a folder of transformers.

    GenomeError if a folder has no other weights and several GGUF files, of which one must be chosen.
    """
    if "file" in source:
        return origin / source["file"]
    if not is_folder(origin):
        return origin if origin.suffix == ENDING else None
    found = sorted(file for file in origin.iterdir() if file.suffix == ENDING)
    if not found or is_file(origin / WEIGHTS) or is_file(origin / INDEX):
        return None
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise GenomeError(f"{_where(source, origin)} has several GGUF files ({names}); give the path of one")
    return found[0]


def model_files(folder: Path) -> list[Path]:
    """Return the files of a folder that belong to a base model, without those of an adapter."""
    found = {file for pattern in PATTERNS for file in folder.glob(pattern)}
    return sorted(file for file in found if not file.name.startswith(ADAPTER))


def check_source(source: Mapping[str, Any], origin: Path) -> None:
    """Raise GenomeError unless `origin` is a base model's folder that transformers can load, or a GGUF file."""
    where = _where(source, origin)
    file = gguf_file(source, origin)
    if file is not None:
        check_pointer(file)
        check_gguf(file)
        return
    has = {file.name for file in origin.iterdir()} if is_folder(origin) else set()
    if CONFIG in has and "config.json" not in has:
        raise GenomeError(
            f"{where}: it is an adapter ({CONFIG} without config.json); list it as an expert, and set `model` "
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
        if check_pointer(file).startswith(codecs.BOM_UTF8):
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
    repo, asked, file = source["hub"], source.get("revision"), source.get("file")
    with hub_errors(f"base model {repo}", repo, asked):
        folder = download(
            repo, asked, PATTERNS if file is None else (glob.escape(file),), BELOW if file is None else ()
        )
        if is_file(folder / (file or WEIGHTS)) or (file is None and is_file(folder / INDEX)):
            return folder
        found = [name for name in repository_files(repo, asked) or () if name.endswith(ENDING)]
    if file is not None:
        known = f"it has {', '.join(nearest_first(file, found)[:5])}; " if found else ""
        raise GenomeError(f"base model {repo} has no file {file}; {known}correct `file` in the config")
    if found:
        raise GenomeError(
            f"base model {repo} has its weights in GGUF files; set `file` next to `hub` in the config to one of "
            f"{', '.join(found)}"
        )
    return folder
