"""Base models as local folders, whatever they come from."""

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
"""What a base model is made of; nothing that must be unpickled or run."""

BELOW = ("[!a]*/*", "a[!d]*/*")
"""Files in folders of a repository but chat templates: other formats of the same model, of which nothing is needed."""

ADAPTER, ADAPTER_CONFIG = "adapter_", "adapter_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

SETTINGS = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
"""Small files beside config.json that transformers reads; others in JSON may hold what they like."""

POINTER = b"version https://git-lfs"

log = logging.getLogger("genome")


def fetch_base(source: Mapping[str, Any], out: Path | str) -> None:
    """Make `out` a folder of the base model in `source`: {hub, revision?} or {path}.

    All files are copies, weights too, so that neither a change of the source nor one of the copy reaches the other; a
    file system that can shares their bytes (see `genome.files.copy_file`). An adapter in the same folder is left out,
    since transformers would load it with the model. Raises GenomeError when the source is missing, gated, an adapter
    alone, or lacks its config or weights in safetensors.
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
    """Return the files that a base model given by `path` is made of; of a hub's or generator's none."""
    return model_files(Path(source["path"]).expanduser()) if "path" in source else []


def model_files(folder: Path) -> list[Path]:
    """Return the files of a folder that belong to a base model; an adapter beside it does not."""
    found = {file for pattern in PATTERNS for file in folder.glob(pattern)}
    return sorted(file for file in found if not file.name.startswith(ADAPTER))


def check_source(source: Mapping[str, Any], origin: Path) -> None:
    """Raise GenomeError unless the folder `origin` holds a base model that transformers can load."""
    where = _where(source, origin)
    has = {file.name for file in origin.iterdir()} if is_folder(origin) else set()
    if ADAPTER_CONFIG in has and "config.json" not in has:
        raise GenomeError(
            f"{where}: it is an adapter ({ADAPTER_CONFIG} without config.json); give it as an expert, and as `model` "
            "the base that it was trained on"
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
            raise GenomeError(f"{file}: a pointer of Git LFS, not the file; call `git lfs pull` in its repository")
        if start.startswith(codecs.BOM_UTF8):
            raise GenomeError(f"{file}: begins with a byte order mark, which transformers cannot read; save it without")
        if file.name in SETTINGS:
            read_object(file)
    if "tokenizer.json" not in has:
        check_packages(origin)


def _check_index(where: str, origin: Path) -> None:
    """Raise GenomeError unless all files that the index of the weights names are there."""
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
