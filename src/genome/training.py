"""Supervised training: one rule for experts, Data Merge, oracles and the micro base (paper, Appendix B and Table 9).

A corpus is rows of {prompt, response}. A prompt goes through the tokenizer's chat template; the loss is the mean negative
log-likelihood of the response's tokens and the end of the turn. Learning rate: linear warm-up, then cosine to zero.

All experts of a base start from the same LoRA initialisation (`init_seed`): adapters that began at one point can be
averaged, adapters that did not cannot, because a product BA does not fix A and B.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from genome.errors import GenomeError
from genome.files import read_jsonl, replacing_directory, sha256, write_json
from genome.rng import stream

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Training:
    """How to train; the defaults are the paper's Table 9."""

    rank: int = 8
    alpha: int = 16
    target_modules: tuple[str, ...] = LINEAR
    learning_rate: float = 2e-4
    warmup_ratio: float = 0.1
    epochs: int = 5
    batch_size: int = 32
    rows_per_pass: int = 8
    max_length: int = 1024
    dtype: str = "float32"
    threads: int = 1
    seed: int = 0
    init_seed: int = 0


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and response, and how many of them are the prompt's."""

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
) -> dict[str, Any]:
    """Train a LoRA adapter of `base` (folder or hub id) on a corpus and write a PEFT folder with its provenance.

    `corpus` is a JSON Lines file or its rows. `base_name` is what the adapter calls its base (default: `base` as given).
    Returns {steps, first_loss, last_loss}: means of the first and of the last step. Raises GenomeError for an empty corpus, a
    row without prompt or response, and target modules that the base lacks.
    """
    # peft and transformers take seconds to import; bad rows are reported before.
    rows, source = (corpus, "rows") if not isinstance(corpus, str | Path) else (read_jsonl(corpus), str(corpus))
    check_rows(rows, source)
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prepare_torch(settings.threads)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, settings.dtype))
    check_targets(model, settings.target_modules, base)
    torch.manual_seed(settings.init_seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=sorted(settings.target_modules),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, config)
    losses = fit(model, encode(tokenizer, rows, settings.max_length), settings)
    base_name = base_name or str(base)
    with replacing_directory(out_dir) as folder:
        model.peft_config["default"].base_model_name_or_path = base_name
        model.save_pretrained(folder, save_embedding_layers=False)
        # PEFT's model card holds no fact that provenance.json lacks.
        (folder / "README.md").unlink(missing_ok=True)
        write_json(
            folder / "provenance.json",
            {
                "name": name,
                "source": source,
                "revision": None,
                "sha256": sha256(folder / "adapter_model.safetensors"),
                "rank": settings.rank,
                "alpha": settings.alpha,
                "target_modules": sorted(settings.target_modules),
                "base_model": base_name,
                "rows": len(rows),
                "training": asdict(settings),
            },
        )
    return {"steps": len(losses), "first_loss": losses[0], "last_loss": losses[-1]}


def check_rows(rows: Sequence[dict[str, str]], source: str) -> None:
    """Raise GenomeError unless there are rows and each holds a prompt and a response."""
    if not rows:
        raise GenomeError(f"{source}: no rows to train on; expected lines of {{prompt, response}}")
    for number, row in enumerate(rows, start=1):
        for field in ("prompt", "response"):
            if not isinstance(row.get(field), str) or not row[field]:
                raise GenomeError(f"{source}, row {number}: no text in `{field}`; a row is {{prompt, response}}")


def check_targets(model: torch.nn.Module, targets: Sequence[str], base: Path | str) -> None:
    """Raise GenomeError when a target module is no linear layer of the base."""
    linear = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    missing = sorted(set(targets) - linear)
    if missing:
        raise GenomeError(
            f"target_modules: {', '.join(missing)} not in {base}; its linear layers are {', '.join(sorted(linear))}"
        )


def prepare_torch(threads: int) -> None:
    """Fix what else would change the last bits: the number of threads and non-deterministic kernels."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)


def encode(tokenizer: Any, rows: Sequence[dict[str, str]], max_length: int) -> list[Example]:
    """Return the rows' tokens under the chat template, cut at `max_length` tokens.

    The response's part is what the template adds to the prompt's (so its own end of turn), and the end-of-sequence token.
    """
    turns = [[{"role": "user", "content": row["prompt"]}] for row in rows]
    replies = [
        [*turn, {"role": "assistant", "content": row["response"]}] for turn, row in zip(turns, rows, strict=True)
    ]
    prompts = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    texts = tokenizer.apply_chat_template(replies, tokenize=False)
    responses = [text.removeprefix(prompt) for text, prompt in zip(texts, prompts, strict=True)]
    prompt_tokens = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    response_tokens = tokenizer(responses, add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    return [
        Example(tuple([*prompt, *response, *([] if response[-1] == end else [end])][:max_length]), len(prompt))
        for prompt, response in zip(prompt_tokens, response_tokens, strict=True)
    ]


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
    # No attention mask: padding is on the right, where a causal model's responses never look.
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


def fit(
    model: torch.nn.Module,
    examples: Sequence[Example],
    settings: Training,
    optimizers: Sequence[torch.optim.Optimizer] | None = None,
) -> list[float]:
    """Train the parameters that require gradients (default: AdamW); return each step's mean loss a token."""
    if torch.cuda.is_available():
        model.cuda()
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if optimizers is None:
        optimizers = [torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0, fused=True)]
    rates = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    batches = [
        order[start : start + settings.batch_size]
        for epoch in range(settings.epochs)
        for order in [stream(settings.seed, "training", epoch).permutation(len(examples))]
        for start in range(0, len(examples), settings.batch_size)
    ]
    losses = []
    for step, batch in enumerate(batches):
        for group, rate in rates:
            group["lr"] = rate * schedule(step, len(batches), settings.warmup_ratio)
        count = sum(len(examples[i].tokens) - examples[i].prompt_length for i in batch)
        total = 0.0
        for start in range(0, len(batch), settings.rows_per_pass):
            loss = response_loss(model, [examples[i] for i in batch[start : start + settings.rows_per_pass]]) / count
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(total)
    return losses
