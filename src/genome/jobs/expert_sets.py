"""Stages that make other sets of experts: random ones, and the given ones with a LoRA trained on validation samples."""

from collections import Counter
from pathlib import Path

from genome.errors import GenomeError
from genome.experts.expert import read_expert
from genome.experts.importing import check_set
from genome.fields import mapping, reading, sequence
from genome.files import REMAKE, read_json, writing
from genome.jobs import log
from genome.jobs.experts import write_manifest
from genome.lora.random_experts import random_expert
from genome.scoring.manifest import read_experts


def random_experts(manifest: str, seed: int, folder: str, out: str) -> None:
    """Write a random LoRA in place of each expert of a manifest into `folder`, and their manifest."""
    place = Path(folder)
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    made = [random_expert(each, seed, place) for each in read_experts(manifest)]
    write_manifest(out, made)
    log.info("%d random experts", len(made))


def with_validation_lora(manifest: str, lora: str, training: str, out: str) -> None:
    """Write the manifest of the given experts and of a LoRA that was trained on validation samples.

    `training` has the names of the samples that were held out of its training, by task. They are the ones that no
    expert has seen, by which stages on this set score.
    """
    experts = [*read_experts(manifest), read_expert(lora)]
    twice = [name for name, number in Counter(each.name for each in experts).items() if number > 1]
    if twice:
        raise GenomeError(f"{lora}: an expert is named {twice[0]}, too; rename the expert")
    check_set(experts)
    value = read_json(training, REMAKE)
    with reading(training):
        found = mapping(mapping(value, "it")["held_out"], "held_out")
        unseen = {task: sequence(samples, f"held_out, {task}", 1) for task, samples in found.items()}
    write_manifest(out, experts, unseen=unseen)
    log.info("%d experts; %s", len(experts), ", ".join(f"{task}: {len(each)} samples" for task, each in unseen.items()))
