"""What is known from a workflow's folder before a run: sizes of splits, prompts, responses and adapters, and rates."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from genome.errors import GenomeError
from genome.experts.expert import ENDING, read_expert
from genome.files import REMAKE, open_file, parse_json
from genome.forecast import records
from genome.forecast.adapters import adapter_bytes
from genome.forecast.cost import VALIDATION_LORA, tokens_of_validation_lora, trained
from genome.forecast.rates import fitted
from genome.forecast.values import Job, Measured, Setting
from genome.scoring.results import read_split
from genome.tasks.lengths import prompt_tokens
from genome.workflow.names import whole_of

READ = 50
"""Number of prompts per task whose tokens are counted: rows are in random order."""


def measure(jobs: Sequence[Job], setting: Setting, folder: Path = Path()) -> Measured:
    """Return what is known from a workflow's folder about the jobs and their tasks; nothing if it is empty."""
    drawn_again = {job.parts["task"] for job in jobs if job.stage == "split"}
    results = folder / "results"
    samples: dict[str, Mapping[str, int]] = {}
    prompt_tokens: dict[str, float] = {}
    row_bytes: dict[str, float] = {}
    for task in dict.fromkeys([*setting.tasks, *map(whole_of, setting.tasks)]):
        provenance = results / f"splits/{task}/provenance.json"
        if task not in drawn_again and provenance.is_file():
            drawn = read_split(provenance)
            samples[task] = {side: drawn[side] for side in ("validation", "test")}
        prompts = results / f"prompts/{setting.base}/{task}/validation.jsonl"
        if prompts.is_file():
            prompt_tokens[task] = _mean_tokens(prompts)
        evaluations = results / f"runs/{task}/experts/evaluations.jsonl"
        if evaluations.is_file() and task in samples:
            row_bytes[task] = evaluations.stat().st_size / (len(setting.experts) * samples[task]["validation"])
    found = records.find(results, setting.base, setting.engine, folder / "resources/models" / setting.base)
    asked = found.tokens() if found else {}
    prompt_tokens |= {task: tokens.prompt for task, tokens in asked.items()}
    known = Measured(
        samples=samples,
        prompt_tokens=prompt_tokens,
        response_tokens={task: tokens.response for task, tokens in asked.items()},
        longest_tokens={task: tokens.longest for task, tokens in asked.items()},
        row_bytes=row_bytes,
        adapter_bytes=_adapter_bytes(jobs, setting, folder),
        rate=fitted(found.observations(), f"measured here on {found.machine}") if found else None,
        start_seconds=found.start_seconds() if found else 0,
        own_seconds=_own_seconds(jobs, folder),
    )
    return replace(known, training_seconds=_training_seconds(jobs, setting, folder, known))


def _mean_tokens(prompts: Path) -> float:
    with open_file(prompts) as file:
        texts = [line.decode(errors="replace") for line in islice(file, READ)]
    samples = [parse_json(text, f"{prompts}, line {number}", REMAKE) for number, text in enumerate(texts, start=1)]
    if not samples or not all(isinstance(sample, dict) and "tokens" in sample for sample in samples):
        raise GenomeError(f"{prompts}: not the prompts of a task; {REMAKE}")
    return sum(map(prompt_tokens, samples)) / len(samples)


def _adapter_bytes(jobs: Sequence[Job], setting: Setting, folder: Path) -> dict[str, int]:
    """Return the size of an adapter by the spaces of the jobs; nothing before there is an expert."""
    made_again = {job.parts["adapter"] for job in jobs if job.stage in ("train_adapter", "import_adapter")}
    files = [folder / f"resources/experts/{name}{ENDING}" for name in setting.experts if name not in made_again]
    experts = [read_expert(file, digest="") for file in files if file.is_file()]
    spaces = {job.space for job in jobs if job.stage == "generation"}
    return {space: adapter_bytes(experts, len(setting.experts), space) for space in spaces if experts}


def _own_seconds(jobs: Sequence[Job], folder: Path) -> dict[str, float]:
    benchmarks = {job.stage: job.benchmark for job in jobs if job.benchmark}
    found = {stage: records.own_seconds(folder, stage, benchmark) for stage, benchmark in benchmarks.items()}
    return {stage: seconds for stage, seconds in found.items() if seconds is not None}


def _training_seconds(jobs: Sequence[Job], setting: Setting, folder: Path, measured: Measured) -> dict[str, float]:
    """Return how long trainings take, by the files that they write."""
    finished = records.trainings(folder / "results", setting.base)
    seconds: dict[str, float] = {}
    for job in jobs:
        if job.stage == "train_adapter" and finished:
            resolved = json.loads(job.settings)
            found = records.training_seconds(finished, resolved["training"], resolved["corpora"], folder)
            if found is not None:
                seconds[trained(job)] = found
    on_samples = [job for job in jobs if job.stage == VALIDATION_LORA]
    if on_samples:
        variants = {job.parts["variant"] for job in on_samples}
        given = json.loads(on_samples[0].settings)["training"]  # that of the base, for all
        rate = records.validation_lora_rate(folder / "results", setting.base, variants, given)
        tokens = {trained(job): tokens_of_validation_lora(job, setting, measured) for job in on_samples}
        seconds |= {file: rate * number for file, number in tokens.items() if rate is not None and number is not None}
    return seconds
