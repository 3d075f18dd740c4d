"""Experts: the LoRA adapters that a run starts from, fetched once and checked before anything runs.

An expert is a PEFT folder with a provenance file. Weights are checked once, when the provenance is written.
Later readers trust its hash and only compare the file's size with its header. Merging adds weights position by
position, so all experts of a run must agree in rank, alpha, and the names and shapes of their tensors (Section 2.1).
The names of the base model and the target modules in adapter_config.json are not compared: the same base has many
names, and the same modules can be written as a list or as a pattern. Tensors may have different types: arithmetic is in
float32, and merges of experts are stored in the widest of their types.
"""

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.experts.hub import download, hub_errors, nearest_first, repository_files
from genome.experts.tensors import TensorInfo, open_tensors, read_header, widest
from genome.files import copy_file, is_folder, is_taken, read_json, replacing_directory, sha256, write_json

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PROVENANCE = "provenance.json"
PICKLED = "adapter_model.bin"
HUB_CACHE = re.compile(r"models--[^/\\]+?--([^/\\]+)[/\\]snapshots[/\\]")

BEYOND_PLAIN_LORA = (
    "use_dora",
    "use_rslora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
)
"""Fields of PEFT's LoraConfig that, when set, make the model different from `W + alpha/r * BA`."""

FETCH_AGAIN = "fetch or train the expert again"
LARGEST_ALPHA = 1e30
"""Far above the alpha of any adapter; integers beyond the range of float32 would overflow."""

CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga", "mica")
"""Initialisations that also change the base model; the adapter is useless without that changed base."""


@dataclass(frozen=True)
class Expert:
    """One adapter: `path` is its PEFT folder, `sha256` the hash of its weights file; `tensors` are in file order.

    `base_model` is the name of the base in the adapter's config, None if there is none.
    """

    name: str
    path: Path
    base_model: str | None
    rank: int
    alpha: float
    target_modules: tuple[str, ...]
    sha256: str
    tensors: Mapping[str, TensorInfo]


def read_expert(folder: Path | str) -> Expert:
    """Read an expert's config, provenance and the header of its weights, but not the weights.

    Raises GenomeError for a missing file, an unsupported adapter or truncated weights.
    """
    folder = Path(folder)
    if not is_taken(folder / PROVENANCE):
        raise GenomeError(f"{folder / PROVENANCE}: missing; fetch or train the expert again")
    provenance = read_json(folder / PROVENANCE, FETCH_AGAIN)
    for field in ("name", "sha256"):
        if not isinstance(provenance, dict) or not isinstance(provenance.get(field), str):
            raise GenomeError(f"{folder / PROVENANCE}: no field {field!r}; {FETCH_AGAIN}")
    return _expert(folder, provenance["name"], provenance["sha256"])


def load_experts(folders: Iterable[Path | str]) -> list[Expert]:
    """Read the experts of a run, in the given order, and check that they can be merged."""
    experts = [read_expert(folder) for folder in folders]
    check_experts(experts)
    return experts


def check_experts(experts: Sequence[Expert]) -> None:
    """Raise GenomeError, with all differences, unless all experts can be merged."""
    if len(experts) < 2:
        raise GenomeError(f"{len(experts)} expert(s) given, at least 2 are needed; add experts to the config")
    first = experts[0]
    found = [(other, ", ".join(differences)) for other in experts[1:] if (differences := _differences(first, other))]
    if found:
        each = (
            f"experts {first.name} and {other.name} cannot be merged: {differences}" for other, differences in found
        )
        places = ", ".join(str(expert.path) for expert in (first, *(other for other, _ in found)))
        raise GenomeError(f"{'; '.join(each)}; choose or train experts that agree ({places})")
    lone = next((name for name in first.tensors if _partner(name) not in first.tensors), None)
    if lone is not None:
        raise GenomeError(f"{first.path / WEIGHTS}: tensor {lone} has no partner {_partner(lone)}; {FETCH_AGAIN}")


def different_names(experts: Sequence[Expert]) -> list[str]:
    """Return one line for each expert whose config names a different base or different target modules than the first.

    Such experts can be merged if their tensors agree (`check_experts`), but users may want to know.
    """
    first = experts[0]
    lines = []
    for other in experts[1:]:
        bases = [expert.base_model or "no base model" for expert in (first, other)]
        if model_name(bases[0]) != model_name(bases[1]):
            lines.append(f"experts {first.name} and {other.name} name their base {bases[0]} and {bases[1]}")
        if first.target_modules != other.target_modules:
            modules = [", ".join(expert.target_modules) for expert in (first, other)]
            lines.append(f"experts {first.name} and {other.name} name as target_modules {modules[0]} and {modules[1]}")
    return [f"{line}; they can be merged, because their tensors agree" for line in lines]


def stored_types(experts: Sequence[Expert]) -> dict[str, str]:
    """Return the type in which each merged tensor of `experts` is stored: the widest of the experts' types."""
    return {name: widest(expert.tensors[name].dtype for expert in experts) for name in experts[0].tensors}


def model_name(base: str) -> str:
    """Return the part of a base model's name that identifies it: the last part of a hub id or path, in lower case.

    Adapters name their base as their training did: `google/gemma-2-2b-it`, a folder on another machine, or the hub's
    cache. Owner and folders depend on the place, not on the model. The shapes of all tensors are compared as well.
    """
    cached = HUB_CACHE.search(base)
    name = cached[1] if cached else base.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return name.lower()


def check_weights(path: Path | str) -> None:
    """Read a whole safetensors file; GenomeError if a weight is NaN or infinite, or if bytes are missing."""
    for name, values in open_tensors(path).items():
        wrong = values.size - np.count_nonzero(np.isfinite(values))
        if wrong:
            raise GenomeError(
                f"{path}: {wrong} of {values.size} weights of tensor {name} are NaN or infinite; "
                "train the adapter again or fetch an intact copy"
            )


def write_provenance(
    folder: Path | str, name: str, source: str | Mapping[str, Any], extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Check a PEFT folder, weights included, and write its provenance.json, which makes it an expert.

    `source` is the origin of the adapter (a config's `hub` or `path` entry, or how it was trained or merged). `extra`
    adds fields or sets `revision` (a hub commit). Returns the provenance.
    """
    folder = Path(folder)
    expert = _checked(folder, name)
    provenance = {
        "name": name,
        "source": source,
        "revision": None,
        "sha256": expert.sha256,
        "base_model": expert.base_model,
        "rank": expert.rank,
        "alpha": expert.alpha,
        "target_modules": list(expert.target_modules),
        "tensors": len(expert.tensors),
        "dtypes": sorted({tensor.dtype for tensor in expert.tensors.values()}),
        **(extra or {}),
    }
    write_json(folder / PROVENANCE, provenance)
    return provenance


def _checked(folder: Path, name: str) -> Expert:
    """Return the adapter in `folder` as an expert, after reading and hashing its weights."""
    expert = _expert(folder, name, "")
    check_weights(folder / WEIGHTS)
    return replace(expert, sha256=sha256(folder / WEIGHTS))


def fetch_expert(name: str, source: Mapping[str, Any], out: Path | str) -> None:
    """Make `out` the expert `name` from `source`: {hub, revision?, subfolder?} or {path}.

    Only the adapter's config and its safetensors file are copied; nothing that needs unpickling is downloaded. The
    provenance records the commit of a hub revision. Without a network the hub's cache is used. GenomeError names the
    files of the source.
    """
    with replacing_directory(out) as folder:
        origin, commit = _download(name, source) if "hub" in source else (_check_source(name, source), None)
        if origin.resolve() == Path(out).resolve():
            raise GenomeError(f"expert {name}: {origin} is its source and its result; move it to another folder")
        with _named(name):
            _checked(origin, name)
            for file in (CONFIG, WEIGHTS):
                copy_file(origin / file, folder / file)
        write_provenance(folder, name, dict(source), {"revision": commit})


def source_files(source: Mapping[str, Any]) -> list[Path]:
    """Return the files of an expert given by `path`, whether they exist or not; an empty list for a hub's expert."""
    origin = Path(source["path"]).expanduser() if "path" in source else None
    return [origin / file for file in (CONFIG, WEIGHTS)] if origin else []


def read_source(name: str, source: Mapping[str, Any]) -> Expert:
    """Read the config and the header of the weights of an expert given by `path`, in place and without hashing.

    Raises the same GenomeErrors as fetching it, except those that require reading all weights.
    """
    origin = _check_source(name, source)
    with _named(name):
        return _expert(origin, name, "")


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Add the expert's name in the config to a GenomeError from the block."""
    try:
        yield
    except GenomeError as error:
        raise GenomeError(f"expert {name}: {error}") from error


def _check_source(name: str, source: Mapping[str, Any]) -> Path:
    """Return the folder of an expert given by `path`; GenomeError unless it holds an adapter."""
    origin = Path(source["path"]).expanduser()
    if not is_folder(origin):
        siblings = nearest_first(origin.name, sorted(file.parent.name for file in origin.parent.glob(f"*/{CONFIG}")))
        found = f"adapters next to it: {', '.join(siblings)}; " if siblings else ""
        raise GenomeError(
            f"expert {name}: {origin} is not a folder; {found}correct `path` of this expert in the config"
        )
    _require_adapter(name, f"folder {origin}", _listed(origin), "", "path")
    return origin


def _download(name: str, source: Mapping[str, Any]) -> tuple[Path, str]:
    """Return the folder of a hub adapter in the hub's cache, and its commit."""
    repo, asked, subfolder = source["hub"], source.get("revision"), (source.get("subfolder") or "").strip("/")
    where = f"hub repository {repo}"
    with hub_errors(f"expert {name}: {where}", repo, asked):
        files = repository_files(repo, asked)
        if files is not None:
            _require_adapter(name, where, files, subfolder)
        wanted = [glob.escape(f"{subfolder}/{file}" if subfolder else file) for file in (CONFIG, WEIGHTS)]
        snapshot = download(repo, asked, wanted)
    if files is None:
        _require_adapter(name, f"the copy of {where} in the cache", _listed(snapshot, "**/*"), subfolder)
    return snapshot / subfolder, snapshot.name


def _listed(folder: Path, *patterns: str) -> list[str]:
    """Return the names of the files in a folder and one level below, or of the files that match `patterns`."""
    return [file.relative_to(folder).as_posix() for each in patterns or ("*", "*/*") for file in folder.glob(each)]


def _require_adapter(name: str, where: str, files: Sequence[str], subfolder: str, field: str = "subfolder") -> None:
    """Raise GenomeError, with the folders that contain adapters, unless `files` has a safetensors adapter."""
    prefix = f"{subfolder}/" if subfolder else ""
    if prefix + CONFIG in files and prefix + WEIGHTS in files:
        return
    if prefix + CONFIG in files and prefix + PICKLED in files:
        raise GenomeError(
            f"expert {name}: {where} has {prefix}{PICKLED} but no {prefix}{WEIGHTS}; nothing is unpickled here: if you "
            "trust its origin, call `PeftModel.from_pretrained(BASE, FOLDER).save_pretrained(NEW)` and give NEW as "
            "`path`"
        )
    folders = sorted({file.removesuffix(CONFIG).rstrip("/") or "." for file in files if file.endswith(CONFIG)})
    found = f"adapters are in: {', '.join(nearest_first(subfolder, folders))}" if folders else "it contains no adapter"
    raise GenomeError(
        f"expert {name}: {where} lacks {prefix}{CONFIG} or {prefix}{WEIGHTS}; {found}; "
        f"correct `{field}` of this expert in the config"
    )


def _expert(folder: Path, name: str, digest: str) -> Expert:
    config = read_config(folder / CONFIG)
    modules = config["target_modules"]
    if not is_taken(folder / WEIGHTS):
        raise GenomeError(f"{folder / WEIGHTS}: missing; {FETCH_AGAIN}")
    tensors, _ = read_header(folder / WEIGHTS)
    if not tensors:
        raise GenomeError(f"{folder / WEIGHTS}: contains no tensors; {FETCH_AGAIN}")
    for tensor, info in tensors.items():
        _check_tensor(folder / WEIGHTS, tensor, info.shape, config["r"])
    return Expert(
        name=name,
        path=folder,
        base_model=config.get("base_model_name_or_path"),
        rank=config["r"],
        alpha=float(config["lora_alpha"]),
        target_modules=(modules,) if isinstance(modules, str) else tuple(sorted(modules)),
        sha256=digest,
        tensors=tensors,
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return the fields of an adapter_config.json; GenomeError names a field that does not fit a plain LoRA adapter."""
    if not is_taken(path):
        raise GenomeError(f"{path}: missing; {FETCH_AGAIN}")
    config = read_json(path)
    if not isinstance(config, dict):
        raise GenomeError(f"{path}: it contains {_show(config)}, expected a mapping of fields; {FETCH_AGAIN}")
    if config.get("peft_type") != "LORA":
        raise GenomeError(f"{path}: peft_type is {_show(config.get('peft_type'))}, only LORA adapters can be experts")
    for field, (fits, expected) in FIELDS.items():
        value = config.get(field)
        if not fits(value):
            found = f"{field} is {_show(value)}" if field in config else f"no field {field}"
            raise GenomeError(f"{path}: {found}, expected {expected}; correct it, or {FETCH_AGAIN}")
    unsupported = [field for field in BEYOND_PLAIN_LORA if config.get(field)]
    if config.get("bias") not in ("none", None):
        unsupported.append("bias")
    if str(config.get("init_lora_weights")).lower().startswith(CHANGES_BASE):
        unsupported.append("init_lora_weights")
    if unsupported:
        field = unsupported[0]
        raise GenomeError(
            f"{path}: {field} is {_show(config[field])}, but only plain LoRA can be merged; train the expert without it"
        )
    return config


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST_ALPHA


def _is_rank(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_targets(value: Any) -> bool:
    return isinstance(value, str | list) and bool(value) and all(isinstance(name, str) and name for name in value)


FIELDS = {
    "r": (_is_rank, "a whole number above 0"),
    "lora_alpha": (_is_number, "a number above 0"),
    "target_modules": (_is_targets, "names of modules, or a pattern"),
    "base_model_name_or_path": (lambda value: value is None or isinstance(value, str), "a name or null"),
}
"""The required fields, each with its check and a description of valid values."""


def _check_tensor(path: Path, name: str, shape: tuple[int, ...], rank: int) -> None:
    axis = {"lora_A.weight": 0, "lora_B.weight": 1}.get(".".join(name.split(".")[-2:]))
    if axis is None or len(shape) != 2:
        raise GenomeError(
            f"{path}: tensor {name} of shape {list(shape)} is not a LoRA matrix; "
            "train the expert with LoRA on linear layers only"
        )
    if shape[axis] != rank:
        raise GenomeError(f"{path}: tensor {name} has rank {shape[axis]}, but r in {CONFIG} is {rank}; fetch it again")


def _partner(name: str) -> str:
    """Return the name of the other factor of a LoRA matrix."""
    stem, _, letter = name.removesuffix(".weight").rpartition("_")
    return f"{stem}_{'B' if letter == 'A' else 'A'}.weight"


def _differences(first: Expert, other: Expert) -> list[str]:
    """Return descriptions of the differences that prevent merging two experts."""
    found = [
        f"{field} is {ours} and {theirs}"
        for field in ("rank", "alpha")
        if (ours := getattr(first, field)) != (theirs := getattr(other, field))
    ]
    for holder, lacking in ((first, other), (other, first)):
        missing = [name for name in holder.tensors if name not in lacking.tensors]
        if missing:
            found.append(f"{lacking.name} lacks {len(missing)} tensor(s) of {holder.name}, first {missing[0]}")
    for name, ours in first.tensors.items():
        theirs = other.tensors.get(name, ours)
        # The other size is the rank, which is compared above.
        side = 1 if name.endswith("lora_A.weight") else 0
        if ours.shape[side] != theirs.shape[side]:
            shapes = f"{ours.dtype} {list(ours.shape)} and {theirs.dtype} {list(theirs.shape)}"
            return [*found, f"tensor {name} is {shapes}"]
    return found


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:80]}…"
