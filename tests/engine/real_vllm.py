"""A real vLLM for tests: `GENOME_VLLM_PYTHON` names a Python that has its build for CPUs."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from genome.engine import local
from genome.engine.client import Engine
from genome.engine.launcher import connect
from genome.engine.owner import current_owner
from genome.engine.state import FOLDER, read_state, stop

PYTHON = os.environ.get("GENOME_VLLM_PYTHON")
MARKS = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="GENOME_VLLM_PYTHON names no Python that has vLLM"),
]

ENGINE = {
    "backend": "vllm",
    "python": PYTHON,
    "max_loras": 4,
    "max_model_len": 512,
    "args": ["--dtype", "float32", "--enforce-eager"],
    "env": {"VLLM_CPU_KVCACHE_SPACE": 1},
}
WIDE = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1}
"""Changes of `tiny_models.SHAPE`: heads of 32, the fewest that vLLM has for processors."""


@contextmanager
def serving(base: Path, rank: int, changed: dict | None = None) -> Iterator[Engine]:
    """Give an engine whose owner is the test process, in the working folder. No process of it may be left behind."""
    before = shared_memory()
    engine = connect(ENGINE | (changed or {}), base, rank)
    try:
        yield engine
        group = server_pid()
    finally:
        stop(current_owner().token)
    wait_until_gone(group)
    for supervisor in local._started:
        supervisor.wait()
    # The shared memory of a worker that a test has killed is not unlinked by any process (docs/findings.md).
    for name in shared_memory() - before - mapped_memory():
        Path("/dev/shm", name).unlink()


def shared_memory():
    return {path.name for path in Path("/dev/shm").glob("psm_*")}


def mapped_memory():
    """Return the names of shared memory that processes use, such as another vLLM that starts meanwhile."""
    used = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # the process has ended
            used |= set(re.findall(r"/dev/shm/(psm_\w+)", maps.read_text()))
    return used


def supervisor_pid():
    [file] = FOLDER.glob("engine-*.json")
    return read_state(file).pid


def server_pid():
    """Return vLLM's API process: the child of our supervisor."""
    supervisor = supervisor_pid()
    return int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])


def worker_pid():
    """Return the process that computes, which is of the group that the server leads."""
    group = server_pid()
    shown = subprocess.run(["ps", "-eo", "pid=,pgid=,args="], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in shown.splitlines()]
    return max(int(pid) for pid, of, args in rows if int(of) == group and args.startswith("VLLM::"))


def wait_until_gone(group):
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes of the killed server still run")


def greedy_tokens(
    network: PreTrainedModel, prompts: Sequence[Sequence[int]], ends: Sequence[int], max_tokens: int
) -> list[list[int]]:
    """Return transformers' own greedy continuation of each prompt, without the token of `ends` that ends it."""
    found: list[list[int]] = [[]] * len(prompts)
    for length in sorted({len(prompt) for prompt in prompts}):
        places = [place for place, prompt in enumerate(prompts) if len(prompt) == length]
        tokens = torch.tensor([list(prompts[place]) for place in places])
        rows = network.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=max_tokens,
            do_sample=False,
            repetition_penalty=1.0,
            eos_token_id=list(ends),
        )[:, length:].tolist()
        for place, row in zip(places, rows, strict=True):
            found[place] = row[: next((end for end, token in enumerate(row) if token in ends), None)]
    return found
