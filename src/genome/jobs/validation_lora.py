"""The stage of the Validation LoRA: a LoRA trained on a run's validation samples themselves."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from genome.engine.machine import accelerators
from genome.errors import GenomeError
from genome.experts.importing import import_expert
from genome.files import write_json
from genome.jobs import log
from genome.rng import stream
from genome.scoring.likelihood import right_option
from genome.scoring.results import read_samples
from genome.search.methods import read_method
from genome.tasks import Task, expected, parse_task
from genome.tasks.chat import parse_chat

NAME = "validation_lora"


@dataclass(frozen=True)
class Files:
    """What the stage writes: the LoRAs of all samples and of those kept, what was chosen, and what it cost."""

    expert: str
    held_out: str
    training: str
    record: str


def validation_lora(settings: str, base: str, prompts: Sequence[str], seed: int, files: Files) -> None:
    """Train a LoRA on the validation samples of all tasks of a run: prompt to right answer.

    A share of each task's samples is held out to choose the number of epochs. `prompts` are the prepared samples of the
    tasks, in their order.
    """
    # They import torch.
    from genome.lora.held_out import train_twice
    from genome.lora.training import Training

    started, resolved = time.perf_counter(), json.loads(settings)
    _, given = read_method(resolved["search"])
    own = {key: value for key in ("batch_size", "learning_rate", "rank") if (value := getattr(given, key)) is not None}
    training = replace(Training(**{**resolved["training"], **own}), kind="lora", seed=seed)
    base_name = resolved.get("base_name") or Path(base).name
    kept, held_out, drawn = [], [], {}
    for entry, path in zip(resolved["tasks"], prompts, strict=True):
        task = parse_task(entry["name"], entry["definition"])
        taught = lessons(task, read_samples(path, asked=True), base, entry.get("chat"))
        drawn[task.name] = draw([name for name, _ in taught], given.held_out, seed, task.name)
        for name, example in taught:
            (held_out if name in drawn[task.name] else kept).append(example)
    with TemporaryDirectory() as folder:
        folders = Path(folder) / "kept", Path(folder) / "all"
        names = {"name": NAME, "base_name": base_name}
        result = train_twice(base, kept, held_out, training, given.epochs, folders, **names)
        for trained, out, rows in zip(folders, (files.held_out, files.expert), (kept, kept + held_out), strict=True):
            known = {
                "source": f"validation samples of {', '.join(drawn)}",
                "base_model": base_name,
                "rows": len(rows),
                "training": asdict(replace(training, epochs=result.epochs)),
            }
            import_expert(NAME, {"path": str(trained)}, base, out, provenance=known)
    seconds = round(time.perf_counter() - started, 3)
    chosen = {"epochs": result.epochs, "losses": {str(epoch): loss for epoch, loss in result.losses.items()}}
    write_json(files.training, {**chosen, "held_out": drawn, "tokens": result.tokens})
    spent = {"evaluations": 0, "samples": 0, "prompt_tokens": result.tokens, "response_tokens": 0}
    write_json(files.record, {"machine": accelerators(), "base": Path(base).name, "seconds": seconds, **spent})
    log.info("%d epochs, by the held-out losses %s", result.epochs, {k: round(v, 4) for k, v in result.losses.items()})


def draw(names: Sequence[Any], share: float, seed: int, task: str) -> list[Any]:
    """Return the samples of a task that are held out, in the task's order: at least one, but not all.

    >>> draw(["a", "b", "c", "d", "e"], 0.2, seed=1, task="sums") in [["a"], ["b"], ["c"], ["d"], ["e"]]
    True
    """
    if len(names) < 2:
        raise GenomeError(f"task {task}: a Validation LoRA needs 2 samples with a right answer, found {len(names)}")
    number = min(len(names) - 1, max(1, round(share * len(names))))
    places = stream(seed, "held_out", task).permutation(len(names))[:number]
    return [names[place] for place in sorted(places)]


def lessons(
    task: Task, samples: Sequence[Mapping[str, Any]], base: str, chat: Literal["plain"] | Mapping[str, Any] | None
) -> list[tuple[Any, Any]]:
    """Return what is taught of each sample, by its name, as an example of `genome.lora.training`.

    Behind the prompt follows the right option if options are compared by their likelihood, otherwise the right
    response. Samples whose right response is not known are left out, and counted in the log.
    """
    from genome.lora.training import Example

    open_ones = [each for each in samples if "continuations" not in each]
    responses = iter(expected.right_continuations(task, open_ones, base, parse_chat(chat)) if open_ones else [])
    taught = []
    for sample in samples:
        prompt, tokens = _right_one(task, sample) if "continuations" in sample else (sample["tokens"], next(responses))
        if tokens is not None:
            taught.append((sample["id"], Example((*prompt, *tokens), len(prompt))))
    if len(taught) < len(samples):
        log.warning("task %s: %d samples without a known right answer", task.name, len(samples) - len(taught))
    return taught


def _right_one(task: Task, sample: Mapping[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the tokens of the prompt of a sample's right option, and of the option."""
    right = right_option(task, sample)
    found = next(each for each in sample["continuations"] if each["option"] == right)
    return found.get("prompt", sample["tokens"]), found["tokens"]
