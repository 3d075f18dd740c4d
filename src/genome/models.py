"""Base models as local folders, whatever they come from."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.files import replacing_directory
from genome.hub import hub_errors

PATTERNS = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt")
PATTERNS += ("additional_chat_templates/*.jinja",)
"""What a base model is made of; nothing that must be unpickled or run."""


def fetch_base(source: Mapping[str, Any], out: Path | str) -> None:
    """Make `out` a folder of the base model in `source`: {hub, revision?} or {path}.

    Large files are hard links into the source where the file system allows. Raises GenomeError when the source is
    missing, gated, or holds no config or weights in safetensors.
    """
    origin = _download(source) if "hub" in source else Path(source["path"]).expanduser()
    if not (origin / "config.json").is_file() or not list(origin.glob("*.safetensors")):
        raise GenomeError(
            f"base model {dict(source)}: {origin} lacks config.json or *.safetensors; correct `model` in the config"
        )
    with replacing_directory(out) as folder:
        for file in sorted({file for pattern in PATTERNS for file in origin.glob(pattern)}):
            target = folder / file.relative_to(origin)
            target.parent.mkdir(exist_ok=True)
            _link(file.resolve(), target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _download(source: Mapping[str, Any]) -> Path:
    from huggingface_hub import snapshot_download  # slow to import

    repo, asked = source["hub"], source.get("revision")
    with hub_errors(f"base model {repo}", repo, asked):
        return Path(snapshot_download(repo, revision=asked, allow_patterns=list(PATTERNS)))
