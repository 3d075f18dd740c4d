# GENOME: population-based evolution of LoRA experts (arXiv 2503.01155).
# There is a target per question; making one runs only the jobs that it needs.

import os
import sys

from snakemake.utils import min_version

min_version("9.16")
# This folder: that of the main Snakefile, unless that one includes this one, as those of `genome evolve` do.
project = workflow.current_basedir.get_path_or_uri(secret_free=True)
# Snakemake puts folders of Snakefiles before all packages, so that a user's numpy.py would replace numpy. The processes
# that it starts must not look here either.
ours = {os.getcwd(), str(workflow.basedir), project}
sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) not in ours]
os.environ.update(PYTHONSAFEPATH="1")

from genome.yaml_files import check_yaml

check_yaml(f"{project}/config.yaml")


configfile: f"{project}/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/plan.smk"
include: "workflow/rules/hooks.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/experts.smk"
include: "workflow/rules/evolution.smk"
include: "workflow/rules/sets.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/controls.smk"
include: "workflow/rules/finalists.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/summary.smk"
include: "workflow/rules/protocol.smk"
include: "workflow/rules/across.smk"
include: "workflow/rules/study.smk"
include: "workflow/rules/engine.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/portraits.smk"
include: "workflow/rules/export.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        inputs.everything,


onstart:
    schedule_at_once()
    start_trackers()
    own_engine()
    keep_tables()
    warm_up()
    announce_plan()


onsuccess:
    stop_engine()
    end_watcher()


onerror:
    stop_engine()
    end_watcher()
