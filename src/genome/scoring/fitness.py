"""Validation fitness of genotypes: adapters are stored, prompts sent to the engine, and responses scored."""

import itertools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from genome.engine.client import Engine, Request, ScoreRequest
from genome.experts.expert import Expert
from genome.genotype import expert
from genome.lora.store import store_genotypes
from genome.rng import stream
from genome.scoring.calibration import Calibration
from genome.scoring.likelihood import calibrated_response, judge_likelihoods
from genome.scoring.usage import Meter
from genome.scoring.working import behind_working
from genome.search.measure import LIKELIHOOD, Measure
from genome.search.population import Fitness, Individual
from genome.search.racing import Course, Trial
from genome.tasks import Task, metrics
from genome.tasks.chat import load_tokenizer
from genome.tasks.continuations import likelihoods_of
from genome.tasks.likelihood import written
from genome.tasks.scoring import Scores, extract, judge


@dataclass(frozen=True)
class Objective:
    """One task of a run: its prepared validation samples and its weight in the fitness."""

    task: Task
    samples: Sequence[dict[str, Any]]
    weight: float

    def drawn(self, number: int, seed: int, draw: int) -> "Objective":
        """Return the objective with `number` of its samples, in their order, of the `draw` that a seed has drawn."""
        size = len(self.samples)
        chosen = stream(seed, "samples", self.task.name, draw).permutation(size)[:number]
        return replace(self, samples=[self.samples[i] for i in sorted(chosen.tolist())])


@dataclass
class Evaluator:
    """Scores individuals, keeps every response in `records` (a row per individual and sample) and counts `seconds`.

    `evaluations` counts the genotypes that answered samples, also those that a race stopped. One that races on in a
    later generation has been counted before; one that is scored by another measure or on other samples counts again.
    `connect` is called once, when something must be scored: a job without evaluations needs no engine. `basis` is the
    file of the joint basis that genotypes of a shared space need. `meter` measures the use of the engine.
    `calibrations` has what was fitted to the answers by likelihood of each individual, by task, if the metric is
    calibrated. `base` is the base model's folder. `planned` is how many evaluations there will be, if known.
    """

    objectives: Sequence[Objective]
    experts: Sequence[Expert]
    store: Path
    connect: Callable[[], Engine]
    basis: Path | None = None
    meter: Meter = field(default_factory=Meter)
    measure: Measure = field(default_factory=Measure)
    records: list[dict[str, Any]] = field(default_factory=list)
    calibrations: dict[str, dict[str, Calibration]] = field(default_factory=dict)
    base: Path | str | None = None
    _loaded: Any = None
    seconds: float = 0.0
    evaluations: int = 0
    engine: Engine | None = None
    planned: float = 0.0

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
        return self.measure.objective == LIKELIHOOD

    @property
    def sample_count(self) -> int:
        """The number of samples that an individual answers, over all tasks."""
        return sum(len(each.samples) for each in self.objectives)

    def fitness(self, scores: Mapping[str, float]) -> Fitness:
        """Return the fitness of these scores, one per task."""
        total = sum(x.weight for x in self.objectives)
        return Fitness(sum(x.weight * scores[x.task.name] for x in self.objectives) / total, dict(scores))

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
                responses = self._likelihoods(engine, folders, objectives)
            else:
                responses = respond(engine, folders, [(x.samples, x.task.max_tokens, x.task.stop) for x in objectives])
        for objective, by_model in zip(objectives, responses, strict=True):
            task, samples = objective.task, objective.samples
            if self.measure.calibrated and not self.by_likelihood and task.answer_by == LIKELIHOOD:
                by_model = [self._calibrated(*each, task, samples) for each in zip(names, by_model, strict=True)]
            for i, (answers, judged, shown) in enumerate(self._judged(task, samples, by_model)):
                scores[i][task.name] = judged
                self.records += [
                    {
                        "individual": names[i],
                        "task": task.name,
                        "sample": s["id"],
                        "response": r,
                        "answer": a,
                        "score": v,
                    }
                    for s, r, a, v in zip(samples, by_model[i], answers, shown, strict=True)
                ]
        self.seconds += time.perf_counter() - started
        return scores

    def _likelihoods(
        self, engine: Engine, folders: Sequence[Path], objectives: Sequence[Objective]
    ) -> list[list[list[str]]]:
        """Return the likelihoods of all samples' right answers as responses: `[task][adapter][sample]`."""
        responses: list[list[list[str]]] = []
        parts = [
            [[s for s in x.samples if ("expected" in s) == worked] for worked in (False, True)] for x in objectives
        ]
        asked = [
            (part, x.task.max_tokens, x.task.stop)
            for x, both in zip(objectives, parts, strict=True)
            for part in both
            if part
        ]
        with engine.serving(folders):
            found = iter(respond(engine, folders, asked))
            answered = [[next(found) if part else [[] for _ in folders] for part in both] for both in parts]
            for x, (_, worked), (direct, behind) in zip(objectives, parts, answered, strict=True):
                if worked:
                    behind = behind_working(engine, folders, x.task, worked, behind, self._tokenizer())
                pairs = [(iter(first), iter(second)) for first, second in zip(direct, behind, strict=True)]
                responses.append([[next(pair["expected" in s]) for s in x.samples] for pair in pairs])
        return responses

    def _tokenizer(self) -> Any:
        """Return the base model's tokenizer, which only likelihoods behind working need."""
        if self.base is None:
            raise ValueError("likelihoods behind working need the base model's folder")
        if self._loaded is None:
            self._loaded = load_tokenizer(self.base)
        return self._loaded

    def _judged(
        self, task: Task, samples: Sequence[dict[str, Any]], by_model: Sequence[Sequence[str]]
    ) -> list[tuple[Sequence[str | None], Scores, Sequence[float]]]:
        """Return each model's answers, their scores, and the score of each sample in [0, 1], which are the same.

        Scores by likelihood are log-probabilities, whose exponentials are in [0, 1].
        """
        if not self.by_likelihood:
            answers = [[extract(task, s, r) for s, r in zip(samples, texts, strict=True)] for texts in by_model]
            judged = judge(task, samples, answers)
            return [(each, scores, scores.scores) for each, scores in zip(answers, judged, strict=True)]
        found = [judge_likelihoods(task, samples, texts, calibrated=self.measure.calibrated) for texts in by_model]
        return [
            (
                each.answers,
                Scores(math.exp(fmean(each.log_p)), each.log_p, 0, each.losses),
                [math.exp(v) for v in each.log_p],
            )
            for each in found
        ]

    def _calibrated(
        self, name: str, responses: Sequence[str], task: Task, samples: Sequence[dict[str, Any]]
    ) -> list[str]:
        """Return an individual's answers by likelihood after the calibration that fits them best, and keep that."""
        fitted = judge_likelihoods(task, samples, responses, calibrated=True).calibration or Calibration()
        self.calibrations.setdefault(name, {})[task.name] = fitted
        return [calibrated_response(each, task.likelihood_per, fitted) for each in responses]

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


def respond(
    engine: Engine, adapters: Sequence[Path], tasks: Sequence[tuple[Sequence[dict[str, Any]], int, Sequence[str]]]
) -> list[list[list[str]]]:
    """Return the responses of stored adapters to all samples of all tasks: `[task][adapter][sample]`.

    `tasks` are samples, the maximum number of tokens of a response and the texts at which it ends. All requests are in
    flight at once, so that all adapters and tasks together keep the engine busy; samples with continuations, which are
    answered by likelihood, follow all others.
    """
    by_likelihood = ["continuations" in samples[0] for samples, *_ in tasks]
    requests = [
        Request(folder.name, [sample["tokens"] for sample in samples], max_tokens, stop)
        for (samples, max_tokens, stop), scored in zip(tasks, by_likelihood, strict=True)
        if not scored
        for folder in adapters
    ]
    compared = [samples for (samples, *_), scored in zip(tasks, by_likelihood, strict=True) if scored]
    with engine.serving(adapters):
        texts = iter(engine.complete(requests) if requests else [])
        likelihoods = iter(compare(engine, [folder.name for folder in adapters], compared) if compared else [])
    return [[next(likelihoods if scored else texts) for _ in adapters] for scored in by_likelihood]


def compare(engine: Engine, models: Sequence[str], tasks: Sequence[Sequence[dict[str, Any]]]) -> list[list[str]]:
    """Return the likelihoods of samples' options as responses: one list per model for each task, one after the other.

    Samples of one task may have the same neutral prompt with the same options, which are scored once.
    """
    neutrals = [
        list({json.dumps(each["neutral"]): each["neutral"] for each in samples if "neutral" in each}.values())
        for samples in tasks
    ]
    found = engine.score(
        [
            ScoreRequest(
                model,
                [each["tokens"] for each in (*samples, *neutral)],
                [
                    *([option["tokens"] for option in sample["continuations"]] for sample in samples),
                    *(each["continuations"] for each in neutral),
                ],
            )
            for samples, neutral in zip(tasks, neutrals, strict=True)
            for model in models
        ]
    )
    responses, rows = [], iter(found)
    for samples, neutral in zip(tasks, neutrals, strict=True):
        for _ in models:
            scores = next(rows)
            after_neutral = dict(zip(map(json.dumps, neutral), scores[len(samples) :], strict=True))
            responses.append(
                [
                    written(likelihoods_of(sample, each, after_neutral.get(json.dumps(sample.get("neutral")))))
                    for sample, each in zip(samples, scores, strict=False)
                ]
            )
    return responses
