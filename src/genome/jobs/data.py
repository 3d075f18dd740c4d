"""Stages before a run: splits, prompts, the base model, adapters.

What needs torch is imported by the stage that trains or merges; the others start in a fraction of a second.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from genome.errors import GenomeError
from genome.experts.corpora import read_corpus
from genome.experts.peft import WEIGHTS, check_weights, different_names, fetch_expert, load_experts
from genome.files import REMAKE, read_json, read_jsonl, sha256, write_json, write_jsonl
from genome.jobs import log
from genome.lora.geometry import write_cosines
from genome.tasks import parse_task
from genome.tasks.chat import parse_chat
from genome.tasks.prompts import columns_of, facts, prepare
from genome.tasks.references import read_references
from genome.tasks.sources import is_published
from genome.tasks.splits import provenance as describe_split
from genome.tasks.splits import read_rows, split


def split_task(settings: str, data_dir: str | None, validation: str, test: str, provenance: str) -> None:
    """Draw a task's validation and test rows and say where they came from."""
    resolved = json.loads(settings)
    task = parse_task(*resolved["task"])
    folder = data_dir if is_published(task.source) else None
    rows = read_rows(task, folder)
    sides = split(task, rows, resolved["validation"], resolved["test"], resolved["seed"])
    read_references(task, [facts(task, columns_of(row)) | {"id": row["id"]} for row in sides[0]])
    for path, side in zip((validation, test), sides, strict=True):
        write_jsonl(path, side, any_value=True)
    written = {"validation": validation, "test": test}
    write_json(provenance, describe_split(task, rows, *sides, written, resolved["seed"], folder))
    log.info("%s: %d validation and %d test rows of %d", task.name, *map(len, sides), len(rows))


def prepare_prompts(settings: str, rows: str, base: str, prompts: str) -> None:
    """Render a split's prompts through the base model's chat template and tokenise them."""
    resolved = json.loads(settings)
    task = parse_task(*resolved["task"])
    samples = prepare(task, read_jsonl(rows, REMAKE, any_value=True), base, parse_chat(resolved.get("chat")))
    write_jsonl(prompts, samples)
    log.info(
        "%s: %d prompts, the longest of %d tokens", task.name, len(samples), max(len(s["tokens"]) for s in samples)
    )
    if "date" in samples[0]:
        log.info("%s: the chat template prints the date, and was told %s", task.name, samples[0]["date"])


def make_base(settings: str, out: str) -> None:
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


def write_corpus(name: str, out: str) -> None:
    """Write a training corpus of the micro world: `experts/NAME` or `oracles/TASK`."""
    from genome.micro.world import expert_corpus, oracle_corpus

    kind, _, of = name.partition("/")
    write_jsonl(out, {"experts": expert_corpus, "oracles": oracle_corpus}[kind](of))


def published_corpus(settings: str, data_dir: str | None, out: str) -> None:
    """Write a training corpus of published conversations."""
    source = json.loads(settings)["source"]
    rows, empty = read_corpus(source, Path(data_dir) if data_dir else None)
    write_jsonl(out, rows)
    log.info("%d exchanges; %d conversations without one", len(rows), empty)


def train_adapter(settings: str, base: str, corpora: Sequence[str], out: str) -> None:
    """Train one LoRA adapter on the union of `corpora`; experts and Data Merge alike."""
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


def merge_dare_ties(settings: str, manifest: str, seed: int, out: str) -> None:
    """Merge the experts by DARE-TIES with equal weights."""
    from genome.lora.dare_ties import dare_ties

    folders = [Path(entry["path"]) for entry in read_json(manifest)["experts"]]
    dare_ties(folders, Path(out), density=json.loads(settings)["density"], seed=seed)


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
    """Write the pairwise cosines of the checked experts: how well merging factor by factor can work."""
    experts = load_experts(entry["path"] for entry in read_json(manifest)["experts"])
    write_cosines(experts, table)
    log.info("compared %d experts over %d tensors", len(experts), len(experts[0].tensors))
