"""Batches of prompts: which go together, and their tokens, masks and positions."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch

Prompts = Sequence[Sequence[int]]


def by_length(prompts: Prompts, tokens: int, room: int, rows: int = sys.maxsize) -> Iterator[list[int]]:
    """Sort the places of prompts by length and cut them into batches of at most `tokens` tokens, or of one prompt.

    A row counts as long as the longest of its batch, with `room` more tokens for an answer. A batch has at most `rows`.
    """
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for start, stop in parts([len(prompts[place]) + room for place in order], tokens, rows):
        yield order[start:stop]


def equal_lengths(prompts: Prompts, tokens: int, room: int) -> Iterator[list[int]]:
    """Cut the places of prompts into batches as `by_length` does, each of prompts of the same length."""
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for _, group in itertools.groupby(order, key=lambda place: len(prompts[place])):
        places = list(group)
        for start, stop in parts([len(prompts[place]) + room for place in places], tokens):
            yield places[start:stop]


def parts(lengths: Sequence[int], tokens: int, rows: int = sys.maxsize) -> Iterator[tuple[int, int]]:
    """Cut increasing lengths into spans of at most `rows`, and of at most `tokens` with padding or of one length."""
    start = 0
    for end, length in enumerate(lengths):
        number = end - start
        if number and (number == rows or (number + 1) * length > tokens):
            yield start, end
            start = end
    yield start, len(lengths)


def runs(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Return (start, end, length) of each run of equal lengths."""
    start = 0
    for length, group in itertools.groupby(lengths):
        end = start + sum(1 for _ in group)
        yield start, end, length
        start = end


def common_prefix(prompts: Prompts) -> int:
    """Return the number of tokens with which all prompts start; each keeps at least one token after them."""
    ordered: Any = prompts  # lists of numbers
    least, largest = min(ordered), max(ordered)  # what these two share, all prompts share
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(least, largest, strict=False)))
    return min(same, min(map(len, prompts)) - 1)


def pad_left(prompts: Prompts, width: int) -> torch.Tensor:
    """Return tokens [n, width]."""
    return torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])


def columns(lengths: Sequence[int], width: int, room: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mask and positions [n, width + room] of rows of `lengths` tokens that end at column `width`."""
    places = torch.arange(width + room) - torch.tensor([[width - length] for length in lengths])
    return (places >= 0).long(), places.clamp(min=0)
