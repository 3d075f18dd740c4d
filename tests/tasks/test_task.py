from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest
import yaml

from genome.errors import GenomeError
from genome.tasks import KINDS, Task, parse_task
from genome.tasks.file import TaskFile, check_task
from genome.tasks.metrics import METRICS
from genome.tasks.prompts import columns

GOOD = {
    "category": "Mathematics",
    "kind": "number",
    "metric": "accuracy",
    "source": {"path": "rows.jsonl"},
    "prompt": "{{ question }}",
    "reference": "answer",
}
TASK_FILES = sorted((Path(__file__).parents[2] / "config" / "tasks").glob("*.yaml"))


def message(**changes):
    mapping = {key: value for key, value in {**GOOD, **changes}.items() if value != "absent"}
    with pytest.raises(GenomeError) as caught:
        check_task("sums", mapping)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("task sums: ")
    return str(caught.value)


def test_defaults():
    task = check_task("sums", GOOD)
    assert (task.name, task.shots, task.max_tokens, task.version, task.pattern) == ("sums", 0, 512, 1, None)


def test_labels_are_a_list_or_letters():
    base = {**GOOD, "kind": "label", "metric": "weighted_f1"}
    assert check_task("t", {**base, "labels": ["joy", "fear"]}).labels == {"joy": "joy", "fear": "fear"}
    assert check_task("t", {**base, "labels": {"A": "joy"}}).labels == {"A": "joy"}


@pytest.mark.parametrize("path", TASK_FILES, ids=lambda path: path.stem)
def test_every_task_file_is_valid_and_its_templates_compile(path):
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    task = check_task(path.stem, definition)
    assert task == parse_task(path.stem, definition)
    assert columns(task)


def test_all_faults_come_at_once_with_the_nearest_name():
    text = message(kind="nmber", metric="acuracy", promt="x", prompt="absent", max_tokens=0)
    assert "unknown key 'promt', did you mean 'prompt'?" in text
    assert "missing key 'prompt' (non-empty text)" in text
    assert "kind: expected one of choice, label, text, number, " in text
    assert "found 'nmber'; did you mean 'number'?" in text
    assert "found 'acuracy'; did you mean 'accuracy'?" in text
    assert "max_tokens: expected a whole number of at least 1, or null, found 0" in text


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"metric": "bleu"}, "metric 'bleu' does not suit kind 'number' (use accuracy or exact_match)"),
        ({"kind": "choice"}, "kind 'choice' needs the key 'options'"),
        ({"kind": "program", "metric": "pass@1"}, "kind 'program' needs the key 'tests'"),
        ({"labels": ["a"]}, "kind 'number' does not use the key 'labels'"),
        ({"kind": "label", "labels": [True, False]}, "found true (YAML reads a bare yes or on so; put it in quotes)"),
        ({"pattern": "["}, "pattern: not a regular expression"),
        ({"pattern": "x"}, "pattern: needs a group"),
        ({"source": {"file": "x"}}, "source: give one of generator, hub, url or path"),
        (
            {"source": {"hub": "a/b", "spilt": "test", "revision": "r"}},
            "source (with hub): unknown key 'spilt', did you mean 'split'?",
        ),
        ({"source": {"hub": "a/b"}}, "source (with hub): missing key 'split' (a name, a list of names, or "),
        (
            {"source": {"path": "a", "config": {"x": ["a"], "y": ["b"]}}},
            "source.config: expected a name, or several under",
        ),
        (
            {"source": {"path": "a", "config": {"x": {"de": "German"}}, "join": {"b": {"config": "c"}}}},
            "missing key 'by'",
        ),
        ({"source": {"path": {"validation": "a", "tst": "b"}}}, "source.path: unknown key 'tst', did you mean 'test'?"),
        ({"source": {"url": "http://x/a.txt"}}, "source: url must end in .csv or .json, found 'http://x/a.txt'"),
        ({"source": {"url": ["a.csv", "b.csv"], "path": ["a"]}}, "source: path and url must list the same files"),
        ({"draw": {"pool": 9, "validation": [0, 5], "test": [4, 9]}}, "draw: expected {pool: ROWS"),
        ({"test_samples": "all"}, "test_samples: expected a whole number of at least 1, rest, or null, found 'all'"),
        ({"metric": {"day": date(2024, 1, 1)}}, "metric.day: YAML reads 2024-01-01 as a date"),
        (
            {"source": {"path": 3}},
            "source.path: expected a name, a list of names, or {validation: …, test: …} of such, found 3",
        ),
        ({"source": {"generator": "macro"}}, "source.generator: expected micro, found 'macro'"),
        ({"source": "rows.jsonl"}, "such as {path: FILE.jsonl}"),
        ({"prompt": " "}, "prompt: expected non-empty text, found ' '"),
        ({"kind": ["number"]}, "kind: expected one of choice, "),
        (
            {"draw": {"pool": 3}},
            "draw: expected {pool: ROWS, validation: [START, STOP], test: [START, STOP]} or {pool: ",
        ),
        (
            {"tokenizer": "13b", "kind": "translation", "metric": "bleu"},
            "tokenizer: expected one of 13a, intl, char, zh, none, base, or null, found '13b'",
        ),
        ({"answer_by": "likelihod"}, "expected one of generation, likelihood, or null, found 'likelihod'"),
        ({"answer_by": "likelihood"}, "answer_by: likelihood compares options, which kind 'number' does not have; use"),
        ({"likelihood_per": "byte"}, "the key 'likelihood_per' needs answer_by: likelihood; add it, or remove"),
        ({"neutral_prompt": ""}, "the key 'neutral_prompt' needs answer_by: likelihood"),
        (
            {"kind": "label", "labels": ["joy", "fear"], "answer_by": "likelihood", "likelihood_of": "letter"},
            "likelihood_of: letter needs labels with letters, such as {A: joy}; found a list",
        ),
        (
            {"kind": "label", "labels": ["joy", "Joy"], "answer_by": "likelihood"},
            "labels: 'joy' and 'Joy' are the same except for case",
        ),
    ],
)
def test_faults(changes, part):
    assert part in message(**changes)


def test_answers_by_likelihood_need_no_readable_form():
    fields = {"answer_by": "likelihood", "likelihood_per": "character", "neutral_prompt": ""}
    choice = check_task("t", {**GOOD, "kind": "choice", "options": "o", "max_tokens": 4, "fallback": "line", **fields})
    assert (choice.answer_by, choice.likelihood_of, choice.likelihood_per) == ("likelihood", "text", "character")
    assert choice.neutral_prompt == ""
    # No response could name the label "B, or A", but its likelihood is that of any text.
    labels = {"A": "joy", "B": "B, or A"}
    assert check_task("t", {**GOOD, "kind": "label", "labels": labels, "answer_by": "likelihood"}).labels == labels


def test_definition_that_is_not_a_mapping_is_refused():
    with pytest.raises(GenomeError, match="task sums: expected a mapping"):
        check_task("sums", ["kind"])


def test_every_kind_names_known_metrics():
    for kind in KINDS.values():
        assert set(kind.metrics) <= METRICS.keys()
        assert kind.combine in {"vote", "similarity"}


LABELS = {**GOOD, "kind": "label", "metric": "accuracy"}


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ({"happy": "joy", "sad": "grief"}, "the answer 'happy' would be read as nothing, so choose another letter"),
        ({"A!": "joy"}, "the answer 'A!'"),
        (["joy", "Joy."], "'joy' and 'Joy.' are the same except for case"),
        ({"A": "joy", "B": "A"}, "the answer 'A' would be read as 'joy', so choose another label"),
        (["...", "joy"], "the answer '...' would be read as nothing"),
        ({"A": "joy", "a": "grief"}, "would be read as"),
    ],
)
def test_labels_that_no_response_can_name(labels, part):
    with pytest.raises(GenomeError, match="task t: labels: ") as caught:
        check_task("t", {**LABELS, "labels": labels})
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [["yes", "no"], ["a|b", "c|d"], {"1": "very good", "2": "bad"}, ["self-harm", "New York"], ["true", "false"]],
)
def test_labels_that_can_be_named(labels):
    assert check_task("t", {**LABELS, "labels": labels}).labels


def test_pattern_with_too_large_a_repeat_is_refused():
    assert "pattern: not a regular expression" in message(pattern="(a{99999999999})")


def test_task_file_has_the_fields_of_a_task():
    assert {"name", *TaskFile.model_fields} == {field.name for field in fields(Task)}


@pytest.mark.parametrize(
    "changes",
    [
        {"draw": {"pool": 9, "validation": {"sample": 5}}},
        {"draw": {"pool": 9, "validation": [0, 5], "test": [5, 9]}},
        {"source": {"hub": "a/b", "split": ["x", "y"], "revision": "r", "path": "{split}.jsonl", "conversation": None}},
        {"source": {"path": {"validation": "a", "test": ["b", "c"]}}},
        {"source": {"url": ["a.csv", "b.csv"], "path": ["a", "b"], "config": {"language": {"de": "German"}}}},
        {"source": {"path": "a", "join": {"hint": {"config": "other", "by": "id", "column": "hint"}}}},
        {"test_samples": "rest", "shots": 0, "version": 0, "category": None},
    ],
)
def test_valid_fields_are_accepted_and_kept(changes):
    task = check_task("sums", {**GOOD, **changes})
    for name, value in changes.items():
        if name == "source":
            assert task.source == {key: entry for key, entry in value.items() if entry is not None}
        elif value is not None:
            assert getattr(task, name) == value
