"""A linear model of samples' residuals around a mixture: its least squares, and what they promise on other samples.

A sample with the loss L >= 0 has the residual r = sqrt(2 L), so that the sum of losses is r'r / 2. Near a mixture c0
the residuals are r(c) = r0 + J (c - c0). Minimising their squares is a Gauss-Newton step. A prior at c0, the ridge
`strength` |c - c0|^2, keeps the step short where samples say little (Levenberg 1944, Marquardt 1963).

The samples choose its strength: least squares with a ridge have leave-one-out errors in closed form, e_i / (1 - h_i),
with the error e_i and the leverage h_i of sample i (Allen 1974, PRESS). Half their mean square is the expected loss of
a sample that is not among those that were fitted. It needs no further evaluation.

>>> import numpy as np
>>> jacobian = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
>>> wanted = jacobian @ [0.5, -0.25]
>>> step, leverages = shrunk(jacobian, wanted, strength=1e-12)
>>> np.round(step, 6).tolist(), round(float(leverages.sum()), 6)
([0.5, -0.25], 2.0)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

STRENGTHS = np.logspace(-4, 4, 33)
"""Strengths of the prior that are compared, as shares of the mean squared singular value of the Jacobian."""

SMALLEST = 1e-9
"""The least share of a sample that its own fit leaves to the others."""


@dataclass(frozen=True)
class Fit:
    """The least squares of one strength.

    strength: the ridge on the squared distance from the prior
    step: from the prior, [coefficients]
    leverages: by how much each sample decides what is fitted to itself, [samples], in [0, 1)
    left_out: the residual of each sample at the fit to all others, [samples]
    """

    strength: float
    step: np.ndarray
    leverages: np.ndarray
    left_out: np.ndarray

    @property
    def expected(self) -> float:
        """The expected loss of a sample that has not been fitted (nats)."""
        return float((self.left_out**2).mean() / 2)


def residuals(losses: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the residuals of samples, sqrt(2 L), from their losses (nats)."""
    return np.sqrt(2 * np.maximum(np.asarray(losses, dtype=float), 0.0))


def jacobian(steps: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Return the Jacobian [samples, coefficients] from steps [steps, coefficients] and changes [steps, samples].

    With fewer steps than coefficients it is the one of least norm: 0 in all directions that were not tried.
    """
    return (np.linalg.pinv(steps) @ changes).T


def corrected(model: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return a Jacobian that explains a step and the change of residuals that it made (Broyden 1965).

    Of all that do, it is the nearest to `model`; a step of no length changes nothing.
    """
    length = float(step @ step)
    return model if length == 0 else model + np.outer(change - model @ step, step) / length


def shrunk(model: np.ndarray, wanted: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the step with the least |wanted - J step|^2 + strength |step|^2, and the leverages of the samples."""
    left, values, right = np.linalg.svd(model, full_matrices=False)
    kept = values**2 / (values**2 + strength)
    step = right.T @ (values / (values**2 + strength) * (left.T @ wanted))
    return step, np.einsum("ij,j,ij->i", left, kept, left)


def fit(model: np.ndarray, wanted: np.ndarray, strength: float) -> Fit:
    """Return the fit of one strength, with the leave-one-out errors of the samples."""
    step, leverages = shrunk(model, wanted, strength)
    return Fit(strength, step, leverages, (wanted - model @ step) / np.maximum(1 - leverages, SMALLEST))


def fits(model: np.ndarray, wanted: np.ndarray) -> list[Fit]:
    """Return the fits of rising strengths; none if no coefficient changes any residual."""
    scale = float((model**2).sum()) / model.shape[1]
    return [fit(model, wanted, float(share * scale)) for share in STRENGTHS] if scale > 0 else []


def expected_losses(found: np.ndarray, leverages: np.ndarray) -> np.ndarray:
    """Return what losses that a fit has reached would be on other samples: its residuals are too small by 1 - h."""
    return (residuals(found) / np.maximum(1 - leverages, SMALLEST)) ** 2 / 2


def standard_errors_better(before: np.ndarray, after: np.ndarray) -> float:
    """Return by how many standard errors the losses of the same samples have fallen; at most by those of all samples.

    >>> round(standard_errors_better(np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 1.5])), 2)
    3.46
    """
    gains = np.asarray(before) - np.asarray(after)
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    mean = float(gains.mean())
    if error == 0:
        return math.inf if mean > 0 else 0.0
    return mean / error


class Point(NamedTuple):
    """A mixture and the losses of one draw's samples (nats), with the leverages of the fit that has proposed it.

    Without leverages, nothing has been fitted to these samples.
    """

    coefficients: tuple[float, ...]
    losses: tuple[float, ...]
    leverages: tuple[float, ...] = ()

    @property
    def place(self) -> np.ndarray:
        """The coefficients as an array."""
        return np.array(self.coefficients)

    @property
    def expected(self) -> np.ndarray:
        """The loss of each sample as it would be if it had not been fitted."""
        return expected_losses(np.array(self.losses), np.array(self.leverages or (0.0,) * len(self.losses)))


class Draw(NamedTuple):
    """The points of one draw of samples: a centre, probes of one direction each around it, and all others."""

    centre: Point
    probes: tuple[Point, ...]
    others: tuple[Point, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """All points."""
        return (self.centre, *self.probes, *self.others)


def linear_model(draw: Draw, anchor: Point) -> np.ndarray:
    """Return the Jacobian of a draw's residuals at one of its points, [samples, coefficients].

    It is that of the probes, corrected by the secants from the anchor to all other points: the nearest hold best.
    """
    at_centre = residuals(draw.centre.losses)
    steps = np.array([each.place - draw.centre.place for each in draw.probes])
    changes = np.array([residuals(each.losses) - at_centre for each in draw.probes])
    model = jacobian(steps, changes)
    tried = sorted(
        (each for each in (draw.centre, *draw.others) if each != anchor),
        key=lambda each: -float(np.linalg.norm(each.place - anchor.place)),
    )
    for each in tried:  # what is corrected last holds exactly
        model = corrected(model, each.place - anchor.place, residuals(each.losses) - residuals(anchor.losses))
    return model
