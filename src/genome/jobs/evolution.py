"""Stages of a run on validation data: the experts' scores, generations, baselines."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from genome.engine.client import Engine
from genome.engine.launcher import connect
from genome.engine.state import STORE
from genome.errors import GenomeError
from genome.experts.peft import Expert, load_experts
from genome.files import replacing_directory, write_json, write_jsonl
from genome.genotype import FACTORS, PRODUCT
from genome.jobs import log
from genome.jobs.checks import check_answers, check_objectives
from genome.lora.store import link_adapter, store_genotypes
from genome.scoring.fitness import Evaluator, Objective
from genome.scoring.results import read_manifest, read_samples
from genome.search.asking import space_of
from genome.search.driver import drive, found_population, next_generation, score_experts
from genome.search.methods import BASELINES
from genome.search.population import Population, check_engine, read_population, write_population
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
        return load_experts(read_manifest(self.manifest)["experts"])

    def connect(self, start: Population | None = None, path: Path | str = "", space: str = FACTORS) -> Engine:
        """Return the workflow's engine, ready for adapters of the experts' rank, or of all experts side by side.

        These are the adapters in the space of products, of this job or of others that share the engine. Where something
        goes on from a population `start`, read from `path`, it must be the engine that scored it.
        """
        manifest = read_manifest(self.manifest)
        products = PRODUCT in (space, start and start.best.genotype.space)
        width = len(manifest["experts"]) if products else self.engine.get("stacked", 1)
        engine = connect(self.engine, self.base, manifest["rank"] * width)
        if start is not None:
            check_engine(path, start.engine, engine.fingerprint)
        return engine

    def read(self, path: Path | str, settings: Mapping[str, Any], experts: Sequence[Expert]) -> Population:
        """Return the population that a stage on the tasks in `settings` goes on from, with the same experts."""
        population = read_population(path, experts)
        expected, found = {entry["name"] for entry in settings["tasks"]}, set(population.best.fitness.scores)
        if found != expected:
            raise GenomeError(
                f"{path}: scored on {' '.join(sorted(found))}, expected {' '.join(sorted(expected))}; "
                "delete the file to have it made again"
            )
        return population

    def evaluator(
        self,
        settings: Mapping[str, Any],
        prompts: Sequence[Path | str],
        experts: Sequence[Expert],
        start: Population | None = None,
        path: Path | str = "",
    ) -> Evaluator:
        """Return the validation fitness of the tasks in `settings`, given their prepared samples in that order.

        `start` is the population that the stage goes on from, read from `path`.
        """
        objectives = [
            Objective(
                for_base(parse_task(entry["name"], entry["definition"]), self.base), read_samples(file), entry["weight"]
            )
            for entry, file in zip(settings["tasks"], prompts, strict=True)
        ]
        return Evaluator(objectives, experts, STORE, partial(self.connect, start, path, space_of(settings)))


def evaluate_experts(
    site: Site, settings: str, prompts: Sequence[str], unparsed: str, population: str, evaluations: str, record: str
) -> None:
    """Score the experts themselves: what Best Single, Expert Fusion and the ablation without initialisation need.

    `unparsed` ("stop" or "warn") is what to do about a task to which no expert gives an answer that can be read.
    """
    started = time.perf_counter()
    experts = site.experts()
    evaluator = site.evaluator(json.loads(settings), prompts, experts)
    check_objectives(evaluator.objectives, site.base, site.engine)
    scored = score_experts(experts, evaluator)
    check_answers(evaluator.objectives, evaluator.records, stop=unparsed == "stop")
    _write(started, scored, None, evaluator, experts, population, evaluations, record)


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
    start = site.read(scored_experts, resolved, experts)
    evaluator = site.evaluator(resolved, prompts, experts, start, scored_experts)
    founded = found_population(experts, start, resolved, size, seed, evaluator)
    shared = start.scored.keys() <= founded.scored.keys()
    before = start if shared else replace(start, samples=0)
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
    before = site.read(previous, resolved, experts)
    evaluator = site.evaluator(resolved, prompts, experts, before, previous)
    course = evaluator.course(seed)
    if course is not None and not all(map(course.holds, before.trials.values())):
        raise GenomeError(f"{previous}: raced on other samples than these; delete the file to have it made again")
    following = next_generation(before, resolved, seed, experts, evaluator, course)
    with replacing_directory(adapters) as folder:
        if keep_adapters:
            kept = following.members
            stored = store_genotypes([x.genotype for x in kept], experts, STORE, [x.name for x in kept])
            for member, source in zip(following.members, stored, strict=True):
                link_adapter(source, folder / member.name)
    _write(started, following, before, evaluator, experts, population, evaluations, record)


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
    start = site.read(scored_experts, resolved, experts)
    evaluator = site.evaluator(resolved, prompts, experts, start, scored_experts)
    if resolved["method"] == "pack_of_llms":
        resolved["log_perplexity"] = evaluator.log_perplexity()
    search = BASELINES[resolved["method"]](start, resolved, seed)
    result = drive(search, start.scored, experts, evaluator)
    _write(started, result, start, evaluator, experts, population, evaluations, record)


def _write(
    started: float,
    population: Population,
    start: Population | None,
    evaluator: Evaluator,
    experts: Sequence[Expert],
    path: str,
    evaluations: str,
    record: str,
) -> None:
    """Write a population, its evaluations and what they cost, and log the one line that a person wants to read.

    `start` is what the run had come to before: a stage that asks nobody passes on whose answers it has. The record is
    the one file of a stage that differs between equal runs, so it lies with the benchmarks.
    """
    spent = start.samples if start else 0
    engine = evaluator.engine.fingerprint if evaluator.engine else start.engine
    population = replace(population, samples=spent + len(evaluator.records), engine=engine)
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
