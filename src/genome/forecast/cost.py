"""What jobs cost: evaluations, samples, tokens and bytes, as expected values if they are random."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from genome.search.method import Method
from genome.search.methods import read_method
from genome.tasks import Task
from genome.tasks.likelihood import LIKELIHOOD
from genome.workflow.names import RunName

REST = 1000
"""Number of test samples that is assumed if a task takes all that is left of a pool that has not been read yet."""

ROW_BYTES, TOKEN_BYTES = 120, 6
"""Size of a kept response: without its text, and per token of the text and of the answer in it, at most."""

INDIVIDUAL_BYTES = 1500
"""Size of a population file per individual: the mean of runs of ten generations (GENOME 1000, GENOME+ 1900)."""


@dataclass(frozen=True)
class Job:
    """A job that would run: its stage (the rule's name), the parts of its name, the JSON text of its settings."""

    stage: str
    parts: Mapping[str, str]
    settings: str = "{}"


@dataclass(frozen=True)
class Setting:
    """What jobs share: the names of the `experts`, and the definitions of all `tasks` of the jobs.

    `adapters` are the `generations` that keep their members as folders: all, final or none. `splits` are the numbers of
    samples, `validation` and `test` (or "rest").
    """

    base: str
    experts: Sequence[str]
    generations: int
    adapters: str
    splits: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Rate:
    """How fast samples are scored, the seconds that a job takes in addition, and the source of both."""

    samples_per_second: float
    overhead: float
    source: str


@dataclass(frozen=True)
class Measured:
    """What is known from files in the folder; a task that is missing from a mapping has not been measured.

    samples: validation and test samples per task
    prompt_tokens: mean per prompt; row_bytes: mean per kept response
    adapter_bytes: size of one adapter, None before there is any
    """

    samples: Mapping[str, Mapping[str, int]]
    prompt_tokens: Mapping[str, float]
    row_bytes: Mapping[str, float]
    adapter_bytes: int | None
    rate: Rate | None


@dataclass(frozen=True)
class Cost:
    """Expected numbers of genotypes scored, samples answered, tokens, adapters kept, bytes of answers and populations.

    `prompt_tokens` do not include `unmeasured` tasks, `response_tokens` are an upper limit.
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
    """Costs by stage and variant (or ""), the number of other jobs by stage, and the basis of the numbers.

    assumed: tasks whose number of test samples is not known
    bounded: tasks whose responses are assumed to have the largest possible length
    """

    rows: Mapping[tuple[str, str], Cost]
    others: Mapping[str, int]
    measured: Measured
    assumed: Sequence[str]
    bounded: Sequence[str]

    @property
    def total(self) -> Cost:
        """The sum of all stages, including jobs that do not use the engine."""
        return sum(self.rows.values(), Cost(jobs=sum(self.others.values())))

    @property
    def disk(self) -> float | None:
        """Bytes that remain on disk; None if adapters are kept and their size is not known yet."""
        total, size = self.total, self.measured.adapter_bytes
        if total.adapters and size is None:
            return None
        return total.file_bytes + total.adapters * (size or 0)

    @property
    def seconds(self) -> float | None:
        """Seconds of scoring and of the rest of its jobs, one job after another; None without a rate."""
        rate = self.measured.rate
        if rate is None:
            return None
        asking = sum(cost.jobs for cost in self.rows.values())
        return self.total.samples / rate.samples_per_second + asking * rate.overhead


def _experts(job: Job, setting: Setting) -> float:
    return len(setting.experts)


def _initial(job: Job, setting: Setting) -> float:
    """The experts' own scores are known already, but not the scores of their products."""
    known = len(setting.experts) if job.parts["scheme"] in ("experts", "experts-factors") else 0
    return max(0, int(job.parts["n"]) - known)


def _of_method(job: Job, setting: Setting) -> float:
    method, settings = _method(job.settings)
    size = int(job.parts.get("n", 0))
    # With its own samples, a generation scores its members again.
    again = size if getattr(settings, "redraw", False) else 0
    return method.cost(settings, size, len(setting.experts)) + again


def _finalists(job: Job, setting: Setting) -> float:
    """The search's best and the base model; the best expert has been scored, unless finalists are calibrated."""
    settings = _parsed(job.settings)
    return settings["finalists"] + 1 + settings.get("calibrated", False)


def _none(job: Job, setting: Setting) -> float:
    return 0


OF_METHODS = ("generation", "baseline", "searched_baseline")
"""Stages that run the method in their settings."""

STAGES: dict[str, Callable[[Job, Setting], float]] = {
    "score_experts": _experts,
    "initial_population": _initial,
    **dict.fromkeys(OF_METHODS, _of_method),
    "finalists": _finalists,
    "answer_test": _none,
}
"""Stages that use the engine, with their evaluations: genotypes on all validation samples of a run's tasks."""


def forecast(jobs: Sequence[Job], setting: Setting, measured: Measured) -> Forecast:
    """Return the cost of `jobs`."""
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
        # The best individual, and the members of an ensemble if the run reports one.
        asked = _asked(job.parts["test_task"], "test", 1 + settings["members"], setting, measured)
        return replace(asked, jobs=1)
    tasks, settings = tasks_of(job), _parsed(job.settings)
    cost = Cost(jobs=1)
    for task in tasks:
        number = measured.samples.get(task, {}).get("validation", setting.splits["validation"])
        looked_at = min(1, (settings.get("samples") or number) / number)
        asked = _asked(task, "validation", evaluations * looked_at, setting, measured)
        # Likelihoods need no response, unless it has the working before the answer.
        generated = settings.get("objective") != LIKELIHOOD or _may_have_working(setting.tasks[task])
        cost += asked if generated else replace(asked, response_tokens=0)
    for task in tasks:
        # Perplexities on the same prompts: the engine reads them and answers nothing.
        read = _asked(task, "validation", _reads(job, setting), setting, measured)
        cost += replace(read, response_tokens=0, file_bytes=0)
    size = int(job.parts.get("n", 0))
    individuals = evaluations + size
    cost += Cost(evaluations=evaluations, file_bytes=individuals * INDIVIDUAL_BYTES)
    return replace(cost, adapters=_kept(job, size, evaluations, setting))


def tasks_of(job: Job) -> list[str]:
    """Return the tasks that a job scores individuals on; none for other jobs."""
    if job.stage == "finalists":
        return list(RunName.parse(job.parts["run"]).tasks)
    return job.parts.get("tasks", "").split("+")


def _may_have_working(definition: Mapping[str, Any]) -> bool:
    return definition.get("kind") not in ("choice", "label", "translation", "program")


def _reads(job: Job, setting: Setting) -> float:
    """Return for how many genotypes a job only reads the prompts."""
    if job.stage not in OF_METHODS:
        return 0
    method, settings = _method(job.settings)
    return method.reads(settings, int(job.parts.get("n", 0)), len(setting.experts))


def _asked(task: str, side: str, models: float, setting: Setting, measured: Measured) -> Cost:
    """Return what it costs if `models` answer all samples of a side."""
    if side == "test":
        number = _test_samples(task, setting, measured) or REST
    else:
        number = measured.samples.get(task, {}).get(side, setting.splits[side])
    samples = models * number
    limit = response_limit(setting.tasks[task])
    row = measured.row_bytes.get(task, ROW_BYTES + TOKEN_BYTES * limit)
    known = task in measured.prompt_tokens
    return Cost(
        samples=samples,
        prompt_tokens=samples * measured.prompt_tokens.get(task, 0),
        response_tokens=samples * limit,
        file_bytes=samples * row,
        unmeasured=frozenset() if known or not samples else frozenset({task}),
    )


def response_limit(definition: Mapping[str, Any]) -> int:
    """Return the most tokens of a response to a task: none if it is answered by likelihood."""
    if definition.get("answer_by") == LIKELIHOOD:
        return 0
    return definition.get("max_tokens") or Task.max_tokens


def _test_samples(task: str, setting: Setting, measured: Measured) -> int | None:
    """Return how many samples a task's test has; None if only its rows can show."""
    if task in measured.samples:
        return measured.samples[task]["test"]
    definition = setting.tasks[task]
    wanted = definition.get("test_samples") or setting.splits["test"]
    if wanted != "rest":
        return wanted
    published = (definition.get("draw") or {}).get("test")
    return published[1] - published[0] if published else None


def _kept(job: Job, size: int, evaluations: float, setting: Setting) -> float:
    """Return the number of adapters that a generation adds. Members that survive are links to the same file."""
    if job.stage != "generation" or setting.adapters == "none":
        return 0
    generation = int(job.parts["generation"])
    if setting.adapters == "final":
        return size if generation == setting.generations else 0
    return min(size, evaluations) + (size if generation == 1 else 0)


@cache
def _parsed(settings: str) -> Mapping[str, Any]:
    return json.loads(settings)


@cache
def _method(settings: str) -> tuple[Method, Any]:
    return read_method(_parsed(settings))
