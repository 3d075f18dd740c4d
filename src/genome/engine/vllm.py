"""Interpreter, flags and environment of vLLM's OpenAI server; vLLM is never imported.

The server is started as a module: `vllm serve` fails in CPU builds, and with several API processes (its default for
several GPUs) each would know only the adapters that it loaded itself. Prefix caching is safe in any version, even one
that keys it by the adapter's name only: a name in the store is the hash of the adapter's content.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genome.engine.messages import BASE
from genome.errors import GenomeError

SERVER = "vllm.entrypoints.openai.api_server"

VLLM_KEY_VARIABLE = "VLLM_API_KEY"
"""Environment variable from which vLLM reads its key."""

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values of `--max-lora-rank`. Every adapter needs the memory of that rank, so the smallest that fits is used."""

SLOTS = 16
"""Adapters in one step (`--max-loras`); others wait. A phase in the paper's setting requests 10 to 16 at once."""

ADAPTERS_IN_MEMORY = 64
"""Adapters in the host's memory (`--max-cpu-loras`); the least recently used are dropped, and read again if needed."""

OURS = ("--model", "--served-model-name", "--host", "--port", "--uds", "--api-key", "--api-server-count")
"""Flags that `engine.args` must not set, because the launcher would not find its server."""

USUAL = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
"""Linear layers of Llama and of most models since; vLLM calls them so, or joins some and knows which."""

REMEDY = "make an environment of envs/vllm.yaml and give the path of its bin/python"


def interpreter(setting: str | None) -> str:
    """Return the path of the Python in `engine.python`; GenomeError if it is not a Python, or has no vLLM.

    Links are not resolved: Python finds its virtual environment by the link that is called.
    """
    if not setting:
        raise GenomeError(f"engine.python is not set: vLLM needs a separate Python; {REMEDY}")
    python = str(Path(setting).expanduser().absolute())
    code = "import importlib.util as u; spec = u.find_spec('vllm'); print(spec is not None and spec.origin is not None)"
    try:
        shown = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, env=own_environment({**os.environ, **_SAFE})
        )
    except OSError as error:
        raise GenomeError(f"engine.python: {setting} cannot be run ({error.strerror}); {REMEDY}") from error
    if shown.stdout.strip() != "True":
        raise GenomeError(f"engine.python: {setting} has no vllm; {REMEDY}")
    return python


def flags(settings: Mapping[str, Any], base: Path, rank: int | None, gpus: int | None = None) -> list[str]:
    """Return the server's flags for a population of adapters of `rank` (None: unknown); `engine.args` come last.

    `gpus` is the number of GPUs of the server; None means the GPUs of this machine.
    """
    extra = [str(argument) for argument in settings.get("args", ())]
    if taken := [argument for argument in extra if argument.partition("=")[0].replace("_", "-") in OURS]:
        raise GenomeError(f"engine.args: {taken[0]} is set by the workflow; remove it")
    slots = settings.get("max_loras", SLOTS)
    values = {
        "--model": base,
        "--served-model-name": BASE,
        "--max-loras": slots,
        "--max-cpu-loras": max(slots, settings.get("max_cpu_loras", ADAPTERS_IN_MEMORY)),
        "--max-lora-rank": settings.get("max_lora_rank") or allowed_rank(rank),
        "--max-model-len": settings.get("max_model_len"),
        "--gpu-memory-utilization": settings.get("gpu_memory_utilization"),
        "--data-parallel-size": settings.get("data_parallel_size")
        or _several(visible_gpus() if gpus is None else gpus),
        "--uvicorn-log-level": "warning",
    }
    pairs = [text for flag, value in values.items() if value is not None for text in (flag, str(value))]
    return [*pairs, *_targets(base), "--enable-lora", "--enable-prefix-caching", *extra]


def _targets(base: Path) -> list[str]:
    """Return the flag that keeps adapters from the output layer, if the base has only the usual linear layers.

    No expert changes the output layer. If adapters may, vLLM adds to the logits of each token a product of the output
    layer's size; and its build for CPUs crashes at log-probabilities of prompts, because it applies there the adapter
    of one token per request (vllm-project/vllm#51594). Of other bases, vLLM may call a layer otherwise and would then
    leave out its change.
    """
    from genome.experts.base_layers import read_base  # slow to import, and jobs import this module

    if not any(base.glob("*.safetensors")):
        return []
    names = {layer.rpartition(".")[2] for layer in read_base(base).layers}
    return ["--lora-target-modules", *sorted(names)] if names <= USUAL else []


def allowed_rank(rank: int | None) -> int | None:
    """Return the smallest value of `--max-lora-rank` that fits adapters of `rank`.

    >>> [allowed_rank(rank) for rank in (1, 4, 8, 9, 300)]
    [1, 8, 8, 16, 320]
    """
    if rank is None:
        return None
    for value in RANKS:
        if value >= rank:
            return value
    raise GenomeError(f"adapters have rank {rank}, but vLLM serves at most rank {RANKS[-1]}; use experts of lower rank")


def environment(settings: Mapping[str, Any], python: str) -> dict[str, str]:
    """Return the server's additional environment variables; `engine.env` overrides them."""
    return {
        **_SAFE,
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        # Kernels are built at run time with tools in the interpreter's folder.
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        **({"VLLM_BATCH_INVARIANT": "1"} if settings.get("batch_invariant") else {}),
        **{name: str(value) for name, value in settings.get("env", {}).items()},
    }


_SAFE = {"PYTHONSAFEPATH": "1"}
"""Keeps a folder named vllm in the working folder from being imported as vLLM."""


def own_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return our environment without the variables that would lead another Python to our packages."""
    return {name: value for name, value in ours.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def visible_gpus() -> int:
    """Return the number of GPUs visible to a server started here."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return len([device for device in chosen.split(",") if device.strip() not in ("", "-1")])
    try:
        shown = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except OSError:
        return 0
    return sum(line.startswith("GPU ") for line in shown.stdout.splitlines())


def _several(gpus: int) -> int | None:
    return gpus if gpus > 1 else None
