"""DROP's official rules: the cases of its tests, and our examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.tasks.spans import best_em_and_f1, em_and_f1, exact_match, f1, gold_spans, normalise

# Cases of the official script's tests: equal after normalisation, and (predicted, gold, exact match, F1).
NORMALISED = [
    ("12.0", "12.0"),
    ("12.0  ", "12.0"),
    ("12.000", "12.0"),
    ("12", "12.0"),
    ("  1.2e1  ", "12.0"),
    ("12.0 persons", "12.0 persons"),
    ("S.K. Singh", "sk singh"),
]
CATS = ["the", "fat", "cat", "the fat", "fat cat", "the fat cat"]
OFFICIAL = [
    (["78"], ["78.0"], 1.0, 1.0),
    (["td"], ["td", "td"], 0.0, 0.5),
    ("td", ["td", "td"], 0.0, 0.5),
    (["td", "td"], ["td"], 0.0, 0.5),
    (["td", "td"], "td", 0.0, 0.5),
    (CATS, ["cat"], 0.0, 0.17),
    (["cat"], CATS, 0.0, 0.17),
    (CATS, ["cat", "cat dog"], 0.0, 0.25),
    (["td"], ["the td"], 1.0, 1.0),
    (["the a NOT an ARTICLE the an a"], ["NOT ARTICLE"], 1.0, 1.0),
    (["John Elton"], ["Elton John"], 0.0, 1.0),
    (["50 yard"], ["yard 50"], 0.0, 1.0),
    (["order word right"], ["right word order"], 0.0, 1.0),
    (["Per.i.o.d...."], [".P....e.r,,i;;;o...d,,"], 1.0, 1.0),
    (["Spa     c  e   s     "], ["    Spa c     e s"], 1.0, 1.0),
    (["78-yard"], ["78 yard"], 1.0, 1.0),
    (["78 yard"], ["78-yard"], 1.0, 1.0),
    (["78"], ["78-yard"], 0.0, 0.67),
    (["78-yard"], ["78"], 0.0, 0.67),
    (["This was a triumph"], ["tHIS Was A TRIUMPH"], 1.0, 1.0),
    (["Green bay packers"], ["Green bay packers"], 1.0, 1.0),
    (["Green bay", "packers"], ["Green bay", "packers"], 1.0, 1.0),
    (["Green", "bay", "packers"], ["Green", "bay", "packers"], 1.0, 1.0),
    ([""], ["army"], 0.0, 0.0),
    (["packers"], ["Green bay packers"], 0.0, 0.5),
    (["packers"], ["Green bay"], 0.0, 0.0),
    (["yard"], ["36 yard td"], 0.0, 0.0),
    (["23 yards"], ["43 yards"], 0.0, 0.0),
    (["56 yards"], ["56 yd"], 0.0, 0.5),
    (["26"], ["26 yard td"], 0.0, 0.5),
    (["78-yard", "56", "28", "40", "44", "touchdown"], ["78-yard", "56 yard", "1 yard touchdown"], 0.0, 0.28),
    (["23", "23 yard"], ["23-yard", "56 yards"], 0.0, 0.5),
    (["John Karman", "Joe Hardy"], ["Joe Karman", "John Hardy"], 0.0, 0.5),
    (["ottoman", "Kantakouzenous"], ["ottoman", "army of Kantakouzenous"], 0.0, 0.75),
    (["a"], ["a", "b"], 0.0, 0.5),
    (["b"], ["a", "b"], 0.0, 0.5),
    (["b"], ["b", "a"], 0.0, 0.5),
]
# The same tests' predictions against several gold answers: a number, spans, a date's day, month and year.
SEVERAL = [
    ("1", [["1"], ["0"]], 1.0, 1.0),
    ("2", [["2"], ["2"]], 1.0, 1.0),
    ("1", [["0"], ["1"], ["2"]], 1.0, 1.0),
    ("17 August", [["17 August "], ["August"], ["17"]], 1.0, 1.0),
    ("span1", [["span1", "span2"], ["span2"]], 0.0, 0.5),
    ("answer", [["answer1"], ["answer2"]], 0.0, 0.0),
]

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


@pytest.mark.parametrize(("span", "expected"), NORMALISED)
def test_normalise_equals_the_official_script(span, expected):
    assert normalise(span) == expected


@pytest.mark.parametrize(("predicted", "gold", "em", "f1"), OFFICIAL)
def test_em_and_f1_equal_the_official_script(predicted, gold, em, f1):
    assert em_and_f1(predicted, gold) == (em, f1)


@pytest.mark.parametrize(("predicted", "golds", "em", "f1"), SEVERAL)
def test_best_em_and_f1_uses_the_best_gold_answer(predicted, golds, em, f1):
    assert best_em_and_f1(predicted, golds) == (em, f1)


def test_best_em_and_best_f1_may_come_from_different_gold_answers():
    # The official script takes the two maxima separately; here no gold answer has both.
    assert em_and_f1(["cat", "cat", "dog"], ["cat", "dog", "dog"]) == (1.0, 0.67)
    assert em_and_f1(["cat", "cat", "dog"], ["cat", "cat", "dog", "dog"]) == (0.0, 0.75)
    assert best_em_and_f1(["cat", "cat", "dog"], [["cat", "dog", "dog"], ["cat", "cat", "dog", "dog"]]) == (1.0, 0.75)


def test_best_em_and_f1_leaves_out_blank_gold_answers():
    assert em_and_f1("", " ") == (1.0, 1.0)
    assert best_em_and_f1("", [[" "], "army", ""]) == (0.0, 0.0)


@pytest.mark.parametrize(("answer", "gold"), SAME)
def test_exact_match_is_one_after_normalisation(answer, gold):
    assert exact_match(answer, [gold]) == 1.0


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_exact_match_is_zero_for_different_spans(answer, gold):
    assert exact_match(answer, [gold]) == 0.0


def test_exact_match_accepts_any_gold_answer():
    assert exact_match("Bears", ["Eagles", "the Bears"]) == f1("Bears", ["Eagles", "the Bears"]) == 1.0


@pytest.mark.parametrize("answer", ["Eagles and Bears", "Bears, Eagles", "the Bears, and the Eagles", "bears; eagles"])
def test_exact_match_accepts_several_spans_in_any_order(answer):
    assert exact_match(answer, [["Eagles", "Bears"]]) == f1(answer, [["Eagles", "Bears"]]) == 1.0


@pytest.mark.parametrize(
    ("answer", "credit"),
    # The last one is not read as a list: one span, which shares one of two words with one of two spans.
    [("Eagles", 0.5), ("Eagles, Bears, Lions", 0.67), ("Eagles, Eagles, Bears", 0.67), ("Eagles Bears", 0.33)],
)
def test_exact_match_requires_exactly_all_spans(answer, credit):
    assert exact_match(answer, [["Eagles", "Bears"]]) == 0.0
    assert f1(answer, [["Eagles", "Bears"]]) == credit


def test_exact_match_does_not_split_a_single_span_at_and():
    assert exact_match("Sand and Gravel", ["sand and gravel"]) == 1.0
    assert exact_match("gravel and sand", ["sand and gravel"]) == 0.0
    assert f1("gravel and sand", ["sand and gravel"]) == 1.0


@pytest.mark.parametrize("answer", [",", "and", "...", "the"])
def test_answers_without_words_match_nothing(answer):
    assert exact_match(answer, ["army", ["army", "navy"]]) == f1(answer, ["army", ["army", "navy"]]) == 0.0


@given(st.text(max_size=30))
def test_normalise_is_idempotent(text):
    once = normalise(text)
    assert exact_match(text, [text]) == f1(text, [text]) == 1.0
    assert once == " ".join(once.split())


WORDS = st.lists(st.sampled_from(["cat", "dog", "the", "3", "4", "ox-cart"]), max_size=3).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=4), st.randoms())
def test_f1_ignores_order_and_is_one_for_a_match(predicted, gold, random):
    em, score = em_and_f1(predicted, gold)
    assert 0.0 <= score <= 1.0
    assert em_and_f1(random.sample(predicted, len(predicted)), random.sample(gold, len(gold))) == (em, score)
    if sorted(map(normalise, predicted)) == sorted(map(normalise, gold)):
        assert (em, score) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("spans", "types", "question", "expected"),
    [
        (["Ann", "Bo", "Ann", "Bo"], ["span"] * 4, "Who ran?", [["Ann", "Bo"]]),
        (["Ann", "Bo", "Bo", "Ann"], ["span"] * 4, "Who ran?", [["Ann", "Bo"]]),
        (["Ann", "Bo"], ["span"] * 2, "Which two runners ran first?", [["Ann", "Bo"]]),
        (["Ann", "Bo", "Ann Lee", "Bo"], ["span"] * 4, "What are their names?", [["Ann", "Bo"], ["Ann Lee", "Bo"]]),
        (["Ann", "Bo"], ["span"] * 2, "Who ran first?", ["Ann", "Bo"]),
        (["Ann", "Bo"], ["span"] * 2, "Which of two runners was first, Ann or Bo?", ["Ann", "Bo"]),
        (["the mill", "at the mill"], ["span"] * 2, "Which two were there?", ["the mill", "at the mill"]),
        (["Ann and Bo", "Cy and Di"], ["span"] * 2, "Which two runners ran?", ["Ann and Bo", "Cy and Di"]),
        (["3", "4"], ["number"] * 2, "Which two numbers were drawn?", ["3", "4"]),
        (["May 1709", "May"], ["date"] * 2, "When were they drawn?", ["May 1709", "May"]),
        (["Ann", "Bo", "2"], ["span", "span", "number"], "What were their names?", [["Ann", "Bo"], "2"]),
    ],
)
def test_gold_spans_groups_the_spans_of_one_answer(spans, types, question, expected):
    assert gold_spans({"spans": spans, "types": types}, question) == expected


def test_an_answer_of_several_spans_needs_all_of_them():
    gold = gold_spans({"spans": ["Ann", "Bo"], "types": ["span", "span"]}, "Which two runners ran first?")
    assert [exact_match(answer, gold) for answer in ("Bo and Ann", "Ann, Bo", "Ann", "Ann, Bo and Cy")] == [1, 1, 0, 0]
    assert f1("Ann", gold) == 0.5
