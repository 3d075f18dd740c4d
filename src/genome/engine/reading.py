"""Prompts read by a network whose state is only keys and values, in parts that need little memory."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from genome.engine import batches
from genome.engine.batches import Prompts
from genome.engine.cache import Read, Shapes, Store
from genome.engine.loading import LOADING_ERRORS

VALUES_AT_ONCE = 2**20
"""Most values of a layer's output while prompts are read: 4 MB in float32, which stay in the processor's cache."""

TOKENS_AT_ONCE = 2048
"""Most prompt tokens that go through the network at a time, including padding, however narrow its layers are."""

SHARED_TOKENS = 64
"""Fewest tokens that reading a common prefix once must save; with fewer, a separate pass costs more."""


@dataclass(frozen=True)
class Wanted:
    """Tokens behind which to predict: `places(prompt)` of each prompt.

    `receive` gets (prompt, place) pairs and the logits [pairs, vocabulary] in float32 that follow these tokens.
    `most` limits the pairs in one call.
    """

    places: Callable[[int], range]
    receive: Callable[[list[tuple[int, int]], torch.Tensor], None]
    most: int


@dataclass(frozen=True)
class Shared:
    """The prefix that all prompts of a request have in common: its number of tokens, and their keys and values."""

    tokens: int
    store: Store


class Reader:
    """A network that reads prompts into stores, and decodes from them."""

    def __init__(self, network: Any, shapes: Shapes, cache_name: str, widest: int):
        """`cache_name` is the network's argument for a cache; `widest` is the width of its widest hidden layer."""
        self._network, self._shapes, self._cache_name = network, shapes, cache_name
        self.tokens_at_once = max(1, min(TOKENS_AT_ONCE, VALUES_AT_ONCE // widest))
        self._selected: tuple[torch.Tensor, torch.Tensor] | None = None
        network.get_output_embeddings().register_forward_pre_hook(self._select)

    def shared(self, prompts: Prompts, wanted: Wanted | None = None) -> Shared:
        """Read the tokens with which all prompts start, if that saves enough; each prompt keeps at least one token."""
        known = batches.common_prefix(prompts)
        if known * (len(prompts) - 1) < SHARED_TOKENS:
            return Shared(0, Store(self._shapes, 0, 0, self._network.dtype))
        return Shared(known, self.read([prompts[0][:known]], None, leave=0, wanted=wanted))

    def read(
        self, prompts: Prompts, shared: Shared | None, *, room: int = 0, leave: int = 0, wanted: Wanted | None = None
    ) -> Store:
        """Return the keys and values of prompts, shortest first, except those of their last `leave` tokens.

        Prompts are aligned at the right, and `room` columns follow. They are read in parts of similar length, and a
        part in steps of columns.
        """
        width, known = len(prompts[-1]), shared.tokens if shared else 0
        store = Store(self._shapes, len(prompts), width + room, self._network.dtype)
        most = self.tokens_at_once if wanted is None else min(self.tokens_at_once, wanted.most)
        for start, stop in batches.parts([len(prompt) - known for prompt in prompts], most):
            lengths = [len(prompt) for prompt in prompts[start:stop]]
            wide, first = lengths[-1], width - lengths[-1]
            store.clear(start, stop, 0, first)
            if shared and known:
                # The prefix fills the same columns in all rows: in a shorter row, its end is cut off by as much as the
                # row is padded, and read again with the row's own tokens.
                for begin, end, length in batches.runs(lengths):
                    padding = wide - length
                    store.clear(start + begin, start + end, first, first + min(padding, known))
                    store.copy(shared.store, start + begin, start + end, first + padding, known - padding)
            cache = store.rows(start, stop, first, known, end_early=wanted is None)
            tokens = batches.pad_left(prompts[start:stop], wide)
            mask, positions = batches.columns(lengths, wide)
            step = max(1, most // (stop - start))
            for begin in range(known, wide - leave, step):
                end = min(begin + step, wide - leave)
                given = tokens[:, begin:end], mask[:, :end], positions[:, begin:end], cache
                if wanted is None:
                    with suppress(Read):
                        self.run(*given)
                else:
                    self._receive(wanted, start, wide, lengths, begin, end, given)
        return store

    def _receive(
        self, wanted: Wanted, start: int, wide: int, lengths: Sequence[int], begin: int, end: int, given: Any
    ) -> None:
        """Read columns `begin` to `end` of a part and hand over the wanted outputs."""
        found = [
            (row, place, wide - length + place - begin)
            for row, length in enumerate(lengths)
            for place in wanted.places(start + row)
            if begin <= wide - length + place < end and place < length
        ]
        logits = self.run_selected([row for row, _, _ in found], [column for _, _, column in found], *given)
        if found:
            wanted.receive([(start + row, place) for row, place, _ in found], logits)

    def read_copies(self, store: Store, lengths: Sequence[int], rows: Sequence[int], texts: Prompts) -> torch.Tensor:
        """Return the logits [n, vocabulary] behind each token of `texts`, which follow prompts: the `rows` of a store.

        `lengths` are those of the prompts in the store, which is not changed.
        """
        width, longest = max(lengths), max(map(len, texts))
        copy = store.repeated(torch.tensor(rows), width, longest)
        tokens = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts])
        mask, positions = batches.columns([lengths[row] for row in rows], width, longest)
        wanted = [(row, column) for row, text in enumerate(texts) for column in range(len(text))]
        return self.run_selected(
            [row for row, _ in wanted],
            [column for _, column in wanted],
            tokens,
            mask,
            positions[:, width:],
            copy.rows(0, len(rows), 0, width),
        )

    def read_side_by_side(
        self, store: Store, width: int, start: int, lengths: Sequence[int], texts: Sequence[Prompts]
    ) -> tuple[list[tuple[int, int, int]], torch.Tensor]:
        """Return (row, text, place) of each token of texts that follow prompts, and the logits behind each of them.

        The prompts, of `lengths` tokens, are rows of the store from `start` on, and end at column `width`. The texts of
        a prompt are one row behind it, in which none sees another. The store needs room for them there.
        """
        wide, total = max(lengths), max(sum(map(len, each)) for each in texts)
        known, _ = batches.columns(lengths, wide)
        tokens, text, place = torch.zeros(3, len(texts), total, dtype=torch.long)
        text -= 1
        wanted: list[tuple[int, int, int]] = []
        for row, each in enumerate(texts):
            listed = [(token, index, at) for index, one in enumerate(each) for at, token in enumerate(one)]
            if listed:
                columns = slice(len(listed))
                tokens[row, columns], text[row, columns], place[row, columns] = torch.tensor(listed).T
            wanted += [(row, index, at) for _, index, at in listed]
        sees = (text[:, :, None] == text[:, None, :]) & (place[:, None, :] <= place[:, :, None])
        sees = torch.cat([known.bool()[:, None].expand(-1, total, -1), sees], -1)[:, None]
        hidden = torch.finfo(self._network.dtype).min
        mask = torch.zeros(sees.shape, dtype=self._network.dtype).masked_fill(~sees, hidden)
        rows, columns = (text >= 0).nonzero(as_tuple=True)
        logits = self.run_selected(
            rows.tolist(),
            columns.tolist(),
            tokens,
            mask,
            torch.tensor(lengths)[:, None] + place,
            store.rows(start, start + len(texts), width - wide, wide),
        )
        return wanted, logits

    def reads_side_by_side(self) -> bool:
        """Return whether the network computes the same for texts side by side as for each behind a copy."""
        prompt, texts = [1, 2, 3], [[4, 0], [3, 1]]
        store = self.read([prompt], None, room=4)
        apart = self.read_copies(store, [3], [0, 0], texts)
        try:
            _, together = self.read_side_by_side(store, 3, 0, [3], [texts])
        except LOADING_ERRORS:  # it takes masks of tokens only
            return False
        finally:
            self._selected = None
        closeness = 1e-4 if self._network.dtype == torch.float32 else 0.02
        return bool((together - apart).norm() <= closeness * apart.norm())

    def run(self, tokens: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any) -> torch.Tensor:
        """Return the logits [rows, vocabulary] behind the last column of `tokens` [rows, columns]."""
        return self._network(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_name: cache},
        ).logits[:, -1]

    def run_selected(
        self,
        rows: Sequence[int],
        columns: Sequence[int],
        tokens: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: Any,
    ) -> torch.Tensor:
        """Return the logits [n, vocabulary] in float32 behind n of the tokens, and compute no others."""
        self._selected = torch.tensor(rows, dtype=torch.long), torch.tensor(columns, dtype=torch.long)
        logits = self._network(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            **{self._cache_name: cache},
        ).logits
        return logits[0].float()

    def _select(self, _: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        """Reduce the input of the output layer to the selected tokens: [1, n, width]."""
        if self._selected is None:
            return None
        (rows, columns), self._selected = self._selected, None
        return (arguments[0][rows, columns][None], *arguments[1:])
