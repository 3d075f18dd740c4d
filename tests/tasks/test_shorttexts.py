import pytest

from genome.tasks.shorttexts import read, same

RIGHT = [
    ("No.", "no"),
    ("no because he left", "no"),
    ("No - he stays", "no"),
    ("The claim is plausible: yes", "yes"),
    ("not plausible", "no"),
    ("implausible", "no"),
    ("not False = True", "true"),
    ("The argument is invalid", "invalid"),
    ("= 12", "12"),
    ("3 * 4 = 12", "12"),
    ("twelve", "12"),
    ("There are 12 of them", "12"),
    ("}, ], )", "}])"),
    ("{ [ ( ) ] }", ")]}"),
    ("['oven', 'pan']", "oven pan"),
    ("1. oven 2. pan", "oven pan"),
    ("oven, pan", "oven pan"),
]
WRONG = [
    ("yes and no", "no"),
    ("not true", "true"),
    ("nothing", "no"),
    ("valid", "invalid"),
    ("between 11 and 12", "12"),
    ("( } ] )", "}])"),
    ("( [ ] )", ")"),
    ("pan oven", "oven pan"),
    ("Gemini 11", "apollo 11"),
]


@pytest.mark.parametrize(("text", "reference"), RIGHT)
def test_a_short_text_is_compared_in_the_form_of_its_reference(text, reference):
    answer = read(text)
    assert answer is not None
    assert same(answer, reference)


@pytest.mark.parametrize(("text", "reference"), WRONG)
def test_another_short_text_is_not_the_same(text, reference):
    assert not same(read(text) or "", reference)


@pytest.mark.parametrize("text", ["", " ", "**", "``"])
def test_a_text_without_content_is_none(text):
    assert read(text) is None
