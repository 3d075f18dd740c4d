"""Stop texts: where a text is cut, and with which token a response ends."""

import random

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from genome.engine.stops import MARGIN, cut, ending


def byte_pairs():
    """Return a byte-level tokenizer whose tokens cross the borders of words and characters."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "b"), ("ab", "Ċ"), ("Ċ", "Ċ"), ("Q", ":"), ("Ġ", "b")]
    words = [*letters, *(one + two for one, two in merges)]
    core = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, merges))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    core.add_special_tokens([AddedToken("<end>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>")


def pieces():
    """Return a tokenizer in the manner of SentencePiece, which falls back to bytes and drops the first space."""
    words = ["<unk>", "▁", "▁a", "a", "b", "▁b", "Q", ":", "\n", *(f"<0x{byte:02X}>" for byte in range(256))]
    merges = [("▁", "a"), ("▁", "b")]
    core = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, merges, byte_fallback=True))
    core.normalizer = normalizers.Replace(" ", "▁")
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


@pytest.mark.parametrize("stops", [["Q:"], ["\n\n"], ["b Q", "é"], ["a" * 12], [" b"], ["\n"]])
@pytest.mark.parametrize("make", [byte_pairs, pieces])
def test_response_ends_with_the_token_that_completes_a_stop_text(make, stops):
    tokenizer, drawn = make(), random.Random(7)
    ends = ending(tokenizer, stops)
    pool = tokenizer("abQ: b\n\nQ é  a\n", add_special_tokens=False).input_ids + tokenizer.all_special_ids
    found = 0
    for _ in range(60):
        tokens: list[int] = []
        while len(tokens) < 60:
            tokens.append(drawn.choice(pool))
            whole = tokenizer.decode(tokens, skip_special_tokens=True)
            said = any(stop in whole for stop in stops)
            assert ends(tokens) == said, whole
            if said:
                found += 1
                break
    assert found > 10 or stops == ["a" * 12]


def test_long_stop_text_is_found_behind_special_tokens():
    tokenizer = byte_pairs()
    end = tokenizer.eos_token_id
    tokens = [token for letter in tokenizer("Question").input_ids for token in (letter, *[end] * 9)]
    assert ending(tokenizer, ["Question"])(tokens)
    assert not ending(tokenizer, ["question"])(tokens)


def test_no_stop_texts_need_no_check():
    assert ending(byte_pairs(), []) is None


def test_only_the_last_tokens_are_decoded(monkeypatch):
    tokenizer, lengths = byte_pairs(), []
    decode = tokenizer.decode
    monkeypatch.setattr(tokenizer, "decode", lambda ids, **more: lengths.append(len(ids)) or decode(ids, **more))
    assert not ending(tokenizer, ["Q:", "é"])([*tokenizer("a" * 900).input_ids])
    assert lengths == [2 + MARGIN]


@pytest.mark.parametrize(
    ("text", "stops", "before"),
    [
        ("4\nQ: 5", ["Q:", "\n"], "4"),
        ("4", ["Q:"], "4"),
        ("Q: 4", ["Q:"], ""),
        ("aab", ["ab", "aab"], ""),
        ("xabcd", ["abcd", "bc"], "xa"),
    ],
)
def test_text_is_cut_before_the_stop_text_that_is_complete_first(text, stops, before):
    assert cut(text, stops) == before
