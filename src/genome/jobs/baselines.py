"""Stages of methods that run in one job: on the scored experts, or a merge that looks at no task."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from genome.genotype import FACTORS
from genome.jobs.site import Outputs, Site
from genome.scoring.results import read_manifest
from genome.search.driver import run_baseline
from genome.search.methods import read_method


def baseline(site: Site, settings: str, prompts: Sequence[str], scored_experts: str, seed: int, out: Outputs) -> None:
    """Run a baseline."""
    started = time.perf_counter()
    experts, params = site.experts(), json.loads(settings)
    start = site.read(scored_experts, params["tasks"], experts)
    method, chosen = read_method(params)
    space = getattr(chosen, "merge_space", FACTORS)
    evaluator = site.evaluator(params["tasks"], prompts, experts, space, start, scored_experts)
    result = run_baseline(start, method, chosen, seed, experts, evaluator)
    out.write(started, result, start, evaluator)


def dare_ties(settings: str, manifest: str, seed: int, out: str) -> None:
    """Merge the experts by DARE-TIES with equal weights."""
    from genome.lora import dare_ties as merging

    folders = list(map(Path, read_manifest(manifest)["experts"]))
    merging.dare_ties(folders, Path(out), density=json.loads(settings)["density"], seed=seed)
