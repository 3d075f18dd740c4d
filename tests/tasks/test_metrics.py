import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genome.tasks import parse_task
from genome.tasks.metrics import TOKENIZERS, bleu, bleu_counts, confusion, evaluate, standard_error, weighted_f1

LABELS = ["joy", "fear", "anger", "none"]
FIELDS = {"category": "c", "source": {"path": "x"}, "prompt": "p", "reference": "r"}
NUMBER = parse_task("sums", {**FIELDS, "kind": "number", "metric": "accuracy"})
LABEL = parse_task("mood", {**FIELDS, "kind": "label", "metric": "weighted_f1", "labels": LABELS})
TRANSLATION = parse_task("words", {**FIELDS, "kind": "translation", "metric": "bleu"})

HYPOTHESES = ["the cat sat on the mat .", "a dog, barks!", "", "one two three four five", "word", "it is 3.5 km away"]
REFERENCES = [
    "the cat sat on a mat .",
    "the dog barks!",
    "nothing here",
    "one two three four five",
    "words",
    "it is 3.5 km",
]


@given(st.lists(st.tuples(st.sampled_from(LABELS[:3]), st.sampled_from([*LABELS, None])), min_size=1, max_size=60))
@settings(deadline=None)  # the first example imports scikit-learn
def test_weighted_f1_is_sklearns(pairs):
    from sklearn.metrics import f1_score

    references, answers = zip(*pairs, strict=True)
    theirs = f1_score(references, [a or "unparsed" for a in answers], average="weighted", zero_division=0)
    assert weighted_f1(*confusion(references, answers)) == pytest.approx(theirs, abs=1e-12)


def test_bleu_is_sacrebleus():
    from sacrebleu.metrics import BLEU

    for tokenizer in TOKENIZERS:
        counts = np.array([bleu_counts(h, r, tokenizer) for h, r in zip(HYPOTHESES, REFERENCES, strict=True)])
        theirs = BLEU(tokenize=tokenizer).corpus_score(HYPOTHESES, [REFERENCES]).score
        assert bleu(counts) == pytest.approx(theirs / 100, abs=1e-12)
    several = [(r, "the dog barks") for r in REFERENCES]
    counts = np.array([bleu_counts(h, r, "13a") for h, r in zip(HYPOTHESES, several, strict=True)])
    theirs = BLEU().corpus_score(HYPOTHESES, [REFERENCES, ["the dog barks"] * len(REFERENCES)]).score
    assert bleu(counts) == pytest.approx(theirs / 100, abs=1e-12)


def test_bleu_stays_in_the_unit_interval():
    for text, expected in (("one two three four", 1.0), ("", 0.0)):
        samples = [{"reference": "one two three four"}] * 3
        assert evaluate(TRANSLATION, samples, [text or None] * 3, [0.0] * 3) == expected


def test_standard_error_of_a_mean():
    scores = [1.0, 0.0, 0.0, 1.0, 1.0]
    expected = math.sqrt(0.6 * 0.4 / 4)
    assert standard_error(NUMBER, [{}] * 5, ["1"] * 5, scores) == pytest.approx(expected)
    assert standard_error(NUMBER, [{}], ["1"], [1.0]) == 0.0


def test_bootstrap_is_seeded_and_near_the_binomial():
    rng = np.random.default_rng(1)
    samples = [{"reference": LABELS[k]} for k in rng.integers(2, size=400)]
    answers = [s["reference"] if rng.random() < 0.7 else "none" for s in samples]
    error = standard_error(LABEL, samples, answers, [])
    assert error == standard_error(LABEL, samples, answers, [])
    assert 0.01 < error < 0.04
    texts = [{"reference": r} for r in REFERENCES]
    assert 0 < standard_error(TRANSLATION, texts, HYPOTHESES, []) < 0.5
