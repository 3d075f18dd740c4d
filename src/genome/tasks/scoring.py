"""From responses to scores, using only the file of samples that `genome.tasks.prompts` wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.limits import OverLimitError, limited
from genome.tasks import metrics
from genome.tasks.announced import announced, concluded
from genome.tasks.extraction import FALLBACKS, find_pattern
from genome.tasks.kinds import KINDS
from genome.tasks.likelihood import LIKELIHOOD, most_likely
from genome.tasks.task import Task
from genome.tasks.thinking import spoken

Sample = Mapping[str, Any]


@dataclass(frozen=True)
class Scores:
    """Scores of one model's answers: the metric and each sample's score, all in [0, 1], and the number of unparsed.

    Of likelihoods, `losses` has the loss of each sample in nats.
    """

    value: float
    scores: tuple[float, ...]
    unparsed: int
    losses: tuple[float, ...] = ()

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.scores)


def for_base(task: Task, base: Path | str) -> Task:
    """Return `task` as it is scored for the base model in folder `base`, whose tokenizer may split texts for BLEU.

    Only a task with the tokenizer `base` is changed.
    """
    if task.tokenizer != metrics.BASE:
        return task
    path = Path(base) / "tokenizer.json"
    if not path.is_file():
        raise GenomeError(
            f"task {task.name}: tokenizer {metrics.BASE!r} needs {path}, which is missing; "
            f"set the task's tokenizer to one of {', '.join(metrics.TOKENIZERS)}"
        )
    return replace(task, tokenizer=str(path))


def extract(task: Task, sample: Sample, response: str) -> str | None:
    """Return the answer in `response`, in canonical form; None means unparsed: wrong, counted, never guessed.

    Only what the model says after its thinking is read. If a task has its own `pattern`, only that is used. Its
    `fallback`, if any, is used for a response without the usual forms. If the task is answered by likelihood, the
    response is the options' likelihoods.
    """
    if task.answer_by == LIKELIHOOD:
        return _most_likely(task, sample, response)
    kind = KINDS[task.kind]
    if kind.whole:
        return kind.read(task, sample, response)
    said = spoken(response, begun=bool(sample.get("thinking")))
    if said is None:
        return None
    if task.pattern is None and kind.settle is not None:
        statements = announced(said)
        alone = task.fallback == "line"
        found = kind.settle(task, sample, statements or concluded(said, sure=kind.sentences, alone=alone))
        if statements or found:
            return found
    text = kind.find(said) if task.pattern is None else _find_own(task, task.pattern, said)
    if text is None and task.fallback is not None:
        text = FALLBACKS[task.fallback](said)
    return None if text is None else kind.read(task, sample, text)


def _most_likely(task: Task, sample: Sample, response: str) -> str | None:
    """Return the option that is the most likely continuation of the prompt."""
    if task.kind == "label":
        letter = most_likely(response, task.labels, task.likelihood_per)
        return None if letter is None else task.labels[letter]
    return most_likely(response, sample["options"], task.likelihood_per)


def _find_own(task: Task, pattern: str, response: str) -> str | None:
    """Return the match of the task's own pattern; GenomeError if it backtracks without end."""
    try:
        with limited(memory=None):
            return find_pattern(pattern, response)
    except OverLimitError as error:
        raise GenomeError(
            f"task {task.name}: pattern {pattern!r} {error} on the response {response[:60]!r} of {len(response)} "
            "characters; write it without a repeat inside a repeat"
        ) from error


def judge(task: Task, samples: Sequence[Sample], answers_by_model: Sequence[Sequence[str | None]]) -> list[Scores]:
    """Return the scores of every model, each with one answer per sample.

    All models are judged together: an answer that several models give to a sample is scored once.
    """
    wanted = list(
        dict.fromkeys(
            (index, answer)
            for answers in answers_by_model
            for index, answer in enumerate(answers)
            if answer is not None
        )
    )
    found = KINDS[task.kind].score(task, [(samples[index], answer) for index, answer in wanted]) if wanted else []
    scores: dict[tuple[int, str | None], float] = dict(zip(wanted, found, strict=True))
    judged = []
    for answers in answers_by_model:
        each = tuple(
            scores.get((index, answer), 0.0) for index, answer in zip(range(len(samples)), answers, strict=True)
        )
        value = metrics.evaluate(task, samples, answers, each)
        judged.append(Scores(value=value, scores=each, unparsed=sum(answer is None for answer in answers)))
    return judged


def standard_error(
    task: Task, samples: Sequence[Sample], answers: Sequence[str | None], judged: Scores | None = None
) -> float:
    """Return the standard error of one model's metric; with `judged`, the answers are not scored again."""
    judged = judged or judge(task, samples, [answers])[0]
    return metrics.standard_error(task, samples, answers, judged.scores)


def extra_results(task: Task, samples: Sequence[Sample], answers: Sequence[str | None]) -> dict[str, float | str]:
    """Return additional results of one model's answers, which are reported but never used for selection.

    They are `f1` for spans, whose metric is exact match, and sacrebleu's `signature` for translations.
    """
    found = KINDS[task.kind].beside
    return {} if found is None else found(task, samples, answers)


def parts(task: Task, samples: Sequence[Sample], answers: Sequence[str | None]) -> list[dict[str, list]]:
    """Return each sample's `parts` of a metric that is not a mean, which `answers.jsonl` stores with its score."""
    found = metrics.parts(task, samples, answers)
    return [{} for _ in samples] if found is None else [{"parts": each} for each in found]
