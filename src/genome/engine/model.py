"""A causal language model in memory that serves LoRA adapters one at a time.

To serve an adapter, each targeted linear layer gets W = W₀ + (alpha / rank) · B·A, computed in float32 from the
untouched W₀ and rounded to the model's type: what was served before leaves no trace. Decoding is greedy, in batches
padded on the left; the answers to a batch depend on the batch and the adapter alone.
"""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch.nn.functional import pad
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils.logging import disable_progress_bar

from genome.errors import GenomeError
from genome.files import read_json, replacing_directory

TOKENS_AT_ONCE = 2048
"""Most prompt tokens that go through the model at a time, padding included."""

LOGITS_AT_ONCE = 2**26
"""Most logits (tokens x vocabulary) that scoring holds at a time: 256 MB in float32."""

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
"""What adapter_config.json has to say, where it says anything, for W₀ + (alpha / rank) · B·A to be the whole truth."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: (A [rank, in], B [out, rank]) in float32 by module name; `scale` is alpha / rank."""

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
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    model = Model(base)
    answers = []
    for adapter in adapters:
        model.use(None if adapter is None else model.read_adapter(adapter))
        completions = model.complete(prompts, max_tokens)
        texts = tokenizer.batch_decode([c.tokens for c in completions], skip_special_tokens=True)
        values = [value for row in model.score(prompts)[0] for value in row]
        answers.append((texts, math.exp(-math.fsum(values) / len(values))))
    return answers


def write_merged(base: Path | str, adapter: Path | str, out: Path | str) -> None:
    """Write what `Model` serves, the base with a PEFT folder merged into it, as a folder that transformers loads."""
    model = Model(base)
    model.use(model.read_adapter(adapter))
    with replacing_directory(out) as folder:
        model.network.save_pretrained(folder)
        for file in sorted(Path(base).iterdir()):  # the tokenizer, the chat template
            written = (folder / file.name).exists() or file.name.endswith((".safetensors", ".index.json"))
            if not (written or file.name.startswith(".")):
                shutil.copyfile(file, folder / file.name)


class Model:
    """A base model and the adapter that is merged into it at the moment; for one thread at a time."""

    def __init__(self, base: Path | str):
        """Load a local transformers folder: safetensors only, no remote code, in the type it is stored in."""
        self.network = AutoModelForCausalLM.from_pretrained(
            base,
            dtype="auto",
            attn_implementation="eager",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        self.network.requires_grad_(False).eval()
        config = self.network.config.get_text_config()
        self.vocabulary: int = config.vocab_size
        self.positions: int = config.max_position_embeddings
        self._layers: int = config.num_hidden_layers
        self._end_tokens = _end_tokens(base, self.network)
        tied = {id(module.weight) for module in self.network.modules() if isinstance(module, torch.nn.Embedding)}
        self.linear = {
            name: module.weight
            for name, module in self.network.named_modules()
            if isinstance(module, torch.nn.Linear) and id(module.weight) not in tied
        }
        self._untouched: dict[str, torch.Tensor] = {}
        self._current: Adapter | None = None

    def use(self, adapter: Adapter | None) -> None:
        """Serve `adapter` from now on; None is the plain base model."""
        if adapter is self._current:
            return
        factors = adapter.factors if adapter else {}
        for name, weight in self._untouched.items():
            if name not in factors:
                self.linear[name].copy_(weight)
        for name, (A, B) in factors.items():
            if name not in self._untouched:
                self._untouched[name] = self.linear[name].clone()
            merged = torch.addmm(self._untouched[name].float(), B, A, alpha=adapter.scale)
            self.linear[name].copy_(merged)
        self._current = adapter

    @torch.inference_mode()
    def complete(self, prompts: Sequence[Sequence[int]], max_tokens: int) -> list[Completion]:
        """Return the greedy continuation of each prompt, at most `max_tokens` long, in the order of `prompts`.

        No step is computed after the last answer has ended; finished rows leave the batch once they are half of it.
        """
        width = max(2, *map(len, prompts))
        cache = self._read(prompts, width)
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
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
            tokens = logits[:, -1].argmax(-1)
            answers[rows, step] = tokens
            running = lengths[rows] == max_tokens
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

    def _read(self, prompts: Sequence[Sequence[int]], width: int) -> DynamicCache:
        """Return the keys and values of all tokens of the prompts but the last, padded left to `width` - 1.

        Prompts are read in parts: their activations stay in the processor's cache, and their memory has a bound.
        """
        keys, values = [], []
        for part in _parts(prompts, TOKENS_AT_ONCE):
            tokens, mask, positions = _pad_left(part, max(2, *map(len, part)))
            cache = _KeysAndValues(self._layers)
            with suppress(_Read):
                self.network(
                    input_ids=tokens[:, :-1],
                    attention_mask=mask[:, :-1],
                    position_ids=positions[:, :-1],
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            missing = (0, 0, width - tokens.shape[1], 0)
            keys.append([pad(layer.keys, missing) for layer in cache.layers])
            values.append([pad(layer.values, missing) for layer in cache.layers])
        merged = DynamicCache()
        for layer in range(self._layers):
            merged.update(torch.cat([k[layer] for k in keys]), torch.cat([v[layer] for v in values]), layer)
        return merged

    @torch.inference_mode()
    def score(self, prompts: Sequence[Sequence[int]]) -> tuple[list[list[float]], list[Completion]]:
        """Return the log-probability of each prompt's tokens but the first, and the most likely next token."""
        scores, continuations = [], []
        for part in _parts(prompts, min(TOKENS_AT_ONCE, LOGITS_AT_ONCE // self.vocabulary)):
            width = max(map(len, part))
            tokens, mask, positions = _pad_left(part, width)
            logits = self.network(
                input_ids=tokens, attention_mask=mask, position_ids=positions, use_cache=False
            ).logits.float()
            chosen = logits[:, :-1].gather(-1, tokens[:, 1:, None]).squeeze(-1)
            rows = (chosen - logits[:, :-1].logsumexp(-1)).tolist()
            scores += [row[width - len(prompt) :] for row, prompt in zip(rows, part, strict=True)]
            following = logits[:, -1].argmax(-1)
            ended = torch.isin(following, self._end_tokens).tolist()
            continuations += [
                Completion([] if stop else [token], stop) for token, stop in zip(following.tolist(), ended, strict=True)
            ]
        return scores, continuations

    def read_adapter(self, folder: Path | str) -> Adapter:
        """Read a PEFT folder; GenomeError names what does not fit this base model."""
        folder = Path(folder)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            if not (folder / name).is_file():
                raise GenomeError(f"{folder}: no {name}; an adapter is a PEFT folder")
        config = read_json(folder / "adapter_config.json")
        for field, plain in PLAIN_LORA.items():
            if config.get(field, plain) not in (plain, None):
                raise GenomeError(
                    f"{folder}/adapter_config.json: {field} is {json.dumps(config[field])}, "
                    f"expected {json.dumps(plain)}; only plain LoRA adapters are served"
                )
        for field in ("r", "lora_alpha"):
            if not isinstance(config.get(field), int | float) or config[field] <= 0:
                raise GenomeError(f"{folder}/adapter_config.json: {field} is no positive number")
        file, rank = folder / "adapter_model.safetensors", config["r"]
        try:
            tensors = safetensors.torch.load_file(file)
        except SafetensorError as error:
            raise GenomeError(f"{file}: not a whole safetensors file ({error}); make the adapter again") from error
        factors = {}
        for key in tensors:
            stem, letter = key.removesuffix(".weight")[:-1], key.removesuffix(".weight")[-1:]
            name = stem.removeprefix("base_model.model.").removesuffix(".lora_")
            if name not in self.linear:
                raise GenomeError(f"{file}: tensor {key} belongs to no linear layer of the base model")
            partner = stem + {"A": "B.weight", "B": "A.weight"}.get(letter, "")
            if partner not in tensors:
                raise GenomeError(f"{file}: tensor {key} has no partner {partner}")
            if letter == "B":
                continue
            A, B = tensors[key].float(), tensors[partner].float()
            outputs, inputs = self.linear[name].shape
            if A.shape != (rank, inputs) or B.shape != (outputs, rank):
                raise GenomeError(
                    f"{file}: {name} has A {list(A.shape)} and B {list(B.shape)}, expected "
                    f"[{rank}, {inputs}] and [{outputs}, {rank}] for rank {rank} on this base model"
                )
            if not (A.isfinite().all() and B.isfinite().all()):
                raise GenomeError(f"{file}: {name} holds NaN or infinity")
            factors[name] = (A, B)
        return Adapter(config["lora_alpha"] / rank, factors)


def _end_tokens(base: Path | str, network: torch.nn.Module) -> torch.Tensor:
    """Return the token ids that end an answer, as the model's generation settings list them."""
    tokens = network.generation_config.eos_token_id
    if tokens is None:
        raise GenomeError(f"{base}: neither generation_config.json nor config.json names eos_token_id")
    return torch.tensor([tokens] if isinstance(tokens, int) else tokens)


def _parts(prompts: Sequence[Sequence[int]], tokens: int) -> Iterator[Sequence[Sequence[int]]]:
    """Cut prompts, in order, into parts of at most `tokens` tokens, padding included; a part has a prompt at least."""
    start = widest = 0
    for end, prompt in enumerate(prompts):
        widest = max(widest, len(prompt))
        if end > start and (end - start + 1) * widest > tokens:
            yield prompts[start:end]
            start, widest = end, len(prompt)
    yield prompts[start:]


def _pad_left(
    prompts: Sequence[Sequence[int]], width: int, room: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tokens [n, width], and for them and `room` tokens to come: mask and positions [n, width + room]."""
    tokens = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    columns = torch.arange(width + room) - torch.tensor([[width - len(prompt)] for prompt in prompts])
    return tokens, (columns >= 0).long(), columns.clamp(min=0)


class _Read(Exception):  # noqa: N818
    """The keys and values of prompts are complete."""


class _KeysAndValues(DynamicCache):
    """A cache that ends the model's pass once the last layer's keys and values are in it.

    The rest of that layer would serve the next token only, which is decoded later, for all prompts at once: in a
    model of two layers that is a third of the work.
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
