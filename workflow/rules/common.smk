# The checked config, resolved: what the other files of this folder name.
# Provides: BASE, PER_JOB, EXPERTS, ADAPTERS, CORPORA, OWN_CORPORA, VARIANTS and their groups, GRID, STUDY, refusing,
#   task_definition, canonical, schedule_at_once, own_engine, stop_engine.

import json
import os
import re
import subprocess
import sys
from functools import cache
from hashlib import sha256
from itertools import product
from pathlib import Path

from snakemake.exceptions import WorkflowError

from genome.config import paths, references, variants
from genome.config.check import check_config, check_files, check_paths, check_python, profile_files, read_task_files
from genome.config.names import micro_tasks
from genome.config.values import overlay, settled
from genome.errors import GenomeError, nearest
from genome.tasks import parse_task
from genome.yaml_files import read_yaml


def refusing(call, *arguments):
    """Return what the library does with arguments; what it refuses is Snakemake's to say."""
    try:
        return call(*arguments)
    except GenomeError as error:
        raise WorkflowError(str(error))


def read_project():
    """Return what the project's own files say, and refuse a config or an environment that no job could run with."""
    folder = Path(workflow.basedir)
    internal, schema = (
        read_yaml(folder / "workflow" / file) for file in ("internal.yaml", "schemas/config.schema.yaml")
    )
    check_python(sys.executable)
    check_files([*workflow.configfiles, *profile_files(sys.argv, folder)])
    tasks = read_task_files(folder / "config/tasks")
    config.update(settled(config))
    check_config(config, schema, tasks)
    config["data_dir"] = paths.data_folder(config["data_dir"])
    if workflow.is_main_process:  # a job on another machine need not see what was copied here
        check_paths(config, tasks)
    return internal["versions"], tasks


def canonical(value):
    """Return the one JSON text of `value`: what Snakemake compares to decide on a rerun."""
    return json.dumps(value, sort_keys=True, allow_nan=False)


def unique(values):
    return list(dict.fromkeys(values))


def one_of(names):
    """Return the wildcard constraint that admits just `names` (none of them: nothing)."""
    listed = [re.escape(name) for name in names if name not in GRID]
    # A thousand names in a constraint are slow: each of a job's files is matched with it.
    return "|".join([*listed, *([GRID_NAME] if len(listed) < len(names) else [])]) or "(?!)"


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
    settings = variants.resolve_variant(config, "study", {"method": study["method"], "ensemble": {"k": 3}})
    return {name: {**settings, **rates} for name, rates in GRID.items()}


@cache
def task_definition(name):
    """Return a task as its file defines it, with the config's `tasks` laid over; a task of one's own needs no file."""
    changes = config["tasks"].get(name)
    if name not in TASK_FILES and changes is None:
        raise WorkflowError(f"unknown task {name!r}; {nearest(name, [*TASK_FILES, *config['tasks']])}")
    definition = overlay(TASK_FILES.get(name, {}), changes or {})
    refusing(parse_task, name, definition)
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


def merges_products(wildcards):
    """Tell whether a job's adapters hold all experts side by side."""
    variant = wildcards.get("variant") or (variant_of(wildcards["run"]) if "run" in wildcards else None)
    return wildcards.get("scheme", VARIANTS.get(variant, {}).get("merge_space", "")).endswith("product")


def own_engine():
    """Make this process the owner of the run's engine, which starts when a job asks for it and ends with its owner."""
    engine = config["engine"]
    if any(merges_products(job.wildcards_dict) for job in workflow.dag.needrun_jobs()):
        # One engine serves all jobs, whichever asks first.
        engine["stacked"] = len(EXPERTS)
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


def said(part, key):
    return references.said(config, part, key)


def label_of(variant):
    return references.label_of(config, variant)


def is_team(variant):
    return variants.is_team(VARIANTS.get(variant, {}))


VERSIONS, TASK_FILES = refusing(read_project)
PER_JOB = config["engine"].get("per_job", False)  # jobs that ask an engine are submitted, each with its own
BASE = config["base"]
SUITE = paths.suite_of(config)
ADAPTERS = paths.adapters_of(config, TASK_FILES)
EXPERTS = {name: source for name, source in ADAPTERS.items() if SUITE["experts"].get(name)}
MICRO_TASKS = micro_tasks(TASK_FILES)
CORPORA = SUITE.get("corpora", {})
OWN_CORPORA = paths.own_corpora(config, TASK_FILES)  # by resolved path
TRAINED = [name for name, source in ADAPTERS.items() if "corpus" in source]
FETCHED = [name for name in ADAPTERS if name not in TRAINED]
VARIANTS = {name: variants.resolve_variant(config, name, changes or {}) for name, changes in config["variants"].items()}
STUDIED = {"cr": "crossover_rate", "imr": "individual_mutation_rate", "gmr": "gene_mutation_rate"}
GRID = study_grid() if config["study"] else {}
GRID_NAME = "-".join(["study", *(f"{short}(0[1-9]|10)" for short in STUDIED)])
STUDY = study_points(config["study"]) if GRID else []
VARIANTS |= study_variants(config["study"]) if GRID else {}
EVOLVING = variants.of_method(VARIANTS, variants.EVOLVING)
FROM_EXPERTS = variants.of_method(VARIANTS, variants.FROM_EXPERTS)
SEARCHED = variants.of_method(VARIANTS, variants.SEARCHED)
MERGED = variants.of_method(VARIANTS, variants.MERGED)
COMPARISONS = references.COMPARISONS
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
OF_POPULATIONS = ("evolution", "family_tree", "expert_shares")  # figures of a run that need nothing but its populations
REPORTING = ("ensemble",)  # settings that decide what is reported of a run, not what it finds
USUAL = {"merge_space": "factors", "racing": None, "coefficients": "expert"}
SCALE = {"factors": "sigma", "product": "coefficient_sigma"}  # of mutation, in the space where experts are merged
# Of a task: what only scoring reads.
OF_SCORING = ("category", "metric", "pattern", "fallback", "integers", "max_tokens", "tokenizer", "prefix", "version")


wildcard_constraints:
    tasks=r"[A-Za-z0-9_]+(\+[A-Za-z0-9_]+)*",
    task="[A-Za-z0-9_]+",
    test_task="[A-Za-z0-9_]+",
    split="validation|test",
    n="[1-9][0-9]*",
    seed="[0-9]+",
    generation="[1-9][0-9]*",
    base=one_of(config["bases"]),
    scheme="(pairs|experts)(-product)?",
    run=r"[^/]+/[^/]+(/n[1-9][0-9]*)?(/seed[0-9]+)?",
