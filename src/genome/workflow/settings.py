"""Which settings the result of each stage depends on, and nothing else.

Rules have them in their params as one canonical JSON text; Snakemake runs a job again when its text changes. Tables and
figures have theirs in `genome.workflow.tables` and `genome.workflow.figures`.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

from genome.config import paths, rows
from genome.config.values import overlay
from genome.scoring.usage import speed_settings
from genome.search.method import deciding, plain
from genome.search.settings import (
    GIVEN,
    EvolvingObjective,
    ExpertSet,
    measure_of,
    named_scheme,
    named_space,
    set_of_scheme,
)
from genome.tasks.chat import PLAIN, template_text
from genome.tasks.chat_settings import laid_over
from genome.tasks.lengths import most_tokens
from genome.tasks.likelihood import OPTION
from genome.workflow import budget, sources
from genome.workflow.evaluation import asked_members, is_team, members_of, model_of
from genome.workflow.names import RunName, TestName, draw_of, part_of, whole_of
from genome.workflow.plan import JSON, Plan, canonical
from genome.workflow.runs import decided_by, is_calibrated, likelihood, search_settings, set_of_run

OF_SCORING = (
    *("category", "metric", "pattern", "fallback", "integers", "max_tokens", "tokenizer", "prefix", "version"),
    *("likelihood_per", "working"),
)
"""The fields of a task that only scoring reads."""

NOT_OF_SAMPLES = ("kind", "epochs", "batch_size", "max_length", "seed")
"""Settings of the training of experts that a training on validation samples does not take over."""

OF_OBJECTIVE = [each.name for each in fields(EvolvingObjective)]
"""The settings that a model card names only if they are not the paper's."""

OF_REPEATS = ("gene_mutation_rate", "sigma", "coefficient_sigma")
"""The settings of GENOME by which a generation 0 of experts is filled up with mutants of them."""


def of_base(plan: Plan, base: str) -> Mapping[str, JSON]:
    """Return what a base model depends on."""
    source = plan.config.bases[base].model.given()
    files = sources.fingerprint(sources.base_files(plan, base))
    return {"version": plan.versions["base_model"], "source": source, **files}


def of_manifest(plan: Plan) -> Mapping[str, JSON]:
    """Return what the list of checked experts depends on."""
    return {"version": plan.versions["manifest"], **base_name_of(plan)}


def base_name_of(plan: Plan) -> Mapping[str, JSON]:
    """Return what trained adapters call their base: the model's own name; nothing if it is made here."""
    model = plan.suite.model.given()
    name = model.get("hub") or model.get("path")
    return {"base_name": name} if name else {}


def of_training(plan: Plan, adapter: str) -> Mapping[str, JSON]:
    """Return what a trained adapter depends on: also the order of its corpora, in which their rows are read."""
    settings = overlay(plan.suite.training.given(), plan.adapters[adapter].get("training") or {})
    corpora = paths.corpora_of(plan.adapters[adapter])
    for name, source in plan.suite.corpora.items():
        # If a corpus exists, Snakemake takes it even if the input function of its rule refuses the source.
        if f"resources/datasets/corpora/{name}.jsonl" in corpora:
            rows.files_of(source.given(), plan.config.data_folder)
    return {
        "version": plan.versions["adapter"],
        "corpora": corpora,
        "training": settings,
        **rendering(chat_of(plan, plan.base)),
        **base_name_of(plan),
        **sources.fingerprint(sources.users_corpora(plan, adapter)),
    }


def of_import(plan: Plan, adapter: str) -> Mapping[str, JSON]:
    """Return what an imported adapter depends on."""
    files = sources.fingerprint(sources.adapter_files(plan, adapter))
    return {"version": plan.versions["adapter"], "source": plan.adapters[adapter], **files}


def of_corpus(plan: Plan, corpus: str) -> Mapping[str, JSON]:
    """Return what a corpus of published conversations depends on."""
    files = sources.fingerprint(sources.corpus_files(plan, corpus))
    return {"version": plan.versions["published_corpus"], "source": plan.suite.corpora[corpus].given(), **files}


def of_split(plan: Plan, task: str) -> Mapping[str, JSON]:
    """Return what the samples of a task depend on."""
    files = sources.fingerprint(sources.task_rows(plan, task))
    drawn = plan.config.splits.model_dump()
    return {"version": plan.versions["split"], "task": asked_task(plan, task), **drawn, **files}


def of_part(plan: Plan, task: str) -> Mapping[str, JSON]:
    """Return what a part of a task's validation samples depends on."""
    plan.definition(task)
    draw = draw_of(task)
    return {
        "version": plan.versions["split"],
        "number": part_of(task)[1],
        **({} if draw is None else {"draw": draw}),
    }


def of_prompts(plan: Plan, base: str, task: str) -> Mapping[str, JSON]:
    """Return what the prepared prompts of a task depend on."""
    # If a split exists, Snakemake takes it even if the input function of its rule refuses the source.
    sources.task_rows(plan, task)
    chat = rendering(chat_of(plan, base, task))
    return {"version": plan.versions["prompts"], "task": asked_task(plan, task), **chat}


def of_expected(plan: Plan, base: str, task: str) -> Mapping[str, JSON]:
    """Return what the continuations of a task's validation prompts depend on: also on how answers are read."""
    version, working = [plan.versions["prompts"], plan.versions["likelihood"]], plan.definition(task).get("working")
    return {**of_prompts(plan, base, task), "version": version, "task": named_task(plan, task), "working": working}


def chat_of(plan: Plan, base: str, task: str | None = None) -> Mapping[str, JSON]:
    """Return the chat settings of a base, with those of a task laid over them; nothing by default."""
    own = plan.definition(task).get("chat") if task else None
    return laid_over(paths.chat_of(plan.config.bases[base]), own, f"task {task}: ")


def rendering(chat: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return what prompts depend on of chat settings; nothing if the template is used as it is."""
    shown = {key: value for key, value in chat.items() if key != "stop"}
    file = shown.get("template_file")
    if file:
        template_text(file)  # reading the config has checked only the files of tasks that it names
    template = {"template": paths.fingerprint([Path(file).expanduser()])} if file else {}
    return {"chat": PLAIN if shown == {"plain": True} else shown, **template} if shown else {}


def stop_of(plan: Plan, task: str) -> Mapping[str, JSON]:
    """Return the texts at which responses to a task end; nothing if there are none."""
    return {key: value for key, value in chat_of(plan, plan.base, task).items() if key == "stop"}


def named_task(plan: Plan, task: str) -> list[JSON]:
    """Return a task without its category, which no computation uses, and without what only `of_expected` uses.

    Of its chat, only where responses end is kept.
    """
    left_out = ("category", "chat", "working")
    kept = {key: value for key, value in plan.definition(task).items() if key not in left_out}
    return [task, {**kept, **stop_of(plan, task)}]


def asked_task(plan: Plan, task: str) -> list[JSON]:
    """Return a task without what only scoring reads: a better pattern must not ask the engine again.

    Its chat is left out, too: the stage of prompts has it laid over the base's.
    """
    left_out = (*OF_SCORING, "chat")
    return [task, {key: value for key, value in plan.definition(task).items() if key not in left_out}]


def given_set(experts: ExpertSet) -> Mapping[str, JSON]:
    """Return the set of experts of a stage; nothing for the given ones."""
    return {} if experts == GIVEN else {"experts": experts}


def of_random_experts(plan: Plan) -> Mapping[str, JSON]:
    """Return what random experts depend on: their seed is in their path."""
    return {"version": plan.versions["random_experts"], "manifest": plan.versions["manifest"]}


def of_scored_set(plan: Plan, tasks: tuple[str, ...], experts: ExpertSet) -> Mapping[str, JSON]:
    """Return what the scores of another set of experts depend on."""
    return {**of_fitness(plan, tasks), **given_set(experts)}


@cache
def of_fitness(plan: Plan, tasks: tuple[str, ...]) -> Mapping[str, JSON]:
    """Return what turns responses into the fitness of a run: its tasks, in order, and their weights."""
    weights = plan.config.weights if len(tasks) > 1 else {}
    entries = [
        {"name": name, "definition": named_task(plan, name)[1], "weight": weights.get(whole_of(name), 1)}
        for name in tasks
    ]
    return {"version": plan.versions["fitness"], "tasks": entries}


def of_initial(plan: Plan, tasks: tuple[str, ...], scheme: str) -> Mapping[str, JSON]:
    """Return what a generation 0 depends on: not on the method; repeats of experts are mutants by GENOME's rates."""
    initialisation, space, measure = named_scheme(scheme)
    genome = replace(plan.config.variant("genome", "genome").settings, merge_space=named_space(space))
    repeats = OF_REPEATS if initialisation == "experts" else ()
    decided = {key: value for key, value in deciding(genome).items() if key in ("merge_space", *repeats)}
    return {
        **of_fitness(plan, tasks),
        "initialisation": initialisation,
        "stage": plan.versions["initial"],
        **given_set(set_of_scheme(scheme)),
        **decided,
        **measure.given(),
        **likelihood(plan, measure),
    }


def of_search(plan: Plan, tasks: tuple[str, ...], variant: str) -> Mapping[str, JSON]:
    """Return what a run's populations depend on."""
    return {**of_fitness(plan, tasks), **search_settings(plan, variant)}


@cache
def search_text(plan: Plan, tasks: tuple[str, ...], variant: str) -> str:
    """Return what a run's populations depend on as one text: the generations of all seeds ask for the same."""
    return canonical(of_search(plan, tasks, variant))


def generation_text(plan: Plan, run: RunName, generation: int) -> str:
    """Return what a generation depends on as one text: on its run's budget only if this may end the run before it."""
    if not plan.variant(run.variant).has_budget:
        return search_text(plan, run.tasks, run.variant)
    searched = {key: value for key, value in of_search(plan, run.tasks, run.variant).items() if key != "budget"}
    return canonical({**searched, **budget.of_generation(plan, run, generation)})


def of_validation_lora(plan: Plan, tasks: tuple[str, ...], variant: str) -> Mapping[str, JSON]:
    """Return what a LoRA trained on validation samples depends on."""
    entries = [
        {"name": name, "definition": named_task(plan, name)[1], **rendering(chat_of(plan, plan.base, name))}
        for name in tasks
    ]
    search = search_settings(plan, variant)
    training = {key: value for key, value in plan.suite.training.given().items() if key not in NOT_OF_SAMPLES}
    return {"search": search, "training": training, "tasks": entries, **base_name_of(plan)}


def of_finalists(plan: Plan, run: RunName) -> Mapping[str, JSON]:
    """Return what the choice among a run's finalists depends on."""
    calibrated = {"calibrated": True} if is_calibrated(plan, run.variant) else {}
    number, result = decided_by(plan, run.variant)
    return {
        **of_fitness(plan, run.tasks),
        "finalists": number,
        "result": result,
        "measure": measure_of(plan.variant(run.variant).settings).given(),
        **calibrated,
        **given_set(set_of_run(plan, run)),
        "stage": plan.versions["finalists"],
    }


def of_run(plan: Plan, run: RunName) -> Mapping[str, JSON]:
    """Return the parts of a run's name, as they are in its score files; None for a part that it does not have."""
    # A merge that looks at no task has no run on validation data: the file of its weights can be looked at.
    place = model_of(plan, run) if run.is_static else run.folder
    return {
        "method": run.variant,
        "tasks": run.task_names,
        "seed": run.seed,
        "population_size": run.n,
        "run": place,
    }


def of_responses(plan: Plan, test: TestName) -> Mapping[str, JSON]:
    """Return what the responses to a test depend on: how many members answer, and how a team of them is chosen.

    If their answers are calibrated, also on how the task compares options.
    """
    settings: dict[str, JSON] = {
        "version": plan.versions["responses"],
        "members": asked_members(plan, test),
        "max_tokens": plan.definition(test.task).get("max_tokens"),
        **stop_of(plan, test.task),
    }
    if test.run.variant in plan.variants and plan.variants[test.run.variant].method.stage == "fusion":
        settings |= {"fusion": search_settings(plan, test.run.variant)}
    if is_calibrated(plan, test.run.variant):
        settings |= {"likelihood_per": plan.definition(test.task).get("likelihood_per", OPTION)}
    if is_team(plan, test.run.variant):
        settings |= {"fitness": of_fitness(plan, test.run.tasks), "similarity": plan.config.similarity.model_dump()}
    return settings


def of_scores(plan: Plan, test: TestName) -> Mapping[str, JSON]:
    """Return what the scores of a test depend on."""
    return {
        "version": [plan.versions["scores"], plan.versions["fitness"]],
        "task": named_task(plan, test.task),
        "similarity": plan.config.similarity.model_dump(),
        "k": members_of(plan, test.run.variant),
        "run": of_run(plan, test.run),
    }


def of_rate(plan: Plan, task: str) -> Mapping[str, JSON]:
    """Return what a measured rate depends on: the engine, and how long answers may be."""
    engine = speed_settings(plan.of_scripts["engine"])
    return {"engine": engine, "max_tokens": most_tokens(plan.definition(task))}


def of_portrait(plan: Plan, run: RunName) -> Mapping[str, JSON]:
    """Return what a figure of one run depends on in addition to its populations."""
    title = f"{run.task_names}, {plan.variant(run.variant).label}, N = {run.n}, seed {run.seed}"
    return {"version": plan.versions["figures"], "title": title}


def of_export(plan: Plan, run: RunName) -> Mapping[str, JSON]:
    """Return what an exported adapter and its model card depend on."""
    variant = plan.variant(run.variant)
    entries = of_fitness(plan, run.tasks)["tasks"]
    weights = {"weights": {entry["name"]: entry["weight"] for entry in entries}} if len(entries) > 1 else {}
    settings = {
        each.name: plain(value)
        for each in fields(variant.settings)
        for value in (getattr(variant.settings, each.name),)
        if each.name not in OF_OBJECTIVE or value != each.default
    }
    model, rank = plan.suite.model.given(), plan.config.export_rank
    return {
        "version": plan.versions["export"],
        **({} if rank is None else {"rank": rank}),
        "run": of_run(plan, run),
        "label": variant.label,
        "settings": {"method": variant.method.name, **settings, **weights},
        "members": members_of(plan, run.variant),
        "base": {**model, "reference": model.get("hub") or model.get("path") or f"resources/models/{plan.base}"},
        "tasks": [[task, _with_chat(plan, task)] for task in run.tasks],
    }


def _with_chat(plan: Plan, task: str) -> Mapping[str, JSON]:
    """Return what a model card shows of a task, with the whole settings of its chat, if there are any."""
    chat = chat_of(plan, plan.base, task)
    kept = {key: value for key, value in plan.definition(task).items() if key not in ("chat", "working")}
    return {**kept, "chat": chat} if chat else kept
