"""Settings of a chat: what is refused when a config is read, and how a task's are laid over the base's."""

import json

import pytest
from pydantic import ValidationError

from genome.errors import GenomeError
from genome.tasks.chat_settings import ChatSettings, laid_over
from genome.tasks.file import check_task
from genome.validation.explain import explained

TASK = {"kind": "number", "source": {"path": "x"}, "prompt": "{{ q }}", "reference": "a"}


def problems(chat):
    with pytest.raises(ValidationError) as caught:
        ChatSettings.model_validate_json(json.dumps(chat))
    return explained(caught.value, ChatSettings, "chat")


@pytest.mark.parametrize(
    ("chat", "said"),
    [
        ({"arguments": {"a": 1}}, "chat: unknown key 'arguments', did you mean 'template_arguments'?"),
        ({"template_arguments": {"tokenize": True}}, "chat.template_arguments: tokenize cannot be set; remove it"),
        ({"template_arguments": []}, "chat.template_arguments: expected a mapping, or null, found []"),
        ({"system": 3}, "chat.system: expected text, or null, found 3 (YAML reads it as a number; put it in quotes)"),
        ({"assistant_prefix": ""}, "chat.assistant_prefix: expected non-empty text, or null, found ''"),
        ({"stop": "Q:"}, "chat.stop: expected a list of 1 to 16 non-empty texts, or null, found 'Q:'"),
        ({"stop": []}, "chat.stop: expected a list of 1 to 16 non-empty texts, or null, found []"),
        ({"stop": ["a"] * 2}, "chat.stop: 'a' is listed twice; keep one"),
        ({"date": "26.07.2024"}, "chat.date: expected a date, 'YYYY-MM-DD' in quotes, or null, found '26.07.2024'"),
        ({"date": "20240726"}, "chat.date: expected a date, 'YYYY-MM-DD' in quotes, or null, found '20240726'"),
        ({"date": "2024-02-30"}, "chat.date: expected a date, 'YYYY-MM-DD' in quotes, or null, found '2024-02-30'"),
        ({"plain": True, "system": "Be brief."}, "chat: plain means no template; remove system"),
        (
            {"template": "rag", "template_file": "chat.jinja"},
            "chat: template names one of the tokenizer's own templates; remove it, or template_file",
        ),
    ],
)
def test_wrong_settings_are_refused_in_one_line(chat, said):
    assert problems(chat) == [said]


def test_too_many_stop_texts_are_refused():
    [said] = problems({"stop": [str(n) for n in range(17)]})
    assert said.startswith("chat.stop: expected a list of 1 to 16 non-empty texts, or null, found [")
    [said] = problems({"stop": ["a", ""]})
    assert said.startswith("chat.stop[1]: expected")


@pytest.mark.parametrize(
    ("base", "task", "expected"),
    [
        (None, None, {}),
        ("plain", None, {"plain": True}),
        ({"system": "Be brief."}, None, {"system": "Be brief."}),
        ({"system": "Be brief."}, {"stop": ["Q:"]}, {"system": "Be brief.", "stop": ["Q:"]}),
        ({"system": "Be brief."}, {"system": "Be exact."}, {"system": "Be exact."}),
        ({"system": "Be brief."}, {"system": None}, {}),
        ({"stop": ["a"]}, {"stop": ["b"]}, {"stop": ["b"]}),
        (
            {"template_arguments": {"a": 1, "b": 2}},
            {"template_arguments": {"b": 3}},
            {"template_arguments": {"a": 1, "b": 3}},
        ),
        ({"template_arguments": {"a": 1}}, {"template_arguments": None}, {}),
        ({"system": "Be brief.", "stop": ["a"]}, "plain", {"stop": ["a"], "plain": True}),
        ("plain", {"assistant_prefix": "A:"}, {"plain": True, "assistant_prefix": "A:"}),
        ("plain", {"plain": False, "system": "Be brief."}, {"system": "Be brief."}),
        ({"template": "rag"}, {"template_file": "chat.jinja"}, {"template_file": "chat.jinja"}),
        # What is as by default is left out, so that finished results stay valid.
        ({"date": "2024-07-26", "template_arguments": {}}, None, {}),
        ({"date": "2025-01-31"}, {"date": "2024-07-26"}, {}),
    ],
)
def test_settings_of_a_task_are_laid_over_those_of_the_base(base, task, expected):
    assert laid_over(base, task) == expected


def test_settings_that_do_not_fit_together_are_refused():
    with pytest.raises(GenomeError) as caught:
        laid_over("plain", {"system": "Be brief."}, "task sums: ")
    assert str(caught.value) == "task sums: chat, over the base's: plain means no template; remove system"


def test_chat_of_a_task_file_is_checked():
    assert check_task("sums", TASK | {"chat": {"stop": ["Q:"]}}).chat == {"stop": ["Q:"]}
    assert check_task("sums", TASK | {"chat": "plain"}).chat == "plain"
    for chat, said in (
        ({"sytem": "x"}, "task sums: chat: unknown key 'sytem', did you mean 'system'?"),
        (
            {"stop": [3]},
            "task sums: chat.stop[0]: expected non-empty text, found 3 (YAML reads it as a number; put it in quotes)",
        ),
        ("none", "task sums: chat: expected"),
    ):
        with pytest.raises(GenomeError) as caught:
            check_task("sums", TASK | {"chat": chat})
        assert str(caught.value).startswith(said)
