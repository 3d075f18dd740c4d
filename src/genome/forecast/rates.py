"""How fast an engine is: seconds = a * prompt tokens + b * response tokens + c * steps, fitted to what was measured.

A step adds a token to each response of a batch, and costs c + b * width: a few responses at once cost more per token
than many. A rate is used only about where it was measured: one of a letter says nothing about a page, and one of many
responses at once nothing about a few, because it hardly shows what a step costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf

import numpy as np

from genome.errors import GenomeError

REACH = 2.0
"""Responses may be this many times longer or shorter, on average, than those that a rate was fitted to.

As many times fewer may be written at a time.
"""

TOKENS_OF_A_STEP = 50
"""What a step is assumed to cost, in prompt tokens, in addition to its response tokens.

A step reads all weights from memory, which takes as long as computing tens of tokens on processors, and more on GPUs.
"""

SLIGHT = 0.01
"""How much the fit weighs what is assumed, so that it decides only where records cannot."""


@dataclass(frozen=True)
class Work:
    """What an engine is asked for: samples, their tokens, and the steps in which responses are written."""

    samples: float
    prompt_tokens: float
    response_tokens: float
    steps: float

    @property
    def length(self) -> float:
        """Response tokens per sample. A prompt that is only read takes a step, as a response of one token does."""
        return max(1, self.response_tokens / self.samples)

    @property
    def width(self) -> float | None:
        """How many responses are written at a time, on average; None if none are written."""
        return self.response_tokens / self.steps if self.response_tokens and self.steps else None


@dataclass(frozen=True)
class Observation(Work):
    """What an engine did in `seconds` of its time."""

    seconds: float


@dataclass(frozen=True)
class Rate:
    """Seconds per prompt token, response token and step.

    It was measured with responses of `shortest` to `longest` tokens on average, `narrowest` or more of them at a time.
    """

    per_prompt_token: float
    per_response_token: float
    per_step: float
    source: str
    shortest: float = 0
    longest: float = inf
    narrowest: float = 0

    def seconds(self, work: Work) -> float | None:
        """Return how long the engine needs; None if nothing like it has been measured."""
        if not work.samples:
            return 0
        if not self.shortest / REACH <= work.length <= self.longest * REACH:
            return None
        if work.width is not None and work.width < self.narrowest / REACH:
            return None
        of_tokens = work.prompt_tokens * self.per_prompt_token + work.response_tokens * self.per_response_token
        return of_tokens + work.steps * self.per_step


def fitted(observations: Sequence[Observation], source: str) -> Rate | None:
    """Return the rate of observations; None if there are none.

    Coefficients are fitted by non-negative least squares. The network computes a response token as it does a prompt
    token, so that b is a or more. Records of one kind of work cannot tell coefficients apart: b is then a, and c as
    many times a as TOKENS_OF_A_STEP. Residuals are divided by the number of tokens, so that large jobs do not decide
    alone, and the coefficients then multiplied by what makes the total time of the observations right.
    """
    used = [each for each in observations if each.prompt_tokens and each.seconds]
    if not used:
        return None
    tokens = np.array([each.prompt_tokens + each.response_tokens for each in used])
    more = np.array([each.response_tokens for each in used])
    work = np.stack([tokens, more, [each.steps for each in used]], axis=1)
    seconds = np.array([each.seconds for each in used])
    relative = work / tokens[:, None]
    _, of_more, of_steps = SLIGHT * np.linalg.norm(relative, axis=0)
    assumed = [0, of_more, 0], [-TOKENS_OF_A_STEP * of_steps, 0, of_steps]
    found = not_negative(np.vstack([relative, assumed]), np.array([*(seconds / tokens), 0, 0]))
    read, added, step = map(float, found * seconds.sum() / (work @ found).sum())
    lengths = [each.length for each in used]
    narrowest = min((each.width for each in used if each.width is not None), default=0)
    return Rate(read, read + added, step, source, min(lengths), max(lengths), narrowest)


def not_negative(matrix: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the non-negative x that minimises |matrix x - wanted|, for a matrix of few columns.

    It is the least squares solution over some of the columns. `scipy.optimize.nnls` would take each start of a run a
    second to import.
    """
    best, least = np.zeros(matrix.shape[1]), float(np.linalg.norm(wanted))
    for number in range(1, len(best) + 1):
        for columns in map(list, combinations(range(len(best)), number)):
            found = np.linalg.lstsq(matrix[:, columns], wanted, rcond=None)[0]
            distance = float(np.linalg.norm(matrix[:, columns] @ found - wanted))
            if (found >= 0).all() and distance < least:
                best, least = np.zeros_like(best), distance
                best[columns] = found
    return best


def given_rate(text: str) -> Rate:
    """Return the rate that a user gives as tokens per second of prompts and of responses: `350,100`."""
    try:
        prompt, response = (float(part) for part in text.split(","))
    except ValueError:
        prompt = response = 0
    if not (0 < prompt < inf and 0 < response < inf):
        raise GenomeError(
            f"--tokens-per-second {text}: expected two numbers above 0, of prompt and response tokens, such as 350,100"
        )
    return Rate(1 / prompt, 1 / response, 0, "as given")
