"""Plans of small configs, without Snakemake."""

from functools import cache
from pathlib import Path

from snakemake.iocontainers import Wildcards

from genome.config.values import overlay
from genome.workflow.plan import Plan
from genome.workflow.reading import read_plan
from genome.yaml_files import read_yaml

PROJECT = Path(__file__).parent.parent.parent

SMALL = {
    "seeds": [1, 2],
    "population_size": 4,
    "generations": 3,
    "splits": {"validation": 30, "test": 40, "seed": 42},
    "table1": {"tasks": ["sums", "emotions"]},
    "table2": {"tasks": ["sums", "emotions"]},
    "table3": {"tasks": ["facts_pro", "puzzles"], "variants": ["best_single", "genome_plus"]},
    "table4": {
        "domains": [{"name": "Both", "tasks": ["sums", "emotions"]}],
        "variants": ["expert_fusion", "model_swarms", "genome_plus"],
    },
    "table5": {"pairs": [["sums", "translation"]], "variants": ["lorahub", "model_swarms", "genome_plus"]},
    "table6": {"tasks": ["translation"], "variants": ["best_single", "dare_ties", "genome_plus"]},
    "table7": {"tasks": ["sums"], "variants": ["lorahub", "genome_plus"]},
    "table8": {
        "tasks": ["sums"],
        "full": "genome_plus",
        "without": ["genome_plus-no_crossover", "genome_plus-no_ensemble"],
    },
    "study": {"task": "sums", "method": "genome", "runs": 6, "seed": 3},
    "efficiency": {"tasks": ["sums"], "variants": ["lorahub", "genome_plus"], "reference": "genome_plus"},
    "protocol": {"tasks": ["sums", "emotions"], "variant": "genome_plus"},
    "figure2": {"tasks": ["sums"], "variants": ["genome", "genome_plus"], "sizes": [4, 6]},
    "learning_curve": {
        "tasks": ["sums", "emotions"],
        "variants": ["validation_lora", "genome_plus"],
        "sizes": [10, 20, 30],
    },
    "figure3": {"tasks": ["sums", "emotions"]},
    "portraits": {"tasks": ["sums"], "variants": ["genome_plus"]},
}
"""Laid over config.yaml: every table and figure but the vote of several bases, of few tasks."""


@cache
def _default():
    return read_yaml(PROJECT / "config.yaml")


def plan_of(**changes) -> Plan:
    """Return the plan of the small config with changes laid over."""
    config = overlay(overlay(_default(), SMALL), changes)
    return read_plan(config, PROJECT, [], check_sources=False)


def wildcards(**values: str) -> Wildcards:
    """Return a job's wildcards, as Snakemake hands them to input functions."""
    return Wildcards(fromdict=values)
