"""Where an expert comes from: a folder of the user's, read in place, or a repository of the hub, read in its cache.

A folder with an adapter_config.json is an adapter, and one with a config.json and weights is a full fine-tune.
"""

import codecs
import glob
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from genome.errors import GenomeError
from genome.experts import base_layers
from genome.experts.adapter_files import CONFIG, PICKLED, WEIGHTS
from genome.experts.expert import METADATA
from genome.experts.hub import check_pointer, download, hub_errors, nearest_first, repository_files
from genome.experts.tensors import read_header
from genome.files import is_file, is_folder, read_text

CARD = "README.md"
GGUF = ".gguf"
NO_GGUF = (
    "has its weights as GGUF, from which experts cannot be imported; give the fine-tune's original files in safetensors"
)

SHOWN = 5
"""How many of several names a message lists."""

log = logging.getLogger("genome")


@dataclass(frozen=True)
class Origin:
    """The files of a fine-tune: an adapter, or a full fine-tune.

    folder: where they are, the user's own or one of the hub's cache
    is_adapter: whether it is an adapter
    revision: the commit of a hub repository
    card: the model card, if there is one
    """

    folder: Path
    is_adapter: bool
    revision: str | None
    card: Path | None

    @property
    def files(self) -> list[Path]:
        """The files of which the expert is made."""
        if self.is_adapter:
            return [self.folder / CONFIG, self.folder / WEIGHTS]
        index = [self.folder / base_layers.INDEX] if is_file(self.folder / base_layers.INDEX) else []
        return [self.folder / base_layers.CONFIG, *index, *base_layers.weight_files(self.folder)]


def source_files(source: Mapping[str, Any]) -> list[Path]:
    """Return the files of an expert given by `path`, whether they exist or not; an empty list for a hub's expert."""
    if "path" not in source:
        return []
    folder = _folder(source)
    if is_full(_listed(folder) if is_folder(folder) else []):
        return Origin(folder, False, None, None).files
    return [folder / CONFIG, folder / WEIGHTS]


def find_source(source: Mapping[str, Any]) -> Origin:
    """Return the files of a source: {hub, revision?, subfolder?}, which is downloaded, or {path, subfolder?}.

    Only an adapter's config and weights, or a model's config and weights, and the card are downloaded, none that must
    be unpickled. Without a network the hub's cache is used. Raises GenomeError unless it is a fine-tune, and for a Git
    LFS pointer in place of a file.
    """
    origin = _download(source) if "hub" in source else _in_place(source)
    for file in origin.files:
        _check_start(file)
    return origin


def licence(card: Path | None) -> str | None:
    """Return the licence in the front matter of a model card, None if it has none that can be read."""
    known = _front_matter(card)
    found = (known.get("license_name") if known.get("license") == "other" else None) or known.get("license")
    return " or ".join(_texts(found)) or None


def base_names(card: Path | None) -> list[str]:
    """Return the base models that a model card names in its front matter."""
    return _texts(_front_matter(card).get("base_model"))


def _texts(value: Any) -> list[str]:
    return [" ".join(str(each).split()) for each in (value if isinstance(value, list) else [value]) if each]


def _front_matter(card: Path | None) -> dict[str, Any]:
    if card is None:
        return {}
    try:
        start, matter, _ = read_text(card).split("---", 2)
        known = yaml.safe_load(matter)
    except (GenomeError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return known if isinstance(known, dict) and not start.strip() else {}


def is_full(names: Iterable[str], prefix: str = "") -> bool:
    """Return whether files named `names` are a full model and no adapter."""
    has = set(names)
    weights = {prefix + base_layers.WEIGHTS, prefix + base_layers.INDEX}
    return prefix + base_layers.CONFIG in has and prefix + CONFIG not in has and not has.isdisjoint(weights)


def _folder(source: Mapping[str, Any]) -> Path:
    return Path(source["path"]).expanduser() / _subfolder(source)


def _subfolder(source: Mapping[str, Any]) -> str:
    return (source.get("subfolder") or "").strip("/")


def _in_place(source: Mapping[str, Any]) -> Origin:
    folder = _folder(source)
    if is_file(folder):
        _refuse_file(folder)
    if not is_folder(folder):
        siblings = nearest_first(folder.name, sorted(file.parent.name for file in folder.parent.glob(f"*/{CONFIG}")))
        found = f"adapters next to it: {_shown(siblings)}; " if siblings else ""
        raise GenomeError(f"{folder} is not a folder; {found}correct `path` of this expert")
    names = _listed(folder)
    full = _require(f"folder {folder}", names, "", "path")
    _warn_if_both(f"folder {folder}", names)
    return Origin(folder, not full, None, folder / CARD if CARD in names else None)


def _refuse_file(file: Path) -> None:
    """Raise GenomeError for a file in place of a folder, with what to give instead."""
    if file.suffix == GGUF:
        raise GenomeError(f"{file} {NO_GGUF}")
    if file.suffix == ".safetensors" and METADATA in read_header(file, any_type=True)[1]:
        raise GenomeError(
            f"{file} is an expert that was imported before; give its source, or the folder that `genome materialise "
            "FILE FOLDER` makes of it"
        )
    known = any(is_file(file.parent / name) for name in (CONFIG, base_layers.CONFIG))
    remedy = f"give its folder, {file.parent}" if known else "give the folder of an adapter or a model"
    raise GenomeError(f"{file} is a file, not a folder; {remedy}")


def _shown(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _download(source: Mapping[str, Any]) -> Origin:
    repo, asked, subfolder = source["hub"], source.get("revision"), _subfolder(source)
    prefix = f"{subfolder}/" if subfolder else ""
    where = f"hub repository {repo}"
    cards = [prefix + CARD, CARD]
    adapter = [prefix + CONFIG, prefix + WEIGHTS]
    model = [prefix + file for file in (base_layers.CONFIG, base_layers.WEIGHTS, base_layers.INDEX)]
    with hub_errors(where, repo, asked):
        names = repository_files(repo, asked)
        full = None if names is None else _require(where, names, subfolder)
        wanted = [*([] if full else adapter), *([] if full is False else model), *cards]
        snapshot = download(repo, asked, [glob.escape(name) for name in wanted])
        if names is None:
            names = _listed(snapshot, "**/*")
            full = _require(f"the copy of {where} in the cache", names, subfolder)
        if full and prefix + base_layers.WEIGHTS not in names:
            index = snapshot / subfolder / base_layers.INDEX
            shards = [prefix + name for name in base_layers.shards(index)]
            snapshot = download(repo, asked, [glob.escape(name) for name in [*wanted, *shards]])
    _warn_if_both(where, names, prefix)
    card = next((snapshot / name for name in cards if is_file(snapshot / name)), None)
    return Origin(snapshot / subfolder, not full, snapshot.name, card)


def _listed(folder: Path, *patterns: str) -> list[str]:
    """Return the names of the files in a folder and one level below, or of the files that match `patterns`."""
    return [file.relative_to(folder).as_posix() for each in patterns or ("*", "*/*") for file in folder.glob(each)]


def _require(where: str, files: Sequence[str], subfolder: str, field: str = "subfolder") -> bool:
    """Return whether `files` are a full fine-tune, not an adapter; GenomeError, with the adapters' folders, if none."""
    prefix = f"{subfolder}/" if subfolder else ""
    if prefix + CONFIG in files and prefix + WEIGHTS in files:
        return False
    if is_full(files, prefix):
        return True
    if prefix + CONFIG in files and prefix + PICKLED in files:
        raise GenomeError(
            f"{where} has {prefix}{PICKLED} but no {prefix}{WEIGHTS}; nothing is unpickled here: if you trust its "
            "origin, call `PeftModel.from_pretrained(BASE, FOLDER).save_pretrained(NEW)` and give NEW as `path`"
        )
    pickled = next(
        (name for name in files if name.startswith(f"{prefix}pytorch_model") and name.endswith(".bin")), None
    )
    if pickled and prefix + base_layers.CONFIG in files:
        raise GenomeError(
            f"{where} has {pickled} but no {prefix}{base_layers.WEIGHTS}; nothing is unpickled here: if you trust its "
            "origin, call `AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW)` and give NEW as `path`"
        )
    folders = sorted({file.removesuffix(CONFIG).rstrip("/") or "." for file in files if file.endswith(CONFIG)})
    if not folders and any(name.endswith(GGUF) and name.startswith(prefix) for name in files):
        raise GenomeError(f"{where} {NO_GGUF}")
    found = f"adapters are in: {_shown(nearest_first(subfolder, folders))}" if folders else "it contains no adapter"
    raise GenomeError(
        f"{where} lacks {prefix}{CONFIG} or {prefix}{WEIGHTS}, and is not a full model either "
        f"({base_layers.CONFIG} with {base_layers.WEIGHTS} or its index); {found}; correct "
        f"`{field}` of this expert"
    )


def _warn_if_both(where: str, names: Sequence[str], prefix: str = "") -> None:
    has = set(names)
    models = {prefix + base_layers.WEIGHTS, prefix + base_layers.INDEX} & has
    if models and prefix + CONFIG in has:
        log.warning("%s: has an adapter and %s; the adapter is used", where, " and ".join(sorted(models)))


def _check_start(file: Path) -> None:
    start = check_pointer(file)
    if file.suffix == ".safetensors" and start.startswith(codecs.BOM_UTF8):
        raise GenomeError(f"{file}: starts with a byte order mark, so it was saved as text; fetch it again")
