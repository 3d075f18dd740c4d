# Which settings a result depends on: one canonical JSON text each, and nothing that decides nothing.

from genome.search import racing
from genome.search.methods import METHODS


def base_params(wildcards):
    source = config["bases"][wildcards.base]["model"]
    return canonical({"version": VERSIONS["base_model"], "source": source, **known_by(base_files(wildcards))})


def known_by(files):
    """Return what tells the user's files from others that are put in their places, which may be older: Snakemake looks
    for newer ones only."""
    return {"files": paths.fingerprint(files)} if files else {}


def training_params(wildcards):
    """The order of corpora is the order of their rows, which Snakemake's set of inputs does not tell."""
    settings = overlay(SUITE.get("training", {}), ADAPTERS[wildcards.adapter].get("training", {}))
    # What the adapter calls its base: the model's own name, as fetched experts of it do; else the name of `base`.
    named = {"base_name": model for key in ("hub", "path") if (model := SUITE["model"].get(key))}
    corpora = paths.corpora_of(ADAPTERS[wildcards.adapter])
    theirs = [Path(corpus) for corpus in corpora_of(wildcards) if paths.resolved(corpus) not in OWN_CORPORA]
    for name, source in CORPORA.items():
        # Where a corpus is there, Snakemake takes it without a word if its rule's own input function refuses the source.
        if f"resources/datasets/corpora/{name}.jsonl" in corpora:
            refusing(rows.files_of, source, config["data_dir"])
    spoken = {"corpora": corpora, "training": settings, **chat_setting(BASE)}
    return canonical({"version": VERSIONS["adapter"], **spoken, **named, **known_by(theirs)})


def corpus_params(wildcards):
    source = CORPORA[wildcards.corpus]
    return canonical({"version": VERSIONS["published_corpus"], "source": source, **known_by(corpus_files(wildcards))})


def fetch_params(wildcards):
    source = ADAPTERS[wildcards.adapter]
    return canonical({"version": VERSIONS["adapter"], "source": source, **known_by(adapter_files(wildcards))})


def split_params(wildcards):
    drawn = {"version": VERSIONS["split"], "task": asked_task(wildcards.task), **config["splits"]}
    return canonical({**drawn, **known_by(source_files(wildcards))})


def prompts_params(wildcards):
    # Where a split is there, Snakemake takes it without a word if its rule's own input function refuses the source.
    source_files(wildcards)
    asked = {"task": asked_task(wildcards.task), **chat_setting(wildcards.base)}
    return canonical({"version": VERSIONS["prompts"], **asked})


def chat_setting(base):
    """Return how a base is spoken to, which goes without saying where it is the tokenizer's own template."""
    chat = config["bases"][base].get("chat")
    return {"chat": chat} if chat else {}


def named_task(name):
    """Return a task without its category, which nothing computes with."""
    return [name, {key: value for key, value in task_definition(name).items() if key != "category"}]


def asked_task(name):
    """Return a task without what only scoring reads: a better pattern must not ask the engine again."""
    definition = task_definition(name)
    return [name, {key: value for key, value in definition.items() if key not in OF_SCORING}]


def fitness_settings(tasks):
    """Return what turns responses into the fitness of a run: its tasks, in order, and their weights."""
    names = tasks.split("+")
    weights = config["weights"] if len(names) > 1 else {}
    entries = [{"name": name, "definition": named_task(name)[1], "weight": weights.get(name, 1)} for name in names]
    return {"version": VERSIONS["fitness"], "tasks": entries}


def fitness_params(wildcards):
    return canonical(fitness_settings(wildcards.tasks))


def initial_params(wildcards):
    """Generation 0 is drawn alike for all methods; repeats of experts are mutants by GENOME's rates."""
    initialisation, _, space = wildcards.scheme.partition("-")
    settings = {"merge_space": space or "factors", "initialisation": initialisation, "stage": VERSIONS["initial"]}
    if initialisation == "experts":
        settings |= {key: config["methods"]["genome"][key] for key in ("gene_mutation_rate", *SCALE.values())}
    return canonical({**fitness_settings(wildcards.tasks), **deciding(settings)})


def search_settings(variant):
    """Return all that decides what a variant finds; how it is reported later is not part of it."""
    settings = {key: value for key, value in VARIANTS[variant].items() if key not in REPORTING}
    races = {"races": racing.VERSION} if settings.get("racing") else {}
    return {**deciding(settings), **races, "stage": METHODS[settings["method"]].version}


def deciding(settings):
    """Return settings without those of the other space; the paper's space, and that nobody races, go without saying."""
    space = settings.get("merge_space", "factors")
    unsaid = {scale for name, scale in SCALE.items() if name != space}
    unsaid |= {key for key, usual in USUAL.items() if settings.get(key) == usual}
    return {key: value for key, value in settings.items() if key not in unsaid}


def run_params(wildcards):
    return canonical({**fitness_settings(wildcards.tasks), **search_settings(wildcards.variant)})


def merge_params(wildcards):
    return canonical(search_settings(wildcards.variant))


def describe_run(run):
    """Return the parts of a run's name, as they stand in its score files; None for a part that it has not."""
    tasks, variant, *rest = run.split("/")
    numbers = {part.rstrip("0123456789"): int(part.lstrip("nsed")) for part in rest}
    # A merge that looks at no task is no run on validation data: where it stands itself can be looked at.
    merge = Path(model_of(SimpleNamespace(run=run))).parent.as_posix() if tasks == "static" else None
    return {
        "method": variant,
        "tasks": tasks,
        "seed": numbers.get("seed"),
        "population_size": numbers.get("n"),
        "run": merge or f"results/runs/{run}",
    }


def ensemble_of(run):
    """Return how many members the ensemble of a run has; 0 where its variant reports none."""
    ensemble = VARIANTS.get(variant_of(run), {}).get("ensemble")
    return ensemble["k"] if ensemble else 0


def responses_params(wildcards):
    """The members of a run's ensemble answer too, and its whole population where protocol.csv asks for it."""
    whole = (wildcards.test_task, wildcards.run) in protocol_runs()
    members = describe_run(wildcards.run)["population_size"] if whole else ensemble_of(wildcards.run)
    if not is_team(variant_of(wildcards.run)):
        members = max(members, answered_already(wildcards))
    settings = {"version": VERSIONS["responses"], "members": members}
    settings["max_tokens"] = task_definition(wildcards.test_task).get("max_tokens")
    if is_team(variant_of(wildcards.run)):
        tasks, *_ = wildcards.run.split("/")
        settings |= {"fitness": fitness_settings(tasks), "similarity": config["similarity"]}
    return canonical(settings)


def answered_already(wildcards):
    """Return how many members of a run have answered a test: fewer are among them, and need not be asked again."""
    file = Path(f"results/test/{wildcards.test_task}/{wildcards.run}/responses.json")
    try:
        return int(json.loads(file.read_text())["members"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0  # nobody, as far as that file says


def scores_params(wildcards):
    return canonical(
        {
            "version": [VERSIONS["scores"], VERSIONS["fitness"]],
            "task": named_task(wildcards.test_task),
            "similarity": config["similarity"],
            "k": ensemble_of(wildcards.run),
            "run": describe_run(wildcards.run),
        }
    )


def protocol_params(wildcards):
    shown = shown_in("protocol")
    variant = shown["variant"]
    return canonical(
        {
            "version": [VERSIONS["protocol"], VERSIONS["scores"], VERSIONS["fitness"]],
            "tasks": [named_task(name) for name in shown["tasks"]],
            "seeds": config["seeds"],
            "variant": variant,
            "k": VARIANTS[variant]["ensemble"]["k"],
            "size": config["population_size"],
            "similarity": config["similarity"],
        }
    )


def across_params(wildcards):
    shown = shown_in("across")
    variant = shown["variant"]
    return canonical(
        {
            "version": [VERSIONS["tables"], VERSIONS["scores"], VERSIONS["fitness"]],
            "tasks": [named_task(name) for name in shown["tasks"]],
            "bases": [BASE, *shown["beside"]],
            "seeds": config["seeds"],
            "label": label_of(variant),
            "k": VARIANTS[variant]["ensemble"]["k"],
            "similarity": config["similarity"],
        }
    )


def table1_params(wildcards):
    tasks = [[name, task_definition(name)] for name in config["table1"]["tasks"]]
    return canonical({"version": VERSIONS["tables"], "tasks": tasks})


def shown_method(name):
    """Return how a table or figure shows a variant: whose runs, under which name, and what of them reports."""
    return {
        "name": name,
        "variant": searched_as(name),
        "label": label_of(name),
        "report": "ensemble" if VARIANTS[name].get("ensemble") else "best",
    }


def shown_columns(table):
    """Return a table's or figure's tests with their metrics."""
    return [{**column, "metric": task_definition(column["test_task"])["metric"]} for column in columns_of(table)]


def comparison_layout(table):
    """Return which runs a table shows, and where."""
    rows = [shown_method(name) for name in rows_of(table)]
    columns = shown_columns(table)
    layout = {"table": table, "methods": rows, "columns": columns, "seeds": config["seeds"]}
    return {"version": VERSIONS["tables"], **layout}


def comparison_params(wildcards):
    return canonical(comparison_layout(wildcards.table))


def timing_params(wildcards):
    stages = {run: stages_of(run) for run in runs_behind(wildcards.table)}
    return canonical({**comparison_layout(wildcards.table), "stages": stages})


def study_params(wildcards):
    runs = [{"run": run, "stages": stages_of(run), **rates} for run, rates in study_runs().items()]
    return canonical({"version": VERSIONS["tables"], "runs": runs})


def study_caption(wildcards):
    """What the study's tables say of it; the runs are in study.csv."""
    study = shown_in("study")
    about = {
        "task": study["task"],
        "label": label_of(study["method"]),
        "seed": study["seed"],
    }
    sizes = {"population_size": config["population_size"], "generations": config["generations"]}
    return canonical({"version": VERSIONS["tables"], **about, **sizes})


def efficiency_params(wildcards):
    shown = shown_in("efficiency")
    methods = {name: shown_method(name) for name in [*shown["variants"], shown["reference"]]}
    runs = [{**run, **methods[run["variant"]]} for run in efficiency_runs()]
    labels = [methods[name]["label"] for name in shown["variants"]]
    reference = methods[shown["reference"]]["label"]
    return canonical({"version": VERSIONS["tables"], "labels": labels, "reference": reference, "runs": runs})


def figure2_params(wildcards):
    layout = {
        "methods": [shown_method(name) for name in rows_of("figure2")],
        "columns": shown_columns("figure2"),
        "sizes": shown_in("figure2")["sizes"],
        "seeds": config["seeds"],
    }
    return canonical({"version": VERSIONS["figures"], **layout})


def figure3_params(wildcards):
    tasks = [
        [name, (task_definition(name).get("category") or name).split(", ")] for name in shown_in("figure3")["tasks"]
    ]
    return canonical({"version": VERSIONS["figures"], "tasks": tasks})


def portrait_params(wildcards):
    label = label_of(wildcards.variant)
    title = f"{wildcards.tasks}, {label}, N = {wildcards.n}, seed {wildcards.seed}"
    return canonical({"version": VERSIONS["figures"], "title": title})


def base_reference():
    """Return what `from_pretrained` takes for the base model, and whatever else the config says of where it is from."""
    model = SUITE["model"]
    return {**model, "reference": model.get("hub") or model.get("path") or f"resources/models/{BASE}"}


def export_params(wildcards):
    run = describe_run(wildcards.run)
    settings = VARIANTS[run["method"]]
    entries = fitness_settings(run["tasks"])["tasks"]
    weights = {"weights": {entry["name"]: entry["weight"] for entry in entries}} if len(entries) > 1 else {}
    return canonical(
        {
            "version": VERSIONS["export"],
            "run": run,
            "label": label_of(run["method"]),
            "settings": {**settings, **weights},
            "members": ensemble_of(wildcards.run),
            "base": base_reference(),
            "tasks": [[task, task_definition(task)] for task in tasks_of(wildcards.run)],
        }
    )
