"""Log-probabilities of the continuations of prompts, each of which is read once.

A prompt's last token predicts the first tokens of all its continuations, and only those of several tokens are read:
side by side in one row after the prompt, or each after a copy of its keys and values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from genome.engine import batches
from genome.engine.reading import Reader, Shared, Wanted


@dataclass(frozen=True)
class Continuations:
    """What is asked about the continuations of prompts, and how it is computed.

    batch_tokens: the most tokens of a batch
    most: behind how many tokens the next one may be predicted at a time
    totals: returns the log-sum-exp [n] of logits [n, vocabulary]
    side_by_side: whether continuations of a prompt are read in one row; otherwise they follow copies of it
    """

    reader: Reader
    prompts: Sequence[Sequence[int]]
    continuations: Sequence[Sequence[Sequence[int]]]
    batch_tokens: int
    most: int
    totals: Callable[[torch.Tensor], torch.Tensor]
    side_by_side: bool

    def scores(self) -> list[list[list[float]]]:
        """Return the log-probabilities (nats) of the tokens of each prompt's continuations."""
        scores = [[[0.0] * len(tokens) for tokens in each] for each in self.continuations]
        shared = self.reader.shared(self.prompts)
        if self.side_by_side:
            tokens = self.batch_tokens
            room = max((sum(len(each[1:]) for each in of_prompt) for of_prompt in self.continuations), default=0)
        else:  # one half for the prompts, the other for their copies
            tokens, room = self.batch_tokens // 2, 0
        for places in batches.by_length(self.prompts, tokens, room):
            self._continue(shared, places, scores, room)
        return scores

    def _continue(self, shared: Shared, places: Sequence[int], scores: list[list[list[float]]], room: int) -> None:
        """Fill in the scores of the continuations of a batch of prompts at `places`, shortest first.

        A prompt has `room` tokens for its continuations side by side; 0: they follow copies of it.
        """
        reader, continuations, most = self.reader, self.continuations, self.most
        batch = [self.prompts[place] for place in places]
        lengths = [len(prompt) for prompt in batch]

        def keep(tokens: Sequence[tuple[int, int, int, int]], logits: torch.Tensor) -> None:
            """Keep the scores of (row of logits, prompt, continuation, place of the token in it)."""
            totals = self.totals(logits)
            given = torch.tensor(
                [continuations[prompt][index][at] for _, prompt, index, at in tokens], dtype=torch.long
            )
            rows = torch.tensor([row for row, *_ in tokens], dtype=torch.long)
            values = (logits[rows, given] - totals[rows]).tolist()
            for (_, prompt, index, at), value in zip(tokens, values, strict=True):
                scores[prompt][index][at] = value

        def keep_first(pairs: Sequence[tuple[int, int]], logits: torch.Tensor) -> None:
            first = [
                (line, places[row], index, 0)
                for line, (row, _) in enumerate(pairs)
                for index, tokens in enumerate(continuations[places[row]])
                if tokens
            ]
            keep(first, logits)

        last = Wanted(lambda row: range(lengths[row] - 1, lengths[row]), keep_first, most)
        store = reader.read(batch, shared, room=room, wanted=last)
        if room:
            texts = [[tokens[:-1] for tokens in continuations[place]] for place in places]
            limit = max(1, min(reader.tokens_at_once, most) // room)
            for start in range(0, len(texts), limit):
                part = slice(start, start + limit)
                if any(map(any, texts[part])):
                    found, logits = reader.read_side_by_side(store, lengths[-1], start, lengths[part], texts[part])
                    keep([(line, places[start + row], i, at + 1) for line, (row, i, at) in enumerate(found)], logits)
            return
        further = sorted(
            (len(tokens) - 1, row, index)
            for row, place in enumerate(places)
            for index, tokens in enumerate(continuations[place])
            if len(tokens) > 1
        )
        width, start = lengths[-1], 0
        for end in range(1, len(further) + 1):
            rows = end + 1 - start
            longest = further[end][0] if end < len(further) else 0
            fits = rows * (width + longest) <= self.batch_tokens // 2 and rows * longest <= most
            if end < len(further) and fits:
                continue
            group, start = further[start:end], end
            ahead = [list(continuations[places[row]][index]) for _, row, index in group]
            logits = reader.read_copies(store, lengths, [row for _, row, _ in group], [tokens[:-1] for tokens in ahead])
            keep(
                [
                    (line, places[row], index, at)
                    for line, (row, index, at) in enumerate(
                        (row, index, at + 1) for count, row, index in group for at in range(count)
                    )
                ],
                logits,
            )
