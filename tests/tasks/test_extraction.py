import time

import pytest

from genome.tasks.code_blocks import read_program
from genome.tasks.extraction import FALLBACKS, boxed, find_answer, find_pattern, find_result
from genome.tasks.mathematics import says_result
from genome.tasks.numbers import says_number
from genome.tasks.thinking import spoken

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
    # headings without a colon, other links, markup
    "**Final Answer** 5": "5",
    "### Final Answer\n\n5": "5",
    "## Answer\n$5$": "$5$",
    "**Answer**\n\\[\n\\boxed{5}\n\\]": "5",
    "Final Answer\n5": "5",
    "### Answer\nThe answer is 5": "5",
    "answer = 5": "5",
    "Answer – 5": "5",
    "Answer - 5": "5",
    "Answer => 5": "5",
    "**Answer** - 5": "5",
    "**Final answer**\n> 5": "5",
    "Final Answer 5": "5",
    "The answer, in dollars, is 5": "5",
    "The answer that we want is 5": "5",
    "The answer's 5": "5",
    "Answer -> 5": "5",
    "| Answer | 5 |": "5",
    "| **Answer** | **5** |": "5",
    "The answer to the question in the title is 5": "5",
    "The answer would be 5": "5",
    "The answer must therefore be 5": "5",
    "The answer comes to 5": "5",
    "The answer is _____.\n\n$5": "$5",
    "The answer is: ___\n5": "5",
    "\\framebox{5}": "5",
    "\\boxed{4} or \\boxed{5}": "4, 5",
    "$\\boxed{4}$, $\\boxed{5}$": "4, 5",
    "\\boxed{4}, no, \\boxed{5}": "5",
    "\\boxed{5} and \\boxed{6": "5",
    # tags and JSON
    "<answer>5</answer>": "5",
    "<answer>\n5\n": "5",
    "Answer: 4\n<answer>The answer is 5</answer>": "The answer is 5",
    "[ANSWER] 5 [/ANSWER]": "5",
    '{"answer": 5}': "5",
    '{"steps": "2 + 3, so", "answer": "5", "sure": true}': "5",
    '```json\n{"final_answer": "$5"}\n```': "$5",
    "{'answer': '5'}": "5",
    '{"finalAnswer": 5}': "5",
    '{"answer": 1,234}': "1,234",
    "<answer><b>5</b></answer>": "<b>5</b>",
    '{"answer": ["5"]}': "5",
    '{"answer": "5': "5",
    # two answers on adjacent lines, and an answer that was taken back
    "Answer: 4\nAnswer: 5": "4, 5",
    "Answer: 5\nAnswer: 5": "5",
    "Answer: 4\nNo.\nAnswer: 5": "5",
    # the model goes on with a question
    "Answer: 5\n\nQuestion: 2 + 2?\nAnswer: 4": "5",
    "Answer: 5\n\n### Question:\n2 + 2?\n### Answer:\n4": "5",
    "#### 5\nQ: 2 + 2?\n#### 4": "5",
    "Question: 2 + 3?\nAnswer: 5": "5",
}


@pytest.mark.parametrize("response", FOUND)
def test_find_answer_prefers_the_last_answer_line_then_other_forms(response):
    assert find_answer(response) == FOUND[response]


@pytest.mark.parametrize(
    "response", ["", "5", "It is 5.", "I cannot answer that", "Answer:", "Answer: **", r"\boxed{5"]
)
def test_find_answer_does_not_guess(response):
    assert find_answer(response) is None


def test_find_answer_passes_over_texts_that_mean_nothing():
    def means(text):
        return text[0].isdigit()

    assert find_answer("#### 5\nSo the answer is correct.", means) == "5"
    assert find_answer("The answer is 5. The answer is correct.", means) == "5. The"
    assert find_answer("Answer: 5\nAnswer: see above", means) == "5"
    assert find_answer("The answer is clear.", means) is None
    # what a question says about the form of the answer
    assert find_answer("#### 5\nThe answer should be in dollars.") == "5"
    assert find_answer("If it is 0.7, your answer should be 1. So:\n#### 5") == "5"


def test_find_result_also_reads_what_the_last_line_calls_the_result():
    assert find_result("2 + 3.\nSo the final result is $5$.") == "$5$."
    assert find_result("**Result:** 5") == "5"
    assert find_result("So 5 is the correct answer.") == "5"
    assert find_result("2 + 3. **5** is the answer") == "5"
    assert find_result('{"working": "2 + 3", "result": 5}') == "5"
    assert find_result("The result is 4.\nNo.") is None
    assert find_result("Answer: 5\nThe result is 4") == "5"


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
        "\n" * 50_000,
        "\\boxed{" * 8_000,
        "<answer>" * 6_000,
        "<think>" * 7_000,
        "the answer is " * 4_000,
        "the answer is\n" * 4_000,
        '"answer": ' * 5_000,
        "antwort " * 6_000,
        "答え" * 25_000,
        "คำตอบ" * 10_000,
        "# answer\n" * 6_000,
        "**answer " * 6_000,
        "answer in " * 5_000,
        "the result is " * 4_000,
        "`" * 50_000,
        "```python\n" * 5_000,
        "[BEGIN]" * 7_000,
        "def f(\n" * 7_000,
        "one " * 12_000,
    ],
)
def test_find_answer_is_fast_on_a_repetitive_response(text):
    started = time.process_time()
    spoken(text)
    find_result(text, says_number)
    find_result(text, says_result)
    read_program(text, ["assert f(1) == 1"])
    FALLBACKS["line"](text)
    assert time.process_time() - started < 2


def test_boxed_balances_braces():
    assert boxed(r"\boxed{a{b{c}}d} e}") == "a{b{c}}d"
    assert boxed("none") is None


def test_find_pattern_returns_the_last_match():
    assert find_pattern(r"<(\d)>", "<1> <2>") == "2"
    assert find_pattern(r"<(\d)>", "Answer: 3") is None
    assert find_pattern("(?s)(.*)", "a\nb") == "a\nb"
    assert find_pattern("x|(y)", "y x") == "y"
