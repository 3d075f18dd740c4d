"""Connects a job to the engine that the config requests, and starts one if none runs: one function per backend."""

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from urllib3.util import parse_url

from genome.engine import slurm, vllm
from genome.engine.client import Engine
from genome.engine.cluster import slurm_server
from genome.engine.fingerprint import of_url
from genome.engine.local import local_server
from genome.engine.messages import BASE, Address
from genome.engine.probe import get, get_json
from genome.engine.program import Program
from genome.errors import GenomeError

URL_SECONDS = 60
"""How long an external server may be unreachable at first; one that has answered has `engine.timeout` to restart."""

URL_KEY_VARIABLE = "GENOME_API_KEY"
"""Environment variable with the key of such a server, unless `engine.key_variable` names another."""


def connect(settings: Mapping[str, Any], base: Path | str, rank: int | None = None, kept: Path | None = None) -> Engine:
    """Return the workflow's engine for the model folder `base`, and start one if none runs.

    `settings` is the section `engine` of the config; `rank` is the rank of the adapters to serve, if known. In `kept`,
    a stage keeps its answers until it has finished.
    """
    backend = settings.get("backend", "transformers")
    if backend not in BACKENDS:
        raise GenomeError(f"engine.backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
    client = {
        name: settings[name] for name in ("batch_size", "timeout", "concurrency", "model_name") if name in settings
    }
    return Engine(BACKENDS[backend](settings, Path(base), rank), kept=kept, **client)


def transformers_backend(settings: Mapping[str, Any], base: Path, rank: int | None) -> Callable[[], Address]:
    """Return the finder of the built-in server (genome.engine.server)."""
    threads = str(settings.get("threads", 1))
    arguments = ["--model", str(base.resolve()), "--threads", threads, "--workers", str(settings.get("workers", 1))]
    for name in ("dtype", "batch_tokens"):
        if settings.get(name) is not None:
            arguments += [f"--{name.replace('_', '-')}", str(settings[name])]
    environment = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Waiting threads would spin and slow down the jobs (two threads on two busy cores: 10 times slower).
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    program = Program("genome.engine.server", arguments, environment)
    return finder(lambda: program, base, settings)


def vllm_backend(settings: Mapping[str, Any], base: Path, rank: int | None) -> Callable[[], Address]:
    """Return the finder of vLLM's server, which runs in a separate Python under our supervisor."""

    # In a separate SLURM job, the server gets other GPUs than those visible here.
    gpus = slurm.gpus(settings["slurm"]) if as_slurm_job(settings) else None

    def program() -> Program:
        python = vllm.interpreter(settings.get("python"))
        command = [python, "-m", vllm.SERVER, *vllm.flags(settings, base.resolve(), rank, gpus)]
        arguments = ["--model", str(base.resolve()), "--", *command]
        return Program("genome.engine.supervisor", arguments, vllm.environment(settings, python))

    return finder(program, base, settings)


def url_backend(settings: Mapping[str, Any], base: Path, rank: int | None) -> Callable[[], Address]:
    """Return the finder of an external server, which returns its address once it answers."""
    url = settings["url"].rstrip("/").removesuffix("/v1")
    name, variable = settings.get("model_name", BASE), settings.get("key_variable", URL_KEY_VARIABLE)
    key = os.environ.get(variable) if variable else ""
    if key is None:
        raise GenomeError(
            f"{variable} is not set; export the key of {url} in it (if it has no key: engine.key_variable: null)"
        )

    limits = iter([URL_SECONDS])

    def find() -> Address:
        limit = next(limits, max(URL_SECONDS, settings.get("timeout", 600)))
        deadline = time.monotonic() + limit
        # Not /v1/models: vLLM answers it even when its engine has died.
        while (health := get(f"{url}/health")) is None or health.status >= 500:
            if time.monotonic() > deadline:
                raise GenomeError(
                    f"engine.url: no answer from {url} in {limit:g} s; start the server or correct the URL"
                )
            time.sleep(1)
        answer = get(f"{url}/v1/models", key)
        if answer is not None and answer.status in (401, 403):
            key_name = f"the key in {variable}" if variable else "requests without a key"
            raise GenomeError(f"engine.url: {url} refuses {key_name}; correct the key or engine.key_variable")
        try:
            names = [model["id"] for model in json.loads(answer.data if answer is not None else "")["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise GenomeError(f"engine.url: {url}/v1/models lists no models; is this a vLLM server?") from error
        if name not in names:
            raise GenomeError(
                f"engine.model_name: {url} serves {', '.join(names[:5])}, not {name!r}; give the name of its base model"
            )
        fingerprint = of_url(lambda path: get_json(url + path, key), name)
        return Address(url, key, None, parse_url(url).host or url, fingerprint)

    return find


BACKENDS: dict[str, Callable[[Mapping[str, Any], Path, int | None], Callable[[], Address]]] = {
    "transformers": transformers_backend,
    "vllm": vllm_backend,
    "url": url_backend,
}
"""The function that finds an engine, by the name in `engine.backend`."""


def as_slurm_job(settings: Mapping[str, Any]) -> bool:
    """Return whether the config requests engines that are separate SLURM jobs."""
    return settings.get("slurm") is not None and not settings.get("per_job")


def finder(program: Callable[[], Program], base: Path, settings: Mapping[str, Any]) -> Callable[[], Address]:
    """Return a function that finds this workflow's server, or starts `program()` locally or in SLURM by `settings`."""
    if not (base / "config.json").is_file():
        raise GenomeError(f"{base}: no config.json; the base model must be a local folder in transformers' format")
    if as_slurm_job(settings):
        return slurm_server(program, base.resolve(), settings)
    return local_server(program, base.resolve(), settings)
