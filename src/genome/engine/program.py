"""A server to start, on any host: its module, its arguments, and how it receives its key."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome.engine.owner import Owner

KEY_VARIABLE = "GENOME_ENGINE_KEY"
"""Environment variable that passes a server its key; every user of a machine can read arguments."""

START_SECONDS = 1800
"""How long the log of a starting engine may stay as it is; reading the weights of a big model can take that long."""


@dataclass(frozen=True)
class Program:
    """A server to start: one of our modules, its arguments, and additional environment variables."""

    module: str
    arguments: list[str]
    environment: dict[str, str]


def command(made: Program, owner: Owner, file: Path) -> list[str]:
    """Return the command that starts an engine, without the arguments of its program."""
    return [sys.executable, "-P", "-m", made.module, "--owner", str(owner), "--state", str(file)]


def start_limit(settings: Mapping[str, Any]) -> float:
    """Return after how many seconds without growth of its log a starting engine is given up."""
    return max(settings.get("timeout", 600), START_SECONDS)
