"""A LoRA of few samples: its epochs are those of the lowest held-out loss, of which both adapters are."""

import filecmp
from dataclasses import replace

import pytest

from genome.errors import GenomeError
from genome.jobs.validation_lora import draw
from genome.lora.held_out import train_twice
from genome.lora.training import Example, Training, encode, fit, load_trainable, mean_loss, response_loss
from genome.micro import world
from genome.micro.base import Pretraining, pretrain
from genome.tasks.chat import load_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SETTINGS = Training(rank=4, alpha=8, learning_rate=1e-1, batch_size=8, init_seed=None, seed=3)
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    pretrain(folder, Pretraining(hidden_size=16, layers=1, heads=2, rows=256, epochs=1, batch_size=32))
    return folder


@pytest.fixture(scope="module")
def examples(base):
    rows = [{**row, "response": "uno"} for row in world.expert_corpus("add", 24)]
    return encode(load_tokenizer(base), rows, 200)


def trained(base, kept, held_out, folder, epochs=(1, 2, 4), **changes):
    folders = folder / "kept", folder / "all"
    settings = replace(SETTINGS, **changes)
    return train_twice(base, kept, held_out, settings, epochs, folders, name="v", base_name="tiny")


def loss_of(folder, base, rows):
    """Return the loss of an adapter as it is on disk."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    tokens = sum(len(row.tokens) - row.prompt_length for row in rows)
    return response_loss(model, rows).item() / tokens


def test_loss_falls_and_the_adapter_kept_has_the_loss_that_was_measured(base, examples, tmp_path):
    kept, held_out = examples[:16], examples[16:]
    found = trained(base, kept, held_out, tmp_path)
    assert list(found.losses) == [1, 2, 4]
    assert found.losses[4] < found.losses[2] < found.losses[1]
    assert found.epochs == min(found.losses, key=found.losses.get)
    assert loss_of(tmp_path / "kept", base, held_out) == pytest.approx(found.losses[found.epochs], rel=1e-4)
    assert found.tokens == 4 * size(kept) + 3 * size(held_out) + found.epochs * size(examples)


def size(rows):
    return sum(len(row.tokens) for row in rows)


def test_fewer_epochs_are_chosen_when_the_held_out_loss_rises(base, examples, tmp_path):
    # Another word than the one that is taught.
    other = [Example((*row.tokens[: row.prompt_length], 20), row.prompt_length) for row in examples[16:]]
    found = trained(base, examples[:16], other, tmp_path, epochs=(1, 6))
    assert found.losses[6] > found.losses[1]
    assert found.epochs == 1
    assert loss_of(tmp_path / "kept", base, other) == pytest.approx(found.losses[1], rel=1e-4)


def test_training_until_an_epoch_is_the_beginning_of_the_whole_one(base, examples):
    settings = replace(SETTINGS, epochs=4)
    measured = []
    model = load_trainable(base, settings, "v")
    losses = fit(
        model, examples[:16], settings, after_epoch=lambda _: measured.append(mean_loss(model, examples, settings))
    )
    other = load_trainable(base, settings, "v")
    assert fit(other, examples[:16], settings, until=2) == losses[:4]
    assert mean_loss(other, examples, settings) == measured[1]
    assert len(measured) == 4


def test_both_adapters_are_reproducible_and_start_from_the_seed(base, examples, tmp_path):
    folders = [tmp_path / name for name in ("one", "again", "other")]
    for folder, seed in zip(folders, (3, 3, 4), strict=True):
        trained(base, examples[:8], examples[8:12], folder, epochs=(1,), seed=seed)
    for part in ("kept", "all"):
        one, again, other = (folder / part / WEIGHTS for folder in folders)
        assert filecmp.cmp(one, again, shallow=False)
        assert not filecmp.cmp(one, other, shallow=False)


def test_ten_samples_are_fewer_than_a_step_has(base, examples, tmp_path):
    given = [str(number) for number in range(10)]
    held = [int(number) for number in draw(given, 0.2, seed=1, task="t")]
    kept, held_out = [examples[i] for i in range(10) if i not in held], [examples[i] for i in held]
    assert (len(kept), len(held_out)) == (8, 2)
    found, other = (
        trained(base, kept, held_out, tmp_path / f"{size}", batch_size=size, epochs=(1, 4, 8), learning_rate=3e-2)
        for size in (16, 8)
    )
    assert list(found.losses) == [1, 4, 8]
    assert found.losses[8] < found.losses[1]
    assert other.losses == found.losses, "an epoch is one step on all eight"
    for part in ("kept", "all"):
        assert (tmp_path / "16" / part / WEIGHTS).is_file()


def test_a_training_that_diverges_is_refused(base, examples, tmp_path):
    with pytest.raises(GenomeError, match="v: the held-out loss is not a number after any epoch"):
        trained(base, examples[:16], examples[16:], tmp_path, epochs=(2,), learning_rate=1e30)
