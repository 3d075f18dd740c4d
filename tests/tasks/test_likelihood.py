import json
import math

import pytest

from builders import make_task
from genome.tasks.likelihood import Likelihoods, best, most_likely, option_scores, read, softmax, written
from genome.tasks.scoring import extract, judge

FOUND = Likelihoods(("A", "B", "C"), (-6.0, -4.0, -5.0), (3, 1, 4), (6, 3, 10), (6, 8, 10))
AFTER_NEUTRAL = Likelihoods(("A", "B", "C"), (-6.0, -4.0, -5.0), (3, 1, 4), (6, 3, 10), (6, 8, 10), (-9.0, -4.0, -5.5))


@pytest.mark.parametrize("likelihoods", [FOUND, AFTER_NEUTRAL])
def test_likelihoods_are_read_as_they_were_written(likelihoods):
    assert read(written(likelihoods)) == likelihoods
    assert "\n" not in written(likelihoods)


def test_written_log_likelihoods_are_rounded():
    response = written(Likelihoods(("é",), (-1 / 3,), (1,), (1,), (2,)))
    assert response == (
        '{"options": ["é"], "log_likelihood": [-0.333333], "tokens": [1], "characters": [1], "bytes": [2]}'
    )


@pytest.mark.parametrize(
    ("per", "scores"),
    [
        ("option", {"A": -6.0, "B": -4.0, "C": -5.0}),
        ("token", {"A": -2.0, "B": -4.0, "C": -1.25}),
        ("character", {"A": -1.0, "B": -4 / 3, "C": -0.5}),
        ("byte", {"A": -1.0, "B": -0.5, "C": -0.5}),
    ],
)
def test_scores_are_log_likelihoods_per_length(per, scores):
    assert option_scores(FOUND, per) == pytest.approx(scores)


def test_scores_subtract_the_log_likelihood_after_the_neutral_prompt():
    assert option_scores(AFTER_NEUTRAL) == {"A": 3.0, "B": 0.0, "C": 0.5}
    assert option_scores(AFTER_NEUTRAL, "token") == {"A": 1.0, "B": 0.0, "C": 0.125}


def test_best_is_the_first_of_equal_options():
    assert best(option_scores(FOUND, "byte")) == "B"
    assert best(option_scores(FOUND)) == "B"


def test_softmax_of_low_scores_adds_up_to_one():
    shares = softmax({"A": -2000.0, "B": -2000.0 + math.log(4), "C": -9000.0})
    assert shares == pytest.approx({"A": 0.2, "B": 0.8, "C": 0.0})
    assert math.fsum(shares.values()) == pytest.approx(1)


def test_most_likely_does_not_depend_on_the_order_of_options():
    assert most_likely(written(FOUND), ["C", "A", "B"]) == "B"
    assert most_likely(written(FOUND), ["A", "B", "C"], "character") == "C"


def changed(**fields):
    return json.dumps({**json.loads(written(FOUND)), **fields})


@pytest.mark.parametrize(
    "response",
    [
        "Answer: B",
        "",
        "[]",
        "[" * 100_000,
        "{}",
        changed(options=["A", "B"]),
        changed(options=["A", "B", "D"]),
        changed(options="ABC"),
        changed(log_likelihood=[-1, -2, float("nan")]),
        changed(log_likelihood=[-1, -2, "-3"]),
        changed(tokens=[1, 1, 0]),
        changed(tokens=[1, 1, True]),
        changed(characters=None),
        changed(neutral=[-1.0]),
    ],
)
def test_other_responses_are_unparsed(response):
    assert most_likely(response, ["A", "B", "C"]) is None


def test_choice_is_answered_by_the_letter_of_the_most_likely_option():
    task = make_task("choice", options="o", answer_by="likelihood", likelihood_per="token")
    sample = {"options": {"A": "fur", "B": "scale", "C": "feather"}, "reference": "C"}
    answer = extract(task, sample, written(FOUND))
    assert answer == "C"
    assert judge(task, [sample], [[answer]])[0].value == 1
    assert extract(task, sample, "Answer: C") is None


def test_label_is_answered_by_the_most_likely_label():
    task = make_task("label", labels={"A": "joy", "B": "fear", "C": "anger"}, answer_by="likelihood")
    sample = {"reference": "fear"}
    assert extract(task, sample, written(FOUND)) == "fear"
    # A pattern and a fallback are of generated responses.
    other = make_task("label", labels=["A", "B", "C"], answer_by="likelihood", pattern="(x)", fallback="line")
    assert extract(other, sample, written(FOUND)) == "B"
