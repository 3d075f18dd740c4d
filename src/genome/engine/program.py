"""A server to start, wherever it will run: its module, its arguments, and how its key reaches it."""

import sys
from dataclasses import dataclass
from pathlib import Path

from genome.engine.owner import Owner

KEY_VARIABLE = "GENOME_ENGINE_KEY"
"""Environment variable that hands a server its key: arguments can be read by every user of a machine."""


@dataclass(frozen=True)
class Program:
    """A server to start: one of our modules, its arguments, and what it adds to the environment."""

    module: str
    arguments: list[str]
    environment: dict[str, str]


def command(made: Program, owner: Owner, file: Path) -> list[str]:
    """Return how an engine is started, but for the arguments of its program."""
    return [sys.executable, "-P", "-m", made.module, "--owner", str(owner), "--state", str(file)]
