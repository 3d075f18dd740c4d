import time

import pytest

from genome.tasks.extraction import FALLBACKS, boxed, find_answer, find_pattern, find_program

FOUND = {
    "Answer: 5": "5",
    "First.\nAnswer: 4\nWait.\nAnswer: 5\nSo.": "5",
    "answer: 5": "5",
    "**Answer:** 5": "5",
    "**Answer**: 5": "5",
    "**Answer: 5**": "5",
    "### Answer: 5 ": "5",
    "Final Answer：5": "5",
    "answer : 5": "5",
    "Answer:\n5\nmore": "5",
    "Answer:\nAnswer: 5": "5",
    "So the answer is 5.": "5.",
    "The final answer is: 5": "5",
    r"Thus \boxed{4} or rather \boxed{\frac{1}{2}}": r"\frac{1}{2}",
    "2 + 3 = 5\n#### 5": "5",
    # several in a line, on the next line, nested
    "So the answer is that 3 will not do. The answer is 5": "5",
    "Therefore, the answer (arabic numerals) is 5": "5",
    "The correct answer is:\n5": "5",
    "The answer is\n\\[\n\\boxed{5}\n\\]": "5",
    "Answer:\n\\[\n\\boxed{5}\n\\]": "5",
    "Answer:\n```\n5\n```": "5",
    "__Answer__: 5": "5",
    "Answer: $\\boxed{5}$": "5",
    "Final Answer: The final answer is $5$. I hope it is correct.": "$5$",
    # the order
    "The answer is 3.\n#### 4\nAnswer: 5\n\\boxed{6}": "5",
    "#### 4\n\\boxed{6} and the answer is 3": "3",
    "#### 4\n\\boxed{6}": "6",
    "Answer:\n\n#### 4": "#### 4",
}


@pytest.mark.parametrize("response", FOUND)
def test_find_answer_prefers_the_last_answer_line_then_other_forms(response):
    assert find_answer(response) == FOUND[response]


@pytest.mark.parametrize(
    "response", ["", "5", "It is 5.", "I cannot answer that", "Answer:", "Answer: **", r"\boxed{5"]
)
def test_find_answer_does_not_guess(response):
    assert find_answer(response) is None


def test_find_answer_ignores_an_empty_answer_line():
    assert find_answer("\\boxed{7}\nAnswer:") == "7"


def test_fallbacks_find_their_form_of_answer():
    assert FALLBACKS["whole"](" a\nb ") == "a\nb"
    assert FALLBACKS["line"](" joy \n") == "joy"
    assert FALLBACKS["line"]("I think\njoy") is None
    assert FALLBACKS["short_line"]("2 + 3 = 5\nA: 5") == "5"
    assert FALLBACKS["last_number"]("From 3 to $1,234.50 a year.") == "$1,234.50"
    assert [fallback(" ") for fallback in FALLBACKS.values()] == [None] * 4


@pytest.mark.parametrize(
    "text",
    [
        "Answer: B" + " " * 50_000 + "x",
        "answer" + " _" * 30_000 + "x",
        "answer" + " " * 50_000 + "x",
        "a" * 50_000,
        "。" * 50_000,
    ],
)
def test_find_answer_is_fast_on_a_repetitive_response(text):
    started = time.perf_counter()
    find_answer(text)
    find_program(text)
    FALLBACKS["line"](text)
    assert time.perf_counter() - started < 1


def test_boxed_balances_braces():
    assert boxed(r"\boxed{a{b{c}}d} e}") == "a{b{c}}d"
    assert boxed("none") is None


def test_find_pattern_returns_the_last_match():
    assert find_pattern(r"<(\d)>", "<1> <2>") == "2"
    assert find_pattern(r"<(\d)>", "Answer: 3") is None
    assert find_pattern("(?s)(.*)", "a\nb") == "a\nb"
    assert find_pattern("x|(y)", "y x") == "y"


def test_find_program_reads_the_last_fence_or_the_text_after_answer():
    two = "```python\nx = 1\n```\nBetter:\n```\nx = 2\n```\nAnswer: done"
    assert find_program(two) == "x = 2\n"
    assert find_program("```python\nx = 1\n") == "x = 1\n"
    assert find_program("Answer: def f():\n    return 1") == " def f():\n    return 1"
    assert find_program("x = 1") is None
    shown = "```python\ndef f():\n    return 1\n```\nUse it so:\n```python\nprint(f())\n```"
    assert find_program(shown) == "def f():\n    return 1\n"
