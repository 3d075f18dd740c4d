# Which runs and files are behind what the config shows: input functions of tables and figures.


def table1_provenance(wildcards):
    return expand("results/splits/{task}/provenance.json", task=config["table1"]["tasks"])


def shown_in(table):
    """Return what the config says of a table or figure."""
    if config[table] is None:
        kind = table.rstrip("0123456789")
        raise WorkflowError(f"config.{table} is null: this config has no such {kind}; say which tasks it shows")
    return config[table]


def rows_of(table):
    """Return the variants that a table shows."""
    shown = shown_in(table)
    return [shown["full"], *shown["without"]] if "without" in shown else shown["variants"]


def columns_of(table):
    """Return a table's columns: which tasks runs evolve on, all at once, and which they are tested on."""
    shown = shown_in(table)
    if "domains" in shown:
        return [
            {"name": task, "tasks": "+".join(domain["tasks"]), "test_task": task, "group": domain["name"]}
            for domain in shown["domains"]
            for task in domain["tasks"]
        ]
    if "pairs" in shown:
        return [
            {"name": f"{evolved} → {tested}", "tasks": evolved, "test_task": tested}
            for evolved, tested in shown["pairs"]
        ]
    return [{"name": task, "tasks": task, "test_task": task} for task in shown["tasks"]]


def engine_check_prompts(wildcards):
    return f"results/prompts/{BASE}/{shown_in('table2')['tasks'][0]}/validation.jsonl"


@cache
def protocol_runs():
    """Return the tests that protocol.csv scores in two ways: pairs of a task and a run on it, a run each seed."""
    shown = config["protocol"]
    if shown is None:
        return []
    return [(task, run_of(shown["variant"], task, seed)) for task in shown["tasks"] for seed in config["seeds"]]


def tests_of(table):
    """Return the folders of tests behind a table or figure: every row, column, size and seed, shared ones once."""
    return unique(
        f"results/test/{column['test_task']}/{run_of(variant, column['tasks'], seed, size)}"
        for variant in rows_of(table)
        for column in columns_of(table)
        for size in shown_in(table).get("sizes", [config["population_size"]])
        for seed in config["seeds"]
    )


def table_scores(wildcards):
    return expand("{test}/scores.json", test=tests_of(wildcards.table))


def table_answers(wildcards):
    return expand("{test}/answers.jsonl", test=tests_of(wildcards.table))


def protocol_prompts(wildcards):
    return expand(f"results/prompts/{BASE}/{{task}}/test.jsonl", task=shown_in("protocol")["tasks"])


def protocol_responses(wildcards):
    return [f"results/test/{task}/{run}/responses.jsonl" for task, run in protocol_runs()]


def protocol_origins(wildcards):
    """Return the files beside responses that say who gave them."""
    return [file.removesuffix("l") for file in protocol_responses(wildcards)]


def protocol_populations(wildcards):
    """Return all populations of each run, since a member's fitness before succession stands in earlier ones."""
    return [file for _, run in protocol_runs() for file in populations_in(run)]


def across_runs():
    """Return the results folders of all bases, and the runs that vote: pairs of a task and a run on it by seed."""
    shown = shown_in("across")
    runs = [[(task, run_of(shown["variant"], task, seed)) for seed in config["seeds"]] for task in shown["tasks"]]
    return ["results", *map(os.path.expanduser, shown["beside"].values())], runs


def across_prompts(wildcards):
    return expand(f"results/prompts/{BASE}/{{task}}/test.jsonl", task=shown_in("across")["tasks"])


def across_splits(wildcards):
    folders, _ = across_runs()
    files = [f"{folder}/splits/{task}/test.jsonl" for task in shown_in("across")["tasks"] for folder in folders]
    return beside("across", files)


def beside(part, files):
    """Return files, those of other workflows only if they are there: none of our rules makes them."""
    return refusing(paths.require_files, f"config.{part}.beside", files)


def across_responses(wildcards):
    folders, runs = across_runs()
    files = [
        f"{folder}/test/{task}/{run}/responses.jsonl" for by_seed in runs for folder in folders for task, run in by_seed
    ]
    return beside("across", files)


def across_origins(wildcards):
    return [file.removesuffix("l") for file in across_responses(wildcards)]


def across_populations(wildcards):
    """Return the last population of each run, which knows the fitness of those who vote."""
    folders, runs = across_runs()
    files = [
        f"{folder}/{populations_in(run)[-1].removeprefix('results/')}"
        for by_seed in runs
        for folder in folders
        for _, run in by_seed
    ]
    return beside("across", files)


def runs_behind(table):
    return unique(test.split("/", 3)[3] for test in tests_of(table))


def table_records(wildcards):
    return records_of(runs_behind(wildcards.table))


def tables_beside(wildcards):
    """Return the same table as other machines made it."""
    return beside(wildcards.table, shown_in(wildcards.table)["beside"])


def study_runs():
    """Return the runs of the hyper-parameter study with the rates of each."""
    study = shown_in("study")
    return {run_of(name, study["task"], study["seed"]): GRID[name] for name in STUDY}


def study_scores(wildcards):
    return expand("results/test/{task}/{run}/scores.json", task=shown_in("study")["task"], run=study_runs())


def study_records(wildcards):
    return records_of(study_runs())


def reachable_scores(wildcards):
    """Return the score files of Data Merge and of each task's oracle."""
    tasks = [task for task in shown_in("table2")["tasks"] if task in MICRO_TASKS]
    return [
        f"results/test/{task}/static/{adapter}/scores.json"
        for task in tasks
        for adapter in ("data_merge", f"oracle_{task}")
    ]


def efficiency_runs():
    """Return the runs whose costs are compared, each with the files that tell them."""
    shown = shown_in("efficiency")
    return [
        {
            "variant": variant,
            "tasks": task,
            "seed": seed,
            "folder": f"results/runs/{run}",
            "populations": populations_in(run),
            "scores": f"results/test/{task}/{run}/scores.json",
        }
        for variant in shown["variants"]
        for task in shown["tasks"]
        for seed in config["seeds"]
        for run in (run_of(variant, task, seed),)
    ]


def efficiency_files(wildcards):
    return [file for run in efficiency_runs() for file in (run["scores"], *run["populations"])]


def section_of(wildcards):
    """Return the section of the report in which a table stands."""
    return next(section for section, tables in SECTIONS.items() if wildcards.table in tables)


def figure2_scores(wildcards):
    return expand("{test}/scores.json", test=tests_of("figure2"))


def figure2_answers(wildcards):
    return expand("{test}/answers.jsonl", test=tests_of("figure2"))


def figure3_experts(wildcards):
    return expand("results/runs/{task}/experts/population.json", task=shown_in("figure3")["tasks"])


def portrait_files(wildcards):
    """Return all figures of the runs that the config has drawn: its portraits, of the first seed."""
    shown = shown_in("portraits")
    runs = [run_of(variant, tasks, config["seeds"][0]) for tasks in shown["tasks"] for variant in shown["variants"]]
    kinds = [*OF_POPULATIONS, "diversity"]
    return expand("results/figures/{kind}/{run}.{form}", kind=kinds, run=unique(runs), form=["svg", "png", "csv"])


def everything(wildcards):
    """Return what the config's `all` asks for and has: tables, each with its page for the report, and figures."""
    asked = [part for part in config["all"] if config[part] is not None]
    return [
        *(f"results/tables/{table}.html" for table in TABLES if ASKED_BY.get(table, table) in asked),
        *(f"results/figures/{figure}.svg" for figure in FIGURES if ASKED_BY.get(figure, figure) in asked),
        *(portrait_files(wildcards) if "portraits" in asked else []),
    ]
