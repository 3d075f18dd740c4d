import json

import pytest

from genome.errors import GenomeError
from genome.tasks import parse_task
from genome.tasks.prompts import columns, listed, prepare, render, sample, tokenise

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


def test_a_choice_sample():
    assert sample(CHOICE, ROW) == {
        "id": "animals-0",
        "prompt": "What has a fish?\nA. fur\nB. scale",
        "reference": "B",
        "options": {"A": "fur", "B": "scale"},
    }
    assert listed({"A": "x"}) == "A. x"


def test_columns_are_what_templates_and_expressions_use():
    assert columns(CHOICE) == {"question", "choices", "answerKey"}
    own = parse_task(
        "t", {**FIELDS, "prompt": "{{ q }} {{ options | listed }}", "reference": "a", "options": "options"}
    )
    assert columns(own) == {"q", "a", "options"}
    assert columns(number_task(prompt="{% for i in range(2) %}{{ q }}{% endfor %}{% if examples %}x{% endif %}")) == {
        "q",
        "a",
    }


def test_examples_bring_their_own_options_and_reference():
    shown = "{{ e.question }} {{ e.options | listed }} -> {{ e.reference }}"
    template = "{% for e in examples %}" + shown + "\n{% endfor %}{{ question }}"
    task = parse_task(
        "animals", {**FIELDS, "prompt": template, "reference": "answerKey", "options": "choices.text", "shots": 1}
    )
    example = {**ROW, "id": "animals-1", "question": "And a cat?", "answerKey": "A"}
    row = {**ROW, "answerKey": "B", "examples": [example]}
    assert render(task, row) == "And a cat? A. fur\nB. scale -> A\nWhat has a fish?"


def test_labels_stand_in_the_template():
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


def test_a_program_sample_runs_its_setup_before_the_asserts():
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
        ({"reference": "a["}, "reference is no expression"),
        ({"prompt": "{{ nothing }}"}, "row r1: prompt: 'nothing' is undefined"),
        ({"reference": "b"}, "row r1: reference: 'b' is undefined"),
        ({"reference": "q"}, "row r1: reference: 'How many?' is no number"),
        ({"reference": "a.__class__.__mro__"}, "row r1: reference: access to attribute '__class__'"),
        ({"prompt": "{{ q.__class__ }}"}, "row r1: prompt: access to attribute '__class__'"),
        ({"reference": "a // 0"}, "row r1: reference: "),
        ({"kind": "choice", "options": "q"}, "row r1: options: expected options as a list or a mapping"),
        ({"kind": "choice", "options": '["x"]'}, "row r1: reference: 5 is none of the letters A"),
        ({"kind": "label", "metric": "accuracy", "labels": ["x"]}, "row r1: reference: 5 is none of the labels x"),
    ],
)
def test_faults_name_task_row_and_field(changes, part):
    task = number_task(**changes)
    with pytest.raises(GenomeError) as caught:
        sample(task, {"id": "r1", "q": "How many?", "a": 5})
    assert str(caught.value).startswith("task sums")
    assert part in str(caught.value).replace("expected text, found 5", "")
    assert "\n" not in str(caught.value)


TEMPLATES = {
    "with": "{{ bos_token }}user {{ messages[0]['content'] }} {% if add_generation_prompt %}model{% endif %}",
    "without": "user {{ messages[0]['content'] }} {% if add_generation_prompt %}model{% endif %}",
}


def tokenizer_in(folder, template, habit):
    """Save a word-level tokenizer; with `habit` it puts a BOS before every text by itself, as Gemma's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<bos>", "user", "model", "what", "is", "two"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if habit:
        core.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", bos_token="<bos>")
    fast.chat_template = template
    fast.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("template", TEMPLATES)
def test_bos_stands_exactly_once(tmp_path, template):
    folder = tokenizer_in(tmp_path, TEMPLATES[template], habit=True)
    assert tokenise(["what is two", "two"], folder) == [[1, 2, 4, 5, 6, 3], [1, 2, 6, 3]]


def test_no_bos_where_the_tokenizer_has_no_such_habit(tmp_path):
    assert tokenise(["two"], tokenizer_in(tmp_path, TEMPLATES["without"], habit=False)) == [[2, 6, 3]]
    assert tokenise([], tmp_path) == []


def test_prepared_samples_are_plain_json(tmp_path):
    folder = tokenizer_in(tmp_path, TEMPLATES["with"], habit=True)
    samples = prepare(number_task(), [{"id": "r1", "q": "what is two", "a": "2"}], folder)
    assert samples == [{"id": "r1", "prompt": "what is two", "reference": "2", "tokens": [1, 2, 4, 5, 6, 3]}]
    assert json.loads(json.dumps(samples)) == samples


def test_tokenizers_that_do_not_serve(tmp_path):
    with pytest.raises(GenomeError, match="no tokenizer here"):
        tokenise(["two"], tmp_path)
    with pytest.raises(GenomeError, match="no chat template"):
        tokenise(["two"], tokenizer_in(tmp_path, None, habit=False))
