# The checked config, resolved: what the other files of this folder name.
# Provides: BASE, PER_JOB, EXPERTS, ADAPTERS, CORPORA, VARIANTS and their groups, GRID, STUDY, task_definition, canonical,
#   schedule_at_once, own_engine, stop_engine.

import json
import os
import re
import subprocess
import sys
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from itertools import product
from pathlib import Path

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError

from genome.errors import GenomeError
from genome.tasks import parse_task


def read_yaml(path):
    return yaml.safe_load(Path(workflow.basedir, path).read_text())


def nearest(name, known):
    match = get_close_matches(name, known, n=1)
    return f"did you mean {match[0]!r}?" if match else f"known are {', '.join(known)}"


def check_config():
    """Refuse wrong keys and values of the config, all at once and before any job."""
    for suite in config.get("bases", {}).values():
        # A null in a file that is laid over another takes a key away.
        for entries in (suite, suite.get("experts", {})):
            for name, entry in entries.items():
                if isinstance(entry, dict) and name != "experts":
                    entries[name] = {key: value for key, value in entry.items() if value is not None}
    config["engine"] = retyped(config.get("engine"))
    errors = sorted(jsonschema.Draft202012Validator(SCHEMA).iter_errors(config), key=lambda error: error.json_path)
    if errors:
        raise WorkflowError("The config is not valid:\n" + "\n".join(f"  {explain(error)}" for error in errors))


def retyped(value):
    """Return a setting with its numbers and truths: those that a profile nests under `config` arrive as text."""
    if isinstance(value, dict):
        return {key: retyped(entry) for key, entry in value.items()}
    if isinstance(value, str) and isinstance(typed := yaml.safe_load(value or "''"), (int, float)):
        return typed
    return value


def explain(error, root="config"):
    """Put a schema error into words: where, what, and the nearest valid name of an unknown key."""
    place = root + error.json_path.removeprefix("$")
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = [key for key in error.instance if key not in known]
        place += f" ({error.schema['$comment']})" if "$comment" in error.schema else ""
        return f"{place}: " + "; ".join(f"unknown key {key!r}, {nearest(key, known)}" for key in unknown)
    if error.validator in ("oneOf", "anyOf") and error.context:
        if "$comment" in error.schema:
            return f"{place}: {error.schema['$comment']}"
        closest = jsonschema.exceptions.best_match(error.context)
        return explain(closest, root) if closest.path else f"{place}: {closest.message}"
    hint = " (YAML reads 1e-3 as text; write 1.0e-3)" if re.fullmatch(r"\d+e-?\d+", str(error.instance)) else ""
    return f"{place}: {error.message}{hint}"


def overlay(defaults, changes):
    """Return `defaults` with `changes` laid over them; mappings are merged, all else is replaced."""
    if not (isinstance(defaults, dict) and isinstance(changes, dict)):
        return changes
    return {**defaults, **{key: overlay(defaults.get(key), value) for key, value in changes.items()}}


def canonical(value):
    """Return the one JSON text of `value`: what Snakemake compares to decide on a rerun."""
    return json.dumps(value, sort_keys=True)


def data_folder(choice):
    """Return the folder of local data sets: of several the first that is there; `$NAME` stands for a variable."""
    if choice is None:
        return None
    folders = [os.path.expandvars(name) for name in ([choice] if isinstance(choice, str) else choice)]
    found = [folder for folder in folders if Path(folder).is_dir()]
    if not found:
        raise WorkflowError(
            f"config.data_dir: no folder {' or '.join(folders)}; correct it, or set it to null for the hub"
        )
    return found[0]


def unique(values):
    return list(dict.fromkeys(values))


def one_of(names):
    """Return the wildcard constraint that admits just `names` (none of them: nothing)."""
    listed = [re.escape(name) for name in names if name not in GRID]
    # A thousand names in a constraint are slow: each of a job's files is matched with it.
    return "|".join([*listed, *([GRID_NAME] if len(listed) < len(names) else [])]) or "(?!)"


def resolve_variant(name, changes):
    """Return all settings of a variant: its method's defaults with its own changes laid over them."""
    method = changes.get("method", name)
    if method not in config["methods"]:
        raise WorkflowError(f"variants.{name}: unknown method {method!r}; {nearest(method, config['methods'])}")
    defaults = config["methods"][method]
    settings = overlay(defaults, {key: value for key, value in changes.items() if key != "method"})
    check_method(f"config.variants.{name}", method, settings)
    return {"method": method, **settings}


def check_method(place, method, settings):
    """Refuse settings that the schema of the method does not know."""
    method_schema = {**SCHEMA["properties"]["methods"]["properties"][method], "$defs": SCHEMA["$defs"]}
    for error in jsonschema.Draft202012Validator(method_schema).iter_errors(settings):
        raise WorkflowError(explain(error, place))


def study_grid():
    """Return the points of a study's grid: names of variants, and the rates of each."""
    grid = {}
    for steps in product(range(1, 11), repeat=len(STUDIED)):
        name = "-".join(["study", *(f"{short}{step:02}" for short, step in zip(STUDIED, steps))])
        grid[name] = {rate: step / 10 for rate, step in zip(STUDIED.values(), steps)}
    return grid


def study_points(study):
    """Return the points that a study runs: those whose hashes with its seed come first, so that more runs keep them."""
    hashes = {sha256(f"{study['seed']}/{name}".encode()).hexdigest(): name for name in GRID}
    return [hashes[each] for each in sorted(hashes)[: study["runs"]]]


def study_variants(study):
    """Return the settings of the grid's points: the method's, an ensemble of three as a second outcome, and the rates."""
    settings = resolve_variant("study", {"method": study["method"], "ensemble": {"k": 3}})
    return {name: {**settings, **rates} for name, rates in GRID.items()}


def of_method(*methods):
    return [name for name, settings in VARIANTS.items() if settings["method"] in methods]


@cache
def task_definition(name):
    """Return a task as its file defines it, with the config's `tasks` laid over; a task of one's own needs no file."""
    changes = config["tasks"].get(name)
    if name not in TASK_FILES and changes is None:
        raise WorkflowError(f"unknown task {name!r}; {nearest(name, [*TASK_FILES, *config['tasks']])}")
    definition = overlay(TASK_FILES.get(name, {}), changes or {})
    try:
        parse_task(name, definition)
    except GenomeError as error:
        raise WorkflowError(str(error))
    return definition


def schedule_at_once():
    """Lift Snakemake's limit of jobs a second, under which its scheduler soon does nothing but look for ready jobs.

    For the limit's sake every look begets another one a second later, and so does every job that ends. The limit is for
    clusters' queues, and next to nothing is submitted but engines, unless there is one a job.
    """
    if not PER_JOB:
        workflow.scheduler.job_rate_limiter = None


def launcher(call):
    """Call what the library has for owners of engines in a process of its own and return what it prints."""
    code = f"from genome.engine.owner import owner_token; from genome.engine.state import stop; print({call})"
    # -P: a file called json.py where the workflow runs is not Python's.
    return subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def own_engine():
    """Make this process the owner of the run's engine, which starts when a job asks for it and ends with its owner."""
    engine = config["engine"]
    if not (workflow.local_exec or PER_JOB or "slurm" in engine or engine["backend"] == "url"):
        raise WorkflowError(
            "jobs are submitted, but engine.slurm is not set: use profiles/slurm; `--config` on the command line "
            "replaces the profile's, so put settings into a `--configfile`"
        )
    os.environ.update(GENOME_OWNER=launcher(f"owner_token({os.getpid()})"))


def stop_engine():
    """End the run's engine at once; one that is not told ends by itself soon after this process."""
    token = os.environ.get("GENOME_OWNER", "").rpartition(":")[2]
    launcher(f"stop({token!r})")


SCHEMA = read_yaml("workflow/schemas/config.schema.yaml")
check_config()
config["data_dir"] = data_folder(config["data_dir"])
PER_JOB = config["engine"].get("per_job", False)  # jobs that ask an engine are submitted, each with its own
VERSIONS = read_yaml("workflow/internal.yaml")["versions"]
BASE = config["base"]
if BASE not in config["bases"]:
    raise WorkflowError(f"base: unknown base {BASE!r}; {nearest(BASE, config['bases'])}")
SUITE = config["bases"][BASE]
TASK_FILES = {path.stem: read_yaml(path) for path in sorted(Path(workflow.basedir, "config/tasks").glob("*.yaml"))}
MICRO_TASKS = [name for name, definition in TASK_FILES.items() if "generator" in definition["source"]]
# Sorted, since the order of keys changes with the files that a config is laid over from.
EXPERTS = {name: source for name, source in sorted(SUITE["experts"].items()) if source}
ORACLES = {f"oracle_{task}": {"corpus": f"resources/datasets/micro/oracles/{task}.jsonl"} for task in MICRO_TASKS}
ADAPTERS = {**EXPERTS, **ORACLES, **({"data_merge": SUITE["data_merge"]} if SUITE.get("data_merge") else {})}
CORPORA = SUITE.get("corpora", {})
TRAINED = [name for name, source in ADAPTERS.items() if "corpus" in source]
FETCHED = [name for name in ADAPTERS if name not in TRAINED]


def leaves(names):
    """Return the names that a part of the config holds: one, a list of them, of pairs, or of domains."""
    if isinstance(names, dict):
        return leaves(names["tasks"])
    return [leaf for each in names for leaf in leaves(each)] if isinstance(names, list) else [names] if names else []


def is_team(variant):
    """Tell whether a variant's ensemble is chosen by its validation answers, not by its members' fitness."""
    ensemble = VARIANTS.get(variant, {}).get("ensemble")
    return bool(ensemble) and ensemble.get("choose") == "team"


def said(part, key):
    """Return the names that a table or figure has under a key of its part of the config."""
    return leaves((config[part] or {}).get(key))


def label_of(variant):
    """Return a variant's name for people."""
    return config["labels"].get(variant, variant)


def check_references():
    """Refuse names that stand for nothing, all at once."""
    known = {"task": [*TASK_FILES, *config["tasks"]], "variant": list(config["variants"])}
    references = [
        *(
            (f"config.{part}.{key}: unknown {kind}", name, known[kind])
            for part in SHOWN
            for kind, keys in NAMING.items()
            for key in keys
            for names in said(part, key)
            for name in (names.split("+") if part == "portraits" else [names])
        ),
        *(("config.portraits.variants: no evolving variant", name, EVOLVING) for name in said("portraits", "variants")),
        *(
            ("config.efficiency.variants: no evolving or searched variant", name, EVOLVING + SEARCHED)
            for key in ("variants", "reference")
            for name in said("efficiency", key)
        ),
        *(
            ("config.efficiency.reference: none of its variants", name, said("efficiency", "variants"))
            for name in said("efficiency", "reference")
        ),
        *(("config.labels: unknown variant", name, known["variant"]) for name in config["labels"]),
        *(("config.weights: unknown task", name, known["task"]) for name in config["weights"]),
    ]
    wrong = [f"  {place} {name!r}, {nearest(name, known)}" for place, name, known in references if name not in known]
    for part in SHOWN[:-1]:  # portraits are drawn one by one
        labels = [label_of(name) for key in ROWS for name in said(part, key)]
        twice = unique(label for label in labels if labels.count(label) > 1)
        wrong += [f"  config.{part}: two rows have the label {label!r}; see config.labels" for label in twice]
    domains = said("table4", "domains")
    wrong += [
        f"  config.table4.domains: task {name!r} stands in two" for name in unique(domains) if domains.count(name) > 1
    ]
    wrong += [
        f"  config.{part}.variant: {name!r} reports no ensemble of its fittest; name a variant that does"
        for part in ("protocol", "across")
        for name in said(part, "variant")
        if name in VARIANTS and (not VARIANTS[name].get("ensemble") or is_team(name))
    ]
    wrong += [
        f"  config.across.beside: {name!r} is taken; give the other base another name"
        for name in (config["across"] or {}).get("beside", {})
        if name in (BASE, "vote")
    ]
    if wrong:
        raise WorkflowError("The config is not valid:\n" + "\n".join(wrong))


VARIANTS = {name: resolve_variant(name, changes or {}) for name, changes in config["variants"].items()}
STUDIED = {"cr": "crossover_rate", "imr": "individual_mutation_rate", "gmr": "gene_mutation_rate"}
GRID = study_grid() if config["study"] else {}
GRID_NAME = "-".join(["study", *(f"{short}(0[1-9]|10)" for short in STUDIED)])
STUDY = study_points(config["study"]) if GRID else []
VARIANTS |= study_variants(config["study"]) if GRID else {}
EVOLVING = of_method("genome", "genome_plus", "model_swarms", "cma_es")
FROM_EXPERTS = of_method("best_single", "expert_fusion", "pack_of_llms")
SEARCHED = of_method("lorahub")
MERGED = of_method("dare_ties")
COMPARISONS = ("table2", "table3", "table4", "table5", "table6", "table8")
SECTIONS = {  # of the report, and the tables in each; what a reader asks, in that order
    "1 What was run": ("table1",),
    "2 What came out": ("table2", "table3", "table4", "table5", "table6", "across"),
    "3 How sure": ("protocol",),
    "4 Why": ("table8", "table10", "table11"),
    "5 What it took": ("efficiency", "table7"),
}
TABLES = [table for tables in SECTIONS.values() for table in tables]
# Tables and figures, and the part of the config that asks for each where it has another name.
ASKED_BY = {"table10": "study", "table11": "study", "ensemble_by_k": "protocol"}
FIGURES = ("figure2", "figure3", "ensemble_by_k")
# Those parts, and their keys that name tasks and variants.
SHOWN = (
    "table1", *COMPARISONS, "table7", "study", "efficiency", "protocol", "across", "figure2", "figure3", "portraits"
)  # fmt: skip
NAMING = {
    "task": ("tasks", "task", "domains", "pairs"),
    "variant": ("variants", "variant", "full", "without", "reference"),
}
ROWS = ("variants", "full", "without")  # of these the keys that name a table's rows
OF_POPULATIONS = ("evolution", "family_tree", "expert_shares")  # figures of a run that need nothing but its populations
REPORTING = ("ensemble",)  # settings that decide what is reported of a run, not what it finds
USUAL = {"merge_space": "factors", "racing": None, "coefficients": "expert"}
SCALE = {"factors": "sigma", "product": "coefficient_sigma"}  # of mutation, in the space where experts are merged
# Of a task: what only scoring reads.
OF_SCORING = ("category", "metric", "pattern", "fallback", "integers", "max_tokens", "tokenizer", "prefix", "version")


check_references()
shown_variants = [name for part in SHOWN for key in NAMING["variant"] for name in said(part, key)]
if any(VARIANTS[name].get("merge_space") == "product" for name in shown_variants):
    # One engine serves all jobs: from its start it has to hold adapters of all experts side by side.
    config["engine"]["stacked"] = len(EXPERTS)


wildcard_constraints:
    tasks=r"[A-Za-z0-9_]+(\+[A-Za-z0-9_]+)*",
    task="[A-Za-z0-9_]+",
    test_task="[A-Za-z0-9_]+",
    split="validation|test",
    n="[1-9][0-9]*",
    seed="[0-9]+",
    generation="[1-9][0-9]*",
    scheme="(pairs|experts)(-product)?",
    run=r"[^/]+/[^/]+(/n[1-9][0-9]*)?(/seed[0-9]+)?",
