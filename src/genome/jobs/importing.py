"""`genome import`: sources as experts, without a workflow: what each of them is, and how they fit together."""

import logging
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.experts import base_model
from genome.experts.base_layers import Base, read_base, read_hub_base
from genome.experts.expert import ENDING, Expert, is_mixed, read_expert
from genome.experts.hub import download, hub_errors
from genome.experts.importing import check_set, import_expert, needs_weights, set_warnings
from genome.experts.sets import HUB_CACHE, short_name
from genome.files import is_taken
from genome.lora.geometry import cosines

HUB_ID = re.compile(r"(?P<hub>[\w.-]+/[\w.-]+)(@(?P<revision>[^:@]+))?(:(?P<subfolder>.+))?")

log = logging.getLogger("genome")


@dataclass(frozen=True)
class Imported:
    """What became of several sources: experts, what users should know, and what is wrong; lines of text."""

    experts: list[Expert]
    warnings: list[str]
    problems: list[str]


def import_sources(
    sources: Sequence[str], base: str, out: Path | None, rank: int | None = None, drop: Sequence[str] = ()
) -> Imported:
    """Import each source, a folder or `OWNER/NAME[@revision][:subfolder]`, for the base: a folder, GGUF file or hub id.

    The experts' files are written to the folder `out`; without one nothing stays. All problems are collected. Only the
    headers of a hub's base are read, unless a source requires its weights. Raises GenomeError if the base is not
    a model.
    """
    settings = {"drop": list(drop), **({} if rank is None else {"rank": rank})}
    experts, problems = [], []
    with tempfile.TemporaryDirectory() as temporary, _warnings() as warnings:
        known = find_base(base, Path(temporary) / "base")
        folder = out or Path(temporary)
        of_base = parse_source(base)
        named = of_base["path"] if "path" in of_base else of_base["hub"]
        names = expert_names(sources)
        for name, text in zip(names, sources, strict=True):
            try:
                source = {**parse_source(text), **settings}
                if known.folder is None and needs_weights(source):
                    known = _with_weights(base)
                file = folder / f"{name}{ENDING}"
                _check_place(file)
                experts.append(import_expert(name, source, known, file))
            except GenomeError as error:
                said = str(error)
                problems.append(said if said.startswith("expert ") else f"expert {name}: {said}")
        if len(experts) > 1:
            try:
                check_set(experts)
                warnings += set_warnings(experts, named, cosines(experts))
            except GenomeError as error:
                problems.append(str(error))
        elif experts:
            warnings += set_warnings(experts, named)
    return Imported(experts, warnings, problems)


def _check_place(file: Path) -> None:
    """Raise GenomeError if the import would replace a file that is not an expert's, such as the weights of a model."""
    if not is_taken(file):
        return
    try:
        read_expert(file)
    except GenomeError as error:
        raise GenomeError(
            f"{file} exists and is not an expert's file, so it is not replaced; choose another folder as --out"
        ) from error


def verdict(imported: Imported) -> str:
    """Return one line that says how the experts fit together."""
    experts = imported.experts
    if imported.problems:
        return f"{len(imported.problems)} problem(s); {len(experts)} source(s) could be imported"
    if len(experts) < 2:
        return "one expert; evolution needs at least two"
    if is_mixed(experts):
        return f"{len(experts)} experts of mixed ranks can be merged; merge_space is `product` unless you set it"
    return f"{len(experts)} experts of rank {experts[0].rank} can be merged; merge_space is `factors` unless you set it"


def parse_source(text: str) -> dict[str, Any]:
    """Return the source that a command line names: {path}, or {hub, revision?, subfolder?}."""
    path, found = _path(text), HUB_ID.fullmatch(text)
    if path.exists() or (path.parent != Path() and path.parent.exists()):
        return {"path": str(path)}
    if found is None:
        raise GenomeError(f"{text}: no such folder; give a folder, or OWNER/NAME[@revision][:subfolder] of the hub")
    return {field: value for field, value in found.groupdict().items() if value}


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~NAME without such a user
        raise GenomeError(f"{text}: no such home folder; correct the path") from error


def expert_names(sources: Sequence[str]) -> list[str]:
    """Return a name for each source: the last part of its folder, with a number where names repeat.

    A folder in the hub's cache has the name of its repository.
    """
    names: list[str] = []
    for text in sources:
        stem = text.rstrip("/")
        with suppress(GenomeError):  # said when the source is read
            stem = str(_path(text).resolve()) if _path(text).exists() else stem
        cached = HUB_CACHE.search(f"{stem}/")
        stem = cached[1] if cached and "/" not in stem[cached.end() :] else re.split(r"[/\\:]", stem)[-1]
        stem = stem.partition("@")[0] or "expert"
        same = [name for name in names if name == stem or re.fullmatch(rf"{re.escape(stem)}-\d+", name)]
        names.append(f"{stem}-{len(same) + 1}" if same else stem)
    return names


def find_base(base: str, unpacked: Path) -> Base:
    """Return the base model that a command line names, by its headers; GenomeError if it is not a model.

    A GGUF file is written to the folder `unpacked` first.
    """
    source = parse_source(base)
    if "path" not in source:
        return read_hub_base(source["hub"], source.get("revision"))
    if base_model.gguf_file(source, Path(source["path"])) is None:
        return read_base(source["path"])
    base_model.fetch_base(source, unpacked)
    return read_base(unpacked)


def _with_weights(base: str) -> Base:
    source = parse_source(base)
    with hub_errors(f"base model {source['hub']}", source["hub"], source.get("revision")):
        return read_base(download(source["hub"], source.get("revision"), base_model.PATTERNS, base_model.BELOW))


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Yield a list that collects the library's warnings in the block."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    log.addHandler(handler)
    try:
        yield lines
    finally:
        log.removeHandler(handler)


COLUMNS = ("name", "kind", "rank", "scale", "layers", "type", "norm", "kept", "dropped", "licence", "named base")
NOTHING = "-"


def columns(experts: Sequence[Expert]) -> dict[str, list[str]]:
    """Return the cells of a table of experts by column, without columns that are empty for all of them."""
    cells = zip(COLUMNS, zip(*map(_row, experts), strict=True), strict=True)
    return {name: [*column] for name, column in cells if {*column} != {NOTHING}}


def _row(expert: Expert) -> tuple[str, ...]:
    known = expert.provenance
    layers = known["layers"].values()
    ranks = sorted({layer["rank"] for layer in layers})
    total = sum(layer["norm"] ** 2 for layer in layers)
    kept = sum((layer["kept"] * layer["norm"]) ** 2 for layer in layers)
    return (
        expert.name,
        known["kind"],
        str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]}-{ranks[-1]}",
        f"{expert.scale:.4g}",
        str(len(layers)),
        expert.dtype,
        f"{total**0.5:.4g}",
        f"{100 * (kept / total) ** 0.5:.4g} %" if total else NOTHING,
        _dropped(known["dropped"]),
        known["licence"] or NOTHING,
        short_name(expert.base_model) if expert.base_model else NOTHING,
    )


def _dropped(dropped: dict[str, Any]) -> str:
    if not dropped["tensors"]:
        return NOTHING
    share = "unknown share" if dropped["share"] is None else f"{100 * dropped['share']:.2f} %"
    number = len(dropped["tensors"])
    return f"{number} tensor{'s' * (number > 1)}, {share}"
