"""Stages of methods that run in one job: on the scored experts, or a merge that looks at no task."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genome.experts.expert import is_mixed
from genome.genotype import FACTORS
from genome.jobs import log
from genome.jobs.site import Outputs, Site
from genome.scoring.results import read_manifest
from genome.search.driver import run_baseline
from genome.search.finalists import compare
from genome.search.methods import read_method
from genome.search.settings import measure_of, settled, space_of


def baseline(site: Site, settings: str, prompts: Sequence[str], scored_experts: str, seed: int, out: Outputs) -> None:
    """Run a baseline."""
    started = time.perf_counter()
    experts, params = site.experts(), json.loads(settings)
    start = site.read(scored_experts, params["tasks"], experts)
    method, given = read_method(params)
    chosen = settled(given, mixed=is_mixed(experts))
    space = space_of(getattr(chosen, "merge_space", FACTORS))
    measure = measure_of(chosen)
    evaluator = site.evaluator(params["tasks"], prompts, experts, space, start, scored_experts, measure, draw=(seed, 0))
    evaluator.planned = method.cost(chosen, len(start.members), len(experts))
    result = run_baseline(start, method, chosen, seed, experts, evaluator)
    out.write(started, result, start if measure == start.measure else replace(start, samples=0), evaluator)
    if measure == start.measure:
        log.info("handed out: %s", compare(result, start, experts).text(evaluator.sample_count))


def ties(settings: str, manifest: str, out: str) -> None:
    """Merge the experts' updates by TIES."""
    from genome.lora import ties as merging

    files, given = [Path(file) for file, _ in read_manifest(manifest).files], json.loads(settings)
    merged = merging.ties(files, Path(out), density=given["density"], rank=given.get("rank"))
    log.info("rank %d, with %.2f %% of the norm of the merged update", merged.rank, 100 * merged.provenance["kept"])


def dare_ties(settings: str, manifest: str, seed: int, out: str) -> None:
    """Merge the experts by DARE-TIES with equal weights."""
    from genome.lora import dare_ties as merging

    files = [Path(file) for file, _ in read_manifest(manifest).files]
    merging.dare_ties(files, Path(out), density=json.loads(settings)["density"], seed=seed)
