"""Stages before a run: the base model, training corpora, experts and their checks.

Only the stages that train or merge import torch; the others start in a fraction of a second.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from genome.errors import GenomeError
from genome.experts.corpora import read_corpus
from genome.experts.peft import WEIGHTS, check_weights, different_names, fetch_expert, load_experts
from genome.files import sha256, write_json, write_jsonl
from genome.jobs import log
from genome.lora.geometry import write_cosines
from genome.scoring.results import read_experts
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


def train_adapter(settings: str, base: str, corpora: Sequence[str], out: str) -> None:
    """Train one LoRA adapter on the union of `corpora`: an expert, or Data Merge."""
    from genome.lora.training import Training, corpus_rows, train_lora

    resolved = json.loads(settings)
    base_name = resolved.get("base_name") or Path(base).name
    rows = [row for corpus in corpora for row in corpus_rows(corpus)]
    name = Path(out).name
    source = " + ".join(corpora)
    training = Training(**resolved["training"])
    chat = parse_chat(resolved.get("chat"))
    result = train_lora(base, rows, training, out, name=name, base_name=base_name, source=source, chat=chat)
    log.info("%s: %s", name, result)


def fetch_adapter(settings: str, out: str) -> None:
    """Fetch an adapter from the hub or a folder."""
    fetch_expert(Path(out).name, json.loads(settings)["source"], out)


def check_experts(folders: Sequence[str], manifest: Path | str) -> None:
    """Check that experts are whole and can be merged, and write the manifest that later stages read."""
    experts = load_experts(folders)
    for expert in experts:
        check_weights(expert.path / WEIGHTS)
        if sha256(expert.path / WEIGHTS) != expert.sha256:
            raise GenomeError(
                f"{expert.path / WEIGHTS}: not the file of its provenance (another SHA-256); delete the folder to have "
                "the expert made again"
            )
    for line in different_names(experts):
        log.warning("%s", line)
    first = experts[0]
    shared = {"rank": first.rank, "alpha": first.alpha, "target_modules": first.target_modules}
    entries = [{"name": expert.name, "path": str(expert.path), "sha256": expert.sha256} for expert in experts]
    write_json(manifest, {"base_model": first.base_model, **shared, "experts": entries})
    log.info("%d experts of rank %d agree", len(experts), experts[0].rank)


def compare_experts(manifest: str, table: Path | str) -> None:
    """Write the pairwise cosines of the experts, which show how well merging factor by factor can work."""
    experts = read_experts(manifest)
    write_cosines(experts, table)
    log.info("compared %d experts over %d tensors", len(experts), len(experts[0].tensors))
