import time

import pytest

from genome.tasks.announced import announced, concluded

SAID = {
    "Answer: 5": ["5"],
    "**Answer:**\n\n5\n": ["5"],
    "Answer:\n1. one\n2. two\nDone.": ["one, two"],
    "Answer:\n```\n5\n```": ["5"],
    "### Final Answer ###\n5": ["5"],
    "The answer is 4.\nThe answer is 5": ["4.", "5"],
    "The wrong answer is 5": [],
    "The answer is never 5. It isn't the answer.": ["never 5. It isn't the answer."],
    "The answer will not be 5": [],
    "Each option is read. The best option is 5": ["5"],
    "\\boxed{4} or \\boxed{5}": ["4", "5"],
    "\\boxed{} ] )}": ["} ] )"],
    '{"why": "so", "answer": ["a", "b"]}': ["a, b"],
    "{'answer': 5}": ["5"],
    "<answer>5</answer> #### 6\n#### 7": ["5", "7"],
    "Answer: 5\nQuestion: and now?\nAnswer: 6": ["5"],
    "": [],
}


@pytest.mark.parametrize("response", SAID)
def test_announced_finds_every_form_in_order(response):
    assert [statement.text for statement in announced(response)] == SAID[response]


def test_second_thoughts_and_verdicts_are_not_sure():
    assert announced("So 5 is correct. Wait, it is 6") == [("So 5", False), ("it is 6", False)]


def test_concluded_is_the_last_sentence_of_a_conclusion_or_a_short_response():
    assert [text for text, _ in concluded("He laughs.\nHence it is joy.", sure=True, alone=False)] == [
        "Hence it is joy"
    ]
    assert [text for text, _ in concluded("She is sad.", sure=True, alone=True)] == ["She is sad"]
    assert concluded("She is sad.", sure=True, alone=False) == concluded("", sure=True, alone=True) == []
    assert concluded("He laughs.\nShe is sad.", sure=True, alone=True) == []


@pytest.mark.parametrize(
    "part", ["answer ", "answer to ", "option (", "{'answer': ", "<answer>", "\\boxed{", "is ", "* "]
)
def test_announced_is_fast_on_a_repetitive_response(part):
    started = time.process_time()
    announced(part * (30_000 // len(part)))
    assert time.process_time() - started < 1
