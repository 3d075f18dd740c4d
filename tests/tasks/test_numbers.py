from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.tasks.numbers import parse_number, says_number

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
    # powers, roots and scales
    "10^4": "10000",
    "10^{4} km": "10000",
    "10**4": "10000",
    "10⁴": "10000",
    "3 x 10^4": "30000",
    "3·10^{-2}": "3/100",
    r"7 \times 10^{2}": "700",
    r"\sqrt{144}": "12",
    "√(144)": "12",
    "250k": "250000",
    "$2.5M": "2500000",
    "2 million people": "2000000",
    "3 lakh": "300000",
    "5 Millionen": "5000000",
    "3万": "30000",
    "20 m²": "20",
    "7 cm^2": "7",
    "5 kg": "5",
    # signs, words and units
    "10 cubed": "1000",
    "5 squared": "25",
    "ten to the power of three": "1000",
    "10 to the 3rd power": "1000",
    "2.5 x 10<sup>3</sup>": "2500",
    "minus 3": "-3",
    "<b>42</b>": "42",
    "42 out of 50": "42",
    "negative twelve": "-12",
    "forty-two apples": "42",
    "forty-two (42)": "42",
    "3 and a half": "7/2",
    "Rs.50": "50",
    "R$ 50": "50",
    "USD50": "50",
    "合計42個": "42",
    # results of calculations, and numbers among others
    "6 × 7 = 42": "42",
    "42 = 6 × 7": "42",
    "42 (= 6 * 7)": "42",
    "42 (6 red and 7 blue)": "42",
    "42. Because 6 and 7": "42",
    "$42 per week for 7 weeks": "42",
    "Of the 50, she keeps **42** for 7 days": "42",
    "42, as 42 is even": "42",
    "<42>": "42",
    # a main clause before its reason or condition
    "The orchard earned $42 from selling 20 bags at $5 per bag.": "42",
    "Jason has 42 minutes left if this month has 30 days.": "42",
    "She keeps 42 because 8 of them are hers": "42",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_parse_number_reads_usual_forms(text):
    assert parse_number(text) == Fraction(WRITTEN[text])


@pytest.mark.parametrize("text", ["", "abc", "none", "about 3 to 4", "x2", "1/0", "=", "9" * 5000, "10^999", "0^-1"])
def test_parse_number_returns_none_if_ambiguous(text):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("41 or 42", "41 to 42", "41-42", "41–42", "41, 42", "41; 42", "41 and 42", "[41, 42]", "41/42/43"),
        *(
            "41 oder 42",
            "41 bis 42",
            "41 ou 42",
            "entre 41 et 42",
            "41 y 42",
            "41 или 42",
            "41或42",
            "41か42",
            "41から42",
        ),
        *("more than 42", "at least 42", "up to 42", "> 42", "≥ 42", "42+", "42 or more", "not 42", "mehr als 42"),
        *(
            "6 * 7",
            "6 × 7",
            "6 + 7",
            r"6 \cdot 7",
            "6 times 7",
            "4 2",
            "42π",
            r"42\pi",
            r"\sqrt{2}",
            "√2",
            "±42",
        ),
        *("4 hours 30 minutes", "4 hours and 30 minutes", "5 feet 3 inches", "3 dollars, 50 cents", "4:30", "2:1"),
        *("41, or 42", "41 or maybe 42", "41 (or 42)", "41? or 42?", "41 and/or 42", "41|42", ">= 42", "1h30"),
        *("41 plus 42 dollars", "41 dollars minus 42 dollars"),
        *("He has 41 if it rains and 42 otherwise", "She sold 41 because 3 broke. So 42 are left"),
        *("He had 41 and 42 after selling 3", "It comes from adding 41 to 42", "If he sells 3, 42 remain"),
        *("x = 4, y = 2", "4.2.2024", "five or six", "five to six", "41 apples and 42 pears"),
    ],
)
def test_parse_number_refuses_what_is_not_one_number(text):
    assert parse_number(text) is None


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from([" or ", " to ", "-", ", ", " and ", " oder ", "或", " × "]),
)
def test_parse_number_never_reads_one_of_two_numbers(one, other, between):
    assert parse_number(f"{one}{between}{other}") is None


@given(st.integers(1, 99), st.integers(0, 12))
def test_parse_number_reads_powers_of_ten(factor, exponent):
    for form in ("{} x 10^{}", r"{} \times 10^{{{}}}", "{}e{}", "{} · 10**{}"):
        assert parse_number(form.format(factor, exponent)) == factor * 10**exponent


@pytest.mark.parametrize("text", ["5", "½", "five", "no money left", "cannot be determined", "unknown", "十"])
def test_says_number_of_a_number_or_a_refusal(text):
    assert says_number(text)


@pytest.mark.parametrize("text", ["correct", "as follows:", "clear from above", "what we wanted"])
def test_says_number_is_false_for_other_words(text):
    assert not says_number(text)


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
