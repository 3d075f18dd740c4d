import pytest

from genome.tasks.choosing import choose
from genome.tasks.options import lettered, options_in

ANIMALS = {"A": "fur", "B": "scale", "C": "a dog", "D": "3.5"}


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b",
        "(B)",
        "(b).",
        "B.",
        "B)",
        "[B]",
        "**B**",
        "B. scale",
        "(B) scale",
        "B: Scale",
        "B scale",
        "Option B",
        "scale",
        "Scale.",
        "option (B)",
        r"\text{B}",
        r"\boxed{B}",
        "$B$",
        '"scale"',
        "B, because fish have them",
        "(B). Fish have them.",
        "B - scale",
        "(B) because fish have them",
        "most likely B, scale",
        "} (B)",
    ],
)
def test_choose_reads_usual_forms(text):
    assert choose(text, ANIMALS) == "B"


@pytest.mark.parametrize(
    "text",
    ["E", "(Z)", "", "?", "A or B", "(A) and (B)", "A, B", "A, scale", "feather", "A dog and a cat", "B fur", "1"],
)
def test_choose_returns_none_if_no_option_is_named(text):
    assert choose(text, ANIMALS) is None


def test_choose_reads_a_text_that_begins_with_a_letter_as_text():
    assert choose("A dog", ANIMALS) == "C"
    assert choose("3.5", ANIMALS) == "D"


def test_choose_prefers_letters_and_takes_the_first_of_shared_texts():
    assert choose("A", {"A": "B", "B": "A"}) == "A"
    assert choose("fur", {"A": "fur", "B": "fur"}) == "A"
    assert choose("Bb", {"A": "bb", "B": "Bb", "C": "BB"}) == "B"
    assert choose("C. BB", {"A": "bb", "B": "Bb", "C": "BB"}) == "C"
    assert choose("bB", {"A": "bb", "B": "Bb", "C": "BB"}) is None
    assert choose("Dry", {"A": "dry", "B": "wet"}) == "A"
    assert choose("2", {"A": "1", "B": "2"}) == "B"
    assert choose("2", {"1": "x", "2": "y"}) == "2"


def test_options_in_reads_the_options_of_a_question():
    assert options_in("Which one?\nOptions:\n(A) fur (wet)\n(B) scale") == {"A": "fur (wet)", "B": "scale"}
    assert options_in("Is it?\nOptions:\n- valid \n- invalid") == {"valid": "valid", "invalid": "invalid"}
    assert options_in("Sort the words: b a") == {}


def test_lettered():
    assert lettered(["x", "y"]) == {"A": "x", "B": "y"}
    assert lettered({"1": "x"}) == {"1": "x"}
    for wrong in ([], "xy", {}, list(range(27))):
        with pytest.raises(ValueError, match="option"):
            lettered(wrong)
