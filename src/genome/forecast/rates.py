"""How fast an engine is: seconds = a * prompt tokens + b * response tokens, fitted to what was measured.

A rate is used only about where it was measured. Reading a prompt and writing a response cost differently, and how much
depends on how many responses are written at once, so a rate of one letter says nothing about a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from genome.errors import GenomeError

REACH = 2.0
"""Responses may be this many times longer or shorter, on average, than those that a rate was fitted to."""


@dataclass(frozen=True)
class Observation:
    """What an engine did in `seconds` of its time."""

    samples: float
    prompt_tokens: float
    response_tokens: float
    seconds: float

    @property
    def length(self) -> float:
        """Response tokens per sample. A prompt that is only read takes a step, as a response of one token does."""
        return response_length(self.samples, self.response_tokens)


@dataclass(frozen=True)
class Rate:
    """Seconds per prompt token and per response token, for responses of `shortest` to `longest` tokens on average."""

    per_prompt_token: float
    per_response_token: float
    source: str
    shortest: float = 0
    longest: float = inf

    def seconds(self, samples: float, prompt_tokens: float, response_tokens: float) -> float | None:
        """Return how long the engine needs; None if such lengths of responses have not been measured."""
        if not samples:
            return 0
        length = response_length(samples, response_tokens)
        if not self.shortest / REACH <= length <= self.longest * REACH:
            return None
        return prompt_tokens * self.per_prompt_token + response_tokens * self.per_response_token


def response_length(samples: float, response_tokens: float) -> float:
    """Return the mean number of response tokens of a sample, at least one."""
    return max(1, response_tokens / samples)


def fitted(observations: Sequence[Observation], source: str) -> Rate | None:
    """Return the rate of observations; None if there are none.

    Coefficients are fitted by non-negative least squares. Squared residuals are divided by the number of tokens: the
    residuals then sum up to zero, so that the total time of the observations is met.
    """
    used = [each for each in observations if each.prompt_tokens and each.seconds]
    if not used:
        return None
    # Slow to import, and most starts of a run have nothing to fit.
    import numpy as np
    from scipy.optimize import nnls

    tokens = np.array([(each.prompt_tokens, each.response_tokens) for each in used], dtype=float)
    weights = 1 / np.sqrt(tokens.sum(axis=1))
    coefficients, _ = nnls(weights[:, None] * tokens, weights * [each.seconds for each in used])
    lengths = [each.length for each in used]
    return Rate(float(coefficients[0]), float(coefficients[1]), source, min(lengths), max(lengths))


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
    return Rate(1 / prompt, 1 / response, "as given")
