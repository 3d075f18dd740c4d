# GENOME: population-based evolution of LoRA experts (arXiv 2503.01155).
# Each question has a target of its own; asking for one makes just what it needs.

import os
import subprocess
import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.16")
# Snakemake puts this folder before all packages, so that a user's numpy.py would replace numpy. The processes that it
# starts must not look here either.
sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) not in (os.getcwd(), str(workflow.basedir))]
os.environ.update(PYTHONSAFEPATH="1")

from genome.errors import GenomeError
from genome.workflow.reading import read_plan
from genome.workflow.rules import Captions, Inputs, Patterns, Settings
from genome.yaml_files import check_yaml

check_yaml(f"{workflow.basedir}/config.yaml")


configfile: f"{workflow.basedir}/config.yaml"


def refusing(call, *arguments, **options):
    """Return what the library returns; Snakemake reports what the library refuses, in one line."""
    try:
        return call(*arguments, **options)
    except GenomeError as error:
        raise WorkflowError(str(error))


# A job on another machine need not see the files that were copied here.
plan = refusing(read_plan, config, workflow.basedir, workflow.configfiles, check_sources=workflow.is_main_process)
config.update(plan.of_scripts)
inputs, settings, captions, patterns = Inputs(plan), Settings(plan), Captions(), Patterns(plan)


report: "workflow/report/workflow.rst"


wildcard_constraints:
    tasks=r"[A-Za-z0-9_]+(\+[A-Za-z0-9_]+)*",
    task="[A-Za-z0-9_]+",
    test_task="[A-Za-z0-9_]+",
    split="validation|test",
    n="[1-9][0-9]*",
    seed="0|[1-9][0-9]*",
    generation="[1-9][0-9]*",
    base=patterns.bases,
    scheme="(pairs|experts)(-product)?",
    run=r"[^/]+/[^/]+(/n[1-9][0-9]*)?(/seed(0|[1-9][0-9]*))?",


include: "workflow/rules/hooks.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/experts.smk"
include: "workflow/rules/evolution.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/protocol.smk"
include: "workflow/rules/across.smk"
include: "workflow/rules/study.smk"
include: "workflow/rules/engine.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/export.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        inputs.everything,


onstart:
    schedule_at_once()
    own_engine()
    announce_plan()


onsuccess:
    stop_engine()


onerror:
    stop_engine()
