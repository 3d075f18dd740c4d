"""What jobs cost: evaluations, samples, tokens, bytes and seconds, as expected values if they are random."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import ceil, inf
from typing import Any

from genome.engine.messages import BATCH_SIZE, BATCH_TOKENS, BUILT_IN
from genome.engine.usage import AT_ONCE
from genome.experts.expert import ENDING
from genome.forecast.rates import Work
from genome.forecast.times import side_by_side
from genome.forecast.values import NO_TASKS, Cost, Forecast, Job, Measured, Setting
from genome.genotype import FACTORS
from genome.search.budget import read_budget
from genome.search.finalists import asked
from genome.search.method import Method
from genome.search.methods import read_method
from genome.search.methods.controls import ValidationLoraSettings
from genome.search.settings import FROM_EXPERTS, GIVEN, SEARCH, UNIFORM, WITH_VALIDATION_LORA, founders
from genome.tasks.lengths import most_tokens
from genome.tasks.likelihood import LIKELIHOOD
from genome.workflow.names import RunName, part_of, whole_of

REST = 1000
"""Number of test samples that is assumed if a task takes all that is left of a pool that has not been read yet."""

ROW_BYTES, TOKEN_BYTES = 120, 6
"""Size of a kept response: without its text, and per token of the text and of the answer in it, at most."""

INDIVIDUAL_BYTES = 1500
"""Size of a population file per individual: the mean of runs of ten generations (GENOME 1000, GENOME+ 1900)."""


FOUND = 2
"""The members of a population that began with the mean of the experts: this mean, and what has been found."""

HELD_OUT = ValidationLoraSettings().held_out
"""Share of the validation samples that a search with the Validation LoRA looks at: those that it has not seen."""


def _set(job: Job) -> str:
    """Return the set of experts that a job mixes."""
    return _parsed(job.settings).get("experts", GIVEN)


def _experts(job: Job, setting: Setting) -> int:
    return len(setting.experts) + (_set(job) == WITH_VALIDATION_LORA)


def _initial(job: Job, setting: Setting) -> float:
    """The experts' own scores are known already, but not the scores of their products."""
    scheme = job.parts["scheme"].removesuffix(f"-{_set(job)}")
    made, _, space = scheme.partition("-")
    known = _experts(job, setting) if made in FROM_EXPERTS and space in ("", FACTORS) else 0
    return max(0, founders(made, int(job.parts["n"])) - known)


def _of_method(job: Job, setting: Setting) -> float:
    method, settings = _method(job.settings)
    size, experts, is_first = int(job.parts.get("n", 0)), _experts(job, setting), job.parts.get("generation") == "1"
    # With its own samples, a generation scores what it continues from again.
    again = _members(settings, size, is_first) if getattr(settings, "redraw", False) else 0
    return method.cost(settings, size, experts) + (method.first(settings, experts) if is_first else 0) + again


def _members(settings: Any, size: int, is_first: bool) -> int:
    """Return how many individuals a generation continues from, at most."""
    if settings.initialisation != UNIFORM:
        return size
    return founders(UNIFORM, size) if is_first else FOUND + 1  # the worst ever


def _finalists(job: Job, setting: Setting) -> float:
    """A run that hands out what its search found asks for the search's best only."""
    settings = _parsed(job.settings)
    return asked(
        settings["finalists"],
        others=settings["result"] != SEARCH,
        known=not settings["measure"],
        calibrated=settings.get("calibrated", False),
    )


def _none(job: Job, setting: Setting) -> float:
    return 0


VALIDATION_LORA = "validation_lora"
TRAININGS = ("train_adapter", VALIDATION_LORA)
"""Stages whose time depends on what they train on."""

OF_METHODS = ("generation", "baseline", "searched_baseline")
"""Stages that run the method in their settings."""

STAGES: dict[str, Callable[[Job, Setting], float]] = {
    "score_experts": _experts,
    "score_set": _experts,
    "initial_population": _initial,
    **dict.fromkeys(OF_METHODS, _of_method),
    "finalists": _finalists,
    "answer_test": _none,
}
"""Stages that use the engine, with their evaluations: genotypes on all validation samples of a run's tasks."""


def forecast(jobs: Sequence[Job], setting: Setting, measured: Measured, cores: int = 1) -> Forecast:
    """Return the cost of `jobs`, of which `cores` run side by side."""
    asking = [(job, _cost(job, setting, measured)) for job in jobs if job.stage in STAGES]
    rows: dict[tuple[str, str], Cost] = {}
    for job, cost in asking:
        label = (job.stage, job.parts.get("variant", ""))
        rows[label] = rows.get(label, Cost()) + cost
    order = [*STAGES]
    rows = dict(sorted(rows.items(), key=lambda row: (order.index(row[0][0]), row[0][1])))
    others = [job for job in jobs if job.stage not in STAGES]
    times = {id(job): seconds for job in others if (seconds := _other_seconds(job, measured)) is not None}
    # An adapter is trained before a LoRA on validation samples, which does not need it.
    untimed = sorted((job for job in others if job.stage in TRAININGS and id(job) not in times), key=_order)
    tested = {job.parts["test_task"] for job, _ in asking if job.stage == "answer_test"}
    evolved = {task for job, _ in asking for task in tasks_of(job) if task}
    return Forecast(
        rows,
        Counter(job.stage for job in others),
        measured,
        cores,
        _seconds(asking, [*times.values()], setting, measured, cores),
        Counter(job.stage for job in others if id(job) not in times),
        [task for task in sorted(tested) if _test_samples(task, setting, measured) is None],
        sorted((tested | evolved) - {*measured.row_bytes}),
        _remedy(frozenset().union(*(cost.untimed for _, cost in asking)), setting, measured),
        _command(trained(untimed[0]), setting) if untimed else "",
    )


def _order(job: Job) -> int:
    return TRAININGS.index(job.stage)


def _seconds(
    asking: Sequence[tuple[Job, Cost]], others: Sequence[float], setting: Setting, measured: Measured, cores: int
) -> float | None:
    """Return how long the jobs take that ask the engine, and `others` of these times before and after them."""
    if asking and measured.rate is None:
        return None
    runs: defaultdict[str, float] = defaultdict(float)
    for job, cost in asking:
        if job.stage == "generation":  # waits for the one before
            runs[" ".join(job.parts[part] for part in ("tasks", "variant", "n", "seed"))] += cost.seconds
    total = sum((cost for _, cost in asking), Cost())
    own_engine = setting.engine.get("per_job")
    start = measured.start_seconds * (len(asking) / cores if own_engine else bool(total.samples))
    alone = total.seconds if own_engine else total.own_seconds + total.shared_seconds
    engine = total.seconds - alone
    around = max(sum(others) / cores, max(others, default=0))
    return start + around + max(side_by_side(len(asking), engine, alone, cores), *runs.values(), 0)


def _other_seconds(job: Job, measured: Measured) -> float | None:
    """Return how long a job takes that asks no engine; None if that is not known."""
    own = measured.own_seconds.get(job.stage)
    if job.stage not in TRAININGS:
        return own
    training = measured.training_seconds.get(trained(job))
    if job.stage == VALIDATION_LORA:  # its record has the time of the whole job
        return own if training is None else training
    return None if training is None else training + (own or 0)


def trained(job: Job) -> str:
    """Return the file of what a job trains."""
    if job.stage == VALIDATION_LORA:
        return f"results/runs/{job.parts['tasks']}/{job.parts['variant']}/seed{job.parts['seed']}/expert{ENDING}"
    return f"resources/experts/{job.parts['adapter']}{ENDING}"


def tokens_of_validation_lora(job: Job, setting: Setting, measured: Measured) -> float | None:
    """Return the expected tokens that a Validation LoRA reads (`genome.lora.held_out`); None if prompts are unknown.

    Each number of epochs is as likely to be chosen as any other. Responses, which are short, are left out.
    """
    _, settings = _method(json.dumps(_parsed(job.settings)["search"]))
    held_out, epochs = settings.held_out, settings.epochs
    times = (1 - held_out) * epochs[-1] + held_out * len(epochs) + sum(epochs) / len(epochs)
    tokens = 0.0
    for task in tasks_of(job):
        length = _measured(measured.prompt_tokens, task)
        if length is None:
            return None
        tokens += times * length * _validation_samples(task, setting, measured)
    return tokens


def _remedy(tasks: frozenset[str], setting: Setting, measured: Measured) -> str:
    """Return the command after which it is known how long the engine needs for `tasks`, and what it does."""
    given = measured.rate is not None and measured.rate.longest == inf
    place = f"results/prompts/{setting.base}/*/validation.jsonl" if given else "results/benchmarks/rates/*.json"
    names = ",".join(sorted(tasks))
    what = "prepare its prompts" if given else "measure it in a minute"
    return f"{what}: {_command(place.replace('*', f'{{{names}}}' if len(tasks) > 1 else names), setting)}"


def _command(target: str, setting: Setting) -> str:
    files = f" --configfile {' '.join(setting.configfiles)}" if setting.configfiles else ""
    return f"snakemake --cores 1 {target}{files}"


def _cost(job: Job, setting: Setting, measured: Measured) -> Cost:
    own = measured.own_seconds.get(job.stage, 0)
    if job.stage == "answer_test":
        settings, task = _parsed(job.settings), job.parts["test_task"]
        members = settings["members"]
        # The best individual, and the members of an ensemble if the run reports one. They usually include the best,
        # whose answers are written twice. Experts whose logits are fused all read and generate.
        asking = len(setting.experts) if "fusion" in settings else max(1, members)
        asked = _asked(task, "test", asking, setting, measured)
        written = _asked(task, "test", 1 + members, setting, measured)
        return replace(asked, jobs=1, samples=written.samples, file_bytes=written.file_bytes, own_seconds=own)
    evaluations = STAGES[job.stage](job, setting)
    tasks, settings = tasks_of(job), _parsed(job.settings)
    cost = Cost(jobs=1, own_seconds=own)
    for task in tasks:
        number = _validation_samples(task, setting, measured)
        unseen = HELD_OUT if _set(job) == WITH_VALIDATION_LORA else 1
        looked_at = min(unseen, (settings.get("samples") or number) / number)
        # Likelihoods need no response, unless it has the working before the answer.
        generated = settings.get("objective") != LIKELIHOOD or _may_have_working(setting.tasks[task])
        cost += _asked(task, "validation", evaluations, setting, measured, part=looked_at, generated=generated)
    for task in tasks:
        # Perplexities on the same prompts: the engine reads them and answers nothing.
        cost += _asked(task, "validation", _reads(job, setting), setting, measured, answered=False)
    size = int(job.parts.get("n", 0))
    if settings.get("initialisation") == UNIFORM:
        size = min(size, FOUND)
    individuals = evaluations + size
    cost += Cost(evaluations=evaluations, file_bytes=individuals * INDIVIDUAL_BYTES)
    kept = _kept(job, size, evaluations, setting)
    if job.stage == "generation" and settings.get("budget"):
        cost = _within_budget(cost, job, setting, measured)
    return replace(cost, adapters=Counter({job.space: kept} if kept else {}))


def _within_budget(cost: Cost, job: Job, setting: Setting, measured: Measured) -> Cost:
    """Return the cost of a generation, or the part of it that its run's budget still pays for after those before.

    A token of any stage answers as many samples as one of this generation; a budget in tokens that are not known does
    not end anything.
    """
    settings = _parsed(job.settings)
    budget = read_budget(settings["budget"])
    if not cost.samples or (budget.unit == "tokens" and cost.unmeasured):
        return cost
    tokens = cost.prompt_tokens + cost.response_tokens
    amount = budget.amount * (cost.samples / tokens if budget.unit == "tokens" else 1)
    numbers = [_validation_samples(task, setting, measured) for task in tasks_of(job)]
    each = sum(min(settings.get("samples") or number, number) for number in numbers)
    initialisation, generation = settings.get("initialisation", ""), int(job.parts["generation"])
    size, experts = founders(initialisation, int(job.parts["n"])), _experts(job, setting)
    kept, from_experts = settings.get("reserved", 0), initialisation in FROM_EXPERTS
    first = max(0, size - experts) * each if from_experts else size * each
    first += (kept + (experts if kept or from_experts else 0)) * sum(numbers)
    if generation > 1:
        method, chosen = _method(job.settings)
        first += method.first(chosen, experts) * each
    left = amount - first - (generation - 1) * cost.samples
    return cost * min(1, max(0, left) / cost.samples)


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


def _asked(
    task: str,
    side: str,
    models: float,
    setting: Setting,
    measured: Measured,
    *,
    part: float = 1,
    answered: bool = True,
    generated: bool = True,
) -> Cost:
    """Return what it costs if `models` answer the samples of a side, or a part of them, or only read them.

    Answers may need no tokens.
    """
    generated = generated and answered
    if side == "test":
        number = _test_samples(task, setting, measured) or REST
    else:
        number = _validation_samples(task, setting, measured)
    samples = models * number * part
    if not samples:
        return Cost()
    limit = most_tokens(setting.tasks[task])
    response, prompt = _measured(measured.response_tokens, task), _measured(measured.prompt_tokens, task)
    length = min(limit, limit if response is None else response) if generated else 0
    prompt_tokens = samples * (prompt or 0)
    known, row, rate = prompt is not None, _measured(measured.row_bytes, task), measured.rate
    longest = min(limit, _measured(measured.longest_tokens, task) or limit) if generated else 0
    together = setting.engine.get("backend", BUILT_IN) != BUILT_IN
    if together:
        steps = max(longest, samples * length / AT_ONCE)
    else:
        steps = longest * models * _batches(number * part, (prompt or 0) + limit, setting.engine)
    seconds = rate.seconds(Work(samples, prompt_tokens, samples * length, steps)) if rate and known else None
    this = frozenset({whole_of(task)})
    return Cost(
        samples=samples,
        prompt_tokens=prompt_tokens,
        response_tokens=samples * length,
        file_bytes=samples * (ROW_BYTES + TOKEN_BYTES * limit if row is None else row) if answered else 0,
        engine_seconds=seconds or 0,
        shared_seconds=steps * rate.per_step if together and rate and seconds else 0,
        unmeasured=NO_TASKS if known else this,
        bounded=this if generated and limit and response is None else NO_TASKS,
        untimed=this if seconds is None else NO_TASKS,
    )


def _batches(samples: float, tokens: float, engine: Mapping[str, Any]) -> int:
    """Return in how many batches the built-in engine answers these samples of a model, each of at most `tokens`."""
    requests = ceil(samples / engine.get("batch_size", BATCH_SIZE))
    rows = max(1, engine.get("batch_tokens", BATCH_TOKENS) // max(1, tokens))
    return requests * ceil(samples / requests / rows)


def _measured(values: Mapping[str, float], task: str) -> float | None:
    """Return what was measured of a task; of a part of one, or else of the whole task."""
    return values.get(task, values.get(whole_of(task)))


def _validation_samples(task: str, setting: Setting, measured: Measured) -> int:
    """Return how many validation samples a task has, or a part of it."""
    known = measured.samples.get(task, {}).get("validation", setting.splits["validation"])
    return part_of(task)[1] or known


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
