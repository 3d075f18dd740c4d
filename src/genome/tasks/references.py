"""Checks that a task's references, given as answers, are read as themselves and score 1.

If they are not, no model can be correct, and a search has nothing to select on.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from genome.errors import GenomeError
from genome.tasks.extraction import find_pattern
from genome.tasks.kinds import KINDS
from genome.tasks.likelihood import LIKELIHOOD
from genome.tasks.scoring import extract
from genome.tasks.task import HARNESS, Task

Sample = Mapping[str, Any]

_FORMS = ("Answer: {}", "{}", "#### {}", "\\boxed{{{}}}", "The answer is {}.", "<answer>{}</answer>")
"""Forms of an answer in a response to a task with its own pattern; without a pattern, only the first is used."""


RIGHT = "right response"
"""The name of the only continuation of a sample without options."""


def read_references(task: Task, samples: Sequence[Sample]) -> None:
    """Raise GenomeError if no reference at all is read as itself, in any form of a response."""
    kind = KINDS[task.kind]
    lost = []
    for sample in samples:
        texts = _texts(task, sample)
        answers = [kind.read(task, sample, text) for text in texts]
        if not texts or any(_is_right(task, sample, answer) for answer in answers):
            return
        lost.append((sample["id"], texts[0], answers[0]))
    _refuse(task, lost)


def check_references(task: Task, samples: Sequence[Sample]) -> str | None:
    """Return a warning about references that are not extracted from a response with that answer; None if all are.

    GenomeError if no reference is extracted. A task whose pattern matches none of the usual forms requires a special
    form and is not checked.
    """
    if task.answer_by == LIKELIHOOD:  # the reference is one of the options
        return None
    lost = []
    for sample in samples:
        texts = [form.format(text) for text in _texts(task, sample) for form in _FORMS[: None if task.pattern else 1]]
        answers = {text: extract(task, sample, text) for text in texts}
        found = [text for text in texts if task.pattern is None or find_pattern(task.pattern, text)]
        if found and not any(_is_right(task, sample, answer) for answer in answers.values()):
            lost.append((sample["id"], found[0], answers[found[0]]))
    if not lost:
        return None
    if len(lost) == len(samples):
        _refuse(task, lost)
    return f"task {task.name}: {len(lost)} of {len(samples)} references can never be answered; {_example(lost[0])}"


def right_response(task: Task, sample: Sample) -> str | None:
    """Return the shortest response from which a sample's reference is read; None if there is none."""
    return next(right_responses(task, sample), None)


def right_responses(task: Task, sample: Sample) -> Iterator[str]:
    """Yield the responses from which a sample's reference is read, the shortest first; an option's letter before it.

    Without a pattern, an answer is announced, and a program is a fenced block.
    """
    if task.kind == "program":
        code = sample["reference"]
        yield from [] if code is None else [code if task.pattern else f"```python\n{code}\n```"]
        return
    forms = ("{}", *_FORMS) if task.pattern else _FORMS[:1]
    texts = (form.format(text) for form in forms for text in _texts(task, sample))
    yield from (text for text in texts if _is_right(task, sample, extract(task, sample, text)))


def right_text(task: Task, sample: Sample) -> str | None:
    """Return the shortest text of a sample's reference that is read as the answer it is; None if there is none."""
    read = KINDS[task.kind].read
    return next((text for text in _texts(task, sample) if _is_right(task, sample, read(task, sample, text))), None)


def _refuse(task: Task, lost: Sequence[tuple[str, str, str | None]]) -> None:
    own = f"kind {task.kind!r}" + (f" with the pattern {task.pattern!r}" if task.pattern else "")
    raise GenomeError(
        f"task {task.name}: none of the {len(lost)} references can ever be answered by {own}; {_example(lost[0])}; "
        f"correct `reference`, `kind`{', `pattern`' if task.pattern else ''} or the options"
    )


def _example(lost: tuple[str, str, str | None]) -> str:
    name, response, answer = lost
    response = response if len(response) <= 100 else response[:99] + "…"
    read = "be unparsed" if answer is None else f"be read as {answer!r}"
    return f"in row {name}, the response {response!r} would {read}"


def _texts(task: Task, sample: Sample) -> list[str]:
    """Return the texts by which a response may give a sample's reference; none for programs and the harness's tasks."""
    reference = sample["reference"]
    if task.kind in ("program", HARNESS):
        return []
    if task.kind == "label":
        return [reference, *(letter for letter, label in task.labels.items() if label == reference)]
    if reference_options := sample.get("options"):
        return [reference, reference_options[reference]]
    if isinstance(reference, list):
        return [gold if isinstance(gold, str) else ", ".join(gold) for gold in reference]
    if task.kind in ("number", "math", "text"):
        return [reference, *_decimal(reference)]
    return [reference]


def _decimal(reference: str) -> list[str]:
    """Return a fraction as a decimal, which a pattern may require."""
    above, _, below = reference.partition("/")
    if not (below.isdigit() and above.removeprefix("-").isdigit() and int(below)):
        return []
    return [str(float(Fraction(reference)))]


def _is_right(task: Task, sample: Sample, answer: str | None) -> bool:
    if answer is None:
        return False
    # A reference is already canonical, so math-verify is not needed; and the BLEU of a short sentence and itself is
    # below 1.
    if task.kind in ("math", "translation"):
        return answer in (sample["reference"] if isinstance(sample["reference"], list) else [sample["reference"]])
    return KINDS[task.kind].score(task, [(sample, answer)]) == [1.0]
