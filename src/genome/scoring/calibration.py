"""Calibration of options' scores: a temperature and, for labels, a bias per label, fitted on validation samples.

A model may rank options well and still be too sure, too unsure, or biased towards a label, and the likelihood of the
right options then measures that instead of what it knows. Calibrated probabilities are softmax(s / T + b), with the
scores s of a sample's options in nats (temperature: Guo et al. 2017, arXiv 1706.04599; a bias per label: Zhao et al.
2021, arXiv 2102.09690, fitted here to the right labels). A temperature changes no answer, a bias may.

>>> import numpy as np
>>> scores = np.array([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 0.0]])
>>> fitted = fit(scores, [0, 0, 1, 1], labels=["joy", "anger"])
>>> round(float(np.exp(log_probabilities(scores, fitted))[0, 0]), 1)
0.5
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genome import fields
from genome.files import REMAKE, read_json, write_json

COLDEST, HOTTEST = 0.05, 20.0
"""The range of temperatures: if all samples are right, colder is always better."""

SPREAD = 1.0
"""The standard deviation, in nats, of the prior on biases: few samples of a label move its bias little."""


@dataclass(frozen=True)
class Calibration:
    """What scores are divided by, and what is then added to those of each label; no biases: options have no labels."""

    temperature: float = 1.0
    biases: tuple[float, ...] = ()


def write_calibrations(path: Path | str, calibrations: Mapping[str, Mapping[str, Calibration]]) -> None:
    """Write the calibrations of individuals by task."""
    write_json(
        path, {name: {task: asdict(each) for task, each in by_task.items()} for name, by_task in calibrations.items()}
    )


def read_calibrations(path: Path | str) -> dict[str, dict[str, Calibration]]:
    """Return the calibrations of individuals by task; GenomeError names what is wrong in the file."""
    value = read_json(path, REMAKE)
    with fields.reading(path):
        return {
            name: {task: _read(each, f"{name}, {task}") for task, each in fields.mapping(by_task, name).items()}
            for name, by_task in fields.mapping(value, "it").items()
        }


def _read(value: Any, place: str) -> Calibration:
    given = fields.mapping(value, place)
    temperature = fields.number(given["temperature"], f"{place}, temperature")
    if temperature <= 0:
        raise fields.UnexpectedError(f"{place}, temperature: expected a number above 0, found {temperature}")
    biases = (fields.number(each, f"{place}, biases") for each in fields.sequence(given["biases"], f"{place}, biases"))
    return Calibration(temperature, tuple(biases))


def log_probabilities(scores: np.ndarray, calibration: Calibration = Calibration()) -> np.ndarray:
    """Return the logarithms of softmax(s / T + b), `[sample, option]`, for scores `[sample, option]` in nats.

    Samples with fewer options than others have scores of -inf in the places that they do not use.
    """
    logits = scores / calibration.temperature
    if calibration.biases:
        logits = logits + np.array(calibration.biases)
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def negative_log_likelihood(
    scores: np.ndarray,
    right: Sequence[int],
    calibration: Calibration = Calibration(),
) -> float:
    """Return the mean negative log-probability (nats) of the right options, given by their positions."""
    return -float(log_probabilities(scores, calibration)[np.arange(len(right)), list(right)].mean())


def fit(scores: np.ndarray, right: Sequence[int], *, labels: Sequence[str] = ()) -> Calibration:
    """Return the calibration of scores `[sample, option]` whose right options have the least negative log-likelihood.

    With `labels`, the names of the options in their order, each has a bias. A calibration that does not improve on none
    is none.
    """
    temperature = Calibration(_temperature(scores, right))
    candidates = [Calibration(), temperature]
    if labels:
        candidates.append(_with_biases(scores, right, temperature))
    # `min` keeps the first of equal ones, so the identity stays where nothing is gained.
    return min(candidates, key=lambda each: negative_log_likelihood(scores, right, each))


def _temperature(scores: np.ndarray, right: Sequence[int]) -> float:
    """Return the best temperature: the loss is convex in its reciprocal, so it has one minimum."""
    from scipy.optimize import minimize_scalar  # only here, because it takes a second of every job that imports it

    found = minimize_scalar(
        lambda log: negative_log_likelihood(scores, right, Calibration(float(np.exp(log)))),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def _with_biases(scores: np.ndarray, right: Sequence[int], start: Calibration) -> Calibration:
    """Return temperature and biases: a multinomial regression on the scores, with the prior on the biases."""
    from scipy.optimize import minimize

    n, options = scores.shape
    used = np.isfinite(scores)
    finite = np.where(used, scores, 0.0)
    hits = np.zeros_like(finite)
    hits[np.arange(n), list(right)] = 1.0

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the penalised loss at (1 / T, b) and its gradient."""
        logits = np.where(used, point[0] * finite + point[1:], -np.inf)
        logits = logits - logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        excess = (np.exp(logs) - hits) / n
        penalty = (point[1:] ** 2).sum() / (2 * SPREAD**2 * n)
        gradient = np.append((excess * finite).sum(), excess.sum(axis=0) + point[1:] / (SPREAD**2 * n))
        return -float(logs[np.arange(n), list(right)].mean()) + penalty, gradient

    found = minimize(
        loss,
        np.append(1 / start.temperature, np.zeros(options)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(1 / HOTTEST, 1 / COLDEST), *[(None, None)] * options],
    )
    return Calibration(1 / float(found.x[0]), tuple(map(float, found.x[1:])))
