"""The likelihood of a right answer behind a model's own working, of tasks whose references are only the end of that.

The model responds as usual. Its response is cut where its answer begins, and the right answer is scored in that place,
with the end of the turn. A response without an answer is continued by a last line "Answer:".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genome.engine.client import Engine
from genome.engine.messages import ScoreRequest
from genome.limits import limited
from genome.tasks import KINDS, Task
from genome.tasks.continuations import likelihoods_of
from genome.tasks.extraction import find_pattern
from genome.tasks.likelihood import written
from genome.tasks.references import RIGHT

Sample = Mapping[str, Any]

ANNOUNCED = "\nAnswer:"


def behind_working(
    engine: Engine,
    adapters: Sequence[Path],
    task: Task,
    samples: Sequence[Sample],
    responses: Sequence[Sequence[str]],
    tokenizer: Any,
) -> list[list[str]]:
    """Return the likelihoods of the right answers behind each adapter's `responses` to the samples, as responses.

    The adapters are being served.
    """
    pairs = [
        [placed(task, sample, response, tokenizer) for sample, response in zip(samples, by_model, strict=True)]
        for by_model in responses
    ]
    found = engine.score(
        [
            ScoreRequest(folder.name, [start for start, _ in by_model], [[answer] for _, answer in by_model])
            for folder, by_model in zip(adapters, pairs, strict=True)
        ]
    )
    return [
        [_response(sample, answer, scores) for sample, (_, answer), scores in zip(samples, by_model, rows, strict=True)]
        for by_model, rows in zip(pairs, found, strict=True)
    ]


def placed(task: Task, sample: Sample, response: str, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the tokens of the prompt with the working, and those of the right answer behind it."""
    working = working_of(task, response)
    start = (response.rstrip() + ANNOUNCED) if working is None else working.rstrip()
    space = " " if working is None else working[len(start) :]
    ids = _tokens(tokenizer, start)
    answer = _tokens(tokenizer, start + space + sample["expected"])[len(ids) :]
    end = [*answer, *sample["end"]]
    # A response that was cut off leaves no room in the model's context: its last tokens make room for the answer.
    room = max(0, task.max_tokens - len(end))
    if working is None and len(ids) > room:
        announced = _tokens(tokenizer, ANNOUNCED)
        ids = [*ids[: max(0, room - len(announced))], *announced]
    return [*sample["tokens"], *ids[:room]], end


def working_of(task: Task, response: str) -> str | None:
    """Return a response up to where its answer begins; None if it has no answer.

    >>> from genome.tasks import parse_task
    >>> task = parse_task("t", {"kind": "number", "source": {"path": "x"}, "prompt": "p", "reference": "r"})
    >>> working_of(task, "2 and 3 are 5, so.\\nAnswer: 5")
    '2 and 3 are 5, so.\\nAnswer: '
    """
    if task.pattern is None:
        answer = KINDS[task.kind].find(response)
    else:
        with limited(memory=None):
            answer = find_pattern(task.pattern, response)
    place = response.rfind(answer) if answer else -1
    return None if place < 0 else response[:place]


def _tokens(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids) if text else []


def _response(sample: Sample, answer: Sequence[int], scores: Sequence[Sequence[float]]) -> str:
    text = sample["expected"]
    option = {"option": RIGHT, "tokens": answer, "characters": len(text), "bytes": len(text.encode())}
    return written(likelihoods_of({"continuations": [option]}, scores, None))
