"""What the stages of a run share: where they run, the settings in their params, and the files that they write."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from genome.engine.client import Engine
from genome.engine.launcher import connect
from genome.engine.state import STORE
from genome.engine.vllm import RANKS
from genome.errors import GenomeError
from genome.experts.expert import Expert
from genome.files import write_json, write_jsonl
from genome.genotype import FACTORS, PRODUCT, shared_rank
from genome.jobs import answers_file, log
from genome.scoring.fitness import Evaluator
from genome.scoring.manifest import Manifest, read_experts, read_manifest
from genome.scoring.objective import Objective
from genome.scoring.results import read_scored_task
from genome.scoring.usage import Meter, speed_settings
from genome.search.measure import OF_PAPER, Measure
from genome.search.population import Population
from genome.search.records import check_engine, check_measure, read_population, write_population
from genome.search.settings import named_space, settled_space, space_of
from genome.tasks import Task


@dataclass(frozen=True)
class Site:
    """Where a stage runs: the base model's folder, the experts' manifest, and the config's `engine`.

    `basis` is the file of the joint basis in which the stage merges experts, if it does so in a shared space. The
    engine has, in addition to the config's keys, what the jobs that share it need: their `spaces`, and the `added_rank`
    of an expert that some have in addition.
    """

    base: str
    manifest: str
    engine: Mapping[str, Any]
    basis: Sequence[str] = ()

    def experts(self) -> list[Expert]:
        """Return the run's experts, in the order of the manifest."""
        return read_experts(self.manifest)

    @property
    def joint_basis(self) -> Path | None:
        """The file of the joint basis, None outside of shared spaces."""
        return Path(self.basis[0]) if self.basis else None

    def connect(
        self,
        start: Population | None = None,
        path: Path | str = "",
        space: str = FACTORS,
        rank: int = 0,
        *,
        keep: bool = False,
    ) -> Engine:
        """Return the workflow's engine, ready for adapters of this job in `space` and of others that share the engine.

        `rank` is that of a single adapter that the job serves in addition. `keep` keeps answers as they come, so that
        the stage, if it is interrupted, asks only for the missing ones when it runs again. If a stage continues from a
        population `start`, read from `path`, the engine must be the one that scored it.
        """
        manifest = read_manifest(self.manifest)
        served = {each.genotype.space for each in (start.best, *start.members)} if start else set[str]()
        named = {space, *self.engine.get("spaces", ()), *served}
        ranks = ranks_of(named, manifest)
        check_ranks(ranks, manifest, self.engine)
        added = self.engine.get("added_rank", 0)
        others = ranks_of(named, manifest.with_rank(added)) if added and manifest.unseen is None else ranks
        kept = answers_file() if keep else None
        highest = max(rank, manifest.rank, added, *ranks.values(), *others.values())
        engine = connect(self.engine, self.base, highest, kept)
        if start is not None:
            check_engine(path, start.engine, engine.fingerprint)
        return engine

    def read(
        self,
        path: Path | str,
        tasks: Sequence[Mapping[str, Any]],
        experts: Sequence[Expert],
        measure: Measure = OF_PAPER,
    ) -> Population:
        """Return the population that a stage continues from, which must have the same tasks, experts and measure."""
        population = read_population(path, experts)
        check_measure(path, population.measure, measure)
        expected, found = {task["name"] for task in tasks}, set(population.best.required_fitness.scores)
        if found != expected:
            raise GenomeError(
                f"{path}: scored on {' '.join(sorted(found))}, expected {' '.join(sorted(expected))}; "
                "delete the file to have it made again"
            )
        return population

    def evaluator(
        self,
        tasks: Sequence[Mapping[str, Any]],
        prompts: Sequence[Path | str],
        experts: Sequence[Expert],
        space: str = FACTORS,
        start: Population | None = None,
        path: Path | str = "",
        measure: Measure = OF_PAPER,
        draw: tuple[int, int] = (0, 0),
    ) -> Evaluator:
        """Return the validation fitness on `tasks`, given their prepared samples in the same order.

        Samples that an expert was trained on are left out. `space` is where experts are merged. `start` is the
        population that the stage continues from, read from `path`.
        `measure` is what fitness is; if it looks at a part of the samples, `draw` is the seed and the number of the
        draw.
        """
        objectives = [
            Objective(*self.scored_task(task["name"], task["definition"], file), task["weight"])
            for task, file in zip(tasks, prompts, strict=True)
        ]
        if measure.samples is not None:
            objectives = [each.drawn(measure.samples, *draw) for each in objectives]
        connect = partial(self.connect, start, path, space, keep=True)
        meter = self.meter([task["name"] for task in tasks])
        return Evaluator(objectives, experts, STORE, connect, self.joint_basis, meter, measure, base=self.base)

    def scored_task(
        self, name: str, definition: Mapping[str, Any], prompts: Path | str
    ) -> tuple[Task, list[dict[str, Any]]]:
        """Return a task as it is scored, and its validation samples without those that an expert was trained on."""
        task, samples = read_scored_task(name, definition, self.base, prompts)
        return task, read_manifest(self.manifest).unseen_of(name, samples)

    def meter(self, tasks: Sequence[str]) -> Meter:
        """Return what measures a stage's use of the engine for answers to `tasks`."""
        return Meter(Path(self.base).name, speed_settings(self.engine), tasks)


def ranks_of(spaces: Iterable[str], manifest: Manifest) -> dict[str, int]:
    """Return the highest rank of an adapter in each of these spaces, settled for the experts where they are null."""
    settled = {space_of(settled_space(named_space(each), mixed=manifest.mixed)) for each in spaces}
    return {each: rank_of(each, manifest) for each in settled}


def rank_of(space: str, manifest: Manifest) -> int:
    """Return the highest rank of an adapter in a space, given its experts."""
    if space == PRODUCT:
        return sum(manifest.ranks)
    return shared_rank(space) or manifest.rank


def check_ranks(ranks: Mapping[str, int], manifest: Manifest, engine: Mapping[str, Any]) -> None:
    """Raise GenomeError if vLLM does not serve products of the experts, whose ranks add up."""
    if engine.get("backend") == "vllm" and ranks.get(PRODUCT, 0) > RANKS[-1]:
        raise GenomeError(
            f"merge_space: product needs adapters of rank {ranks[PRODUCT]}, the ranks of {len(manifest.ranks)} experts "
            f"together, but vLLM serves at most rank {RANKS[-1]}; set merge_space to {{shared: {{rank: {RANKS[-1]}}}}} "
            "or less, or give these experts a lower `rank`"
        )


@dataclass(frozen=True)
class Outputs:
    """The files that a stage of a run writes: its population, all its answers, and a record of what it cost."""

    population: str
    evaluations: str
    record: str

    def write(self, started: float, population: Population, start: Population | None, evaluator: Evaluator) -> None:
        """Write all files, and log the one line that summarises the stage, which began at `started`.

        `start` is the state of the run before. A stage that scores nothing passes on the engine that answered it. The
        record is the only file of a stage that differs between equal runs, so it is kept with the benchmarks. If the
        stage was interrupted, the record includes what was spent on the answers that it had kept.
        """
        spent = start.samples if start else 0
        engine = evaluator.engine.fingerprint if evaluator.engine else start and start.engine
        population = replace(population, samples=spent + len(evaluator.records), engine=engine)
        write_jsonl(self.evaluations, evaluator.records)
        write_population(self.population, population, evaluator.experts)
        seconds = time.perf_counter() - started + evaluator.earlier_seconds
        write_json(self.record, {"seconds": round(seconds, 3), **evaluator.spent()})
        log.info(
            "generation %d: best %.4f, mean %.4f, %d evaluations spent, %.2f s (%.2f s of it for scoring)",
            population.generation,
            population.best.score,
            fmean(member.score for member in population.members),
            population.evaluations,
            seconds,
            evaluator.scoring_seconds,
        )
