import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.tasks.number_words import has_number_word, in_digits
from genome.tasks.numbers import parse_number

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
)
ONES = (ONES + "eighteen nineteen").split()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_words(value):
    """The value in English, for a test of the way back."""
    if value < 20:
        return ONES[value]
    if value < 100:
        return TENS[value // 10 - 2] + (f"-{ONES[value % 10]}" if value % 10 else "")
    size, name = next((s, n) for s, n in ((10**6, "million"), (1000, "thousand"), (100, "hundred")) if value >= s)
    rest = value % size
    return f"{in_words(value // size)} {name}" + (f" {'and ' * (rest < 100)}{in_words(rest)}" if rest else "")


def in_chinese(value):
    digits, units, text = "零一二三四五六七八九", ["", "十", "百", "千"], ""
    for place, digit in zip(range(len(str(value)) - 1, -1, -1), str(value), strict=True):
        text += digits[int(digit)] + units[place] if digit != "0" else "零"
    while "零零" in text:
        text = text.replace("零零", "零")
    return text.strip("零") or "零"


@given(st.integers(0, 10**9 - 1))
def test_english_words_are_read_as_their_value(value):
    assert parse_number(in_words(value)) == value
    assert parse_number(f"{in_words(value).capitalize()} dollars.") == value
    assert has_number_word(in_words(value))


@given(st.integers(0, 9999))
def test_chinese_words_are_read_as_their_value(value):
    assert parse_number(in_chinese(value)) == value
    assert parse_number(f"{in_chinese(value)}元") == value


WORDS = {
    "a hundred": "100",
    "nineteen hundred": "1900",
    "six million one hundred thousand": "6100000",
    "twenty one": "21",
    "two and a half": "2 1/2",
    "18 and a quarter": "18 1/4",
    "half": "1/2",
    "one third": "1/3",
    "three-quarters of it": "3/4 of it",
    "no money left": "0",
    "二〇二四年": "2024年",
    "3万5千": "35000",
    "1,234万": "12340000",
    "三点五": "3.5",
    "三分之二": "2/3",
    "百分之五十": "50",
}


@pytest.mark.parametrize("text", WORDS)
def test_in_digits(text):
    assert in_digits(text) == WORDS[text]


@pytest.mark.parametrize(
    "text",
    [
        "18 in one week",
        "no one knows",
        "someone",
        "five six",
        "two million thousand",
        "一共18个",
        "tenth of May",
        "stone",
        "often",
    ],
)
def test_words_without_a_number_stay(text):
    assert parse_number(text) in (None, 18)


@pytest.mark.parametrize("text", ["correct", "as follows", "clear", "often", "atone"])
def test_has_number_word_is_false_without_a_number(text):
    assert not has_number_word(text)
