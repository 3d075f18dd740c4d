"""A causal language model in memory that serves LoRA adapters one at a time.

To serve an adapter, each targeted linear layer gets W = W₀ + (alpha / rank) · B·A, computed in float32 from the
untouched W₀ and rounded to the model's type, so that earlier adapters leave no trace. Decoding is greedy; the answers
to a batch depend only on the batch and the adapter.

There are two ways to answer. If a model's state is only the keys and values of plain attention, batches are padded on
the left, and ended rows are dropped. Padding may change the answers of any other model (recurrent layers, layers that
share a cache, no argument for positions): its prompts of the same length go together through transformers' `generate`,
or one at a time if its state is not a cache of transformers.
"""

import inspect
import json
import math
import shutil
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch.nn.functional import pad
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.utils.logging import disable_progress_bar

from genome.engine.loading import LOADING_ERRORS, TYPES, end_tokens, load_network, positions
from genome.errors import GenomeError, one_line
from genome.files import read_object, replacing_directory
from genome.tasks.chat import load_tokenizer

TOKENS_AT_ONCE = 2048
"""Most prompt tokens that go through the model at a time, including padding."""

LOGITS_AT_ONCE = 2**26
"""Most logits (tokens x vocabulary) in memory during scoring: 256 MB in float32."""

PLAIN_LAYERS = (DynamicLayer, DynamicSlidingWindowLayer)
"""Caches of attention to all tokens, or to a window or chunk, that contain only keys and values."""

WEIGHTS = (".safetensors", ".index.json", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx")
"""Name endings of a base model's weights in any format; such files must not be copied next to merged weights."""

PLAIN_LORA = {
    "peft_type": "LORA",
    "bias": "none",
    "use_dora": False,
    "use_rslora": False,
    "fan_in_fan_out": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": None,
}
"""The values that fields of adapter_config.json must have, if set, so that the model is W₀ + (alpha / rank) · B·A."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: (A [rank, in], B [out, rank]) in float32 by module name; `scale` is alpha / rank."""

    folder: Path
    scale: float
    factors: dict[str, tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Completion:
    """The tokens of one answer without its end-of-sequence token, and whether that token was reached."""

    tokens: list[int]
    stopped: bool


def reference(
    base: Path | str, adapters: Sequence[Path | None], prompts: Sequence[Sequence[int]], max_tokens: int
) -> list[tuple[list[str], float]]:
    """Return each adapter's (None: the base's) greedy texts and its perplexity on the prompts."""
    disable_progress_bar()
    model = Model(base)
    answers = []
    for adapter in adapters:
        model.use(None if adapter is None else model.read_adapter(adapter))
        completions = model.complete(prompts, max_tokens)
        texts = model.tokenizer.batch_decode([c.tokens for c in completions], skip_special_tokens=True)
        values = [value for row in model.score(prompts)[0] for value in row]
        answers.append((texts, math.exp(-math.fsum(values) / len(values))))
    return answers


def write_merged(base: Path | str, adapter: Path | str, out: Path | str) -> None:
    """Write the base with a PEFT folder merged into it, as `Model` serves it, in transformers' format."""
    model = Model(base)
    model.use(model.read_adapter(adapter))
    with replacing_directory(out) as folder:
        model.save(folder)
        for file in sorted(Path(base).iterdir()):  # the tokenizer, the chat template
            written = (folder / file.name).exists() or file.name.endswith(WEIGHTS)
            if file.is_file() and not (written or file.name.startswith(".")):
                shutil.copyfile(file, folder / file.name)


class Model:
    """A base model and the adapter that is currently merged into it; for one thread at a time."""

    def __init__(self, base: Path | str):
        """Load a local transformers folder; GenomeError unless it is one complete model, see `loading`."""
        self.base = Path(base)
        self.network = load_network(self.base)
        self.tokenizer = load_tokenizer(self.base)
        config = self.network.config.get_text_config()
        self.vocabulary: int = config.vocab_size
        self.positions = positions(config)
        ends = end_tokens(self.base, self.network, self.tokenizer)
        self._end_tokens = torch.tensor(ends)
        self._stored_generation = self.network.generation_config
        # `generate` reads its defaults here: a base's penalties and sampling must not affect an answer.
        self.network.generation_config = GenerationConfig(do_sample=False, eos_token_id=ends, pad_token_id=ends[0])
        self._arguments = frozenset(inspect.signature(self.network.forward).parameters)
        # The name in older releases; newer ones warn about it.
        self._cache_name = "past_key_values" if "past_key_values" in self._arguments else "cache"
        cache = self._cache_of_one_token()
        self._layers = _attention_layers(cache, config)
        # Some models, such as RWKV, mix up the rows of a batch.
        self._together = isinstance(cache, Cache)
        self._rope_switch = _rope_switch(config)
        tied = {id(module.weight) for module in self.network.modules() if isinstance(module, torch.nn.Embedding)}
        self.linear = {
            name: module.weight
            for name, module in self.network.named_modules()
            if isinstance(module, torch.nn.Linear) and id(module.weight) not in tied
        }
        self._untouched: dict[str, torch.Tensor] = {}
        self._current: Adapter | None = None

    def use(self, adapter: Adapter | None) -> None:
        """Serve `adapter` from now on; None means the plain base model."""
        if adapter is self._current:
            return
        factors, scale = (adapter.factors, adapter.scale) if adapter else ({}, 1.0)
        for name, weight in self._untouched.items():
            if name not in factors:
                self.linear[name].copy_(weight)
        for name, (A, B) in factors.items():
            if name not in self._untouched:
                self._untouched[name] = self.linear[name].clone()
            merged = torch.addmm(self._untouched[name].float(), B, A, alpha=scale)
            self.linear[name].copy_(merged)
        self._current = adapter

    @torch.inference_mode()
    def complete(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> list[Completion]:
        """Return the greedy continuation of each prompt, at most `max_tokens` long, in the order of `prompts`.

        Decoding stops after the last answer has ended; finished rows leave the batch once they are half of it.
        """
        layers = self._layers
        if layers is None or not self._padded(max(map(len, prompts)) + max_tokens):
            return self._generate(prompts, max_tokens)
        width = max(2, *map(len, prompts))
        cache = self._read(prompts, width, layers)
        tokens, mask, positions = _pad_left(prompts, width, room=max_tokens)
        tokens = tokens[:, -1]
        rows = torch.arange(len(prompts))
        answers = torch.zeros(len(prompts), max_tokens, dtype=torch.long)
        lengths = torch.full((len(prompts),), max_tokens)
        for step in range(max_tokens):
            end = width + step
            logits = self.network(
                input_ids=tokens[:, None],
                attention_mask=mask[:, :end],
                position_ids=positions[:, end - 1 : end],
                use_cache=True,
                logits_to_keep=1,
                **{self._cache_name: cache},
            ).logits[:, -1]
            tokens = logits.argmax(-1)
            answers[rows, step] = tokens
            running = lengths[rows] == max_tokens
            # argmax returns a NaN if there is one, so checking the chosen logit is enough.
            self._refuse_nan(logits.gather(-1, tokens[:, None]).squeeze(-1)[running])
            ended = running & torch.isin(tokens, self._end_tokens)
            lengths[rows[ended]] = step
            running &= ~ended
            left = int(running.sum())
            if not left:
                break
            if 2 * left <= len(rows):
                cache.batch_select_indices(running)
                rows, tokens, mask, positions = (x[running] for x in (rows, tokens, mask, positions))
        return [
            Completion(row[:length], length < max_tokens)
            for row, length in zip(answers.tolist(), lengths.tolist(), strict=True)
        ]

    def _read(self, prompts: Sequence[Sequence[int]], width: int, layers: int) -> DynamicCache:
        """Return the keys and values of all tokens of the prompts except the last, padded left to `width` - 1.

        Prompts are read in parts, so that their activations stay in the processor's cache and use limited memory.
        """
        keys, values = [], []
        for places in _parts(prompts, range(len(prompts)), TOKENS_AT_ONCE):
            part = [prompts[place] for place in places]
            tokens, mask, positions = _pad_left(part, max(2, *map(len, part)))
            cache = _KeysAndValues(layers)
            with suppress(_Read):
                self.network(
                    input_ids=tokens[:, :-1],
                    attention_mask=mask[:, :-1],
                    position_ids=positions[:, :-1],
                    use_cache=True,
                    logits_to_keep=1,
                    **{self._cache_name: cache},
                )
            missing = (0, 0, width - tokens.shape[1], 0)
            past: Any = cache.layers  # PLAIN_LAYERS all, whose keys and values are set by now
            keys.append([pad(layer.keys, missing) for layer in past])
            values.append([pad(layer.values, missing) for layer in past])
        merged = DynamicCache()
        for layer in range(layers):
            merged.update(torch.cat([k[layer] for k in keys]), torch.cat([v[layer] for v in values]), layer)
        return merged

    def _generate(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> list[Completion]:
        """Return the same as `complete`, computed by transformers' `generate` on prompts of one length at a time."""
        completions: list[Completion] = [Completion([], False)] * len(prompts)
        for places in _equal_lengths(prompts, TOKENS_AT_ONCE if self._together else 1):
            tokens = torch.tensor([list(prompts[place]) for place in places])
            width = tokens.shape[1]

            def check(given: torch.Tensor, logits: torch.Tensor, width: int = width) -> torch.Tensor:
                ended = torch.isin(given[:, width:], self._end_tokens).any(-1)
                self._refuse_nan(logits.gather(-1, logits.argmax(-1, keepdim=True)).squeeze(-1)[~ended])
                return logits

            rows = self.network.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=max_tokens,
                logits_processor=LogitsProcessorList([check]),
            )[:, width:]
            # One more column that ends every row.
            ends = pad(torch.isin(rows, self._end_tokens), (0, 1), value=True).int().argmax(-1).tolist()
            for place, row, end in zip(places, rows.tolist(), ends, strict=True):
                completions[place] = Completion(row[:end], end < len(row))
        return completions

    @torch.inference_mode()
    def score(self, prompts: Sequence[Sequence[int]]) -> tuple[list[list[float]], list[Completion]]:
        """Return the log-probabilities of each prompt's tokens except the first, and the most likely next token."""
        scores: list[list[float]] = [[]] * len(prompts)
        continuations: list[Completion] = [Completion([], False)] * len(prompts)
        most = min(TOKENS_AT_ONCE if self._together else 1, LOGITS_AT_ONCE // self.vocabulary)
        padded = self._padded(max(map(len, prompts)))
        for places in _parts(prompts, range(len(prompts)), most) if padded else _equal_lengths(prompts, most):
            part = [prompts[place] for place in places]
            width = max(map(len, part))
            tokens, mask, positions = _pad_left(part, width)
            given: dict[str, Any] = {"attention_mask": mask}
            if padded:  # other models may need the cache, such as layers that share keys and values
                given |= {"position_ids": positions, "use_cache": False}
            logits = self.network(
                input_ids=tokens, **{name: given[name] for name in given if name in self._arguments}
            ).logits.float()
            totals = logits.logsumexp(-1)
            self._refuse_nan(totals[mask.bool()])
            chosen = logits[:, :-1].gather(-1, tokens[:, 1:, None]).squeeze(-1)
            rows = (chosen - totals[:, :-1]).tolist()
            following = logits[:, -1].argmax(-1)
            ended = torch.isin(following, self._end_tokens).tolist()
            for place, row, token, stop in zip(places, rows, following.tolist(), ended, strict=True):
                scores[place] = row[width - len(prompts[place]) :]
                continuations[place] = Completion([] if stop else [token], stop)
        return scores, continuations

    def continuations(
        self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[list[float]]]:
        """Return the log-probabilities of each continuation's tokens after its prompt: [prompt][continuation]."""
        whole = [[*prompt, *each] for prompt, given in zip(prompts, continuations, strict=True) for each in given]
        rows = iter(self.score(whole)[0])
        return [[next(rows)[-len(each) :] for each in given] for given in continuations]

    def save(self, folder: Path) -> None:
        """Write the model as it is currently served, in transformers' format, with the base's generation settings."""
        stored, served = self._stored_generation, self.network.generation_config
        try:
            stored.validate(strict=True)
        except ValueError:  # loadable, but refused by `save_pretrained`: the base's file is copied instead
            stored = None
        self.network.generation_config = stored or served
        self.network.save_pretrained(folder)
        self.network.generation_config = served
        own = self.base / "generation_config.json"
        if stored is None and own.exists():
            shutil.copyfile(own, folder / own.name)

    def _padded(self, longest: int) -> bool:
        """Return whether prompts of different lengths may share a batch, up to `longest` positions."""
        return (
            self._layers is not None
            and self._arguments >= {self._cache_name, "attention_mask", "position_ids", "logits_to_keep"}
            and (self._rope_switch is None or longest <= self._rope_switch)
        )

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
            '("dtype" in the base model\'s config.json)'
            + (", or fetch the base model again and make the adapter again" if kind != "float16" else "")
        )

    def read_adapter(self, folder: Path | str) -> Adapter:
        """Read a PEFT folder; GenomeError if it does not fit this base model."""
        folder = Path(folder)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            _check_file(folder, name)
        config = read_object(folder / "adapter_config.json", "make the adapter again")
        for field, plain in PLAIN_LORA.items():
            if config.get(field, plain) not in (plain, None):
                raise GenomeError(
                    f"{folder}/adapter_config.json: {field} is {_as_json(config[field])}, "
                    f"expected {json.dumps(plain)}; only plain LoRA adapters are served"
                )
        for field in ("r", "lora_alpha"):
            value = config.get(field)
            if not (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and 0 < value < 2**31
                and (field == "lora_alpha" or value == int(value))
            ):
                raise GenomeError(
                    f"{folder}/adapter_config.json: {field} is {_as_json(value)}, expected a positive number; "
                    "make the adapter again"
                )
        file, rank = folder / "adapter_model.safetensors", int(config["r"])
        try:
            tensors = safetensors.torch.load_file(file)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise GenomeError(
                f"{file}: not a whole safetensors file ({one_line(error)}); make the adapter again"
            ) from error
        if not tensors:
            raise GenomeError(f"{file}: contains no tensors; make the adapter again")
        factors = {}
        for key in tensors:
            stem, letter = key.removesuffix(".weight")[:-1], key.removesuffix(".weight")[-1:]
            name = stem.removeprefix("base_model.model.").removesuffix(".lora_")
            module = _module(name, self.linear)
            if module is None:
                raise GenomeError(f"{file}: tensor {key} does not belong to a linear layer of the base model")
            partner = stem + {"A": "B.weight", "B": "A.weight"}.get(letter, "")
            if partner not in tensors:
                raise GenomeError(f"{file}: tensor {key} has no partner {partner}")
            if letter == "B":
                continue
            if not {tensors[key].dtype, tensors[partner].dtype}.issubset(TYPES):
                raise GenomeError(
                    f"{file}: {name} has {tensors[key].dtype} and {tensors[partner].dtype}, "
                    "expected float32, bfloat16 or float16"
                )
            A, B = tensors[key].float(), tensors[partner].float()
            outputs, inputs = self.linear[module].shape
            if A.shape != (rank, inputs) or B.shape != (outputs, rank):
                raise GenomeError(
                    f"{file}: {name} has A {list(A.shape)} and B {list(B.shape)}, expected "
                    f"[{rank}, {inputs}] and [{outputs}, {rank}] for rank {rank} on this base model"
                )
            if not (A.isfinite().all() and B.isfinite().all()):
                raise GenomeError(f"{file}: {name} contains NaN or infinity")
            if module in factors:
                raise GenomeError(
                    f"{file}: {name} belongs to {module}, which has other tensors; make the adapter again"
                )
            factors[module] = (A, B)
        return Adapter(folder, config["lora_alpha"] / rank, factors)


def _module(layer: str, modules: Collection[str]) -> str | None:
    """Return the module that a layer's name in the base's files stands for; None if none or several may be meant.

    Some names change on loading, such as `language_model.model.layers.0.mlp.up_proj`, which becomes
    `model.language_model.layers.0.mlp.up_proj`. What follows `layers.` stays; of several modules that share it (a text
    and a vision model), the one whose name before it has the most words in common is meant.
    """
    if layer in modules:
        return layer
    before, _, after = layer.rpartition("layers.")
    words = set(before.split("."))
    shared = {
        module: len(words & set(module.removesuffix(f"layers.{after}").split(".")))
        for module in modules
        if after and f".{module}".endswith(f".layers.{after}")
    }
    best = [module for module, number in shared.items() if number == max(shared.values())]
    return best[0] if len(best) == 1 else None


def _check_file(folder: Path, name: str) -> None:
    """Raise GenomeError if a file of an adapter is missing or is not a regular file."""
    try:
        regular = stat.S_ISREG((folder / name).stat().st_mode)
    except (OSError, ValueError) as error:  # ValueError: an invalid path, such as one with a NUL
        reason = getattr(error, "strerror", None) or one_line(error)
        raise GenomeError(f"{str(folder)[:1000]!r}: no {name} ({reason}); an adapter is a PEFT folder") from error
    if not regular:
        raise GenomeError(f"{folder}/{name}: not a regular file; an adapter is a PEFT folder")


def _as_json(value: Any) -> str:
    """Return a value of a JSON file for a message, in at most 80 characters."""
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _attention_layers(cache: Any, config: Any) -> int | None:
    """Return the number of layers if a cache of one token has only keys and values of attention for each, else None."""
    if type(cache) is not DynamicCache or len(cache.layers) != config.num_hidden_layers:
        return None
    plain = [layer for layer in cache.layers if isinstance(layer, PLAIN_LAYERS) and type(layer) in PLAIN_LAYERS]
    whole = len(plain) == len(cache.layers) and all(layer.get_seq_length() == 1 for layer in plain)
    return len(plain) if whole else None


def _rope_switch(config: Any) -> int | None:
    """Return the length above which the longest row changes the rotary positions of its whole batch (LongRoPE)."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if rope.get("rope_type", rope.get("type")) != "longrope":
        return None
    return rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", 0)


def _parts(prompts: Sequence[Sequence[int]], places: Sequence[int], tokens: int) -> Iterator[Sequence[int]]:
    """Cut `places` of prompts, in order, into parts of at most `tokens` tokens with padding, or of one prompt."""
    start = widest = 0
    for end, place in enumerate(places):
        widest = max(widest, len(prompts[place]))
        if end > start and (end - start + 1) * widest > tokens:
            yield places[start:end]
            start, widest = end, len(prompts[place])
    yield places[start:]


def _equal_lengths(prompts: Sequence[Sequence[int]], tokens: int) -> Iterator[Sequence[int]]:
    """Cut the places of prompts into parts of equal length, of at most `tokens` tokens or of one prompt."""
    by_length: dict[int, list[int]] = {}
    for place, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(place)
    for length in sorted(by_length):
        yield from _parts(prompts, by_length[length], tokens)


def _pad_left(
    prompts: Sequence[Sequence[int]], width: int, room: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tokens [n, width], and mask and positions [n, width + room], with `room` tokens to be decoded."""
    tokens = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    columns = torch.arange(width + room) - torch.tensor([[width - len(prompt)] for prompt in prompts])
    return tokens, (columns >= 0).long(), columns.clamp(min=0)


class _Read(Exception):  # noqa: N818
    """Signals that the keys and values of prompts are complete."""


class _KeysAndValues(DynamicCache):
    """A cache that ends the model's pass once it has the last layer's keys and values.

    The rest of that layer is only needed for the next token, which is decoded later for all prompts at once. In a
    model of two layers, this saves a third of the work.
    """

    def __init__(self, layers: int):
        super().__init__()
        self._last = layers - 1

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer: int, *rest, **more):
        """Add a layer's keys and values."""
        states = super().update(keys, values, layer, *rest, **more)
        if layer == self._last:
            raise _Read
        return states
