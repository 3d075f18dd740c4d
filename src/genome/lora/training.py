"""Supervised training of experts, Data Merge, oracles and the micro base (paper, Appendix B and Table 9).

A corpus is a list of rows {prompt, response}. A prompt goes through the tokenizer's chat template. The loss is the mean
negative log-likelihood of the tokens of the response and of the end of the turn. The learning rate warms up linearly,
then follows a cosine to zero.

LoRA, rsLoRA and DoRA start from an initialisation drawn from `init_seed`. Adapters with the same start can be averaged
factor by factor; others cannot, because a product BA does not determine A and B. A full fine-tune starts from the base.
"""

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError

from genome.errors import GenomeError
from genome.files import encodable, read_numbered, replacing_directory
from genome.progress import Progress
from genome.rng import stream
from genome.tasks.chat import Chat, dialogue_texts, load_tokenizer, token_ids

A_ROW = "a row is {prompt, response}"
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Training:
    """How to train; the defaults are the paper's Table 9.

    `kind` is what is trained: a LoRA (Hu et al. 2021, scaling alpha / rank), an rsLoRA (Kalajdzievski 2023, scaling
    alpha / sqrt(rank)), a DoRA (Liu et al. 2024, which also trains the norms of the weights' rows), or the weights of
    the target modules themselves (`full`; `rank` is then that of its import, and alpha is unused). Each step uses
    `batch_size` rows, `rows_per_pass` of them at a time (None: all at once). The base is loaded in `dtype`; what is
    trained is always float32. Rows are cut at `max_length` tokens. `seed` sets the order of the rows, `init_seed` the
    adapter's initial weights (None: by the adapter's name, so that each has its own).
    """

    kind: Literal["lora", "rslora", "dora", "full"] = "lora"
    rank: int = 8
    alpha: int = 16
    target_modules: tuple[str, ...] = LINEAR
    learning_rate: float = 2e-4
    warmup_ratio: float = 0.1
    epochs: int = 5
    batch_size: int = 32
    rows_per_pass: int | None = None
    max_length: int = 1024
    dtype: str = "float32"
    threads: int = 1
    seed: int = 0
    init_seed: int | None = 0


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and response, and the number of the prompt's tokens."""

    tokens: tuple[int, ...]
    prompt_length: int


def train_lora(
    base: Path | str,
    corpus: Path | str | Sequence[dict[str, str]],
    settings: Training,
    out_dir: Path | str,
    *,
    name: str,
    base_name: str | None = None,
    source: str = "rows",
    chat: Chat | None = None,
) -> dict[str, Any]:
    """Fine-tune `base` (folder or hub id) on a corpus and write the result to `out_dir`.

    A LoRA, rsLoRA or DoRA is written as a PEFT folder, a full fine-tune as a folder of transformers (config.json and
    model.safetensors, without a tokenizer). A full fine-tune, too, changes nothing but the weights of the target
    modules: embeddings, norms and biases stay the base's, so that all of its change can be merged.

    `corpus` is a JSON Lines file, or its rows with `source` as their name in messages. `base_name` is the name of the
    base in the adapter's config (default: `base` as given). `chat` sets how prompts are rendered. Returns {steps,
    first_loss, last_loss, tokens, seconds}: losses per token, the tokens of prompts and responses of one epoch, and how
    long all epochs took. Raises GenomeError for an empty corpus, a row without prompt or
    response, and target modules that the base does not have.
    """
    rows, source = (corpus_rows(corpus), str(corpus)) if isinstance(corpus, str | Path) else (corpus, source)
    check_rows(rows, source)
    model = load_trainable(base, settings, name)
    examples = encode(load_tokenizer(base), rows, settings.max_length, chat)
    started = time.perf_counter()
    losses = fit(model, examples, settings)
    seconds = time.perf_counter() - started
    with replacing_directory(out_dir) as folder, saving(out_dir):
        if settings.kind == "full":
            model.save_pretrained(folder)  # float32 even if the base is not: its change can be small
        else:
            save_adapter(model, settings, base_name or str(base), folder)
    tokens = sum(len(example.tokens) for example in examples)
    found = {"steps": len(losses), "first_loss": losses[0], "last_loss": losses[-1]}
    return {**found, "tokens": tokens, "seconds": round(seconds, 3)}


def load_trainable(base: Path | str, settings: Training, name: str) -> Any:
    """Return a base model with what `settings` train of it; GenomeError for target modules that it does not have."""
    from transformers import AutoModelForCausalLM  # slow to import: callers have checked their rows before

    prepare_torch(settings.threads)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, settings.dtype))
    check_targets(model, settings.target_modules, base)
    return trainable(model, settings, name).to("cuda" if torch.cuda.is_available() else "cpu")


def trainable(model: Any, settings: Training, name: str) -> Any:
    """Return the base model with what `settings` train, in float32, as its only parameters that require gradients."""
    if settings.kind == "full":
        model.requires_grad_(False)
        for module_name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear) and module_name.rsplit(".", 1)[-1] in settings.target_modules:
                module.weight.requires_grad_(True)
        return model.float()  # all of it, since a layer multiplies tensors of one type only
    from peft import LoraConfig, get_peft_model

    # transformers has renamed an attribute that PEFT uses; neither the user nor this code can change that.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
    torch.manual_seed(initial_seed(settings, name))
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=sorted(settings.target_modules),
        use_rslora=settings.kind == "rslora",
        use_dora=settings.kind == "dora",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def initial_seed(settings: Training, name: str) -> int:
    """Return the seed of an adapter's initial weights."""
    if settings.init_seed is not None:
        return settings.init_seed
    return int(stream(settings.seed, "initialisation", name).integers(2**31))


def save_adapter(model: Any, settings: Training, base_name: str, folder: Path) -> None:
    """Write a trained adapter as a PEFT folder."""
    saved: Any = model.peft_config["default"]
    saved.base_model_name_or_path = base_name
    # PEFT stores a set, whose order differs between processes.
    saved.target_modules = sorted(settings.target_modules)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    # PEFT's model card contains nothing that the expert's provenance does not.
    (folder / "README.md").unlink(missing_ok=True)


@contextmanager
def saving(out: Path | str) -> Iterator[None]:
    """Turn the error of safetensors about a full disk, which is not an OSError, into one line about `out`."""
    try:
        yield
    except SafetensorError as error:
        raise GenomeError(f"cannot write {out}: {error}; free space on that disk, or choose another place") from error


def corpus_rows(path: Path | str) -> list[dict[str, str]]:
    """Return the rows of a corpus; columns other than prompt and response may contain anything.

    Raises GenomeError, with the file and the line, if a line is not a row {prompt, response}.
    """
    counted, numbered = read_numbered(path, A_ROW, any_value=True)
    if not numbered:
        raise GenomeError(f"{path}: no rows to train on; {A_ROW}")
    for count, (number, row) in enumerate(numbered, start=1):
        line = "" if number == count else f" ({counted} {number})"
        check_row(row, f"{path}, row {count}{line}")
    return [row for _, row in numbered]


def check_rows(rows: Sequence[dict[str, str]], source: str) -> None:
    """Raise GenomeError unless there are rows and each has a prompt and a response."""
    if not rows:
        raise GenomeError(f"{source}: no rows to train on; {A_ROW}")
    for number, row in enumerate(rows, start=1):
        check_row(row, f"{source}, row {number}")


def check_row(row: Any, where: str) -> None:
    """Raise GenomeError unless a row has a prompt and a response that can be trained on."""
    for field in ("prompt", "response"):
        text = row.get(field) if isinstance(row, dict) else None
        if not isinstance(text, str) or not text:
            raise GenomeError(f"{where}: no text in `{field}`; {A_ROW}")
        if not encodable(text):
            raise GenomeError(f"{where}: `{field}` contains half of a surrogate pair; correct the text")


def check_targets(model: torch.nn.Module, targets: Sequence[str], base: Path | str) -> None:
    """Raise GenomeError if a target module is not a linear layer of the base."""
    linear = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    missing = sorted(set(targets) - linear)
    if missing:
        raise GenomeError(
            f"target_modules: {', '.join(missing)} not in {base}; its linear layers are {', '.join(sorted(linear))}"
        )


def prepare_torch(threads: int) -> None:
    """Fix the number of threads and the choice of kernels, which would change the last bits; hide progress bars."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    from transformers.utils import logging

    logging.disable_progress_bar()  # a job's output goes to a file
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)


def encode(tokenizer: Any, rows: Sequence[dict[str, str]], max_length: int, chat: Chat | None = None) -> list[Example]:
    """Return the rows' tokens, made in the same way as prompts for the engine, cut at `max_length`.

    A response's tokens are what the chat template adds for it (including its end of turn) and the end of the sequence.
    Raises GenomeError as `dialogue_texts`, and if no response begins before `max_length`.
    """
    texts = dialogue_texts(
        tokenizer, [row["prompt"] for row in rows], [row["response"] for row in rows], chat or Chat()
    )
    examples = []
    for prompt, response in zip(
        token_ids(tokenizer, [prompt for prompt, _ in texts]),
        tokenizer([response for _, response in texts], add_special_tokens=False)["input_ids"],
        strict=True,
    ):
        end = [] if response[-1] == tokenizer.eos_token_id else [tokenizer.eos_token_id]
        tokens = tuple([*prompt, *response, *end][:max_length])
        examples.append(Example(tokens, min(len(prompt), len(tokens))))
    if all(example.prompt_length == len(example.tokens) for example in examples):
        raise GenomeError(f"max_length {max_length}: all prompts are longer, so no response is left; raise max_length")
    return examples


def collate(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and labels, (rows, longest), padded on the right; labels are -100 outside responses."""
    longest = max(len(example.tokens) for example in examples)
    tokens = torch.zeros(len(examples), longest, dtype=torch.long)
    labels = torch.full((len(examples), longest), -100)
    for row, example in enumerate(examples):
        ids = torch.tensor(example.tokens)
        tokens[row, : len(ids)] = ids
        labels[row, example.prompt_length : len(ids)] = ids[example.prompt_length :]
    return tokens, labels


def response_loss(model: torch.nn.Module, examples: Sequence[Example]) -> torch.Tensor:
    """Return the summed negative log-likelihood of the responses."""
    tokens, labels = (tensor.to(next(model.parameters()).device) for tensor in collate(examples))
    # No attention mask: padding is on the right, where a causal model's tokens do not attend.
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    labels = labels[:, 1:]
    inside = labels != -100
    return torch.nn.functional.cross_entropy(logits[inside].float(), labels[inside], reduction="sum")


def schedule(step: int, steps: int, warmup_ratio: float) -> float:
    """Return the share of the full learning rate at a step (from 0): linear warm-up, then a cosine to zero."""
    warmup = max(1, round(warmup_ratio * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def batches(count: int, settings: Training) -> list[np.ndarray]:
    """Return the row numbers of each step; every epoch has a different order."""
    return [
        order[start : start + settings.batch_size]
        for epoch in range(settings.epochs)
        for order in [stream(settings.seed, "training", epoch).permutation(count)]
        for start in range(0, count, settings.batch_size)
    ]


def fit(
    model: torch.nn.Module,
    examples: Sequence[Example],
    settings: Training,
    optimizers: Sequence[torch.optim.Optimizer] | None = None,
    after_epoch: Callable[[int], None] | None = None,
    until: int | None = None,
) -> list[float]:
    """Train the parameters that require gradients, with AdamW by default; return each step's mean loss per token.

    `after_epoch` is called with the number of each epoch, from 1, when it has ended. With `until`, training ends after
    that epoch, on the learning rates of all epochs.
    """
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if optimizers is None:
        optimizers = [torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0, fused=True)]
    rates = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    steps = batches(len(examples), settings)
    losses, per_epoch = [], len(steps) // settings.epochs
    taken = steps[: (until or settings.epochs) * per_epoch]
    progress = Progress("steps", rated="tokens")
    with progress.working(len(taken)):
        for step, batch in enumerate(taken):
            for group, rate in rates:
                group["lr"] = rate * schedule(step, len(steps), settings.warmup_ratio)
            rows = [examples[index] for index in batch]
            losses.append(accumulate(model, rows, settings.rows_per_pass or len(rows)))
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            progress.add(1, sum(len(row.tokens) for row in rows), f"loss {losses[-1]:.3f}")
            if after_epoch and (step + 1) % per_epoch == 0:
                after_epoch((step + 1) // per_epoch)
    return losses


def mean_loss(model: Any, rows: Sequence[Example], settings: Training) -> float:
    """Return the mean loss per token of the responses to rows that are not trained on."""
    rows, size = sorted(rows, key=lambda row: len(row.tokens)), settings.rows_per_pass or settings.batch_size
    model.eval()
    with torch.no_grad():
        total = sum(response_loss(model, rows[start : start + size]).item() for start in range(0, len(rows), size))
    model.train()
    return total / response_tokens(rows)


def response_tokens(rows: Sequence[Example]) -> int:
    """Return the number of tokens of responses, at least one."""
    return max(1, sum(len(row.tokens) - row.prompt_length for row in rows))


def accumulate(model: torch.nn.Module, rows: Sequence[Example], size: int) -> float:
    """Add up the gradients of a step, `size` rows at a time; return its mean loss per token."""
    # Rows of similar length in one pass, which need less padding.
    rows = sorted(rows, key=lambda row: len(row.tokens))
    tokens = response_tokens(rows)
    total = 0.0
    for start in range(0, len(rows), size):
        loss = response_loss(model, rows[start : start + size]) / tokens
        loss.backward()
        total += loss.item()
    return total
