"""Stages of a run on validation data: the experts' scores, generations, baselines."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from genome.adapters import link_adapter, store_genotypes
from genome.engine.client import Engine
from genome.engine.launcher import connect
from genome.engine.state import STORE
from genome.evolution import drive, found_population, next_generation, score_experts
from genome.experts import Expert, load_experts
from genome.files import read_json, read_jsonl, replacing_directory, write_json, write_jsonl
from genome.fitness import Evaluator, Objective
from genome.jobs import log
from genome.jobs.checks import check_answers, check_objectives
from genome.methods import BASELINES
from genome.population import Population, read_population, write_population
from genome.tasks import parse_task
from genome.tasks.scoring import for_base


@dataclass(frozen=True)
class Site:
    """Where a stage runs: the base model's folder, the experts' manifest, and the config's `engine`."""

    base: str
    manifest: str
    engine: Mapping[str, Any]

    def experts(self) -> list[Expert]:
        """Return the run's experts, in the order of the manifest."""
        return load_experts(entry["path"] for entry in read_json(self.manifest)["experts"])

    def connect(self) -> Engine:
        """Return the workflow's engine, ready for adapters of the experts' rank, or of all experts side by side."""
        return connect(self.engine, self.base, read_json(self.manifest)["rank"] * self.engine.get("stacked", 1))

    def evaluator(
        self, settings: Mapping[str, Any], prompts: Sequence[Path | str], experts: Sequence[Expert]
    ) -> Evaluator:
        """Return the validation fitness of the tasks in `settings`, given their prepared samples in that order."""
        objectives = [
            Objective(
                for_base(parse_task(entry["name"], entry["definition"]), self.base), read_jsonl(path), entry["weight"]
            )
            for entry, path in zip(settings["tasks"], prompts, strict=True)
        ]
        return Evaluator(objectives, experts, STORE, self.connect)


def evaluate_experts(
    site: Site, settings: str, prompts: Sequence[str], population: str, evaluations: str, record: str
) -> None:
    """Score the experts themselves: what Best Single, Expert Fusion and the ablation without initialisation need."""
    started = time.perf_counter()
    experts = site.experts()
    evaluator = site.evaluator(json.loads(settings), prompts, experts)
    check_objectives(evaluator.objectives, site.base, site.engine)
    scored = score_experts(experts, evaluator)
    check_answers(evaluator.objectives, evaluator.records)
    _write(started, scored, 0, evaluator, experts, population, evaluations, record)


def found(
    site: Site,
    settings: str,
    prompts: Sequence[str],
    scored_experts: str,
    size: int,
    seed: int,
    population: str,
    evaluations: str,
    record: str,
) -> None:
    """Make and score generation 0, which the evolving methods of one seed share."""
    started = time.perf_counter()
    experts, resolved = site.experts(), json.loads(settings)
    evaluator = site.evaluator(resolved, prompts, experts)
    start = read_population(scored_experts)
    founded = found_population(experts, start, resolved, size, seed, evaluator)
    before = start.samples if start.scored.keys() <= founded.scored.keys() else 0
    _write(started, founded, before, evaluator, experts, population, evaluations, record)


def evolve(
    site: Site,
    settings: str,
    prompts: Sequence[str],
    previous: str,
    seed: int,
    keep_adapters: bool,
    population: str,
    evaluations: str,
    adapters: str,
    record: str,
) -> None:
    """Advance a run by one generation; keep its members as PEFT folders when asked."""
    started = time.perf_counter()
    experts, resolved = site.experts(), json.loads(settings)
    evaluator = site.evaluator(resolved, prompts, experts)
    before = read_population(previous)
    following = next_generation(before, resolved, seed, experts, evaluator, evaluator.course(seed))
    with replacing_directory(adapters) as folder:
        if keep_adapters:
            stored = store_genotypes([member.genotype for member in following.members], experts, STORE)
            for member, source in zip(following.members, stored, strict=True):
                link_adapter(source, folder / member.name)
    _write(started, following, before.samples, evaluator, experts, population, evaluations, record)


def run_baseline(
    site: Site,
    settings: str,
    prompts: Sequence[str],
    scored_experts: str,
    seed: int,
    population: str,
    evaluations: str,
    record: str,
) -> None:
    """Run a method of one stage, from the scored experts to a population whose best is the result."""
    started = time.perf_counter()
    experts, resolved = site.experts(), json.loads(settings)
    evaluator = site.evaluator(resolved, prompts, experts)
    start = read_population(scored_experts)
    if resolved["method"] == "pack_of_llms":
        resolved["log_perplexity"] = evaluator.log_perplexity()
    search = BASELINES[resolved["method"]](start, resolved, seed)
    result = drive(search, start.scored, experts, evaluator)
    _write(started, result, start.samples, evaluator, experts, population, evaluations, record)


def _write(
    started: float,
    population: Population,
    spent: int,
    evaluator: Evaluator,
    experts: Sequence[Expert],
    path: str,
    evaluations: str,
    record: str,
) -> None:
    """Write a population, its evaluations and what they cost, and log the one line that a person wants to read.

    `spent` are the samples that the run had been evaluated on before. The record is the one file of a stage that
    differs between equal runs, so it lies with the benchmarks.
    """
    population = replace(population, samples=spent + len(evaluator.records))
    write_jsonl(evaluations, evaluator.records)
    write_population(path, population, experts)
    seconds = time.perf_counter() - started
    write_json(record, {"seconds": round(seconds, 3), **evaluator.spent()})
    log.info(
        "generation %d: best %.4f, mean %.4f, %d evaluations spent, %.2f s (%.2f s of it for scoring)",
        population.generation,
        population.best.score,
        fmean(member.score for member in population.members),
        population.evaluations,
        seconds,
        evaluator.seconds,
    )
