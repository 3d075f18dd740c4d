"""What clients and servers of an engine exchange: vLLM's part of OpenAI's protocol, and separate addresses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from genome.engine.fingerprint import Fingerprint

BASE = "base"
"""The name of the plain base model in requests of callers."""

COMPLETIONS, CONTINUATIONS, FUSED = "/v1/completions", "/v1/continuations", "/v1/fused"
"""Addresses of texts, of the log-probabilities of continuations, and of texts by several adapters together.

Only the built-in server has the second and the third.
"""

BATCH_SIZE, BATCH_TOKENS = 256, 32768
"""Prompts per request, and most tokens of a batch of the built-in server, with padding and answers, by default."""

BUILT_IN = "transformers"
"""The backend in the fingerprint of the built-in server."""

LOAD = "/v1/load_lora_adapter"
"""The address at which an adapter gets a name."""

TOO_SLOW = 408
"""The status with which a server refuses a request that arrived too slowly: this process was stopped for a while."""


@dataclass(frozen=True)
class Address:
    """Where an engine listens, its key, its log (None: not accessible), its machine and its fingerprint."""

    url: str
    key: str
    log: Path | None
    machine: str
    fingerprint: Fingerprint = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """Prompts (token ids) for one model (an adapter's name, or "base"), with answers of at most `max_tokens` each.

    An answer is cut before the text in `stop` that is complete first.
    """

    model: str
    prompts: Sequence[Sequence[int]]
    max_tokens: int
    stop: Sequence[str] = ()


@dataclass(frozen=True)
class ScoreRequest:
    """Prompts (token ids) for one model, each with its continuations (token ids) whose log-probabilities are wanted."""

    model: str
    prompts: Sequence[Sequence[int]]
    continuations: Sequence[Sequence[Sequence[int]]]


def greedy(model: str, prompts: Sequence[Sequence[int]], max_tokens: int, **others: Any) -> dict[str, Any]:
    """Return the body of a request for greedy answers, with `others` of its fields."""
    return {
        "model": model,
        "prompt": [list(prompt) for prompt in prompts],
        "max_tokens": max_tokens,
        "temperature": 0,
        # vLLM's defaults come from the model's generation_config.json, which is not greedy decoding.
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        **others,
    }


def headers(address: Address) -> dict[str, str]:
    """Return the headers of a request to an engine."""
    return {"Authorization": f"Bearer {address.key}", "Content-Type": "application/json"}


def whole_answer(path: str, response: urllib3.BaseHTTPResponse, body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the answer to a request; None if the server stopped in the middle, as vLLM may."""
    try:
        answer = json.loads(response.data)
        choices = answer["choices"]
        ended = path == CONTINUATIONS or {choice["finish_reason"] for choice in choices} <= {"stop", "length"}
    except (ValueError, KeyError, TypeError):
        return None
    return answer if ended and len(choices) == len(body["prompt"]) else None


def in_order(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of an answer in the order of its prompts."""
    return sorted(answer["choices"], key=lambda choice: choice["index"])


def log_probabilities(tokens: Sequence[int], choice: dict[str, Any]) -> list[float]:
    """Return the log-probabilities of a prompt's tokens, except the first, which has no context."""
    found = zip(tokens[1:], choice["prompt_logprobs"][1:], strict=True)
    return [scores[str(token)]["logprob"] for token, scores in found]


def message(response: urllib3.BaseHTTPResponse) -> str:
    """Return the message of OpenAI's error object, or the start of a response of another form."""
    text = response.data.decode(errors="replace")
    try:
        body = json.loads(text)
        return (body.get("error") or body)["message"]
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"HTTP {response.status}: {' '.join(text.split())[:200]}"
