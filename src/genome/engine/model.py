"""A causal language model in memory that serves LoRA adapters one at a time.

To serve an adapter, each targeted linear layer gets W = W₀ + (alpha / rank) · B·A, computed in float32 from the
untouched W₀ and rounded to the model's type, so that earlier adapters leave no trace. Decoding is greedy; the answers
to a batch depend only on the batch and the adapter.

There are two ways to answer. If a model's state is only the keys and values of plain attention, prompts are sorted by
length and padded on the left, the prefix that all prompts of a request share is read once, and ended rows are dropped.
Padding may change the answers of any other model (recurrent layers, layers that share a cache, no argument for
positions): its prompts of the same length go together through transformers' `generate`, or one at a time if its state
is not a cache of transformers.
"""

import inspect
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from transformers.cache_utils import Cache, DynamicLayer

from genome.engine import batches
from genome.engine.adapter import Adapter, read_adapter
from genome.engine.cache import only_attention, shapes
from genome.engine.continuing import Continuations
from genome.engine.decoding import Completion, Part, Stops, decode
from genome.engine.fusion import optimised, similar
from genome.engine.loading import LOADING_ERRORS, end_tokens, load_network, positions, rope_switch
from genome.engine.messages import BATCH_TOKENS
from genome.engine.reading import Reader, Wanted
from genome.engine.weights import Weights
from genome.errors import GenomeError, one_line
from genome.tasks.chat import load_tokenizer

UNPADDED_TOKENS = 2048
"""Most prompt tokens of a batch that is not padded."""

LOGITS_AT_ONCE = 2**26
"""Most logits (tokens x vocabulary) that are computed at a time: 256 MB in float32."""


class Model:
    """A base model and the adapter that is currently merged into it; for one thread at a time."""

    def __init__(self, base: Path | str, dtype: str | None = None, batch_tokens: int = BATCH_TOKENS):
        """Load a local transformers folder; GenomeError unless it is one complete model, see `loading`.

        `dtype` is the type of the weights in memory (None: as stored). `batch_tokens` bounds the memory of keys and
        values: a batch has at most that many tokens, with padding and answers, or is a single prompt.
        """
        self.base = Path(base)
        self.batch_tokens = batch_tokens
        self.network = load_network(self.base, dtype)
        self.tokenizer = load_tokenizer(self.base)
        config = self.network.config.get_text_config()
        self.vocabulary: int = config.vocab_size
        self.positions = positions(config)
        ends = end_tokens(self.base, self.network, self.tokenizer)
        self._ends = frozenset(ends)
        self._end_tokens = torch.tensor(ends)
        self._stored_generation = self.network.generation_config
        # `generate` reads its defaults here: a base's penalties and sampling must not affect an answer.
        self.network.generation_config = GenerationConfig(do_sample=False, eos_token_id=ends, pad_token_id=ends[0])
        self._arguments = frozenset(inspect.signature(self.network.forward).parameters)
        # The name in older releases; newer ones warn about it.
        self._cache_name = "past_key_values" if "past_key_values" in self._arguments else "cache"
        cache = self._cache_of_one_token()
        self._together = isinstance(cache, Cache)
        self._rope_switch = rope_switch(config)
        self._weights = Weights(self.network)
        self.linear = self._weights.linear
        self._reader = self._make_reader(cache, config)
        self._side_by_side = self._reads_side_by_side(cache, config)
        self._current: Adapter | None = None

    def read_adapter(self, folder: Path | str) -> Adapter:
        """Read a PEFT folder; GenomeError if it does not fit this base model."""
        return read_adapter(folder, self.linear)

    def use(self, adapter: Adapter | None) -> None:
        """Serve `adapter` from now on; None means the plain base model."""
        if adapter is not self._current:
            self._weights.merge(adapter)
            self._current = adapter

    @torch.inference_mode()
    def complete(self, prompts: Sequence[Sequence[int]], max_tokens: int, stops: Stops = None) -> list[Completion]:
        """Return the greedy continuation of each prompt, at most `max_tokens` long, in the order of `prompts`."""
        reader = self._padded(max(map(len, prompts)) + max_tokens)
        if reader is None:
            return self._generate(prompts, max_tokens, stops)
        completions: list[Completion] = [Completion([], False)] * len(prompts)
        shared = reader.shared(prompts)
        cut = batches.by_length(prompts, self.batch_tokens, max_tokens, self._predictions_at_once())
        for number, places in enumerate(cut):
            batch = [prompts[place] for place in places]
            parts = [Part(lambda: None, reader.read(batch, shared, room=max_tokens - 1, leave=1))]
            answers = decode(reader, batch, parts, max_tokens, self._end_tokens, stops, self._refuse_nan)
            del parts  # its memory is needed to read the next batch
            for place, answer in zip(places, answers, strict=True):
                completions[place] = replace(answer, batch=number)
        return completions

    @torch.inference_mode()
    def fuse(
        self,
        adapters: Sequence[Adapter | None],
        prompts: Sequence[Sequence[int]],
        max_tokens: int,
        tau: float | None,
        stops: Stops = None,
    ) -> list[Completion]:
        """Return the greedy continuations of prompts by the weighted sum of adapters' logits (`genome.engine.fusion`).

        `tau` is the temperature of weights by similarity; None: they are optimised. None among adapters is the base.
        Prompts have two tokens or more. Each step serves one adapter after the other, at a cost that the prompts of a
        batch share. GenomeError if the model's state is more than keys and values of plain attention.
        """
        reader = self._padded(max(map(len, prompts)) + max_tokens)
        if reader is None:
            raise GenomeError(
                f"{self.base}: logits can be fused only if the model's state is the keys and values of attention; "
                "leave Pack of LLMs out of the tables"
            )
        weights = self._optimised(adapters, prompts) if tau is None else self._similar(adapters, prompts, tau)
        completions: list[Completion] = [Completion([], False)] * len(prompts)
        most = max(1, self.batch_tokens // len(adapters))
        cut = batches.by_length(prompts, most, max_tokens, self._predictions_at_once())
        for number, places in enumerate(cut):
            batch, parts = [prompts[place] for place in places], []
            for adapter, each in zip(adapters, weights[:, places], strict=True):
                self.use(adapter)
                store = reader.read(batch, reader.shared(batch), room=max_tokens - 1, leave=1)
                parts.append(Part(partial(self.use, adapter), store, each))
            answers = decode(reader, batch, parts, max_tokens, self._end_tokens, stops, self._refuse_nan)
            for place, answer in zip(places, answers, strict=True):
                completions[place] = replace(answer, batch=number)
        return completions

    def _similar(
        self, adapters: Sequence[Adapter | None], prompts: Sequence[Sequence[int]], tau: float
    ) -> torch.Tensor:
        """Return the weights [adapters, prompts] by how well each adapter predicts a prompt."""
        losses: list[list[float]] = []
        for adapter in adapters:
            self.use(adapter)
            losses.append([-fmean(row) for row in self.score(prompts)[0]])
        return similar(torch.tensor(losses), tau)

    def _optimised(self, adapters: Sequence[Adapter | None], prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the weights [adapters, prompts] that make the losses of the sums low."""
        weights = torch.zeros(len(adapters), len(prompts))
        most = max(1, LOGITS_AT_ONCE // self.vocabulary // len(adapters))
        for places in batches.equal_lengths(prompts, most, 0):
            same = [prompts[place] for place in places]
            logits = []
            for adapter in adapters:
                self.use(adapter)
                logits.append(self._logits(same)[:, :-1])
            for row, place in enumerate(places):
                following = torch.tensor(list(prompts[place][1:]))
                weights[:, place] = optimised(torch.stack([each[row] for each in logits]), following)
        return weights

    def _generate(self, prompts: Sequence[Sequence[int]], max_tokens: int, stops: Stops = None) -> list[Completion]:
        """Return the same as `complete`, computed by transformers' `generate` on prompts of one length at a time."""
        completions: list[Completion] = [Completion([], False)] * len(prompts)
        for number, places in enumerate(batches.equal_lengths(prompts, self._unpadded_tokens(), max_tokens)):
            tokens = torch.tensor([list(prompts[place]) for place in places])
            width = tokens.shape[1]

            def check(given: torch.Tensor, logits: torch.Tensor, width: int = width) -> torch.Tensor:
                ended = torch.isin(given[:, width:], self._end_tokens).any(-1)
                self._refuse_nan(logits.gather(-1, logits.argmax(-1, keepdim=True)).squeeze(-1)[~ended])
                return logits

            def stop(given: torch.Tensor, _, width: int = width) -> torch.Tensor:
                ended = [bool(stops and stops(row)) for row in given[:, width:].tolist()]
                return torch.tensor(ended, device=given.device)

            rows = self.network.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=max_tokens,
                logits_processor=LogitsProcessorList([check]),
                stopping_criteria=StoppingCriteriaList([stop] if stops else []),
            )[:, width:]
            # One more column that ends every row.
            ends = pad(torch.isin(rows, self._end_tokens), (0, 1), value=True).int().argmax(-1).tolist()
            for place, row, end in zip(places, rows.tolist(), ends, strict=True):
                # A row that a stop text has ended is padded with an end token.
                stopped = end < len(row) and not (stops and stops(row[:end]))
                completions[place] = Completion(row[:end], stopped, number)
        return completions

    @torch.inference_mode()
    def score(self, prompts: Sequence[Sequence[int]]) -> tuple[list[list[float]], list[Completion]]:
        """Return the log-probabilities of each prompt's tokens except the first, and the most likely next token."""
        scores = [[0.0] * (len(prompt) - 1) for prompt in prompts]
        following: list[Completion] = [Completion([], False)] * len(prompts)
        longest = max(map(len, prompts))

        def keep(pairs: Sequence[tuple[int, int]], logits: torch.Tensor) -> None:
            """Keep what the logits after (prompt, place) say about the next token."""
            totals = self._totals(logits)
            given = [prompts[prompt][place + 1] if place + 1 < len(prompts[prompt]) else 0 for prompt, place in pairs]
            values = logits.gather(-1, torch.tensor(given)[:, None]).squeeze(-1) - totals
            for row, ((prompt, place), value) in enumerate(zip(pairs, values.tolist(), strict=True)):
                if place + 1 < len(prompts[prompt]):
                    scores[prompt][place] = value
                else:
                    token = int(logits[row].argmax())
                    stopped = token in self._ends
                    following[prompt] = Completion([] if stopped else [token], stopped)

        def keep_shared(pairs: Sequence[tuple[int, int]], logits: torch.Tensor) -> None:
            """Keep the same for a place that all prompts share."""
            values = logits - self._totals(logits)[:, None]
            for (_, place), row in zip(pairs, values, strict=True):
                of_each = row[[prompt[place + 1] for prompt in prompts]].tolist()
                for prompt, value in enumerate(of_each):
                    scores[prompt][place] = value

        most = self._predictions_at_once()
        reader = self._padded(longest)
        if reader is None:
            for places in batches.equal_lengths(prompts, min(self._unpadded_tokens(), most), 0):
                for prompt, logits in zip(places, self._logits([prompts[place] for place in places]), strict=True):
                    keep([(prompt, place) for place in range(len(prompts[prompt]))], logits)
            return scores, following
        shared = reader.shared(prompts, Wanted(lambda _: range(longest), keep_shared, most))
        for places in batches.by_length(prompts, self.batch_tokens, 0):
            own = Wanted(
                lambda _: range(shared.tokens, longest),
                lambda pairs, logits, places=places: keep([(places[row], place) for row, place in pairs], logits),
                most,
            )
            reader.read([prompts[place] for place in places], shared, wanted=own)
        return scores, following

    @torch.inference_mode()
    def continuations(
        self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[list[float]]]:
        """Return the log-probabilities (nats) of the tokens of each prompt's continuations (`engine.continuing`)."""
        longest = max(map(len, prompts)) + max((len(tokens) for each in continuations for tokens in each), default=0)
        reader = self._padded(longest)
        if reader is None:
            # Each prompt is read once for each of its continuations.
            given = list(zip(prompts, continuations, strict=True))
            whole = [[*prompt, *tokens] for prompt, each in given for tokens in each]
            rows = iter(self.score(whole)[0] if whole else [])
            return [[next(rows)[len(prompt) - 1 :] for _ in each] for prompt, each in given]
        most, side_by_side = self._predictions_at_once(), self._side_by_side
        asked = Continuations(reader, prompts, continuations, self.batch_tokens, most, self._totals, side_by_side)
        return asked.scores()

    def _predictions_at_once(self) -> int:
        """Return behind how many tokens the next one may be predicted at a time."""
        return max(1, LOGITS_AT_ONCE // self.vocabulary)

    def _totals(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the log-sum-exp [n] of logits [n, vocabulary]; GenomeError if one is NaN."""
        totals = logits.logsumexp(-1)
        self._refuse_nan(totals)
        return totals

    def _logits(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the logits [n, tokens, vocabulary] of prompts of one length, in float32."""
        tokens = torch.tensor([list(prompt) for prompt in prompts])
        # Given to a model that takes it, which some do not.
        mask = {"attention_mask": torch.ones_like(tokens)} if "attention_mask" in self._arguments else {}
        return self.network(input_ids=tokens, **mask).logits.float()

    def _unpadded_tokens(self) -> int:
        """Return the most tokens of a batch that is not padded."""
        # Some models, such as RWKV, mix up the rows of a batch.
        return min(UNPADDED_TOKENS, self.batch_tokens) if self._together else 1

    def save(self, folder: Path) -> None:
        """Write the model as it is currently served, in transformers' format, with the base's generation settings."""
        stored, served = self._stored_generation, self.network.generation_config
        try:
            stored.validate(strict=True)
        except ValueError:  # loadable, but refused by `save_pretrained`: the base's file is copied instead
            stored = None
        self.network.generation_config = stored or served
        with self._weights.written():
            self.network.save_pretrained(folder)
        self.network.generation_config = served
        own = self.base / "generation_config.json"
        if stored is None and own.exists():
            shutil.copyfile(own, folder / own.name)

    def _padded(self, longest: int) -> Reader | None:
        """Return the reader if prompts of different lengths may share a batch, up to `longest` positions."""
        return self._reader if self._rope_switch is None or longest <= self._rope_switch else None

    def _make_reader(self, cache: Any, config: Any) -> Reader | None:
        """Return a reader, with large weights packed; None if the model's state is more than keys and values."""
        needed = {self._cache_name, "attention_mask", "position_ids", "logits_to_keep"}
        if not only_attention(cache, config) or not self._arguments >= needed:
            return None
        self._weights.pack()
        try:
            self._cache_of_one_token()
        except GenomeError:  # it uses a weight without its layer
            self._weights.unpack()
        widest = max((weight.shape[0] for weight in self.linear.values()), default=config.hidden_size)
        return Reader(self.network, shapes(cache.layers), self._cache_name, widest)

    @torch.inference_mode()
    def _reads_side_by_side(self, cache: Any, config: Any) -> bool:
        """Return whether continuations of a prompt can be read in one row: by full attention that takes any mask."""
        if self._reader is None or any(type(layer) is not DynamicLayer for layer in cache.layers):
            return False
        return getattr(config, "window_size", None) is None and self._reader.reads_side_by_side()

    @torch.inference_mode()
    def _cache_of_one_token(self) -> Any:
        """Return the model's cache after one token; None if the model returns none."""
        token = torch.zeros(1, 1, dtype=torch.long)
        try:
            return getattr(self.network(input_ids=token, use_cache=True), self._cache_name, None)
        except LOADING_ERRORS as error:
            raise GenomeError(
                f"{self.base}: the model loads, but cannot read a token ({one_line(error)}); "
                "install the missing package or choose another base model"
            ) from error

    def _refuse_nan(self, largest: torch.Tensor) -> None:
        """Raise GenomeError if any of the `largest` logits is NaN or infinite."""
        if largest.isfinite().all():
            return
        kind = str(self.network.dtype).removeprefix("torch.")
        adapter = f" with adapter {self._current.folder}" if self._current else ""
        raise GenomeError(
            f"{self.base}: the engine gave NaN or infinite logits in {kind}{adapter}; use bfloat16 or float32 "
            "(engine.dtype)"
            + (", or fetch the base model again and make the adapter again" if kind != "float16" else "")
        )
