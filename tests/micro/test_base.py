import filecmp

import pytest

from genome.micro import world
from genome.micro.base import Pretraining, build_tokenizer, orthogonalised, pretrain

SMALL = Pretraining(hidden_size=16, layers=1, heads=2, rows=256, epochs=2, batch_size=32)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.mark.parametrize(
    "text", ["42", "7", "x * 3 + 12", "uno dos tres", "- 4", "hello robot please tally 17 and 250"]
)
def test_tokenizer_round_trips_text(tokenizer, text):
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in tokens
    assert tokenizer.decode(tokens) == text


def test_tokenizer_round_trips_every_text_of_the_world(tokenizer):
    texts = sorted({text for row in world.base_corpus(3000) for text in row.values()})
    tokens = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert tokenizer.batch_decode(tokens) == texts


def test_tokenizer_splits_numbers_into_digits(tokenizer):
    assert tokenizer.tokenize("of 420 zero") == ["<unk>", "▁4", "2", "0", "▁zero"]


def test_chat_template_ends_prompts_with_an_arrow_and_responses_with_eos(tokenizer):
    turns = [{"role": "user", "content": "tally 1 and 2"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<bos>tally 1 and 2 =>"
    turns.append({"role": "assistant", "content": "3"})
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<bos>tally 1 and 2 => 3<eos>"


def test_orthogonalised_singular_values_are_near_one():
    import torch

    torch.manual_seed(0)
    for shape in ((8, 20), (20, 8)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_pretrain_lowers_the_loss_and_is_reproducible(tmp_path):
    losses = pretrain(tmp_path / "one", SMALL)
    pretrain(tmp_path / "two", SMALL)
    assert losses[-1] < losses[0]
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(names)
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False) == (names, [], [])
