"""Experts: the LoRA adapters that a run starts from, fetched once and checked before anything runs.

An expert is a PEFT folder with a provenance file. Weights are looked at once, when the provenance is written;
later readers trust its hash and only compare the file's size with its header. Merging adds weights position by
position, so all experts of a run must agree in base model (by its name, see `model_name`), rank, alpha, target modules
and tensors (Section 2.1).
"""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.files import read_json, replacing_directory, sha256, write_json
from genome.hub import hub_errors, nearest_first
from genome.tensors import TensorInfo, open_tensors, read_header

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PROVENANCE = "provenance.json"
PICKLED = "adapter_model.bin"
HUB_CACHE = re.compile(r"models--[^/\\]+?--([^/\\]+)[/\\]snapshots[/\\]")

REQUIRED = ("base_model_name_or_path", "r", "lora_alpha", "target_modules")

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
"""Fields of PEFT's LoraConfig that, when set, make the model something else than `W + alpha/r * BA`."""

CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga", "mica")
"""Initialisations that change the base model too: without that base the adapter means nothing."""


@dataclass(frozen=True)
class Expert:
    """One adapter: `path` is its PEFT folder, `sha256` that of its weights; `tensors` are in file order."""

    name: str
    path: Path
    base_model: str
    rank: int
    alpha: float
    target_modules: tuple[str, ...]
    sha256: str
    tensors: Mapping[str, TensorInfo]


def read_expert(folder: Path | str) -> Expert:
    """Read an expert's config, provenance and the header of its weights; the weights themselves are not read.

    Raises GenomeError for a missing file, an unsupported adapter or truncated weights.
    """
    folder = Path(folder)
    if not (folder / PROVENANCE).is_file():
        raise GenomeError(f"{folder / PROVENANCE}: missing; fetch or train the expert again")
    provenance = read_json(folder / PROVENANCE)
    absent = [field for field in ("name", "sha256") if field not in provenance]
    if absent:
        raise GenomeError(f"{folder / PROVENANCE}: no field {absent[0]!r}; fetch or train the expert again")
    return _expert(folder, provenance["name"], provenance["sha256"])


def load_experts(folders: Iterable[Path | str]) -> list[Expert]:
    """Read the experts of a run, in the given order, and check that they can be merged."""
    experts = [read_expert(folder) for folder in folders]
    check_experts(experts)
    return experts


def check_experts(experts: Sequence[Expert]) -> None:
    """Raise GenomeError, naming two experts and their first difference, unless all experts can be merged."""
    if len(experts) < 2:
        raise GenomeError(f"{len(experts)} expert(s) given, at least 2 are needed; add experts to the config")
    first = experts[0]
    for other in experts[1:]:
        difference = _difference(first, other)
        if difference:
            raise GenomeError(
                f"experts {first.name} and {other.name} cannot be merged: {difference}; "
                f"choose or train experts that agree ({first.path}, {other.path})"
            )


def model_name(base: str) -> str:
    """Return what tells base models apart: the last part of a hub id or path, in lower case.

    Adapters name their base as their training did: `google/gemma-2-2b-it`, a folder of somebody's machine, or the hub's
    cache. Owner and folders say where it lay, not what it is; of what it is the shapes of all tensors are compared too.
    """
    cached = HUB_CACHE.search(base)
    name = cached[1] if cached else base.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return name.lower()


def check_weights(path: Path | str) -> None:
    """Read a whole safetensors file; GenomeError when a weight is NaN or infinite, or bytes are missing."""
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

    `source` says where the adapter comes from (a config's `hub` or `path` entry, or how it was trained or
    merged); `extra` adds fields or fills in `revision` (a hub commit). Returns what was written.
    """
    folder = Path(folder)
    check_weights(folder / WEIGHTS)
    expert = _expert(folder, name, sha256(folder / WEIGHTS))
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


def fetch_expert(name: str, source: Mapping[str, Any], out: Path | str) -> None:
    """Make `out` the expert `name` from `source`: {hub, revision?, subfolder?} or {path}.

    Only the adapter's config and its safetensors file are taken; nothing that needs unpickling is downloaded. A
    hub revision is resolved to its commit first, and that commit is what the provenance records.
    """
    with replacing_directory(out) as folder:
        commit = _download(name, source, folder) if "hub" in source else _copy(name, source, folder)
        write_provenance(folder, name, dict(source), {"revision": commit})


def source_files(source: Mapping[str, Any]) -> list[Path]:
    """Return the files that an expert given by `path` is made of, whether they are there or not; of a hub's none."""
    origin = Path(source["path"]).expanduser() if "path" in source else None
    return [origin / file for file in (CONFIG, WEIGHTS)] if origin else []


def read_source(name: str, source: Mapping[str, Any]) -> Expert:
    """Read an expert given by `path` where it lies: its config and the header of its weights, which are not hashed.

    Raises GenomeError as fetching it would, save for what only all of its weights show.
    """
    origin = _check_source(name, source)
    return _expert(origin, name, "")


def _copy(name: str, source: Mapping[str, Any], folder: Path) -> None:
    _check_source(name, source)
    for file in source_files(source):
        shutil.copyfile(file, folder / file.name)


def _check_source(name: str, source: Mapping[str, Any]) -> Path:
    """Return the folder of an expert given by `path`; GenomeError unless it holds an adapter."""
    origin = Path(source["path"]).expanduser()
    if not origin.is_dir():
        beside = nearest_first(origin.name, sorted(file.parent.name for file in origin.parent.glob(f"*/{CONFIG}")))
        found = f"adapters beside it: {', '.join(beside)}; " if beside else ""
        raise GenomeError(
            f"expert {name}: {origin} is not a folder; {found}correct `path` of this expert in the config"
        )
    files = [file.relative_to(origin).as_posix() for file in (*origin.glob("*"), *origin.glob("*/*"))]
    _require_adapter(name, f"folder {origin}", files, "", "path")
    return origin


def _download(name: str, source: Mapping[str, Any], folder: Path) -> str:
    from huggingface_hub import HfApi, hf_hub_download  # slow to import

    repo, asked, subfolder = source["hub"], source.get("revision"), source.get("subfolder") or ""
    where = f"hub repository {repo}"
    with hub_errors(f"expert {name}: {where}", repo, asked):
        # One answer holds the commit and its files, so that what is named is what that commit has.
        info = HfApi().model_info(repo, revision=asked)
        _require_adapter(name, where, [file.rfilename for file in info.siblings], subfolder.strip("/"))
        for file in (CONFIG, WEIGHTS):
            cached = hf_hub_download(repo, file, subfolder=subfolder or None, revision=info.sha)
            shutil.copyfile(cached, folder / file)
    return info.sha


def _require_adapter(name: str, where: str, files: Sequence[str], subfolder: str, field: str = "subfolder") -> None:
    """Raise GenomeError, with the folders that hold adapters, unless `files` has a safetensors adapter."""
    prefix = f"{subfolder}/" if subfolder else ""
    if prefix + CONFIG in files and prefix + WEIGHTS in files:
        return
    if prefix + CONFIG in files and prefix + PICKLED in files:
        raise GenomeError(
            f"expert {name}: {where} has {prefix}{PICKLED} but no {prefix}{WEIGHTS}; nothing is unpickled here: where "
            "you trust its origin, call `PeftModel.from_pretrained(BASE, FOLDER).save_pretrained(NEW)` and give NEW as "
            "`path`"
        )
    folders = sorted({file.removesuffix(CONFIG).rstrip("/") or "." for file in files if file.endswith(CONFIG)})
    found = (
        f"adapters lie in: {', '.join(nearest_first(subfolder, folders))}" if folders else "it holds no adapter at all"
    )
    raise GenomeError(
        f"expert {name}: {where} lacks {prefix}{CONFIG} or {prefix}{WEIGHTS}; {found}; "
        f"correct `{field}` of this expert in the config"
    )


def _expert(folder: Path, name: str, digest: str) -> Expert:
    config = _read_config(folder / CONFIG)
    modules = config["target_modules"]
    if not (folder / WEIGHTS).is_file():
        raise GenomeError(f"{folder / WEIGHTS}: missing; fetch or train the expert again")
    tensors, _ = read_header(folder / WEIGHTS)
    rank = int(config["r"])
    for tensor, info in tensors.items():
        _check_tensor(folder / WEIGHTS, tensor, info.shape, rank)
    return Expert(
        name=name,
        path=folder,
        base_model=config["base_model_name_or_path"],
        rank=rank,
        alpha=float(config["lora_alpha"]),
        target_modules=(modules,) if isinstance(modules, str) else tuple(sorted(modules)),
        sha256=digest,
        tensors=tensors,
    )


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise GenomeError(f"{path}: missing; fetch or train the expert again")
    config = read_json(path)
    if config.get("peft_type") != "LORA":
        raise GenomeError(f"{path}: peft_type is {config.get('peft_type')!r}, only LORA adapters can be experts")
    for field in REQUIRED:
        if not config.get(field):
            raise GenomeError(f"{path}: no field {field}; fetch or train the expert again")
    unsupported = [field for field in BEYOND_PLAIN_LORA if config.get(field)]
    if config.get("bias", "none") != "none":
        unsupported.append("bias")
    if str(config.get("init_lora_weights")).lower().startswith(CHANGES_BASE):
        unsupported.append("init_lora_weights")
    if unsupported:
        field = unsupported[0]
        raise GenomeError(
            f"{path}: {field} is {config[field]!r}, but only plain LoRA can be merged; train the expert without it"
        )
    return config


def _check_tensor(path: Path, name: str, shape: tuple[int, ...], rank: int) -> None:
    axis = {"lora_A.weight": 0, "lora_B.weight": 1}.get(".".join(name.split(".")[-2:]))
    if axis is None or len(shape) != 2:
        raise GenomeError(
            f"{path}: tensor {name} of shape {list(shape)} is no LoRA matrix; "
            "train the expert with LoRA on linear layers only"
        )
    if shape[axis] != rank:
        raise GenomeError(f"{path}: tensor {name} has rank {shape[axis]}, but r in {CONFIG} is {rank}; fetch it again")


def _difference(first: Expert, other: Expert) -> str | None:
    """Return the first difference that keeps two experts from being merged, in words."""
    if model_name(first.base_model) != model_name(other.base_model):
        return f"base_model is {first.base_model} and {other.base_model}"
    for field in ("rank", "alpha", "target_modules"):
        ours, theirs = getattr(first, field), getattr(other, field)
        if ours != theirs:
            return f"{field} is {_show(ours)} and {_show(theirs)}"
    for holder, lacking in ((first, other), (other, first)):
        missing = [name for name in holder.tensors if name not in lacking.tensors]
        if missing:
            return f"{lacking.name} lacks {len(missing)} tensor(s) of {holder.name}, first {missing[0]}"
    for name, ours in first.tensors.items():
        theirs = other.tensors[name]
        if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
            return f"tensor {name} is {ours.dtype} {list(ours.shape)} and {theirs.dtype} {list(theirs.shape)}"
    return None


def _show(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
