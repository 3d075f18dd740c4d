"""Choices and labels in responses, in the forms in which models give them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.scoring.responses import find_task
from genome.tasks.choosing import choose, named
from genome.tasks.scoring import extract

ARC, MELD = find_task("arc_c"), find_task("meld")
ORGANS = {"A": "the heart", "B": "the lungs", "C": "the skin", "D": "a kidney"}
NUMBERED = dict(zip("1234", ORGANS.values(), strict=True))

SECOND = [
    # announcements
    "My choice is B.",
    "Selected option: (B)",
    "## Final Answer\nB) the lungs",
    "Answer\n======\nB",
    "**Final Answer**\n\nThe lungs",
    "Answer -> B",
    "answer=B",
    "The answer to all of this is B.",
    "The best of the answers is plain.\nSo the answer is B",
    "The answer must be B",
    "I would go with option B.",
    "It is definitely B.",
    "Therefore, B.",
    "Option A is incorrect. Option B is correct.",
    "Only B is correct.",
    "The lungs is the correct answer.",
    "Eliminating A, C and D leaves one. The answer is B",
    # marks and languages
    '{"answer": "B"}',
    '```json\n{"reasoning": "not A", "answer": "(B) the lungs", "confidence": 0.9}\n```',
    "{'answer': 'B'}",
    '{"answer": {"letter": "B", "text": "the lungs"}}',
    "<final_answer>\nB\n</final_answer>",
    "\\boxed{\\textbf{B}}",
    "[[B]]",
    "Réponse : B",
    "Die Antwort ist B.",
    "正确答案是B",
    # forms of the letter
    "Answer: ***B***",
    "Answer: «B»",
    "Answer: Ⓑ",
    "Answer: B 👍",
    "Answer: B</s>",
    "Answer: the second option",
    "Answer: option 2",
    "Answer: 2. the lungs",
    "Answer: I'm fairly sure it's B",
    "Answer: B, I think",
    # the text
    "Answer: lung",
    "Answer: “lungs”",
    "Answer: lungs (option B)",
    "Answer: B [the lungs]",
    "The answer is the lungs because they take in air.",
    "The answer is the lungs, not the heart.",
    # what follows
    "Answer: B\nThe other answers are wrong: A pumps blood, and C is the skin.",
    "Answer: B. The heart pumps blood.",
    "Answer: B\nI hope this answer is helpful!",
    "Answer: B\n\nQuestion: And which one pumps?\nAnswer: A",
    # the last word counts
    "The answer is A. Wait, actually it is B.",
    "Answer: C\nHmm, no. The correct answer is B.",
    "My initial answer was A, but the answer is B.",
]

NOTHING = [
    "Answer: both A and B",
    "Answer: B, possibly C",
    "Answer: A/B",
    "Answer: the heart or the lungs",
    "Answer: a heart and a lung",
    "Answer: the heart and something else",
    "Answer: B. the heart",
    "Answer: the lungs (A)",
    "Answer: B, but it could also be C",
    '{"answer": ["A", "B"]}',
    "Answer: not B",
    "Answer: B is wrong",
    "Answer: anything but B",
    "Answer: not the lungs",
    "The answer can't be B.",
    "The answer is neither A nor B.",
    "Answer: E",
    "Answer: BD",
    "Answer: none of them",
    "Answer: ?",
    "The lungs take in air, and the heart pumps",
    "Let us see: A, B, C and D are organs.",
    "(b) is about air. The first part (a) is about blood, as the text says, and so on.",
]


def read(options, response):
    return extract(ARC, {"options": options, "reference": "A"}, response)


@pytest.mark.parametrize("response", SECOND)
def test_a_choice_is_read_in_the_forms_in_which_models_give_it(response):
    assert read(ORGANS, response) == "B"


@pytest.mark.parametrize("response", NOTHING)
def test_a_response_that_names_no_option_or_several_is_refused(response):
    assert read(ORGANS, response) is None


@pytest.mark.parametrize("response", ["Answer: 2", "Answer: B", "(2) the lungs", "Option 2 is right.", '{"answer": 2}'])
def test_numbered_options_are_named_by_number_or_by_the_letter_of_their_place(response):
    assert read(NUMBERED, response) == "2"


def test_a_bare_number_does_not_name_a_lettered_option():
    assert read(ORGANS, "Answer: 2") is None


def test_two_options_of_the_same_text_are_one():
    same = {"A": "oven", "B": "shop", "C": "shop"}
    assert read(same, "Answer: B or C") == read(same, "Answer: shop") == "B"
    assert read(same, "Answer: A or C") is None


def test_options_whose_texts_overlap_are_told_apart():
    reds = {"A": "red", "B": "dark red", "C": "force", "D": "magnetic force"}
    assert choose("a dark red one", reds) == "B"
    assert choose("it is the magnetic force", reds) == "D"
    assert choose("force", reds) == "C"


def test_dates_are_compared_as_days():
    days = {"A": "01/05/2015", "B": "05/01/2015", "C": "12/11/2015"}
    assert [choose(text, days) for text in ("January 5, 2015", "1 May 2015", "2015-12-11", "1/5/15")] == list("ABCA")
    assert choose("01/05/1915", days) is None


@given(
    st.sampled_from("ABCD"), st.sampled_from(["{}", "({})", "{}.", "**{}**", "Option {}", "{}) {text}", "{}: {text}"])
)
def test_every_letter_is_read_in_every_form(letter, form):
    assert choose(form.format(letter, text=ORGANS[letter]), ORGANS) == letter


@given(st.text(max_size=80))
def test_any_text_names_options_or_nothing(text):
    assert set(named(text, ORGANS)) <= set(ORGANS)
    assert read(ORGANS, text) in (None, *ORGANS)


@given(st.permutations("ABCD"), st.sampled_from([" or ", ", ", " and ", "/", " & "]))
def test_two_letters_are_never_one(letters, link):
    assert choose(f"{letters[0]}{link}{letters[1]}", ORGANS) is None


LABELS = {
    "The speaker feels joy.": "joy",
    "Emotion: Joy": "joy",
    '{"label": "JOY"}': "joy",
    "Answer: joyful": "joy",
    "Answer: very happy": "joy",
    "Answer: sad": "sadness",
    "Answer: anger (E)": "anger",
    "Answer: angry!": "anger",
    "The speaker's emotion is anger.": "anger",
    "Answer: a surprise": "surprise",
    "Answer: surprised, not afraid": "surprise",
    "Answer: frightened": "fear",
    "Answer: #disgust": "disgust",
    "The dominant emotion is neutral": "neutral",
    "Answer: joy or anger": None,
    "Answer: a mix of joy and surprise": None,
    "Answer: anger (B)": None,
    "Answer: not joy": None,
    "Answer: unhappy": None,
    "Answer: joyless": None,
    "Answer: happy-ish": None,
    "It could be joy.": None,
}


@pytest.mark.parametrize("response", LABELS)
def test_a_label_is_read_in_other_forms_of_its_word(response):
    assert extract(MELD, {"reference": "joy"}, response) == LABELS[response]


def test_a_long_response_is_read_in_less_than_a_millisecond_of_processor_time():
    text = "The heart pumps blood, so option A is about blood. (B) is about air, and that is what is asked here. " * 20
    started = time.process_time()
    for number in range(20):
        assert read(ORGANS, f"{text}{number}\nAnswer: B") == "B"
    assert time.process_time() - started < 0.1
