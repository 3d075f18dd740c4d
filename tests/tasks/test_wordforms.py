import pytest

from genome.tasks.wordforms import forms, loose, names_of, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The red Balls,", "red ball"),
        ("vitamin A", "vitamin a"),
        ("(A)", "a"),
        ("the glass", "glass"),
        ("parties", "party"),
    ],
)
def test_words_are_compared_without_case_articles_and_plurals(text, expected):
    assert words(text) == expected


def test_loose_takes_a_hyphen_or_an_underscore_as_a_space():
    assert loose("very-Positive") == loose("very_positive") == "very positive"
    assert loose("-5") == "-5"


@pytest.mark.parametrize(
    ("label", "form"),
    [("joy", "joyful"), ("happiness", "happy"), ("happy", "happiness"), ("anger", "angry"), ("neutral", "neutrality"),
     ("surprise", "surprised"), ("positive", "positivity"), ("powerful", "power"), ("entail", "entails")],
)  # fmt: skip
def test_forms_contain_nouns_adjectives_and_participles(label, form):
    assert form in forms(label)


@pytest.mark.parametrize(
    ("label", "other"), [("joy", "joyless"), ("valid", "invalid"), ("news", "new"), ("sad", "mad")]
)
def test_forms_contain_no_other_word(label, other):
    assert other not in forms(label)


def test_names_contain_synonyms_and_their_forms():
    assert {"joy", "happy", "happiness"} <= set(names_of({"A": "joy"}, {"joy": ["happy"]})["A"])
