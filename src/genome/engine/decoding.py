"""Greedy decoding of a batch of prompts, by one adapter or by the weighted sum of the logits of several."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from genome.engine import batches
from genome.engine.batches import Prompts
from genome.engine.cache import Store
from genome.engine.reading import Reader

Stops = Callable[[Sequence[int]], bool] | None
"""Says whether the tokens of an answer end it, in addition to an end-of-sequence token; see `genome.engine.stops`."""


@dataclass(frozen=True)
class Completion:
    """The tokens of one answer without its end-of-sequence token, and whether that token was reached.

    `batch` is the number of the batch of its request in which it was decoded; equal answers may have different ones.
    """

    tokens: list[int]
    stopped: bool
    batch: int = field(default=0, compare=False)

    @property
    def steps(self) -> int:
        """In how many steps it was decoded; the end token counts, as in vLLM."""
        return len(self.tokens) + self.stopped


@dataclass(frozen=True)
class Part:
    """One of the adapters that answer a batch together.

    serve: makes the network answer with it
    store: its keys and values of all tokens of the prompts but the last
    weights: the factor of its logits for each prompt, [prompts]; None for an adapter that answers alone
    """

    serve: Callable[[], None]
    store: Store
    weights: torch.Tensor | None = None

    def kept(self, running: torch.Tensor) -> "Part":
        """Return the part with the weights of the rows that are still running."""
        return replace(self, weights=None if self.weights is None else self.weights[running])


def decode(
    reader: Reader,
    prompts: Prompts,
    parts: Sequence[Part],
    max_tokens: int,
    ends: torch.Tensor,
    stops: Stops,
    refuse: Callable[[torch.Tensor], None],
) -> list[Completion]:
    """Return the answers to a batch of prompts, shortest first, of at most `max_tokens` tokens.

    `ends` are the end-of-sequence tokens; `refuse` raises an error if one of the chosen logits that it is given is not
    finite. Decoding stops after the last answer has ended; finished rows leave the batch once they are half of it.
    """
    width = len(prompts[-1])
    caches = [part.store.rows(0, len(prompts), 0, width - 1) for part in parts]
    tokens = torch.tensor([prompt[-1] for prompt in prompts])
    mask, positions = batches.columns([len(prompt) for prompt in prompts], width, max_tokens)
    rows = torch.arange(len(prompts))
    answers = torch.zeros(len(prompts), max_tokens, dtype=torch.long)
    lengths = torch.full((len(prompts),), max_tokens)
    running = torch.ones(len(prompts), dtype=torch.bool)
    stopped = torch.zeros(len(prompts), dtype=torch.bool)
    for step in range(max_tokens):
        end = width + step
        given = tokens[:, None], mask[:, :end], positions[:, end - 1 : end]
        logits = _sum(_logits(reader, part, given, cache) for part, cache in zip(parts, caches, strict=True))
        tokens = logits.argmax(-1)
        answers[rows, step] = tokens
        # argmax returns a NaN if there is one, so checking the chosen logit is enough.
        refuse(logits.gather(-1, tokens[:, None]).squeeze(-1)[running])
        del logits  # before the next step makes its own
        ended = running & torch.isin(tokens, ends)
        lengths[rows[ended]], stopped[rows[ended]] = step, True
        running &= ~ended
        for row in running.nonzero().flatten().tolist() if stops else ():
            if stops and stops(answers[rows[row], : step + 1].tolist()):
                lengths[rows[row]], running[row] = step + 1, False
        left = int(running.sum())
        if not left:
            break
        if 2 * left <= len(rows):
            for part in parts:
                part.store.keep(running.nonzero().squeeze(-1), end)
            parts = [part.kept(running) for part in parts]
            caches = [part.store.rows(0, left, 0, end) for part in parts]
            rows, tokens, mask, positions = (x[running] for x in (rows, tokens, mask, positions))
            running = running[running]
    return [
        Completion(row[:length], end)
        for row, length, end in zip(answers.tolist(), lengths.tolist(), stopped.tolist(), strict=True)
    ]


def _logits(
    reader: Reader, part: Part, given: tuple[torch.Tensor, torch.Tensor, torch.Tensor], cache: Any
) -> torch.Tensor:
    """Return the weighted logits [rows, vocabulary] of one part."""
    part.serve()
    logits = reader.run(*given, cache)
    return logits if part.weights is None else part.weights[:, None] * logits.float()


def _sum(logits: Iterator[torch.Tensor]) -> torch.Tensor:
    """Return the sum of tensors, two of which are in memory at a time."""
    total = next(logits)
    for each in logits:
        total = total + each
    return total
