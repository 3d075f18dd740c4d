"""What jobs cost: evaluations, samples, tokens and bytes, in expectation where chance decides."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from genome.search.methods.cma_es import points_of
from genome.tasks import Task

REST = 1000
"""Test samples that are assumed where a task takes all that is left of a pool which nobody has read yet."""

ROW_BYTES, TOKEN_BYTES = 120, 6
"""Of a kept response: what stands beside the text, and at most one token of text and of the answer in it."""

INDIVIDUAL_BYTES = 1500
"""Of a population file, for each individual in it: the mean of runs of ten generations (GENOME 1000, GENOME+ 1900)."""


@dataclass(frozen=True)
class Job:
    """A job that would run: its stage (the rule's name), the parts of its name, the JSON text of its settings."""

    stage: str
    parts: Mapping[str, str]
    settings: str = "{}"


@dataclass(frozen=True)
class Setting:
    """What jobs share. `experts` are names, `tasks` the definitions of all tasks that a job names.

    `adapters` says which of the `generations` keep their members as folders: all, final or none. `splits` holds the
    numbers of samples, `validation` and `test` (or "rest").
    """

    base: str
    experts: Sequence[str]
    generations: int
    adapters: str
    splits: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Rate:
    """How fast samples are answered: scoring alone, and seconds of a job beside its scoring; where that is from."""

    samples_per_second: float
    overhead: float
    source: str


@dataclass(frozen=True)
class Measured:
    """What the folder already tells; a task that is missing from a mapping is not measured.

    samples: of each task's validation and test; prompt_tokens: mean of a prompt; row_bytes: mean of a kept response
    adapter_bytes: one adapter, None before there is any
    """

    samples: Mapping[str, Mapping[str, int]]
    prompt_tokens: Mapping[str, float]
    row_bytes: Mapping[str, float]
    adapter_bytes: int | None
    rate: Rate | None


@dataclass(frozen=True)
class Cost:
    """Expected numbers: genotypes scored, samples asked, tokens, adapters kept, bytes of responses and populations.

    `prompt_tokens` lack the prompts of `unmeasured` tasks, `response_tokens` are the most that may come.
    """

    jobs: int = 0
    evaluations: float = 0
    samples: float = 0
    prompt_tokens: float = 0
    response_tokens: float = 0
    adapters: float = 0
    file_bytes: float = 0
    unmeasured: frozenset[str] = frozenset()

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.jobs + other.jobs,
            self.evaluations + other.evaluations,
            self.samples + other.samples,
            self.prompt_tokens + other.prompt_tokens,
            self.response_tokens + other.response_tokens,
            self.adapters + other.adapters,
            self.file_bytes + other.file_bytes,
            self.unmeasured | other.unmeasured,
        )


@dataclass(frozen=True)
class Forecast:
    """Costs by stage and variant (""), the jobs of stages that ask no engine, and what the numbers rest on.

    assumed: tasks whose number of test samples is not known
    bounded: tasks whose responses are counted at their longest
    """

    rows: Mapping[tuple[str, str], Cost]
    others: Mapping[str, int]
    measured: Measured
    assumed: Sequence[str]
    bounded: Sequence[str]

    @property
    def total(self) -> Cost:
        """The sum of all stages, with the jobs that ask no engine."""
        return sum(self.rows.values(), Cost(jobs=sum(self.others.values())))

    @property
    def disk(self) -> float | None:
        """Bytes that stay; None while adapters are to be kept whose size is not known."""
        total, size = self.total, self.measured.adapter_bytes
        if total.adapters and size is None:
            return None
        return total.file_bytes + total.adapters * (size or 0)

    @property
    def seconds(self) -> float | None:
        """Seconds of scoring and of the jobs around it, one after another; None without a rate."""
        rate = self.measured.rate
        if rate is None:
            return None
        asking = sum(cost.jobs for cost in self.rows.values())
        return self.total.samples / rate.samples_per_second + asking * rate.overhead


# How many genotypes a method scores in a job, in expectation: from its settings, the population's size and the
# number of experts.


def _genome(settings: Mapping[str, Any], size: int, experts: int) -> float:
    """Children, mutants of members and children, and with succession all members once more (Algorithms 1 and 2)."""
    children = size // 2 * settings["crossover_rate"]
    mutants = (size + children) * settings["individual_mutation_rate"]
    return children + mutants + (size if settings["succession"] else 0)


METHODS: dict[str, Callable[[Mapping[str, Any], int, int], float]] = {
    "genome": _genome,
    "genome_plus": _genome,
    "model_swarms": lambda settings, size, experts: size,
    "cma_es": lambda settings, size, experts: points_of(size),
    "best_single": lambda settings, size, experts: 0,
    "expert_fusion": lambda settings, size, experts: 1,
    "lorahub": lambda settings, size, experts: settings["evaluations"],
    "pack_of_llms": lambda settings, size, experts: 1,
}


def _experts(job: Job, setting: Setting) -> float:
    return len(setting.experts)


def _initial(job: Job, setting: Setting) -> float:
    """The experts' own scores are known already, but not those of their products, which are asked for anew."""
    known = len(setting.experts) if job.parts["scheme"] == "experts" else 0
    return max(0, int(job.parts["n"]) - known)


def _of_method(job: Job, setting: Setting) -> float:
    settings = _parsed(job.settings)
    return METHODS[settings["method"]](settings, int(job.parts.get("n", 0)), len(setting.experts))


def _none(job: Job, setting: Setting) -> float:
    return 0


STAGES: dict[str, Callable[[Job, Setting], float]] = {
    "score_experts": _experts,
    "initial_population": _initial,
    "generation": _of_method,
    "baseline": _of_method,
    "searched_baseline": _of_method,
    "answer_test": _none,
}
"""Stages that ask the engine, with their evaluations: genotypes on all validation samples of a run's tasks."""


def forecast(jobs: Sequence[Job], setting: Setting, measured: Measured) -> Forecast:
    """Return what `jobs` will cost."""
    asking = [job for job in jobs if job.stage in STAGES]
    rows: dict[tuple[str, str], Cost] = {}
    for job in asking:
        label = (job.stage, job.parts.get("variant", ""))
        rows[label] = rows.get(label, Cost()) + _cost(job, setting, measured)
    order = [*STAGES]
    rows = dict(sorted(rows.items(), key=lambda row: (order.index(row[0][0]), row[0][1])))
    others = Counter(job.stage for job in jobs if job.stage not in STAGES)
    tested = {job.parts["test_task"] for job in asking if job.stage == "answer_test"}
    evolved = {task for job in asking for task in job.parts.get("tasks", "").split("+") if task}
    assumed = [task for task in sorted(tested) if _test_samples(task, setting, measured) is None]
    bounded = sorted((tested | evolved) - {*measured.row_bytes})
    return Forecast(rows, others, measured, assumed, bounded)


def _cost(job: Job, setting: Setting, measured: Measured) -> Cost:
    evaluations = STAGES[job.stage](job, setting)
    if job.stage == "answer_test":
        settings = _parsed(job.settings)
        # The best, and the members of an ensemble where the run reports one.
        asked = _asked(job.parts["test_task"], "test", 1 + settings["members"], setting, measured)
        return replace(asked, jobs=1)
    tasks = job.parts["tasks"].split("+")
    cost = sum((_asked(task, "validation", evaluations, setting, measured) for task in tasks), Cost(jobs=1))
    if _parsed(job.settings).get("method") == "pack_of_llms":
        # Perplexities of all experts on the same prompts: read, and nothing answered.
        for task in tasks:
            read = _asked(task, "validation", len(setting.experts), setting, measured)
            cost += replace(read, response_tokens=0, file_bytes=0)
    size = int(job.parts.get("n", 0))
    individuals = evaluations + size
    cost += Cost(evaluations=evaluations, file_bytes=individuals * INDIVIDUAL_BYTES)
    return replace(cost, adapters=_kept(job, size, evaluations, setting))


def _asked(task: str, side: str, models: float, setting: Setting, measured: Measured) -> Cost:
    """Return what it costs that `models` answer all samples of a side."""
    if side == "test":
        number = _test_samples(task, setting, measured) or REST
    else:
        number = measured.samples.get(task, {}).get(side, setting.splits[side])
    samples = models * number
    limit = setting.tasks[task].get("max_tokens") or Task.max_tokens
    row = measured.row_bytes.get(task, ROW_BYTES + TOKEN_BYTES * limit)
    known = task in measured.prompt_tokens
    return Cost(
        samples=samples,
        prompt_tokens=samples * measured.prompt_tokens.get(task, 0),
        response_tokens=samples * limit,
        file_bytes=samples * row,
        unmeasured=frozenset() if known or not samples else frozenset({task}),
    )


def _test_samples(task: str, setting: Setting, measured: Measured) -> int | None:
    """Return how many samples a task's test has; None where only its rows can tell."""
    if task in measured.samples:
        return measured.samples[task]["test"]
    definition = setting.tasks[task]
    wanted = definition.get("test_samples") or setting.splits["test"]
    if wanted != "rest":
        return wanted
    published = (definition.get("draw") or {}).get("test")
    return published[1] - published[0] if published else None


def _kept(job: Job, size: int, evaluations: float, setting: Setting) -> float:
    """Return the adapters that a generation leaves behind. Members that live on are links to the same file."""
    if job.stage != "generation" or setting.adapters == "none":
        return 0
    generation = int(job.parts["generation"])
    if setting.adapters == "final":
        return size if generation == setting.generations else 0
    return min(size, evaluations) + (size if generation == 1 else 0)


@cache
def _parsed(settings: str) -> Mapping[str, Any]:
    return json.loads(settings)
