import signal
import subprocess
from fractions import Fraction
from subprocess import run

import pytest

from genome.tasks import mathematics
from genome.tasks.mathematics import equal, plain_number, simplify


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        (r"$\dfrac{1}{2}$.", r"\frac{1}{2}"),
        (r"\boxed{1{,}000}", "1,000"),
        (r"\left( 1, 2 \right)", "(1, 2)"),
        (r"\text{ east }", "east"),
        (r"\(x\)", "x"),
        (r"\$5", "5"),
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
    ],
)
def test_plain_number_reads_numbers_and_fractions(text, value):
    assert plain_number(text) == Fraction(value)


@pytest.mark.parametrize("text", ["", "x", "5 cm", "1,2", "2^3", "1/0", "(1)", "1e5", ".", "-", "٣"])
def test_plain_number_of_other_texts_is_none(text):
    assert plain_number(text) is None


@pytest.fixture
def no_library(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("math-verify was asked")

    monkeypatch.setattr(mathematics, "_verify", lambda pairs: refuse() if pairs else [])


@pytest.mark.usefixtures("no_library")
def test_equal_decides_easy_pairs_without_math_verify():
    pairs = [("5", "5.0"), ("5", "6"), ("x+1", "x+ 1"), ("5", "five"), (r"\frac{1}{2}", "0.5")]
    assert equal(pairs) == [True, False, True, False, True]


def test_equal_uses_math_verify():
    true = [
        (r"2\sqrt{3}", r"\sqrt{12}"),
        ("x^2+2x+1", "(x+1)^2"),
        (r"\{1,2\}", r"\{2,1\}"),
        ("5", "x=5"),
        ("5", r"5\text{ cm}"),
    ]
    false = [(r"2\sqrt{3}", r"\sqrt{13}"), ("x", "x+1"), ("7", r"\foo{"), ("north", "south")]
    assert equal(true + false) == [True] * len(true) + [False] * len(false)


def test_equal_counts_an_endless_comparison_as_not_equal(monkeypatch):
    codes = []

    def counted(*arguments, **settings):
        codes.append((done := run(*arguments, **settings)).returncode)
        return done

    monkeypatch.setattr(mathematics.subprocess, "run", counted)
    monkeypatch.setattr(mathematics, "LIMIT_S", 2)
    assert equal([("x^2", "x*x"), ("7", "9^{9^{9^{9}}}"), ("x^3", "x*x*x")]) == [True, False, True]
    assert codes == [-signal.SIGALRM, 0]


def test_equal_raises_an_error_for_a_broken_worker(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="ModuleNotFoundError: no math_verify\n")
    monkeypatch.setattr(mathematics.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(mathematics.GenomeError, match="no math_verify"):
        equal([("x", "y")])
