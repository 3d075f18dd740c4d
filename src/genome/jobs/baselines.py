"""Stages of merges that look at no task."""

import json
from pathlib import Path

from genome.scoring.results import read_manifest


def dare_ties(settings: str, manifest: str, seed: int, out: str) -> None:
    """Merge the experts by DARE-TIES with equal weights."""
    from genome.lora import dare_ties as merging

    folders = list(map(Path, read_manifest(manifest)["experts"]))
    merging.dare_ties(folders, Path(out), density=json.loads(settings)["density"], seed=seed)
