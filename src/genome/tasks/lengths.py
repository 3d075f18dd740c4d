"""Whether prompts fit a base model's context, asked before anything waits for an answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genome.errors import GenomeError
from genome.files import read_json

_LIMITS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "seq_length")
"""Fields of config.json for the same thing, in the words of several families of models."""

_TEXT_CONFIGS = ("text_config", "llm_config", "language_config")

_UNSCALED = ("default", "llama3", "longrope", "su", "mrope", "proportional")
"""Kinds of scaled positions whose longest position stands in the config as it is."""


def context_length(base: Path | str) -> int | None:
    """Return how many tokens a base model's positions are for, prompt and response together; None where it says none.

    Sliding windows limit what a token looks at, not how long a text may be.
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
    # YaRN names the length before scaling; the config may give either in its own field.
    return max(min(found), round((scaling.get("original_max_position_embeddings") or min(found)) * factor))


def check_lengths(
    task: str,
    samples: Sequence[Mapping[str, Any]],
    base: Path | str,
    max_tokens: int | None = None,
    served: int | None = None,
) -> None:
    """Raise GenomeError where a prompt and a response of `max_tokens` are longer than the model's context.

    `served` is what an engine is set to read, where that is less. Without `max_tokens` a response needs one token: who
    makes the prompts does not know how long it may be. The message names the longest prompt that does not fit.
    """
    limit = min((length for length in (context_length(base), served) if length), default=None)
    if limit is None:
        return
    needed = max_tokens or 1
    over = [each for each in samples if len(each["tokens"]) + needed > limit]
    if not over:
        return
    longest = max(over, key=lambda each: len(each["tokens"]))
    length = len(longest["tokens"])
    asked = f"and max_tokens {needed} make {length + needed}" if max_tokens else "leaves no room for an answer"
    others = f" ({len(over)} of {len(samples)} rows are too long)" if len(over) > 1 else ""
    smaller = ", a smaller max_tokens" if max_tokens and length < limit else ""
    raise GenomeError(
        f"task {task}, row {longest['id']}: its prompt of {length} tokens {asked}; the model in {base} reads at "
        f"most {limit}{others}; use a shorter prompt, fewer shots{smaller}, or leave long rows out by `where`"
    )
