"""Majority: the most frequent validation answer to each task of a run, given to every sample of its test."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.files import REMAKE, read_json, write_json, write_jsonl
from genome.jobs import log
from genome.jobs.site import Site
from genome.scoring.likelihood import right_option
from genome.scoring.results import NO_ENGINE, read_samples
from genome.search.records import origin as origin_of_experts
from genome.tasks import Task, parse_task
from genome.tasks.likelihood import LIKELIHOOD, Likelihoods, written
from genome.tasks.references import right_response
from genome.workflow.names import whole_of

FILE = "answer.json"

Sample = Mapping[str, Any]


def majority(settings: str, prompts: Sequence[str], answer: str, record: str) -> None:
    """Write the most frequent answer to each task's validation samples, with its share and the response that gives it.

    `prompts` are the prepared samples of the tasks, in their order.
    """
    started, found = time.perf_counter(), {}
    for entry, path in zip(json.loads(settings)["tasks"], prompts, strict=True):
        task, samples = parse_task(entry["name"], entry["definition"]), read_samples(path)
        option, share = most_frequent(task, samples)
        example = next(each for each in samples if right_option(task, each) == option)
        response = option if task.answer_by == LIKELIHOOD else right_response(task, example) or option
        found[whole_of(task.name)] = {
            "answer": example["reference"],
            "option": option,
            "share": share,
            "response": response,
        }
        log.info("%s: %s is the answer to %.1f %% of the samples", task.name, example["reference"], 100 * share)
    write_json(answer, found)
    seconds = round(time.perf_counter() - started, 3)
    write_json(record, {"machine": None, "seconds": seconds, "evaluations": 0, "samples": 0})


def most_frequent(task: Task, samples: Sequence[Sample]) -> tuple[str, float]:
    """Return the option that is right most often, and its share; of equal ones the first of the options."""
    counts = Counter(right_option(task, sample) for sample in samples)
    order = list(task.labels) or sorted({letter for sample in samples for letter in sample["options"]})
    option = max(order, key=lambda each: counts[each])
    return option, counts[option] / len(samples)


def answer_always(
    site: Site, model: str, prompts: str, samples: Sequence[Sample], responses: str, origin: str, record: str
) -> None:
    """Write the constant response in the file `model` to every sample of a test, without an engine."""
    started, task = time.perf_counter(), Path(prompts).parent.name
    found = read_json(model, REMAKE)
    if task not in found:
        raise GenomeError(f"{model}: no answer to {task}; {REMAKE}")
    option, response = found[task]["option"], found[task]["response"]
    rows = [(sample["id"], _response(sample, option, response)) for sample in samples]
    write_jsonl(
        responses,
        ({"role": "best", "individual": "majority", "sample": name, "response": text} for name, text in rows),
    )
    write_json(origin, {"engine": {"backend": NO_ENGINE}, "members": 0, **origin_of_experts(site.experts())})
    write_json(record, {"seconds": round(time.perf_counter() - started, 3), **site.meter([task]).spent(None)})


def _response(sample: Sample, option: str, response: str) -> str:
    """Return a response that is read as `option`: its text, or likelihoods of the options in which it is certain."""
    given = sample.get("continuations", ())
    if option not in (each["option"] for each in given):
        return response
    return written(
        Likelihoods(
            options=tuple(each["option"] for each in given),
            log_likelihood=tuple(0.0 if each["option"] == option else -1000.0 for each in given),
            tokens=tuple(len(each["tokens"]) for each in given),
            characters=tuple(each["characters"] for each in given),
            bytes=tuple(each["bytes"] for each in given),
        )
    )
