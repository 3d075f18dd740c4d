"""Right responses as continuations of prompts, for a search that maximises their likelihood (`objective: likelihood`).

Samples with options have all of these as continuations, as samples that are answered by likelihood do. Any other sample
has one continuation, its right response: the reference in the form in which the task reads answers, with the end of the
turn. Where a task asks for working, only the end of the right response is known: such samples have no continuation but
what is `expected` behind a model's own working (`genome.scoring.working`), and the `end` of the turn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.tasks import prompts
from genome.tasks.chat import Chat, dialogue_texts, load_tokenizer
from genome.tasks.lengths import check_lengths
from genome.tasks.likelihood import LIKELIHOOD
from genome.tasks.references import RIGHT, right_response, right_responses, right_text
from genome.tasks.task import Task

Row = Mapping[str, Any]

WORKED = ("number", "math", "text", "span")
"""Kinds whose tasks ask for working if they have no pattern: the answer is on a last line `Answer: …`."""


def has_working(task: Task) -> bool:
    """Tell whether a task's answers without options follow working: as it says, or by its kind and pattern."""
    return task.kind in WORKED and task.pattern is None if task.working is None else task.working


def prepare(task: Task, rows: Sequence[Row], base: Path | str, chat: Chat | None = None) -> list[dict[str, Any]]:
    """Return a split's samples with `continuations`: all options, or the right response of a sample without options.

    Samples with working have what is `expected` at its end instead.

    GenomeError: as `genome.tasks.prompts.prepare`; a task whose right responses are not known.
    """
    by_options = replace(task, answer_by=LIKELIHOOD)
    if task.kind in ("choice", "label"):
        return prompts.prepare(by_options, rows, base, chat)
    prepared = prompts.prepare(task, rows, base, chat)
    chosen = [row for row, each in zip(rows, prepared, strict=True) if "options" in each]
    with_options = iter(prompts.prepare(by_options, chosen, base, chat) if chosen else [])
    open_ones = [each for each in prepared if "options" not in each]
    found = iter(_open(task, open_ones, base, chat or Chat()))
    of = {"of": len(prepared)}
    samples = [{**next(with_options), **of} if "options" in each else {**each, **next(found)} for each in prepared]
    check_lengths(task.name, samples, base)
    return samples


def right_continuations(
    task: Task, samples: Sequence[Row], base: Path | str, chat: Chat | None = None
) -> list[list[int] | None]:
    """Return the tokens of the right response to each prepared sample, with the end of the turn; None if it has none.

    It is the first of `genome.tasks.references.right_responses` that the base can write: a small vocabulary may lack
    the letters of options. A response to a task with working has no working before its answer.
    """
    unknown = load_tokenizer(base).unk_token_id
    found: list[list[int] | None] = [None] * len(samples)
    rest = {place: list(right_responses(task, sample)) for place, sample in enumerate(samples)}
    while rest := {place: responses for place, responses in rest.items() if responses}:
        tried = [(samples[place], responses.pop(0)) for place, responses in rest.items()]
        rows = _continuations([sample for sample, _ in tried], [each for _, each in tried], base, chat or Chat())
        for place, row in zip(list(rest), rows, strict=True):
            if unknown is None or unknown not in row["tokens"]:
                found[place], rest[place] = row["tokens"], []
    return found


def _open(task: Task, samples: Sequence[Row], base: Path | str, chat: Chat) -> list[dict[str, Any]]:
    """Return the only continuation of each sample, or what is expected behind working."""
    worked = has_working(task)
    responses = [_response(task, each, right_text if worked else right_response) for each in samples]
    continuations = _continuations(samples, responses, base, chat)
    if not worked:
        return [{"continuations": [each]} for each in continuations]
    rows = zip(responses, continuations, strict=True)
    return [{"expected": response, "end": each["tokens"][-1:]} for response, each in rows]


def _response(task: Task, sample: Row, right: Callable[[Task, Row], str | None]) -> str:
    """Return the right response to a sample."""
    response = right(task, sample)
    if response is None:
        raise GenomeError(
            f"task {task.name}, row {sample['id']}: objective: likelihood needs a right response, and the reference "
            f"{str(sample['reference'])[:60]!r} is none; correct it, or use objective: metric"
        )
    return response


def _continuations(
    samples: Sequence[Row], responses: Sequence[str], base: Path | str, chat: Chat
) -> list[dict[str, Any]]:
    """Return each response as a continuation of its prompt, up to the end of the turn."""
    tokenizer = load_tokenizer(base)
    dialogues = dialogue_texts(tokenizer, [each["prompt"] for each in samples], responses, chat)
    found = []
    for response, (_, rest) in zip(responses, dialogues, strict=True):
        ids = tokenizer(rest, add_special_tokens=False).input_ids
        ends = [place for place, token in enumerate(ids) if token in tokenizer.all_special_ids]
        ids = ids[: ends[0] + 1] if ends else [*ids, tokenizer.eos_token_id]
        found.append({"option": RIGHT, "tokens": ids, "characters": len(response), "bytes": len(response.encode())})
    return found
