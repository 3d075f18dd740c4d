"""Stages that export a run's result: its best individual as a PEFT folder with a model card, or merged."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genome.errors import GenomeError
from genome.experts.adapter_files import CONFIG
from genome.experts.expert import Expert
from genome.files import read_json, replacing_directory, write_json, write_text
from genome.genotype import PRODUCT, Genotype, shared_rank
from genome.jobs import log
from genome.lora.compress import compress, lost
from genome.lora.materialise import materialise
from genome.report.card import Export, Losses, Report, card
from genome.report.run_files import by_task, task_of_test
from genome.scoring.manifest import read_experts, read_manifest
from genome.scoring.results import read_names, read_scores, read_split
from genome.scoring.statistics import read_report
from genome.search.finalists import compare
from genome.search.population import Individual, Population, described
from genome.search.records import check_engine, read_population, write_result
from genome.tasks import parse_task

CARD = "README.md"
GENOTYPE = "genotype.json"


def export_adapter(
    settings: str,
    manifest: str,
    population: str,
    scored_experts: str,
    splits: Sequence[str],
    scores: Sequence[str],
    answers: Sequence[str],
    responses: Sequence[str],
    out: str,
    basis: Sequence[str] = (),
) -> None:
    """Write the best individual by validation as a PEFT folder, with its genotype and a model card.

    `scored_experts` is the population of the experts, with which the card compares what is exported.
    `splits` (provenance files), `scores`, `answers` and `responses` are those of the run's tasks, one file per task.
    `basis` is the joint basis of a run in a shared space. `rank` in the settings is the highest rank of the adapter.
    """
    resolved = json.loads(settings)
    experts = read_experts(manifest)
    evolved = read_population(population, experts)
    tasks = [parse_task(*each) for each in resolved["tasks"]]
    names = [task.name for task in tasks]
    splits_of = by_task(splits, names)
    scores_of, answers_of, responses_of = (
        by_task(paths, names, task_of_test) for paths in (scores, answers, responses)
    )
    compared = compare(evolved, read_population(scored_experts, experts), experts)
    provenance = [read_split(path, "prompts_on_both_sides") for path in splits_of.values()]
    held_out = read_manifest(manifest).unseen
    unseen = None if held_out is None else sum(len(held_out[name]) for name in names)
    best, members = evolved.best, _reported(evolved, responses_of[names[0]], resolved["members"])
    tests = []
    for task in tasks:
        rows = read_scores(scores_of[task.name])
        for row in rows:
            check_engine(scores_of[task.name], row["engine"], evolved.engine)
        tests.append(
            [
                Report(row, read_report(answers_of[task.name], task.metric, row["report"], row["n"], row["score"]))
                for row in rows
            ]
        )
    with replacing_directory(out) as folder, tempfile.TemporaryDirectory() as temporary:
        folder.rmdir()
        losses = _write(best.genotype, experts, resolved.get("rank"), folder, Path(temporary), basis)
        # Experts name their base as in their training, which may be a folder of another machine.
        base = {"base_model_name_or_path": resolved["base"]["reference"], "revision": resolved["base"].get("revision")}
        form = read_json(folder / CONFIG)
        write_json(folder / CONFIG, form | base)
        write_result(folder / GENOTYPE, best, members, experts, evolved.engine)
        export = Export(
            label=resolved["label"],
            run=resolved["run"],
            settings=resolved["settings"],
            base=resolved["base"],
            rank=form["r"],
            alpha=form["lora_alpha"],
            targets=form["target_modules"],
            losses=losses,
            best=best,
            members=members,
            generations=evolved.generation,
            evaluations=evolved.evaluations,
            experts=experts,
            tasks=tasks,
            splits=provenance,
            engine=described(evolved.engine),
            tests=tests,
            folder=out,
            handed_out=compared.text(sum(split["validation"] for split in provenance) if unseen is None else unseen),
        )
        write_text(folder / CARD, card(export))
    log.info("%s: %s of %s", out, best.name, population)


def _write(
    genotype: Genotype, experts: Sequence[Expert], rank: int | None, out: Path, temporary: Path, basis: Sequence[str]
) -> Losses:
    """Write a genotype as a PEFT folder of at most `rank`, and return what that loses; `temporary` is a folder."""
    joint = Path(basis[0]) if basis else None
    whole = out if rank is None else temporary / "whole"
    materialise([genotype], experts, [whole], (), joint)
    approximated = None
    if shared_rank(genotype.space) is not None:
        materialise([replace(genotype, space=PRODUCT)], experts, [temporary / "exact"])
        approximated = lost(temporary / "exact", whole)
    if rank is None:
        return Losses(approximated)
    before, loss = read_json(whole / CONFIG)["r"], compress(whole, rank, out)
    return Losses(approximated, before, loss) if rank < before else Losses(approximated)


def _reported(population: Population, responses: str, k: int) -> list[Individual]:
    """Return the members whose ensemble is reported, fittest first: those that answered the test, a team or the top."""
    best, *members = read_names(responses)
    by_name = {member.name: member for member in population.members}
    unknown = [name for name in members if name not in by_name]
    if best != population.best.name or unknown:
        raise GenomeError(
            f"{responses}: responses of {[best, *unknown][-1]}, which is not of this run; "
            "delete the file to have it made again"
        )
    return [by_name[name] for name in members[:k]]


def merge_model(base: str, config: str, out: str) -> None:
    """Write the base model with the adapter whose config is given merged into it."""
    from genome.engine.merged import write_merged

    write_merged(base, Path(config).parent, out)
    log.info("%s: %s merged into %s", out, Path(config).parent, base)
