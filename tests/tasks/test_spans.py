"""Examples of our own for DROP's official rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.tasks.spans import exact_match, normalise

SAME = [
    ("the Eagles", "Eagles"),
    ("EAGLES.", "eagles"),
    ("12,000", "12000"),
    ("12.0", "12"),
    ("4-yard", "4 yard"),
    ("U.S.", "us"),
    ("an  army", "Army"),
]
DIFFERENT = [("12.5", "125"), ("Eagles", "Eagle"), ("4 yards", "4"), ("three", "3")]


@pytest.mark.parametrize(("answer", "gold"), SAME)
def test_equal_after_normalisation(answer, gold):
    assert exact_match(answer, [gold]) == 1.0


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_different_after_normalisation(answer, gold):
    assert exact_match(answer, [gold]) == 0.0


def test_any_gold_answer_will_do():
    assert exact_match("Bears", ["Eagles", "the Bears"]) == 1.0


@pytest.mark.parametrize("answer", ["Eagles and Bears", "Bears, Eagles", "the Bears, and the Eagles", "bears; eagles"])
def test_several_spans_in_any_order(answer):
    assert exact_match(answer, [["Eagles", "Bears"]]) == 1.0


@pytest.mark.parametrize("answer", ["Eagles", "Eagles, Bears, Lions", "Eagles, Eagles, Bears", "Eagles Bears"])
def test_all_spans_and_no_more(answer):
    assert exact_match(answer, [["Eagles", "Bears"]]) == 0.0


def test_one_span_with_and_stays_one():
    assert exact_match("Sand and Gravel", ["sand and gravel"]) == 1.0
    assert exact_match("gravel and sand", ["sand and gravel"]) == 0.0


@given(st.text(max_size=30))
def test_normalising_words_twice_changes_nothing(text):
    once = normalise(text)
    assert exact_match(text, [text]) == 1.0
    assert once == " ".join(once.split())
