from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.tasks.numbers import parse_number

WRITTEN = {
    "42": "42",
    "42.": "42",
    "-5": "-5",
    "− 5": "-5",
    "1,234,567": "1234567",
    "1.234.567": "1234567",
    "1.234": "617/500",
    "1,00,000": "100000",
    "10 000 km": "10000",
    "4\u202f000": "4000",
    "1'000": "1000",
    "3,5": "7/2",
    "1.000.000,25": "4000001/4",
    ".5": "1/2",
    "1.5e3": "1500",
    "$1,234.50 per year": "2469/2",
    "-$5": "-5",
    "€3.50": "7/2",
    "3.50 €": "7/2",
    "US$5": "5",
    "Rs. 50": "50",
    "50%": "50",
    "20th": "20",
    "18 dollars": "18",
    "about 3": "3",
    "the total is 3 + 4 = 7": "7",
    "3/4": "3/4",
    "1 1/2 cups": "3/2",
    "½": "1/2",
    "1½": "3/2",
    r"\frac{3}{4}": "3/4",
    r"-\dfrac{3}{4}": "-3/4",
    r"\boxed{42}": "42",
    r"\$18": "18",
    "1{,}000": "1000",
    "**42**": "42",
    "१,२३४": "1234",
    "১২.৫": "25/2",
    "３": "3",
    "٣٫٥": "7/2",
    "๔๒ บาท": "42",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_parse_number_reads_usual_forms(text):
    assert parse_number(text) == Fraction(WRITTEN[text])


@pytest.mark.parametrize("text", ["", "abc", "none", "about 3 to 4", "x2", "1/0", "=", "9" * 5000])
def test_parse_number_returns_none_if_ambiguous(text):
    assert parse_number(text) is None


@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["", "$", "€"]), st.sampled_from(["", ".", " km", "%", " apples."])
)
def test_parse_number_ignores_separators_currency_and_units(value, currency, unit):
    assert parse_number(f"{currency}{value:,}{unit}") == value
    assert parse_number(f"{currency}{value}{unit}") == value


@given(st.decimals(-(10**9), 10**9, places=4))
def test_parse_number_reads_decimals_exactly_with_point_or_comma(value):
    assert parse_number(f"{value:f}") == Fraction(value)
    assert parse_number(f"{value:,f}") == Fraction(value)
    assert parse_number(f"{value:f}".replace(".", ",")) == Fraction(value)


@given(st.fractions(max_denominator=10**6))
def test_parse_number_reads_canonical_text(value):
    assert parse_number(str(value)) == value


@given(st.integers(0, 10**9), st.sampled_from(["०", "০", "๐", "٠", "０", "౦"]))
def test_parse_number_reads_digits_of_any_script(value, zero):
    text = "".join(chr(ord(zero) + int(digit)) for digit in str(value))
    assert parse_number(text) == value


@given(st.text(max_size=60))
def test_parse_number_never_raises(text):
    assert parse_number(text) is None or isinstance(parse_number(text), Fraction)
