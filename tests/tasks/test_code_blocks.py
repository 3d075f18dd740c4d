import pytest

from genome.tasks.code_blocks import find_program, read_program

TESTS = ["assert double(2) == 4", "assert set(double(x) for x in [1]) == {2}"]
GOOD = "def double(x):\n    return 2 * x"
FENCED = f"```python\n{GOOD}\n```"

WITH_PROGRAM = {
    "fence": FENCED,
    "no language": f"```\n{GOOD}\n```",
    "tildes": f"~~~python\n{GOOD}\n~~~",
    "four": f"````python\n{GOOD}\n````",
    "not closed": f"Here it is:\n```python\n{GOOD}\n",
    "closed at the end of a line": f"```python\n{GOOD}```\nDone.",
    "windows": FENCED.replace("\n", "\r\n"),
    "in a list": "1. Code:\n   ```python\n   def double(x):\n       return 2 * x\n   ```",
    "marks": f"[BEGIN]\n{GOOD}\n[DONE]",
    "marks of Llama": f"[PYTHON]\n{GOOD}\n[/PYTHON]",
    "after the colon": f"Answer: {GOOD}",
    "bare": GOOD,
    "prose around": f"The function is:\n\n{GOOD}\n\nIt doubles a number, as asked.",
    "alternative with another name": f"{FENCED}\nOr:\n```python\ndef twice(x):\n    return x + x\n```",
    "use": f"{FENCED}\nUse:\n```python\ndef show():\n    print(double(3))\n```",
    "text": f"{FENCED}\n```text\ndef is a keyword\n```",
    "output": f"{FENCED}\nOutput:\n```\n6\n```",
    "test class": f"{FENCED}\n```python\nclass CheckDouble(Base):\n    def test(self):\n        double(1)\n```",
    "wrong first": f"```python\ndef double(x):\n    return x\n```\nNo, it must be:\n{FENCED}",
    "cut at the end": f"{FENCED}\nWith a loop:\n```python\ndef double(x):\n    for y in (",
}


@pytest.mark.parametrize("form", WITH_PROGRAM)
def test_read_program_finds_the_function_that_the_tests_call(form):
    text = WITH_PROGRAM[form]
    assert read_program(find_program(text) or text, TESTS) == GOOD


def test_a_fence_in_a_string_does_not_close_a_block():
    program = 'def double(x):\n    """Like ```"""\n    s = """```"""\n    return 2 * x'
    assert read_program(f"```python\n{program}\n```", TESTS) == program


def test_of_two_complete_definitions_the_last_one_counts():
    other = "def double(x):\n    return x + x"
    assert read_program(f"{FENCED}\nShorter:\n```python\n{other}\n```", TESTS) == other


def test_a_block_that_assigns_the_function_defines_it():
    response = "```\ndouble = lambda x: 2 * x\n```\n```\ndef helper():\n    pass\n```"
    assert read_program(response, TESTS) == "double = lambda x: 2 * x"


def test_a_function_that_the_tests_call_may_be_named_like_a_test():
    program = "def test_even(x):\n    return x % 2 == 0"
    response = f"```python\n{program}\n```\nTry it:\n```python\nassert test_even(2) == True\n```"
    assert read_program(response, ["assert test_even(2) == True"]) == program


def test_the_body_of_a_prefix_keeps_its_indent():
    body = "    y = x\n    return y"
    assert read_program(f"\n{body}\n", TESTS, body=True) == body


def test_find_program_refuses_a_response_without_code_or_answer():
    assert find_program("x = 1") is None
    assert find_program("Answer: x = 1") == " x = 1"
    assert find_program(FENCED) == FENCED


@pytest.mark.parametrize("text", ["", "\n \n", "```python\n\n```"])
def test_read_program_of_nothing_is_none(text):
    assert read_program(text, TESTS) is None
