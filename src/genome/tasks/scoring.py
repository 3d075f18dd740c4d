"""From responses to scores. All it needs is the samples' file that `genome.tasks.prompts` wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genome.tasks import metrics
from genome.tasks.extraction import find_pattern
from genome.tasks.kinds import KINDS
from genome.tasks.task import Task

Sample = Mapping[str, Any]


@dataclass(frozen=True)
class Scores:
    """What one model's answers are worth: the metric and each sample's score, all in [0, 1], and what had no answer."""

    value: float
    scores: tuple[float, ...]
    unparsed: int

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.scores)


def extract(task: Task, sample: Sample, response: str) -> str | None:
    """Return the answer that `response` gives, in canonical form; None means unparsed: wrong, counted, never guessed.

    A task's own `pattern` is the only place that is looked at, where there is one.
    """
    kind = KINDS[task.kind]
    text = kind.find(response) if task.pattern is None else find_pattern(task.pattern, response)
    return None if text is None else kind.read(task, sample, text)


def judge(task: Task, samples: Sequence[Sample], answers_by_model: Sequence[Sequence[str | None]]) -> list[Scores]:
    """Return the scores of every model, each with one answer a sample.

    All models are judged together: an answer that several of them give to a sample is scored once.
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
    scores = dict(zip(wanted, found, strict=True))
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
    """Return the standard error of one model's metric; `judged` saves scoring the answers again."""
    judged = judged or judge(task, samples, [answers])[0]
    return metrics.standard_error(task, samples, answers, judged.scores)
