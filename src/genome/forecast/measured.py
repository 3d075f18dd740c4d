"""What is known from a workflow's folder before a run: sizes of splits, prompts, responses, adapters, and a rate."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from genome.errors import GenomeError
from genome.experts.expert import ENDING
from genome.files import REMAKE, open_file, parse_json
from genome.forecast.cost import Job, Measured, Rate, Setting
from genome.scoring.results import read_record, read_split
from genome.tasks.lengths import prompt_tokens

READ = 50
"""Number of prompts per task whose tokens are counted: rows are in random order."""

RECORDS = 200
"""Number of records of finished jobs that a rate is computed from, evenly spaced: each start of a run reads them."""


def measure(jobs: Sequence[Job], setting: Setting, folder: Path = Path()) -> Measured:
    """Return what is known from a workflow's folder about the tasks in `setting`; nothing if it is empty."""
    drawn_again = {job.parts["task"] for job in jobs if job.stage == "split"}
    results = folder / "results"
    samples: dict[str, Mapping[str, int]] = {}
    prompt_tokens: dict[str, float] = {}
    row_bytes: dict[str, float] = {}
    for task in setting.tasks:
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
    weights = (folder / f"resources/experts/{name}{ENDING}" for name in setting.experts)
    adapter_bytes = max((path.stat().st_size for path in weights if path.is_file()), default=None)
    return Measured(samples, prompt_tokens, row_bytes, adapter_bytes, measured_rate(results / "benchmarks/runs"))


def _mean_tokens(prompts: Path) -> float:
    with open_file(prompts) as file:
        texts = [line.decode(errors="replace") for line in islice(file, READ)]
    samples = [parse_json(text, f"{prompts}, line {number}", REMAKE) for number, text in enumerate(texts, start=1)]
    if not samples or not all(isinstance(sample, dict) and "tokens" in sample for sample in samples):
        raise GenomeError(f"{prompts}: not the prompts of a task; {REMAKE}")
    return sum(map(prompt_tokens, samples)) / len(samples)


def measured_rate(records: Path) -> Rate | None:
    """Return the rate of finished jobs on the machine that ran most of them; None if none has scored samples."""
    paths = sorted(records.rglob("*.json"))
    found = [read_record(path, "seconds", "samples", "scoring_seconds") for path in paths[:: len(paths) // RECORDS + 1]]
    scoring = [record for record in found if record["samples"] and record["scoring_seconds"]]
    if not scoring:
        return None
    [(machine, _)] = Counter(str(record.get("machine")) for record in scoring).most_common(1)
    of_machine = [record for record in scoring if str(record.get("machine")) == machine]
    seconds = sum(record["scoring_seconds"] for record in of_machine)
    samples = sum(record["samples"] for record in of_machine)
    overhead = sum(record["seconds"] - record["scoring_seconds"] for record in of_machine) / len(of_machine)
    return Rate(samples / seconds, overhead, f"measured here on {machine}")
