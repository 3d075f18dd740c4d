# Which files a stage reads: input functions of runs, tests and exports.

from types import SimpleNamespace

from genome.config import names, rows


@cache
def rows_of_task(task):
    """Return the local files that a task's rows come from; generators have none, nor the hub without `data_dir`."""
    return refusing(rows.task_files, task, task_definition(task), config["data_dir"])


def source_files(wildcards):
    return rows_of_task(wildcards.task)


def corpus_files(wildcards):
    return refusing(rows.files_of, CORPORA[wildcards.corpus], config["data_dir"])


def base_files(wildcards):
    """Return the files that a base given by path is copied from."""
    return refusing(paths.base_files, f"config.bases.{wildcards.base}", config["bases"][wildcards.base]["model"])


def adapter_files(wildcards):
    """Return the files that an adapter given by path is copied from."""
    return refusing(paths.adapter_files, ADAPTERS[wildcards.adapter])


def corpora_of(wildcards):
    """Return the corpora of an adapter, those of our own by the names that their rules know them by."""
    corpora = paths.corpora_of(ADAPTERS[wildcards.adapter])
    return [OWN_CORPORA.get(paths.resolved(corpus), os.path.expanduser(corpus)) for corpus in corpora]


def prompts_of(wildcards):
    """Return the validation prompts of all tasks of a run."""
    if problems := names.joined_problems(f"target {wildcards.tasks[:60]}", wildcards.tasks.split("+")):
        raise WorkflowError(*problems)
    return expand(f"results/prompts/{BASE}/{{task}}/validation.jsonl", task=wildcards.tasks.split("+"))


def previous_generation(wildcards):
    """Return the population that a generation starts from; generation 1 starts from one that methods share."""
    generation = int(wildcards.generation)
    if generation > config["generations"]:
        raise WorkflowError(
            f"generation {generation} is out of range: the config's `generations` is {config['generations']}"
        )
    if generation == 1:
        return shared_start(wildcards.variant)
    return f"results/runs/{{tasks}}/{{variant}}/n{{n}}/seed{{seed}}/generation_{generation - 1}/population.json"


def shared_start(variant):
    return f"results/runs/{{tasks}}/initial-{scheme_of(variant)}/n{{n}}/seed{{seed}}/population.json"


def scheme_of(variant):
    """Return how generation 0 of a variant is made, and in which space if it is not the paper's."""
    settings = VARIANTS[variant]
    return settings["initialisation"] + ("-product" if settings["merge_space"] == "product" else "")


def populations_of(wildcards):
    """Return the populations of a run, from the shared generation 0 to the last."""
    return all_populations(wildcards.variant)


def all_populations(variant):
    run = "results/runs/{tasks}/{variant}/n{n}/seed{seed}"
    generations = range(1, config["generations"] + 1)
    return [
        shared_start(variant),
        *(f"{run}/generation_{generation}/population.json" for generation in generations),
    ]


def stages_of(run):
    """Return the parts of a run on validation data, as paths below results/runs: what it shares with others comes first."""
    tasks, variant, *place = run.split("/")
    if tasks == "static":
        raise WorkflowError(f"config.table7.variants: {variant} has no run on validation data; take it out")
    experts = f"{tasks}/experts"
    if variant not in EVOLVING:
        return [experts, run]
    size, seed = place
    initial = f"{tasks}/initial-{scheme_of(variant)}/{size}/{seed}"
    return [experts, initial, run] if VARIANTS[variant]["initialisation"] == "experts" else [initial, run]


def records_of(runs):
    """Return what the jobs of runs have recorded of their cost, of a job that runs share once."""
    return unique(record for run in runs for stage in stages_of(run) for record in records_of_stage(stage))


def records_of_stage(stage):
    folder = f"results/benchmarks/runs/{stage}"
    if variant_of(stage) not in EVOLVING:
        return [f"{folder}.json"]
    return [f"{folder}/generation_{generation}.json" for generation in range(1, config["generations"] + 1)]


@cache
def searched_as(variant):
    """Return the variant whose runs serve `variant` too: its method's own where just the ensemble is left out."""
    plain = VARIANTS[variant]["method"]
    if plain not in VARIANTS or search_settings(plain) != search_settings(variant):
        return variant
    ensemble = VARIANTS[variant].get("ensemble")
    return plain if ensemble in (False, None, VARIANTS[plain].get("ensemble")) else variant


def run_of(variant, tasks, seed, size=config["population_size"]):
    """Return the run whose models a variant reports for a seed, of a population of `size` where it has one."""
    shared = searched_as(variant)
    if variant in EVOLVING:
        return f"{tasks}/{shared}/n{size}/seed{seed}"
    if variant in FROM_EXPERTS:
        return f"{tasks}/{shared}"
    if variant in SEARCHED:
        return f"{tasks}/{shared}/seed{seed}"
    return f"static/{shared}/seed{seed}" if variant in MERGED else f"static/{shared}"


def variant_of(run):
    _, variant, *_ = run.split("/")
    return variant


def parts_of(run):
    """Return the wildcards of the name of an evolving variant's run, TASKS/VARIANT/nN/seedS."""
    tasks, variant, n, seed = run.split("/")
    return {"tasks": tasks, "variant": variant, "n": n.removeprefix("n"), "seed": seed.removeprefix("seed")}


def model_of(wildcards):
    """Return the file that says which models a run ends with."""
    variant = variant_of(wildcards.run)
    if wildcards.run == f"static/{variant}" and variant in ADAPTERS:
        return f"resources/experts/{variant}/provenance.json"
    if variant not in VARIANTS:
        raise WorkflowError(f"unknown variant {variant!r}; {nearest(variant, list(config['variants']))}")
    if variant in EVOLVING:
        return f"results/runs/{wildcards.run}/generation_{config['generations']}/population.json"
    if variant in MERGED:
        return f"results/merges/{wildcards.run.removeprefix('static/')}/provenance.json"
    if VARIANTS[variant]["method"] == "data_merge":
        hint = f"add one, or leave {variant} out of the tables' variants"
        raise WorkflowError(f"config.bases.{BASE} has no data_merge; {hint}")
    return f"results/runs/{wildcards.run}/population.json"


def reported(wildcards):
    """Return the file that says which models a run reports, and what a team of them is chosen by."""
    return {"model": model_of(wildcards), "validation": chosen_by(wildcards)}


def chosen_by(wildcards):
    """Return what a run's team is chosen by: its evaluations and the validation samples; nothing of top members."""
    if not is_team(variant_of(wildcards.run)):
        return []
    parts = parts_of(wildcards.run)
    run = SimpleNamespace(**parts)
    return [*expand(evaluations_of(run), **parts), *prompts_of(run)]


def populations_in(run):
    """Return all populations of a run, in their order: one a generation, or the only one of a baseline."""
    variant = variant_of(run)
    if variant in EVOLVING:
        return expand(all_populations(variant), **parts_of(run))
    return [f"results/runs/{run}/population.json"]


def evaluations_of(wildcards):
    """Return all validation answers of a run; those of the experts too where they are its generation 0."""
    populations = populations_of(wildcards)
    if VARIANTS[wildcards.variant]["initialisation"] == "experts":
        populations = ["results/runs/{tasks}/experts/population.json", *populations]
    return [population.replace("population.json", "evaluations.jsonl") for population in populations]


def exported_population(wildcards):
    """Return the population whose best individual is exported; a merge that is no population is an adapter already."""
    if wildcards.run.startswith("static/"):
        folder = Path(model_of(wildcards)).parent
        raise WorkflowError(f"{wildcards.run} has no genotype to export; it is a PEFT folder already: {folder}")
    return model_of(wildcards)


def exported_splits(wildcards):
    return expand("results/splits/{task}/provenance.json", task=tasks_of(wildcards.run))


def exported_scores(wildcards):
    """Return the test scores of a run on each of the tasks that it evolved on."""
    return expand("results/test/{task}/{run}/scores.json", task=tasks_of(wildcards.run), run=wildcards.run)


def exported_answers(wildcards):
    return expand("results/test/{task}/{run}/answers.jsonl", task=tasks_of(wildcards.run), run=wildcards.run)


def exported_responses(wildcards):
    return expand("results/test/{task}/{run}/responses.jsonl", task=tasks_of(wildcards.run), run=wildcards.run)


def tasks_of(run):
    tasks, *_ = run.split("/")
    return tasks.split("+")
