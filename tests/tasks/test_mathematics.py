import signal
import subprocess
from fractions import Fraction
from subprocess import run

import pytest

from genome.tasks import mathematics
from genome.tasks.mathematics import equal, plain_number, says_result, simplify


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        (r"$\dfrac{1}{2}$.", r"\frac{1}{2}"),
        (r"\boxed{1{,}000}", "1,000"),
        (r"\left( 1, 2 \right)", "(1, 2)"),
        (r"\text{ east }", "east"),
        (r"\(x\)", "x"),
        (r"\$5", "5"),
        (r"12\,000", "12,000"),
        ("12 000", "12000"),
        (r"\text{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\mathbf{\text{east}}", "east"),
        ("a parabola", "parabola"),
        ("4*pi", r"4 \pi"),
        ("π/2", r"\pi /2"),
        ("sqrt(3)/2", r"\sqrt{3}/2"),
        ("$5$ because it is odd", "5"),
        ("Hence $x = 5$ is the result", "x = 5"),
        ("$5$ or $6$", "$5$ or $6$"),
        ("$x = 5$ since $5 > 4$", "x = 5"),
        ("minus 5", "-5"),
        ("about 5", "5"),
        ("Luka and Ian", "Luka and Ian"),
        ("5 or $6$", "5 or $6$"),
    ],
)
def test_simplify(text, simple):
    assert simplify(text) == simple


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1,000.5", "2001/2"),
        ("-3/4", "-3/4"),
        (r"-\frac{3}{4}", "-3/4"),
        (r"\frac12", "1/2"),
        ("50\\%", 50),
        (".5", "1/2"),
        (r"0.\overline{3}", "1/3"),
        (r"-1.1\overline{6}", "-7/6"),
        (r"0.\bar{27}", "3/11"),
        (r"\frac{2}{4} or 0.5", "1/2"),
        (r"\frac{26}{36} or \frac{13}{18} when simplified", "13/18"),
    ],
)
def test_plain_number_reads_numbers_and_fractions(text, value):
    assert plain_number(text) == Fraction(value)


@pytest.mark.parametrize(
    "text", ["", "x", "5 cm", "5 or 6", "5 or x", "1,2", "2^3", "1/0", "(1)", "1e5", ".", "-", "٣"]
)
def test_plain_number_of_other_texts_is_none(text):
    assert plain_number(text) is None


@pytest.fixture
def no_library(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("math-verify was asked")

    monkeypatch.setattr(mathematics, "_verify", lambda pairs: refuse() if pairs else [])


@pytest.mark.usefixtures("no_library")
def test_equal_decides_easy_pairs_without_math_verify():
    assert equal([("1/2", "50%"), ("50", "50%"), ("1/2", "5%"), ("50", "5%")]) == [True, True, False, False]
    pairs = [("5", "5.0"), ("5", "6"), ("x+1", "x+ 1"), ("5", "five"), (r"\frac{1}{2}", "0.5")]
    assert equal(pairs) == [True, False, True, False, True]
    assert equal([("east", "East"), ("East", "east"), ("odd", "even")]) == [True, True, False]
    assert equal([("(C)", "(C) Plane"), ("(C)", "(C): a plane"), ("(B)", "(B) 3(1 + r)")]) == [True, True, True]


@pytest.mark.usefixtures("no_library")
def test_equal_compares_a_floating_point_number_within_its_rounding():
    tenths = plain_number("0.30000000000000004")
    assert equal([("3/10", str(tenths)), ("3/56", "0.0535714285714164"), ("-1/3", "-0.3333333333333333")]) == [True] * 3
    assert equal([("1/3", "0.333333"), ("3/56", "0.0535714385714164"), ("1/3", "1/1000000000000")]) == [False] * 3


def test_equal_does_not_take_an_option_of_several():
    answers = ["(C) or (D)", "(C) and not D", "(C) is wrong", "(C), (D)", "(D) Plane", "(C)D"]
    assert equal([("(C)", answer) for answer in answers]) == [False] * len(answers)


def test_equal_uses_math_verify():
    true = [
        (r"(-\infty,2)", "x < 2"),
        ("[2,5)", r"2 \le x < 5"),
        (r"(-\infty,1) \cup [4,\infty)", r"x < 1 \text{ or } x \ge 4"),
        (r"2\sqrt{3}", r"\sqrt{12}"),
        ("x^2+2x+1", "(x+1)^2"),
        (r"\{1,2\}", r"\{2,1\}"),
        ("5", "x=5"),
        ("5", r"5\text{ cm}"),
    ]
    false = [
        (r"(-\infty,2)", r"x \le 2"),
        (r"(-\infty,1) \cup (4,\infty)", r"x < 1 \text{ or } x > 5"),
        (r"2\sqrt{3}", r"\sqrt{13}"),
        ("x", "x+1"),
        ("7", r"\foo{"),
        ("north", "south"),
    ]
    assert equal(true + false) == [True] * len(true) + [False] * len(false)


def test_equal_counts_an_endless_comparison_as_not_equal(monkeypatch):
    codes = []

    def counted(*arguments, **settings):
        codes.append((done := run(*arguments, **settings)).returncode)
        return done

    monkeypatch.setattr(mathematics.subprocess, "run", counted)
    monkeypatch.setattr(mathematics, "LIMIT_S", 2)
    assert equal([("x^2", "x*x"), ("7", "9^{9^{9^{9}}}"), ("x^3", "x*x*x")]) == [True, False, True]
    assert codes == [-signal.SIGPROF, 0]


def test_equal_raises_an_error_for_a_broken_worker(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="ModuleNotFoundError: no math_verify\n")
    monkeypatch.setattr(mathematics.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(mathematics.GenomeError, match="no math_verify"):
        equal([("x", "y")])


@pytest.mark.parametrize("text", ["correct", "correct.", "right, since 2 is even", "as follows:", "then clear"])
def test_says_result_is_false_for_a_remark(text):
    assert says_result(text) is ("2" in text)


@pytest.mark.parametrize("text", ["5", "x", "right triangle", "even", r"\text{odd}", "correct to 3 digits: 5"])
def test_says_result_of_a_result(text):
    assert says_result(text)
