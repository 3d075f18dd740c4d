"""Stages of methods that run in one job: on the scored experts, or a merge that looks at no task."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genome.experts.expert import Expert, is_mixed
from genome.genotype import FACTORS
from genome.jobs import log
from genome.jobs.site import Outputs, Site
from genome.scoring.manifest import read_manifest
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
    from genome.lora.ties import ties as merge

    given = json.loads(settings)
    _log_kept(merge(_files(manifest), Path(out), density=given["density"], rank=given.get("rank")))


def dare_ties(settings: str, manifest: str, seed: int, out: str) -> None:
    """Merge the experts by DARE-TIES with equal weights."""
    from genome.lora.dare_ties import of_factors, of_updates

    given, files = json.loads(settings), _files(manifest)
    if given["merges"] == "factors":
        of_factors(files, Path(out), density=given["density"], seed=seed)
    else:
        _log_kept(of_updates(files, Path(out), density=given["density"], seed=seed, rank=given.get("rank")))


def _files(manifest: str) -> list[Path]:
    """Return the files of the experts that a manifest lists."""
    return [Path(file) for file, _ in read_manifest(manifest).files]


def _log_kept(merged: Expert) -> None:
    log.info("rank %d, with %.2f %% of the norm of the merged update", merged.rank, 100 * merged.provenance["kept"])
