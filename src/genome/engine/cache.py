"""Keys and values of attention in memory that is allocated once for a batch.

The rows of a `Store` are prompts, aligned at the right: a prompt shorter than the longest starts at a later column, as
padding on the left would place it. `rows` is a cache for transformers of some of the rows, from some column on. It
writes into the store, so a token costs no copy, and parts of a batch can be read one after the other.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

Shapes = Sequence[tuple[tuple[int, int], tuple[int, int]]]
"""Heads and width of the keys and of the values of each layer."""

PLAIN_LAYERS = (DynamicLayer, DynamicSlidingWindowLayer)
"""Caches of attention to all tokens, or to a window or chunk, that contain only keys and values."""


class Read(Exception):  # noqa: N818
    """Signals that the keys and values of all layers are complete."""


def shapes(layers: Sequence[Any]) -> Shapes:
    """Return the shapes of the layers of a cache that has read at least one token."""
    return [
        ((layer.keys.shape[1], layer.keys.shape[3]), (layer.values.shape[1], layer.values.shape[3])) for layer in layers
    ]


class Store:
    """Keys and values [rows, heads, columns, width] of each layer."""

    def __init__(self, shapes: Shapes, rows: int, columns: int, dtype: torch.dtype):
        # Not zeros: memory of columns that are never reached is then never used.
        self.layers = [
            tuple(torch.empty(rows, heads, columns, width, dtype=dtype) for heads, width in layer) for layer in shapes
        ]

    def rows(self, start: int, stop: int, first: int, filled: int, *, end_early: bool = False) -> DynamicCache:
        """Return a cache of rows `start` to `stop`, whose tokens begin at column `first`; `filled` of them are there.

        With `end_early`, it raises `Read` once it has received the last layer's keys and values. The rest of that layer
        is only needed for the next token. In a model of two layers, this saves a third of the work.
        """
        cache: Any = DynamicCache()
        cache.layers = [
            _Layer(keys[start:stop, :, first:], values[start:stop, :, first:], filled) for keys, values in self.layers
        ]
        cache.layers[-1].end_early = end_early
        return cache

    def clear(self, start: int, stop: int, first: int, last: int) -> None:
        """Fill columns `first` to `last` of rows with zeros: padding that is masked, but must be finite."""
        if first < last:
            for layer in self.layers:
                for states in layer:
                    states[start:stop, :, first:last] = 0

    def copy(self, source: "Store", start: int, stop: int, first: int, number: int) -> None:
        """Copy the first `number` columns of the only row of `source` to column `first` of rows `start` to `stop`."""
        if number > 0:
            for layer, others in zip(self.layers, source.layers, strict=True):
                for states, other in zip(layer, others, strict=True):
                    states[start:stop, :, first : first + number] = other[:, :, :number]

    def keep(self, running: torch.Tensor, columns: int) -> None:
        """Keep the rows at the increasing places `running`, of which `columns` columns are in use."""
        left = len(running)
        for index, layer in enumerate(self.layers):
            for states in layer:
                states[:left, :, :columns] = states[running, :, :columns]
            self.layers[index] = tuple(states[:left] for states in layer)

    def repeated(self, places: torch.Tensor, columns: int, room: int) -> "Store":
        """Return a store whose rows are those at `places`, with `columns` columns in use and room for more."""
        made = Store.__new__(Store)
        made.layers = []
        for layer in self.layers:
            copies = []
            for states in layer:
                _, heads, _, width = states.shape
                copy = states.new_empty(len(places), heads, columns + room, width)
                torch.index_select(states[:, :, :columns], 0, places, out=copy[:, :, :columns])
                copies.append(copy)
            made.layers.append(tuple(copies))
        return made


class _Layer(DynamicLayer):
    """One layer of a cache, which writes into a store."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, filled: int):
        super().__init__()
        self._all_keys, self._all_values = keys, values
        self.end_early = False
        self.is_initialized, self.dtype, self.device = True, keys.dtype, keys.device
        self._fill(filled)

    def _fill(self, filled: int) -> None:
        self.keys, self.values = self._all_keys[:, :, :filled], self._all_values[:, :, :filled]
        self._filled = filled

    def get_seq_length(self) -> int:
        """Return the number of tokens."""
        return self._filled

    def update(self, keys: torch.Tensor, values: torch.Tensor, *rest, **more) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the keys and values of further tokens; return those of all tokens."""
        start, self._filled = self._filled, self._filled + keys.shape[2]
        self._all_keys[:, :, start : self._filled] = keys
        self._all_values[:, :, start : self._filled] = values
        self._fill(self._filled)
        if self.end_early:
            raise Read
        return self._all_keys[:, :, : self._filled], self._all_values[:, :, : self._filled]


def only_attention(cache: Any, config: Any) -> bool:
    """Return whether a cache of one token has only keys and values of attention for each layer."""
    if type(cache) is not DynamicCache:
        return False
    layers: Any = cache.layers
    plain = all(type(layer) in PLAIN_LAYERS and layer.get_seq_length() == 1 for layer in layers)
    return plain and len(layers) == config.num_hidden_layers
