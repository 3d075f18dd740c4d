"""The likelihood of right answers: what `objective: likelihood` maximises, from the responses of models.

The likelihood of a sample with options (a choice, a label) is the probability of the right one, the softmax over the
scores of all options (`genome.tasks.likelihood`), after calibration if that is asked for. The likelihood of any other
sample is the exponential of the mean log-probability per token of the right response. That of a task is the geometric
mean over its samples, exp(mean log p), in (0, 1].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genome.errors import GenomeError
from genome.scoring.calibration import Calibration, fit, log_probabilities
from genome.tasks import Task
from genome.tasks.likelihood import LIKELIHOOD, Likelihoods, option_scores, read, written

Sample = Mapping[str, Any]

LOWEST = -700.0
"""The lowest log-probability of a sample: its exponential, and so any fitness, is still above 0."""


@dataclass(frozen=True)
class Judged:
    """The likelihoods of one model's right answers to a task's samples, and its answers.

    log_p: the log-likelihood (nats) of each sample, at most 0
    losses: the loss (nats) of each sample, at least 0: -log_p, or, of a sample with options whose answers are
        generated, -log p per token of the right option alone. A model may find this option the most likely and yet
        respond with none of them.
    answers: the most likely option of each sample; None for samples without options
    calibration: what was fitted; None if nothing was
    """

    log_p: tuple[float, ...]
    losses: tuple[float, ...]
    answers: tuple[str | None, ...]
    calibration: Calibration | None = None


def judge_likelihoods(
    task: Task, samples: Sequence[Sample], responses: Sequence[str], *, calibrated: bool = False
) -> Judged:
    """Return the likelihoods in one model's responses; with `calibrated`, after a calibration fitted to them."""
    found = [_read(task, sample, response) for sample, response in zip(samples, responses, strict=True)]
    log_p = [each.log_likelihood[0] / each.tokens[0] for each in found]
    answers: list[str | None] = [None] * len(samples)
    compared = [place for place, sample in enumerate(samples) if has_options(task, sample)]
    calibration = None
    if compared:
        names = [found[place].options for place in compared]
        scores = score_matrix([option_scores(found[place], task.likelihood_per) for place in compared])
        right = [names[row].index(right_option(task, samples[place])) for row, place in enumerate(compared)]
        if calibrated:
            calibration = fit(scores, right, labels=list(task.labels) if task.kind == "label" else ())
        logs = log_probabilities(scores, calibration or Calibration())
        for row, place in enumerate(compared):
            log_p[place] = float(logs[row, right[row]])
            best = names[row][int(logs[row].argmax())]
            answers[place] = task.labels[best] if task.kind == "label" else best
    logs_of_right = [min(0.0, max(LOWEST, each)) for each in log_p]
    losses = [-each for each in logs_of_right]
    if task.answer_by != LIKELIHOOD:
        for place in compared:
            position = found[place].options.index(right_option(task, samples[place]))
            losses[place] = max(0.0, -found[place].log_likelihood[position] / found[place].tokens[position])
    return Judged(tuple(logs_of_right), tuple(losses), tuple(answers), calibration)


def calibrated_response(response: str, per: str, calibration: Calibration) -> str:
    """Return a response of likelihoods whose scores, compared `per` option, token, …, are those after calibration."""
    found = read(response)
    if found is None:
        return response
    ones = Likelihoods(found.options, (1.0,) * len(found.options), found.tokens, found.characters, found.bytes)
    units = option_scores(ones, per).values()  # a score per nat
    scores = option_scores(found, per).values()
    biases = calibration.biases or (0.0,) * len(found.options)
    changed = [
        (score / calibration.temperature + bias) / unit for score, bias, unit in zip(scores, biases, units, strict=True)
    ]
    return written(replace(found, log_likelihood=tuple(changed), neutral=None))


def has_options(task: Task, sample: Sample) -> bool:
    """Tell whether a sample's answer is one of given options."""
    return task.kind == "label" or bool(sample.get("options"))


def right_option(task: Task, sample: Sample) -> str:
    """Return the right option of a sample: a letter, or a label that has none."""
    if task.kind != "label":
        return sample["reference"]
    return next(letter for letter, label in task.labels.items() if label == sample["reference"])


def score_matrix(scores: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Return the scores of samples' options as `[sample, option]`, with -inf behind those of samples with fewer."""
    matrix = np.full((len(scores), max(map(len, scores))), -np.inf)
    for row, each in zip(matrix, scores, strict=True):
        row[: len(each)] = list(each.values())
    return matrix


def _read(task: Task, sample: Sample, response: str) -> Likelihoods:
    found = read(response)
    if found is None:
        raise GenomeError(f"task {task.name}, sample {sample['id']}: no likelihoods in {response[:60]!r}")
    return found
