"""Scripts that do not wait for Python: forks of a worker that has the libraries loaded.

A job of a small model is mostly Python's start and imports. A run therefore has a worker (`worker.py`), and Snakemake
starts `client.py` in place of a script: it hands the script to the worker, whose fork runs it with the client's
environment, folder, input and output, and ends with the fork's exit status. The bytes that a script writes are the same
either way.

To fork a process takes the longer, the more it has loaded: 5 ms with numpy, 30 ms with PyTorch. The few scripts that
need PyTorch, transformers or nevergrad therefore have a second worker.

Where no worker can serve, the client becomes the script's own process: without a worker, with more than one thread, or
when the package's source has changed since the worker loaded it.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from genome.warm.client import HEAVY, LIGHT, WORKERS
from genome.warm.measuring import leave_out_clients

__all__ = ["is_worth", "leave_out_clients", "start_workers"]

COLD = "GENOME_COLD"
"""The environment variable that makes every script start a separate Python, to compare or to look for a mistake."""

WORTH = 5
"""Number of jobs from which on a worker saves more than it costs."""

MODULES = (
    "snakemake.logging",
    "snakemake.iocontainers",
    "genome.jobs.baselines",
    "genome.jobs.evaluation",
    "genome.jobs.evolution",
    "genome.jobs.finalists",
)
"""What the first worker loads."""

TOKENIZERS = ("transformers.models.auto.tokenization_auto",)
TRAINING = (*TOKENIZERS, "genome.lora.held_out", "peft")
MODULES_OF_RULES = {
    "prepare_prompts": TOKENIZERS,
    "prepare_expected": TOKENIZERS,
    "searched_baseline": ("nevergrad",),
    "train_adapter": TRAINING,
    "validation_lora": TRAINING,
}
"""What the second worker loads as well, for a run with several jobs of a rule; these take a second or more."""


def is_worth(jobs: int) -> bool:
    """Return whether a run of that many jobs should have a worker."""
    return jobs >= WORTH and COLD not in os.environ


def start_workers(rules: Iterable[str]) -> str:
    """Start this process's workers; return what a shell command "PYTHON SCRIPT" starts with.

    `rules` has the rule of every planned job.

    The environment variable GENOME_WORKERS tells the clients where they are. They run in the background and end when
    their standard input is closed, hence with this process.
    """
    # Only this user may enter the folder: a worker runs whatever it is handed.
    folder = tempfile.mkdtemp(prefix="genome-")
    several = [rule for rule, jobs in Counter(rules).items() if jobs > 1]
    of_rules = [*chain.from_iterable(MODULES_OF_RULES.get(rule, ()) for rule in several)]
    _start(f"{folder}/{LIGHT}", MODULES)
    if of_rules:
        _start(f"{folder}/{HEAVY}", [*MODULES, *dict.fromkeys(of_rules)])
    os.environ[WORKERS] = folder
    client = Path(__file__).with_name("client.py")
    return f"exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(client))} ".replace("{", "{{").replace("}", "}}")


def _start(address: str, modules: Iterable[str]) -> None:
    """Start a worker that listens at a socket and loads modules."""
    # With one thread numpy starts none, which a fork would not have.
    threads = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], "1")
    _started.append(
        subprocess.Popen(
            [sys.executable, "-P", "-m", "genome.warm.worker", address, *modules],
            stdin=subprocess.PIPE,
            env={**os.environ, **threads},
            start_new_session=True,  # keys pressed in the terminal are for Snakemake and the clients
        )
    )


_started: list[subprocess.Popen[bytes]] = []  # a worker lives as long as the pipe to it
