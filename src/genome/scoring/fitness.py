"""Validation fitness of genotypes: adapters are stored, prompts sent to the engine, and responses scored."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from genome.engine.client import Engine
from genome.experts.expert import Expert
from genome.genotype import expert
from genome.lora.store import store_genotypes
from genome.rng import stream
from genome.scoring.asking import respond, respond_with_right_answers
from genome.scoring.calibration import Calibration
from genome.scoring.judging import Judge
from genome.scoring.objective import Objective, weighted
from genome.scoring.usage import Meter
from genome.search.measure import Measure
from genome.search.population import Fitness, Individual
from genome.search.racing import Course, Trial
from genome.tasks import metrics
from genome.tasks.chat import load_tokenizer
from genome.tasks.scoring import Scores


@dataclass
class Evaluator:
    """Scores individuals by a `measure`: their adapters are stored, prompts sent, and responses judged.

    `evaluations` counts the genotypes that answered samples, also those that a race stopped. One that races on in a
    later generation has been counted before; one that is scored by another measure or on other samples counts again.
    `connect` is called once, when something must be scored: a job without evaluations needs no engine. `basis` is the
    file of the joint basis that genotypes of a shared space need. `meter` measures the use of the engine, and `seconds`
    the time of scoring. `base` is the base model's folder. `planned` is how many evaluations there will be, if known.
    """

    objectives: Sequence[Objective]
    experts: Sequence[Expert]
    store: Path
    connect: Callable[[], Engine]
    basis: Path | None = None
    meter: Meter = field(default_factory=Meter)
    measure: Measure = field(default_factory=Measure)
    base: Path | str | None = None
    _loaded: Any = None
    seconds: float = 0.0
    evaluations: int = 0
    engine: Engine | None = None
    planned: float = 0.0

    def __post_init__(self) -> None:
        self.judge = Judge(self.measure)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every response, a row per individual and sample."""
        return self.judge.records

    @property
    def calibrations(self) -> Mapping[str, Mapping[str, Calibration]]:
        """What was fitted to the answers by likelihood of each individual, by task, if the metric is calibrated."""
        return self.judge.calibrations

    def __call__(self, individuals: Sequence[Individual]) -> list[Fitness]:
        """Return the fitness of individuals with distinct genotypes; all their prompts are in flight at once."""
        judged = self._judge(individuals, self.objectives)
        self.evaluations += len(individuals)
        return [
            replace(
                self.fitness({task: scores.value for task, scores in by_task.items()}), losses=self._losses(by_task)
            )
            for by_task in judged
        ]

    @property
    def by_likelihood(self) -> bool:
        """Whether fitness is the likelihood of the right answers, not the metric."""
        return self.judge.by_likelihood

    @property
    def sample_count(self) -> int:
        """The number of samples that an individual answers, over all tasks."""
        return sum(len(each.samples) for each in self.objectives)

    def fitness(self, scores: Mapping[str, float]) -> Fitness:
        """Return the fitness of these scores, one per task."""
        return weighted(self.objectives, scores)

    def _losses(self, by_task: Mapping[str, Scores]) -> tuple[float, ...]:
        """Return the losses of all samples, weighted so that their mean is the weighted mean over tasks."""
        total = sum(x.weight for x in self.objectives)
        shares = {x.task.name: x.weight / total * self.sample_count / len(x.samples) for x in self.objectives}
        return tuple(shares[task] * loss for task, scores in by_task.items() for loss in scores.losses)

    def course(self, seed: int) -> Course | None:
        """Return the tasks as a race runs on them; None if a score is not made of the scores of single samples.

        It is not if the metric is not their mean, nor if likelihoods are calibrated on all of them.

        The order of each task's samples is drawn from `seed`.
        """
        of_all = (
            self.measure.calibrated
            if self.by_likelihood
            else any(metrics.METRICS[x.task.metric] is not None for x in self.objectives)
        )
        if of_all:
            return None
        total = sum(x.weight for x in self.objectives)
        sizes = {x.task.name: len(x.samples) for x in self.objectives}
        orders = [stream(seed, "race", task).permutation(size) for task, size in sizes.items()]

        def evaluate_part(individuals: Sequence[Individual], start: int, stop: int) -> list[Trial]:
            chosen = zip(self.objectives, (order[start:stop] for order in orders), strict=True)
            parts = [replace(x, samples=[x.samples[i] for i in part]) for x, part in chosen if len(part)]
            nothing: Trial = dict.fromkeys(sizes, ())
            judged = self._judge(individuals, parts)
            if start == 0:
                self.evaluations += len(individuals)
            return [nothing | {task: scores.scores for task, scores in by_task.items()} for by_task in judged]

        weights = {x.task.name: x.weight / total for x in self.objectives}
        return Course(sizes, weights, evaluate_part, self.fitness, self.by_likelihood)

    def _judge(self, individuals: Sequence[Individual], objectives: Sequence[Objective]) -> list[dict[str, Scores]]:
        """Return each individual's scores on the samples of each task, and keep the responses."""
        started = time.perf_counter()
        engine = self._connected()
        names = [individual.name for individual in individuals]
        genotypes = [individual.genotype for individual in individuals]
        folders = store_genotypes(genotypes, self.experts, self.store, names, self.basis)
        scores: list[dict[str, Scores]] = [{} for _ in individuals]
        if self.by_likelihood:
            self.meter.tasks = ()  # the tokens of these responses say nothing about the tasks' answers
        with self.meter.asking():
            if self.by_likelihood:
                responses = respond_with_right_answers(engine, folders, objectives, self._tokenizer)
            else:
                responses = respond(engine, folders, [(x.samples, x.task.max_tokens, x.task.stop) for x in objectives])
        for objective, by_model in zip(objectives, responses, strict=True):
            for found, judged in zip(scores, self.judge(names, objective, by_model), strict=True):
                found[objective.task.name] = judged
        self.seconds += time.perf_counter() - started
        return scores

    def _tokenizer(self) -> Any:
        """Return the base model's tokenizer, which only likelihoods behind working need."""
        if self.base is None:
            raise ValueError("likelihoods behind working need the base model's folder")
        if self._loaded is None:
            self._loaded = load_tokenizer(self.base)
        return self._loaded

    def log_perplexity(self) -> list[float]:
        """Return each expert's log-perplexity on the prompts alone: total NLL / total tokens, the mean over tasks."""
        started = time.perf_counter()
        n = len(self.experts)
        engine = self._connected()
        folders = store_genotypes([expert(i, n) for i in range(n)], self.experts, self.store)
        prompts = [[sample["tokens"] for sample in objective.samples] for objective in self.objectives]
        asked = [(folder.name, by_task) for folder in folders for by_task in prompts]
        self.meter.tasks = ()  # most of this job's samples get no answer
        with self.meter.asking(), engine.serving(folders), ThreadPoolExecutor() as threads:
            sums = iter(list(threads.map(engine.negative_log_likelihood, *zip(*asked, strict=True))))
        values = [fmean(nll / tokens for nll, tokens in itertools.islice(sums, len(prompts))) for _ in folders]
        self.seconds += time.perf_counter() - started
        return values

    @property
    def earlier_seconds(self) -> float:
        """The part of `scoring_seconds` that was spent before the stage was interrupted."""
        return self.engine.earlier_seconds if self.engine else 0.0

    @property
    def scoring_seconds(self) -> float:
        """The time of scoring so far, with that of earlier attempts of the stage."""
        return self.seconds + self.earlier_seconds

    def spent(self) -> dict[str, Any]:
        """Return the cost of scoring so far: the machine that answered (None: no engine was used), and amounts."""
        return {
            "scoring_seconds": round(self.scoring_seconds, 3),
            "evaluations": self.evaluations,
            **self.meter.spent(self.engine),
        }

    def _connected(self) -> Engine:
        """Return the engine, which must be running before adapters are stored for it."""
        if self.engine is None:
            with self.meter.connecting():
                self.engine = self.connect()
            if self.planned:
                self.engine.progress.plan(self.planned * self.sample_count)
        return self.engine
