"""Stages before a run: the base model, training corpora, experts and their checks.

Only the stages that train or merge import torch; the others start in a fraction of a second.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from genome.engine.machine import accelerators
from genome.experts.adapter_files import check_weights
from genome.experts.corpora import read_corpus
from genome.experts.expert import ENDING, Expert, is_mixed, read_expert
from genome.experts.importing import check_set, import_expert, set_warnings
from genome.files import write_json, write_jsonl
from genome.jobs import log
from genome.lora.geometry import cosines, write_cosines
from genome.lora.shared import write_basis, write_losses
from genome.scoring.manifest import read_experts
from genome.scoring.usage import training_record
from genome.tasks.chat import parse_chat


def base_model(settings: str, out: str) -> None:
    """Train the micro base, or fetch a base model from the hub or a folder."""
    source = json.loads(settings)["source"]
    if "generator" in source:
        from genome.micro.base import pretrain

        losses = pretrain(out)
        log.info("trained the micro base: loss %.3f after %d steps", losses[-1], len(losses))
    else:
        from genome.experts.base_model import fetch_base

        fetch_base(source, out)
        log.info("fetched %s", source)


def micro_corpus(corpus: str, out: str) -> None:
    """Write a training corpus of the micro world: `experts/NAME` or `oracles/TASK`."""
    from genome.micro.world import expert_corpus, oracle_corpus

    kind, _, name = corpus.partition("/")
    write_jsonl(out, {"experts": expert_corpus, "oracles": oracle_corpus}[kind](name))


def published_corpus(settings: str, data_dir: str | None, out: str) -> None:
    """Write a training corpus of published conversations."""
    source = json.loads(settings)["source"]
    rows, empty = read_corpus(source, Path(data_dir) if data_dir else None)
    write_jsonl(out, rows)
    log.info("%d exchanges; %d conversations without one", len(rows), empty)


def train_adapter(settings: str, base: str, corpora: Sequence[str], folder: str, out: str, record: str) -> None:
    """Fine-tune the base on the union of `corpora` into `folder`, and import the result: an expert, or Data Merge.

    `record` keeps how fast the training was.
    """
    from genome.lora.training import Training, corpus_rows, train_lora

    resolved = json.loads(settings)
    base_name = resolved.get("base_name") or Path(base).name
    rows = [row for corpus in corpora for row in corpus_rows(corpus)]
    name = Path(folder).name
    source = " + ".join(corpora)
    training = Training(**resolved["training"])
    chat = parse_chat(resolved.get("chat"))
    result = train_lora(base, rows, training, folder, name=name, base_name=base_name, source=source, chat=chat)
    log.info("%s: %s", name, result)
    trained = {"path": folder, **({"rank": training.rank} if training.kind == "full" else {})}
    known = {"source": source, "base_model": base_name, "rows": len(rows), "training": asdict(training)}
    log.info("%s", described(import_expert(name, trained, base, out, provenance=known)))
    write_json(record, training_record(base, accelerators(), resolved["training"], corpora, result))


def import_adapter(settings: str, base: str, out: str) -> None:
    """Import a fine-tune of `base` from the hub or a folder."""
    name = Path(out).name.removesuffix(ENDING)
    log.info("%s", described(import_expert(name, json.loads(settings)["source"], base, out)))


def described(expert: Expert) -> str:
    """Return what an expert is and what is lost in it, in one line."""
    layers, dropped = expert.provenance["layers"], expert.provenance["dropped"]
    kept = min((layer["kept"] for layer in layers.values()), default=1.0)
    line = f"{expert.name}: {expert.provenance['kind']}, rank {expert.rank}, {len(layers)} layers"
    line += f", of each at least {kept:.2%} of the norm of its change" if kept < 0.99995 else ""
    return line + (f"; {len(dropped['tensors'])} tensors dropped" if dropped["tensors"] else "")


def check_experts(settings: str, base: str, files: Sequence[str], manifest: Path | str) -> None:
    """Check that experts are whole and can be merged, and write the manifest that later stages read."""
    experts = [read_expert(file) for file in files]
    for expert in experts:
        check_weights(expert.path)
    check_set(experts)
    base_name = json.loads(settings).get("base_name") or Path(base).name
    for line in set_warnings(experts, base_name, cosines(experts)):
        log.warning("%s", line)
    write_manifest(manifest, experts)


def write_manifest(manifest: Path | str, experts: Sequence[Expert], **known: Any) -> None:
    """Write a list of checked experts, with what else is `known` of the set."""
    entries = [
        {
            "name": expert.name,
            "path": str(expert.path),
            "sha256": expert.sha256,
            "kind": expert.provenance["kind"],
            "rank": expert.rank,
            "base_model": expert.base_model,
        }
        for expert in experts
    ]
    ranks, mixed = [expert.rank for expert in experts], is_mixed(experts)
    write_json(manifest, {"rank": max(ranks), "ranks": ranks, "mixed": mixed, "experts": entries, **known})
    log.info("%d experts of rank%s %s", len(experts), "s" * mixed, " ".join(map(str, sorted({*ranks}))))


def compare_experts(manifest: str, table: Path | str) -> None:
    """Write the pairwise cosines of the experts, which show how well merging factor by factor can work."""
    experts = read_experts(manifest)
    write_cosines(experts, table)
    log.info("compared %d experts", len(experts))


def shared_basis(manifest: str, rank: int, basis: Path | str, losses: Path | str) -> None:
    """Write the joint basis of this rank of the experts, and the share of each expert's change that is lost in it."""
    found = write_basis(read_experts(manifest), rank, basis)
    write_losses(found, losses)
    worst = max(found.experts, key=lambda name: found.experts[name])
    most = found.experts[worst]
    log.info("rank %d: %.3g of the norm of all changes is lost, at most %.3g (%s)", rank, found.total, most, worst)
