"""A LoRA trained on few samples: how many epochs are enough is decided by the loss on samples that are held out.

One training takes the largest number of epochs, and its adapter is kept after the epoch with the lowest held-out loss.
A second one, on all samples, has the same learning rates and ends after that epoch, so that it is what was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from genome.errors import GenomeError
from genome.lora.training import Example, Training, fit, load_trainable, mean_loss, save_adapter, saving


@dataclass(frozen=True)
class Trained:
    """What came of both trainings: the `epochs` chosen, the held-out loss (nats per token) after each one listed.

    tokens: of prompts and responses that both trainings and the measurements have read
    """

    epochs: int
    losses: Mapping[int, float]
    tokens: int


def train_twice(
    base: Path | str,
    kept: Sequence[Example],
    held_out: Sequence[Example],
    settings: Training,
    epochs: Sequence[int],
    folders: tuple[Path, Path],
    *,
    name: str,
    base_name: str,
) -> Trained:
    """Train LoRAs on `kept`, then on all samples, and write them as the PEFT `folders`: of these, and of all samples.

    `epochs` are the numbers to choose among, in rising order; of equal losses the first is chosen. Raises GenomeError
    as `genome.lora.training.train_lora`.
    """
    settings = replace(settings, epochs=epochs[-1])
    losses: dict[int, float] = {}
    best: dict[str, torch.Tensor] = {}
    model = load_trainable(base, settings, name)

    def measure(epoch: int) -> None:
        if epoch in epochs:
            loss = mean_loss(model, held_out, settings)
            if loss < min(losses.values(), default=float("inf")):
                best.update({key: each.detach().clone() for key, each in trained_of(model).items()})
            losses[epoch] = loss

    def write(folder: Path) -> None:
        with saving(folder):
            save_adapter(model, settings, base_name, folder)

    fit(model, kept, settings, after_epoch=measure)
    if not best:
        raise GenomeError(f"{name}: the held-out loss is not a number after any epoch; lower the learning rate")
    with torch.no_grad():
        for key, parameter in trained_of(model).items():
            parameter.copy_(best[key])
    write(folders[0])
    chosen = min(losses, key=lambda epoch: losses[epoch])
    model = load_trainable(base, settings, name)
    fit(model, [*kept, *held_out], settings, until=chosen)
    write(folders[1])
    size, measured = _tokens(kept), _tokens(held_out)
    tokens = epochs[-1] * size + len(losses) * measured + chosen * (size + measured)
    return Trained(chosen, losses, tokens)


def trained_of(model: Any) -> dict[str, torch.Tensor]:
    """Return the parameters that are trained, by their names."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _tokens(examples: Sequence[Example]) -> int:
    return sum(len(example.tokens) for example in examples)
