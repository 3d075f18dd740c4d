"""What a server's answers have cost: prompts, tokens, and the steps in which responses were written.

A step adds a token to each response of a batch. Its cost hardly depends on their number as long as they are few, so
that tokens alone do not say how long an engine works. The built-in server writes the responses to one request in one
batch, or in a few if they do not fit into memory, and reports batches and steps. Other servers write the responses to
all requests that wait together and report nothing: steps are estimated.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

TOKENS = ("prompt_tokens", "response_tokens")
"""Tokens that an engine reads, and that it generates."""

USAGE = ("samples", *TOKENS, "batches", "steps")
"""Answered prompts; tokens as the server counts them (a scored continuation is part of the prompt); batches and steps.
"""

AT_ONCE = 256
"""Most responses that vLLM writes at a time by default (`--max-num-seqs`)."""


def used(answers: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Return what the answers to requests have cost that were sent together."""
    reported = [answer["usage"] for answer in answers]
    tokens = sum(usage["completion_tokens"] for usage in reported)
    if all("steps" in usage for usage in reported):
        batches, steps = (sum(usage[name] for usage in reported) for name in ("batches", "steps"))
    else:
        batches, steps = 1, max(math.ceil(tokens / AT_ONCE), *map(_longest, answers))
    return Counter(
        samples=sum(len(answer["choices"]) for answer in answers),
        prompt_tokens=sum(usage["prompt_tokens"] for usage in reported),
        response_tokens=tokens,
        batches=batches,
        steps=steps,
    )


def _longest(answer: Mapping[str, Any]) -> int:
    """Estimate the tokens of the longest response from the lengths of texts and the tokens of all responses."""
    lengths = [len(choice["text"]) + 1 for choice in answer["choices"]]  # 1: the end token
    return math.ceil(answer["usage"]["completion_tokens"] * max(lengths) / sum(lengths))
