"""Which parts of a test the program's process evaluates, and which it never sees."""

import json

import pytest

from genome.tasks.asserts import split

# A test, the parts that the program's process evaluates, and the check in the process that never ran a program.
SPLITS = {
    "f(1) == 2": (["f(1)"], "__operand0__ == 2"),
    "2 == f(1)": (["f(1)"], "2 == __operand0__"),
    "set(f(x)) == {1, 2}": (["f(x)"], "__operand0__ == {1, 2}"),
    "f(1) == sorted([2, 1])": (["f(1)"], "__operand0__ == sorted([2, 1])"),
    "math.isclose(f(1), math.pi)": (["f(1)"], "__operand0__"),
    "abs(f(1) - 2.5) < 0.1": (["f(1)"], "__operand0__ < 0.1"),
    "not f(1)": (["f(1)"], "__operand0__"),
    "f(1) is None": (["f(1)"], "__operand0__ is None"),
    "type(f(1)) is int": (["f(1)"], "__operand0__ is int"),
    "f(x) is x": (["f(x) is x"], "__operand0__"),
    "f(x).name == 'a'": (["f(x).name"], "__operand0__ == 'a'"),
    "1 < f(1) < 3": (["f(1)"], "1 < __operand0__ < 3"),
    "sum(10, 15) == 25": (["sum(10, 15)"], "__operand0__ == 25"),
    "len(Box(3)) == 3": (["len(Box(3))"], "__operand0__ == 3"),
    "f(1) == [i for i in range(2)]": (["f(1)"], "__operand0__ == [i for i in range(2)]"),
    "f(1) == ', '.join(map(str, [1]))": (["f(1)"], "__operand0__ == ', '.join(map(str, [1]))"),
    "f(1) or f(2)": (["f(1) or f(2)"], "__operand0__"),
    "unknown.pi == f(1)": (["unknown.pi", "f(1)"], "__operand0__ == __operand1__"),
    "re.no_such_thing(f(1)) == 1": (["re.no_such_thing(f(1))"], "__operand0__ == 1"),
    "False": ([], "False"),
}


@pytest.mark.parametrize("test", SPLITS)
def test_split_leaves_only_parts_that_use_the_program(test):
    parts, judged = SPLITS[test]
    found = split(f"assert {test}")
    (step,), (check,) = json.loads(found.steps), json.loads(found.checks)
    assert [part for operand in step["operands"] for part in operand["parts"]] == parts
    assert check["test"] == judged


def test_split_separates_conjunctions_and_statements():
    found = split("x = [1]\nassert f(x) == 1 and g(x) == 2, 'why'\nx.append(2)")
    steps, checks = json.loads(found.steps), json.loads(found.checks)
    assert [step.get("run") for step in steps] == ["x = [1]", None, None, "x.append(2)"]
    assert [check["message"] for check in checks] == ["'why'", "'why'"]


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(1) == 424242",
        "assert abs(f(1) - 424242) < 1",
        "assert f(1) == sum([424242])",
        "assert f(1) == 2, 424242",
    ],
)
def test_split_keeps_expected_values_out_of_steps(tests):
    assert "424242" not in split(tests).steps
    assert "424242" in split(tests).checks


def test_split_inlines_a_function_of_asserts():
    found = split(
        "def check(candidate):\n    'tests'\n    assert candidate(1) == 424242\n    assert True\n\ncheck(f)\nf(2)"
    )
    assert [step.get("run") for step in json.loads(found.steps)] == [None, None, "f(2)"]
    assert [check["test"] for check in json.loads(found.checks)] == ["__operand0__ == 424242", "True"]
    assert json.loads(found.steps)[0]["operands"][0]["parts"] == ["f(1)"]
    assert "424242" not in found.steps


@pytest.mark.parametrize("rest", ["check(f)\ncheck(g)", "[check(h) for h in (f, g)]", "check(f)\ndel check", ""])
def test_split_keeps_a_function_called_in_another_way(rest):
    found = split(f"def check(candidate):\n    assert candidate(1) == 2\n{rest}")
    assert json.loads(found.steps)[0]["run"].startswith("def check")
    assert json.loads(found.checks) == []


def test_split_trusts_imported_names_but_not_changed_ones():
    imported = split("from math import pi as p\nimport os\nassert f(1) == p\nassert f(2) == os.sep")
    assert [check["test"] for check in json.loads(imported.checks)] == [
        "__operand0__ == p",
        "__operand0__ == __operand1__",
    ]
    changed = split("len = 3\nmath = 4\nassert f(1) == len(math.pi)")
    assert json.loads(changed.checks)[0]["test"] == "__operand0__ == __operand1__"


def test_split_gives_expected_answers_of_plain_comparisons():
    assert json.loads(split("assert f(1) == (1, 'a')").expected) == [{"operands": [{"parts": [["tuple", 1, "a"]]}]}]
    for test in ("f(1) == {1}", "f(1) != 1", "f(1) == g(1)", "len(f(1)) == 1", "f(1) == -x"):
        assert split(f"assert {test}").expected == ""
    assert split("assert f(1) == 1\nassert len(f(1)) == 1").expected == ""
