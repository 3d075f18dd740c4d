import json

import pytest

from builders import tokenizer_in
from genome.errors import GenomeError
from genome.tasks import parse_task
from genome.tasks.prompts import columns, listed, prepare, render, sample

FIELDS = {"category": "c", "kind": "choice", "metric": "accuracy", "source": {"path": "x"}}
CHOICE = parse_task(
    "animals",
    {
        **FIELDS,
        "prompt": "{{ question }}\n{{ options | listed }}\n",
        "reference": '"ABCDE"[choices.label.index(answerKey)]',
        "options": "choices.text",
    },
)
ROW = {
    "id": "animals-0",
    "question": "What has a fish?",
    "choices": {"text": ["fur", "scale"], "label": ["1", "2"]},
    "answerKey": "2",
}


def number_task(**changes):
    mapping = {**FIELDS, "kind": "number", "prompt": "{{ q }}", "reference": "a", **changes}
    return parse_task("sums", mapping)


def test_sample_of_a_choice_has_options_and_reference():
    assert sample(CHOICE, ROW) == {
        "id": "animals-0",
        "prompt": "What has a fish?\nA. fur\nB. scale",
        "reference": "B",
        "options": {"A": "fur", "B": "scale"},
    }
    assert listed({"A": "x"}) == "A. x"


def test_columns_returns_names_used_by_templates_and_expressions():
    assert columns(CHOICE) == {"question", "choices", "answerKey"}
    own = parse_task(
        "t", {**FIELDS, "prompt": "{{ q }} {{ options | listed }}", "reference": "a", "options": "options"}
    )
    assert columns(own) == {"q", "a", "options"}
    assert columns(number_task(prompt="{% for i in range(2) %}{{ q }}{% endfor %}{% if examples %}x{% endif %}")) == {
        "q",
        "a",
    }


def test_examples_have_their_own_options_and_reference():
    shown = "{{ e.question }} {{ e.options | listed }} -> {{ e.reference }}"
    template = "{% for e in examples %}" + shown + "\n{% endfor %}{{ question }}"
    task = parse_task(
        "animals", {**FIELDS, "prompt": template, "reference": "answerKey", "options": "choices.text", "shots": 1}
    )
    example = {**ROW, "id": "animals-1", "question": "And a cat?", "answerKey": "A"}
    row = {**ROW, "answerKey": "B"}
    assert render(task, row, [example]) == "And a cat? A. fur\nB. scale -> A\nWhat has a fish?"


def test_labels_are_available_in_the_template():
    task = parse_task(
        "mood",
        {
            **FIELDS,
            "kind": "label",
            "prompt": "{{ labels | listed }}",
            "reference": "e",
            "labels": {"A": "joy", "B": "fear"},
        },
    )
    made = sample(task, {"id": "m", "e": "B"})
    assert (made["prompt"], made["reference"]) == ("A. joy\nB. fear", "fear")


def test_sample_of_a_program_puts_setup_before_the_asserts():
    task = parse_task(
        "code",
        {
            **FIELDS,
            "kind": "program",
            "metric": "pass@1",
            "prompt": "{{ text }}",
            "tests": "test_list",
            "setup": "before",
        },
    )
    row = {"id": "1", "text": "t", "test_list": ["assert x"], "before": "x = 1"}
    assert sample(task, row)["tests"] == ["x = 1", "assert x"]
    assert sample(task, {**row, "before": ""})["tests"] == ["assert x"]
    with pytest.raises(GenomeError, match="row 1: tests must give a list of texts, found 'x'"):
        sample(task, {**row, "test_list": "x"})


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"prompt": "{{ q }"}, "prompt, line 1"),
        ({"reference": "a["}, "reference is not an expression"),
        ({"prompt": "{{ nothing }}"}, "row r1: prompt: 'nothing' is undefined"),
        ({"reference": "b"}, "row r1: reference: 'b' is undefined"),
        ({"reference": "q"}, "row r1: reference: 'How many?' is not a number"),
        ({"reference": "a.__class__.__mro__"}, "row r1: reference: access to attribute '__class__'"),
        ({"prompt": "{{ q.__class__ }}"}, "row r1: prompt: access to attribute '__class__'"),
        ({"reference": "a // 0"}, "row r1: reference: "),
        ({"kind": "choice", "options": "q"}, "row r1: options: expected options as a list or a mapping"),
        ({"kind": "choice", "options": '["x"]'}, "row r1: reference: 5 is none of the letters A"),
        ({"kind": "label", "metric": "accuracy", "labels": ["x"]}, "row r1: reference: 5 is none of the labels x"),
    ],
)
def test_errors_name_task_row_and_field(changes, part):
    task = number_task(**changes)
    with pytest.raises(GenomeError) as caught:
        sample(task, {"id": "r1", "q": "How many?", "a": 5})
    assert str(caught.value).startswith("task sums")
    assert part in str(caught.value).replace("expected text, found 5", "")
    assert "\n" not in str(caught.value)


def test_prepare_returns_plain_json(tmp_path):
    folder = tokenizer_in(tmp_path, "{{ bos_token }}user {{ messages[0].content }} model")
    samples = prepare(number_task(), [{"id": "r1", "q": "what is two", "a": "2"}], folder)
    assert samples == [{"id": "r1", "prompt": "what is two", "reference": "2", "tokens": [1, 2, 4, 5, 6, 3], "of": 1}]
    assert json.loads(json.dumps(samples)) == samples
