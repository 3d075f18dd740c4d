from pathlib import Path

import pytest
import yaml

from genome.errors import GenomeError
from genome.micro.world import task_rows
from genome.tasks import parse_task
from genome.tasks.prompts import facts
from genome.tasks.references import check_references, read_references

TASKS = Path(__file__).parents[2] / "config" / "tasks"
FIELDS = {"source": {"path": "x"}, "prompt": "p", "reference": "a"}
OWN = {  # one row of each kind with a reference that can be answered
    "choice": ({"options": "o"}, {"a": "B", "o": ["fur", "scale"]}),
    "label": ({"labels": {"A": "joy", "B": "fear"}}, {"a": "fear"}),
    "text": ({}, {"a": "Two words"}),
    "number": ({}, {"a": "-1,234.5"}),
    "math": ({}, {"a": r"$\dfrac{1}{2}$"}),
    "span": ({}, {"a": [["Ada", "Grace"]]}),
    "translation": ({}, {"a": "Guten Tag."}),
    "program": ({"tests": "t"}, {"a": "x", "t": ["assert True"]}),
}


def task_of(kind, **changes):
    return parse_task("t", {**FIELDS, "kind": kind, **changes})


def samples_of(task, *rows):
    return [{"id": f"t-{number}", **facts(task, row)} for number, row in enumerate(rows)]


@pytest.mark.parametrize("kind", OWN)
def test_check_references_accepts_a_reference_of_every_kind(kind):
    fields, row = OWN[kind]
    task = task_of(kind, **fields)
    read_references(task, samples_of(task, row))
    assert check_references(task, samples_of(task, row)) is None


MICRO = [path.stem for path in sorted(TASKS.glob("*.yaml")) if "micro" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", MICRO)
def test_check_references_accepts_the_micro_world(name):
    task = parse_task(name, yaml.safe_load((TASKS / f"{name}.yaml").read_text(encoding="utf-8")))
    samples = samples_of(task, *task_rows(name)[:200])
    read_references(task, samples)
    assert check_references(task, samples) is None


def test_read_references_refuses_options_that_no_answer_can_name():
    task = task_of("choice", options="o")
    sample = {"a": "first", "o": {"first": "...", "second": "!!!"}}
    with pytest.raises(GenomeError, match=r"none of the 1 references can ever be answered by kind 'choice'") as caught:
        read_references(task, samples_of(task, sample))
    assert "in row t-0, the response 'first' would be unparsed" in str(caught.value)


def test_check_references_refuses_a_pattern_that_truncates_all():
    task = task_of("text", pattern="([a-z]+)")
    with pytest.raises(GenomeError, match=r"with the pattern '\(\[a-z\]\+\)'") as caught:
        check_references(task, samples_of(task, {"a": "x12"}, {"a": "y34"}))
    assert "the response 'Answer: x12' would be read as 'x'" in str(caught.value)


def test_check_references_warns_about_a_single_unreadable_reference():
    task = task_of("text")
    warning = check_references(task, samples_of(task, {"a": "one"}, {"a": "two\nlines"}, {"a": "the answer is two"}))
    assert warning.startswith("task t: 1 of 3 references can never be answered; in row t-2, the response")


@pytest.mark.parametrize("pattern", [r"<<(.*?)>>", r"Result: (\d+)"])
def test_check_references_skips_patterns_of_a_special_form(pattern):
    task = task_of("number", pattern=pattern)
    assert check_references(task, samples_of(task, {"a": "5"})) is None


def test_check_references_accepts_a_pattern_for_decimals():
    task = task_of("number", pattern=r"([\d.]+)")
    assert check_references(task, samples_of(task, {"a": "0.5"})) is None
