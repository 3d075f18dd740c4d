"""Checks of a run's first answers: a search on responses without readable answers finds nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from genome.errors import GenomeError
from genome.jobs import log
from genome.scoring.objective import Objective
from genome.tasks import KINDS, Task
from genome.tasks.lengths import check_lengths
from genome.tasks.references import check_references


def check_objectives(objectives: Sequence[Objective], base: str, engine: Mapping[str, Any]) -> None:
    """Check, before any request, that prompts leave room for answers and that references can be answered.

    GenomeError if prompts do not; a warning if some references cannot be answered.
    """
    for objective in objectives:
        task = objective.task
        check_lengths(task.name, objective.samples, base, task.max_tokens, engine.get("max_model_len"))
        doubt = check_references(objective.task, objective.samples)
        if doubt:
            log.warning("%s", doubt)


def check_answers(objectives: Sequence[Objective], records: Sequence[Mapping[str, Any]], *, stop: bool = True) -> None:
    """Warn if most of each expert's answers to a task cannot be read; with `stop`, GenomeError if none can."""
    for objective in objectives:
        task = objective.task
        found = [record for record in records if record["task"] == task.name]
        unparsed = [record for record in found if record["answer"] is None]
        by_expert: dict[str, list[bool]] = {}
        for record in found:
            by_expert.setdefault(record["individual"], []).append(record["answer"] is None)
        if not unparsed or not all(2 * sum(lost) > len(lost) for lost in by_expert.values()):
            continue
        message = _message(task, len(unparsed), len(found), unparsed)
        if stop and len(unparsed) == len(found):
            raise GenomeError(f"{message}; a search would find nothing (`unparsed: warn` in the config continues)")
        log.warning("%s", message)


def _message(task: Task, lost: int, number: int, unparsed: Sequence[Mapping[str, Any]]) -> str:
    """Return a message: how many answers cannot be read, an example, and what to change."""
    example = next((record for record in unparsed if record["response"].strip()), unparsed[0])
    response = " ".join(example["response"].split())
    response = response if len(response) <= 200 else f"{response[:80]} … {response[-119:]}"
    if task.pattern is not None:
        expected = f"{KINDS[task.kind].expected} in group 1 of the pattern {task.pattern!r}"
    elif task.kind == "program" or KINDS[task.kind].whole:
        expected = KINDS[task.kind].expected
    else:
        expected = f"{KINDS[task.kind].expected} after “Answer:” (or “the answer is”, \\boxed{{…}}, ####)"
    empty = sum(not record["response"].strip() for record in unparsed)
    empties = f", {empty} of them empty" if empty else ""
    return (
        f"task {task.name}: {lost} of {number} responses of the experts have no readable answer{empties}; "
        f"expected {expected}, and sample {example['sample']} got {response!r}; describe the form of an answer in "
        "`prompt`, match it by `pattern`, accept other forms by `fallback`, or raise "
        f"max_tokens ({task.max_tokens}) if responses are cut off"
    )
