"""The import of experts: whatever fine-tunes the base becomes factors of its linear layers, in one file.

LoRA adapters become factors exactly. The change of any other fine-tune is computed a layer at a time (by PEFT, or as
W - W0) and truncated to a rank. What cannot be merged is refused by name, or left out if `drop` names it; the share of
the update that is left out is recorded. The base is compared by the headers of its files.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from genome.errors import GenomeError
from genome.experts.adapter import (
    GROUPS,
    TOKENS,
    Adapter,
    Part,
    has_whole_modules,
    is_dropped,
    read_adapter,
    summary,
    tensor_in_base,
    unmergeable,
)
from genome.experts.adapter_config import EXACT, kind_of, read_config
from genome.experts.adapter_files import CONFIG, WEIGHTS, check_finite
from genome.experts.base_layers import Base, named_in, part_of, read_base
from genome.experts.expert import Expert, Factors, write_expert
from genome.experts.full import Stored, check_full, distance, full_changes, norm, open_model, other_changes
from genome.experts.sets import check_set, set_warnings
from genome.experts.sources import Origin, base_names, find_source, licence, source_files
from genome.experts.tensors import STORAGE, TensorFile, open_tensors, read_header, widest
from genome.files import sha256

__all__ = ["check_set", "check_source", "import_expert", "needs_weights", "set_warnings", "source_files"]

RANK = 64
"""The rank to which changes without factors are truncated, unless the source gives another."""

FULL = "full fine-tune"

log = logging.getLogger("genome")


def import_expert(
    name: str,
    source: Mapping[str, Any],
    base: Path | str | Base,
    out: Path | str,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Expert:
    """Write the expert `name` to the file `out` from `source`, and return it.

    `source` is {hub, revision?, subfolder?} or {path, subfolder?}, with `rank` (of truncated changes, default 64) and
    `drop` (what to leave out: embeddings, norms, biases, lm_head, modules_to_save, or names of modules). `base` is the
    folder of the base model. A hub's files are downloaded into the hub's cache, a user's are read in place.
    `provenance` adds to what the file says of its origin. Raises GenomeError, with everything that is wrong in one
    line, before anything is written.
    """
    # One thread: norms in the file would differ with the number of cores, and small products are faster.
    with _named(name), threadpool_limits(1):
        known = base if isinstance(base, Base) else read_base(base)
        origin = find_source(source)
        if Path(out).resolve() in {file.resolve() for file in origin.files}:
            raise GenomeError(f"{origin.folder}: it is its own source; move it to another folder")
        drop = tuple(source.get("drop") or ())
        made = _from_adapter if origin.is_adapter else _from_full
        kind, base_name, dtype, alpha, factors, layers, dropped = made(name, origin, known, drop, source)
        total = sum(layer["norm"] ** 2 for layer in layers.values())
        if not total:
            log.warning("expert %s: %s changes nothing, every update is zero; was it trained?", name, origin.folder)
        unused = [each for each in drop if each not in GROUPS and not any(named_in(name, [each]) for name in dropped)]
        if unused:
            log.warning(
                "expert %s: `drop` names %s, but %s changes no such module", name, ", ".join(unused), origin.folder
            )
        ranks = {len(a) for _, a in factors.values()}
        return write_expert(
            out,
            name,
            factors,
            alpha=alpha if alpha is not None else float(max(ranks)),
            dtype=dtype,
            target_modules=sorted({layer.rpartition(".")[2] for layer in factors}),
            base_model=base_name,
            provenance={
                "kind": kind,
                "source": dict(source),
                "revision": origin.revision,
                "licence": licence(origin.card),
                "files": {file.name: sha256(file) for file in origin.files},
                "layers": layers,
                "dropped": {"tensors": sorted(dropped), "share": _share(dropped, total)},
                **(provenance or {}),
            },
        )


def check_source(name: str, source: Mapping[str, Any], base: Path | str | Base | None = None) -> None:
    """Compare an expert given by `path` with the base, by the headers of their files; a hub's is not looked at.

    Raises the same GenomeErrors as `import_expert`, except those that require reading weights. Without a base only the
    expert's own files are checked.
    """
    if "path" not in source:
        return
    with _named(name):
        known = base if base is None or isinstance(base, Base) else read_base(base)
        origin = find_source(source)
        if origin.is_adapter:
            read_adapter(origin.folder, known, tuple(source.get("drop") or ()))
        elif known and known.folder:
            resized = check_full(origin.folder, known.folder)
            _refuse_unmergeable(origin, resized, tuple(source.get("drop") or ()))


def needs_weights(source: Mapping[str, Any]) -> bool:
    """Return whether importing `source` requires the base's weights, not only its headers; a hub's is downloaded."""
    origin = find_source(source)
    if not origin.is_adapter:
        return True
    config = read_config(origin.folder / CONFIG)
    tensors, _ = read_header(origin.folder / WEIGHTS, any_type=True)
    return kind_of(config, tensors) not in EXACT or has_whole_modules(tensors)


Made = tuple[str, str | None, str, float | None, dict[str, Factors], dict[str, dict[str, Any]], dict[str, float | None]]
"""Kind, named base, type, alpha, factors by layer, facts by layer, and the norm of each dropped tensor if known."""


def _from_adapter(name: str, origin: Origin, base: Base, drop: Sequence[str], source: Mapping[str, Any]) -> Made:
    adapter = read_adapter(origin.folder, base, drop)
    unknown = sum(base.layers[layer] is None for layer in adapter.layers)
    if unknown:
        log.warning(
            "expert %s: base %s stores %d of its layers quantised, so their shapes cannot be compared",
            name,
            base.where,
            unknown,
        )
    weights = open_tensors(origin.folder / WEIGHTS, any_type=True)
    for tensor, info in weights.tensors.items():
        if info.dtype in STORAGE:
            check_finite(weights.path, tensor, weights[tensor])
    dropped: dict[str, float | None] = {}
    for part in adapter.dropped:
        norms = _part_norms(adapter, part, weights, base)
        dropped |= dict.fromkeys(part.tensors, 0.0) | norms
    base_name = adapter.config.get("base_model_name_or_path")
    if adapter.is_exact:
        factors, layers = _exact_factors(adapter, weights)
        dtype = widest(info.dtype for tensor, info in adapter.tensors.items() if ".lora_" in tensor)
        return adapter.kind, base_name, dtype, _alpha(adapter, factors), factors, layers, dropped
    changes = _peft_changes(adapter, base, dropped, "biases" in drop)
    return adapter.kind, base_name, "F32", None, *_truncated(origin, changes, source), dropped


def _exact_factors(adapter: Adapter, weights: TensorFile) -> tuple[dict[str, Factors], dict[str, dict[str, Any]]]:
    factors: dict[str, Factors] = {}
    layers: dict[str, dict[str, Any]] = {}
    for layer, pair in adapter.layers.items():
        assert pair is not None
        with np.errstate(over="ignore"):
            b, a = weights[pair.b] * np.float32(pair.scale), weights[pair.a]
        check_finite(weights.path, f"{pair.b} times its scaling {pair.scale:g}", b)
        factors[layer] = b, a
        layers[layer] = {"rank": len(a), "norm": _product_norm(b, a), "kept": 1.0}
    return factors, layers


def _alpha(adapter: Adapter, factors: Mapping[str, Factors]) -> float | None:
    """Return the alpha whose quotient by the highest rank is the scaling of all layers; None if they have several."""
    scales = {pair.scale for pair in adapter.layers.values() if pair}
    if len(scales) > 1:
        return None
    rank, scale = max(len(a) for _, a in factors.values()), scales.pop()
    alpha = float(adapter.config["lora_alpha"])
    return alpha if alpha / rank == scale else scale * rank


def _peft_changes(
    adapter: Adapter, base: Base, dropped: dict[str, float | None], drop_biases: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the changes of the layers of an adapter, and add the norms of those that are dropped to `dropped`."""
    from genome.experts.deltas import peft_changes

    if base.folder is None:
        raise GenomeError(f"{adapter.folder}: {adapter.kind} needs the base's weights; give the base as a folder")
    biases = dropped if drop_biases else None
    for name, change in peft_changes(adapter.folder, adapter.config, base.folder, biases):
        layer = base.find(name)
        if layer is not None and layer in adapter.layers:
            yield layer, change
        else:
            dropped[f"{name}.weight"] = float(np.linalg.norm(change))


def _from_full(name: str, origin: Origin, base: Base, drop: Sequence[str], source: Mapping[str, Any]) -> Made:
    if base.folder is None:
        raise GenomeError(f"{origin.folder}: a full fine-tune needs the base's weights; give the base as a folder")
    others = other_changes(origin.folder, base.folder)
    _refuse_unmergeable(origin, others, drop)
    dropped: dict[str, float | None] = {**others}

    def changes() -> Iterator[tuple[str, np.ndarray]]:
        for layer, change in full_changes(origin.folder, base.folder or ""):
            if named_in(layer, drop):
                dropped[f"{layer}.weight"] = float(np.linalg.norm(change))
            else:
                yield layer, change

    named = base_names(origin.card)
    return FULL, named[0] if len(named) == 1 else None, "F32", None, *_truncated(origin, changes(), source), dropped


def _refuse_unmergeable(origin: Origin, tensors: Iterable[str], drop: Sequence[str]) -> None:
    """Raise GenomeError if a full fine-tune changes tensors that are not weights of linear layers, unless dropped."""
    parts = [Part(tensor.rpartition(".")[0], _group(tensor), (tensor,)) for tensor in tensors]
    problems = unmergeable([part for part in parts if not is_dropped(part, drop)])
    if problems:
        raise GenomeError(f"{origin.folder}: {summary(problems)}")


def _group(tensor: str) -> str:
    module, _, what = tensor.rpartition(".")
    return part_of(module) or ("biases" if what == "bias" else "modules_to_save")


def _truncated(
    origin: Origin, changes: Iterator[tuple[str, np.ndarray]], source: Mapping[str, Any]
) -> tuple[dict[str, Factors], dict[str, dict[str, Any]]]:
    from genome.experts.truncation import truncate_changes

    found = truncate_changes(changes, source.get("rank") or RANK)
    if not found.factors:
        raise GenomeError(f"{origin.folder}: changes no linear layer of the base, so there is nothing to merge")
    layers = {
        layer: {"rank": len(a), "norm": found.norms[layer], "kept": found.kept[layer]}
        for layer, (_, a) in found.factors.items()
    }
    return found.factors, layers


def _part_norms(adapter: Adapter, part: Part, weights: TensorFile, base: Base) -> dict[str, float | None]:
    """Return the norm of the change that `part` is, under one of its tensors; None if the base's weights hide it."""
    if part.group == "layers" and not adapter.is_exact:
        return {}  # PEFT computes it
    if not part.pair and not part.is_whole and not any(".lora_" in tensor for tensor in part.tensors):
        return dict.fromkeys(part.tensors)
    if part.pair:
        b, a = weights[part.pair.b], weights[part.pair.a]
        return {part.pair.b: abs(part.pair.scale) * _product_norm(b, a)}
    norms: dict[str, float | None] = {}
    for tensor in part.tensors:
        if ".lora_B." in tensor:
            norms[tensor] = _bias_scale(adapter, part) * float(np.linalg.norm(weights[tensor]))
        else:
            rows = _trained_rows(adapter, part) if TOKENS.fullmatch(tensor) else None
            norms[tensor] = _difference(weights, tensor, part, base, rows)
    return norms


def _bias_scale(adapter: Adapter, part: Part) -> float:
    return next((pair.scale for pair in adapter.layers.values() if pair and pair.module == part.module), 1.0)


def _trained_rows(adapter: Adapter, part: Part) -> list[int]:
    """Return the rows of the embedding whose new values the adapter has; none if its config does not say."""
    indices = adapter.config.get("trainable_token_indices")
    if isinstance(indices, Mapping):
        indices = next((rows for module, rows in indices.items() if named_in(part.module, [module])), None)
    return indices if isinstance(indices, list) else []


def _difference(weights: TensorFile, tensor: str, part: Part, base: Base, rows: Sequence[int] | None) -> float | None:
    """Return the norm of the difference between a tensor saved whole, or its `rows`, and the base's.

    What only one of the two has counts as zeros in the other. None if the base's weights are not available or are
    quantised.
    """
    ours = Stored(weights, tensor)
    what = tensor.rpartition(".")[2] if rows is None else "weight"
    known = tensor_in_base(base, part, what)
    if known is None:
        return norm(ours)
    if base.folder is None or base.tensors[known][0] not in STORAGE:
        return None
    theirs = open_model(base.folder, any_type=True)[known]
    if theirs.info.shape[1:] != ours.info.shape[1:]:
        return None
    if rows is None:
        return distance(ours, theirs)
    if len(rows) != len(ours.bits) or max(rows) >= len(theirs.bits):
        return None
    return float(np.linalg.norm(weights[tensor] - theirs.file.rows(known, rows)))


def _product_norm(b: np.ndarray, a: np.ndarray) -> float:
    """Return the Frobenius norm of BA, which is `trace((B' B)(A A'))`, without forming the product."""
    b, a = b.astype(np.float64), a.astype(np.float64)
    return float(np.sqrt(max(0.0, ((b.T @ b) * (a @ a.T)).sum())))


def _share(dropped: Mapping[str, float | None], kept: float) -> float | None:
    """Return the share of the update's norm in what was dropped; None if a norm is not known."""
    norms = list(dropped.values())
    if any(norm is None for norm in norms):
        return None
    lost = sum(norm**2 for norm in norms if norm is not None)
    return float(np.sqrt(lost / (lost + kept))) if lost else 0.0


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Add the expert's name in the config to a GenomeError from the block."""
    try:
        yield
    except GenomeError as error:
        raise GenomeError(f"expert {name}: {error}") from error
