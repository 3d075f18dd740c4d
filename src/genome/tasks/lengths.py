"""The length of responses, and checks that prompts fit a base model's context before any request is sent."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.files import read_json
from genome.tasks.likelihood import LIKELIHOOD
from genome.tasks.task import Task

_LIMITS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "seq_length")
"""Fields of config.json for the context length, in different families of models."""

_TEXT_CONFIGS = ("text_config", "llm_config", "language_config")

_UNSCALED = ("default", "llama3", "longrope", "su", "mrope", "proportional")
"""Kinds of position scaling for which the config gives the longest position directly."""


def most_tokens(definition: Mapping[str, Any]) -> int:
    """Return the largest number of response tokens per sample of a task; 0 if its answers are only compared."""
    if definition.get("answer_by") == LIKELIHOOD:
        return 0
    return definition.get("max_tokens") or Task.max_tokens


def response_limits(
    samples: Sequence[Mapping[str, Any]], max_tokens: int, stop: Sequence[str]
) -> tuple[int, Sequence[str]]:
    """Return the most tokens of responses and the texts at which they end: the samples' own, if they have some."""
    own = samples[0]
    return (own["max_tokens"], own["until"]) if "until" in own else (max_tokens, stop)


def context_length(base: Path | str) -> int | None:
    """Return a base model's context length in tokens, prompt and response together; None if its config has none.

    Sliding windows limit the tokens that a token attends to, not the length of a text.
    """
    path = Path(base) / "config.json"
    config = read_json(path) if path.is_file() else {}
    config = next((config[key] for key in _TEXT_CONFIGS if isinstance(config.get(key), Mapping)), config)
    found = [config[key] for key in _LIMITS if isinstance(config.get(key), int) and config[key] > 0]
    if not found:
        return None
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind, factor = scaling.get("rope_type", scaling.get("type", "default")), scaling.get("factor")
    if kind in _UNSCALED or not isinstance(factor, int | float):
        return min(found)
    # For YaRN, the fields of the config may give the length before or after scaling.
    return max(min(found), round((scaling.get("original_max_position_embeddings") or min(found)) * factor))


def prompt_tokens(sample: Mapping[str, Any]) -> int:
    """Return the number of tokens that an engine reads for a prepared sample, if it reads its prompt once.

    For a sample that is answered by likelihood, these are its prompt, or those of its options, and all of its options,
    also after the neutral prompt if it has one.
    """
    neutral = sample.get("neutral", {"tokens": [], "continuations": []})
    given = sample.get("continuations", [])
    options = [each["tokens"] for each in given] + neutral["continuations"]
    prompts = [each["prompt"] for each in given if "prompt" in each] or [sample["tokens"]]
    return sum(map(len, (*prompts, neutral["tokens"], *options)))


def check_lengths(
    task: str,
    samples: Sequence[Mapping[str, Any]],
    base: Path | str,
    max_tokens: int | None = None,
    served: int | None = None,
) -> None:
    """Raise GenomeError if a prompt and a response of `max_tokens` are longer than the model's context.

    For a sample with continuations, the longest of them takes the place of a response, and one more token is decoded.
    `served` is the context length of an engine, if it is smaller. Without `max_tokens` a response needs one token: its
    length is unknown when prompts are made. The message names the longest prompt that does not fit.
    """
    limit = min((length for length in (context_length(base), served) if length), default=None)
    if limit is None:
        return
    over = [each for each in samples if len(each["tokens"]) + _needed(each, max_tokens) > limit]
    if not over:
        return
    longest = max(over, key=lambda each: len(each["tokens"]) + _needed(each, max_tokens))
    length, needed = len(longest["tokens"]), _needed(longest, max_tokens)
    if "continuations" in longest:
        asked, max_tokens = f"and its longest option make {length + needed} with one more token", None
    else:
        asked = f"and max_tokens {needed} make {length + needed}" if max_tokens else "leaves no room for an answer"
    others = f" ({len(over)} of {len(samples)} rows are too long)" if len(over) > 1 else ""
    smaller = ", a smaller max_tokens" if max_tokens and length < limit else ""
    raise GenomeError(
        f"task {task}, row {longest['id']}: its prompt of {length} tokens {asked}; the model in {base} reads at "
        f"most {limit}{others}; use a shorter prompt, fewer shots{smaller}, or leave long rows out by `where`"
    )


def _needed(sample: Mapping[str, Any], max_tokens: int | None) -> int:
    """Return the number of tokens that must fit behind a sample's prompt."""
    if "continuations" in sample:
        return 1 + max(len(each["tokens"]) for each in sample["continuations"])
    return max_tokens or 1
