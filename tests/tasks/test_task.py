from pathlib import Path

import pytest
import yaml

from genome.errors import GenomeError
from genome.tasks import KINDS, parse_task
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
        parse_task("sums", mapping)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("task sums: ")
    return str(caught.value)


def test_defaults():
    task = parse_task("sums", GOOD)
    assert (task.name, task.shots, task.max_tokens, task.version, task.pattern) == ("sums", 0, 512, 1, None)


def test_labels_are_a_list_or_letters():
    base = {**GOOD, "kind": "label", "metric": "weighted_f1"}
    assert parse_task("t", {**base, "labels": ["joy", "fear"]}).labels == {"joy": "joy", "fear": "fear"}
    assert parse_task("t", {**base, "labels": {"A": "joy"}}).labels == {"A": "joy"}


@pytest.mark.parametrize("path", TASK_FILES, ids=lambda path: path.stem)
def test_every_task_file_is_whole_and_its_templates_compile(path):
    task = parse_task(path.stem, yaml.safe_load(path.read_text(encoding="utf-8")))
    assert columns(task)


def test_all_faults_come_at_once_with_the_nearest_name():
    text = message(kind="nmber", metric="acuracy", promt="x", prompt="absent", max_tokens=0)
    assert "unknown field 'promt' (did you mean 'prompt'?)" in text
    assert "missing field 'prompt'" in text
    assert "unknown kind 'nmber' (did you mean 'number'?)" in text
    assert "unknown metric 'acuracy' (did you mean 'accuracy'?)" in text
    assert "max_tokens must be a whole number from 1, found 0" in text


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"metric": "bleu"}, "metric 'bleu' does not suit kind 'number' (use accuracy or exact_match)"),
        ({"kind": "choice"}, "kind 'choice' needs the field 'options'"),
        ({"kind": "program", "metric": "pass@1"}, "kind 'program' needs the field 'tests'"),
        ({"labels": ["a"]}, "kind 'number' has no use for the field 'labels'"),
        ({"kind": "label", "labels": [True, False]}, "put yes and no in quotes"),
        ({"pattern": "["}, "pattern is no regular expression"),
        ({"pattern": "x"}, "pattern needs a group"),
        ({"source": {"file": "x"}}, "source must name one of generator, hub, url, path"),
        ({"source": {"hub": "a/b", "spilt": "test", "revision": "r"}}, "'spilt' in source (did you mean 'split'?)"),
        ({"source": {"hub": "a/b"}}, "source needs 'revision' beside 'hub'"),
        ({"source": {"path": 3}}, "source.path must be"),
        ({"source": {"generator": "macro"}}, "unknown generator 'macro'"),
        ({"source": "rows.jsonl"}, "source must be a mapping"),
        ({"prompt": " "}, "prompt must be text"),
        ({"kind": ["number"]}, "unknown kind ['number']"),
        ({"draw": {"pool": 3}}, "draw must be"),
        ({"tokenizer": "13b", "kind": "translation", "metric": "bleu"}, "tokenizer must be one of 13a, intl"),
    ],
)
def test_faults(changes, part):
    assert part in message(**changes)


def test_what_is_no_mapping():
    with pytest.raises(GenomeError, match="task sums: expected a mapping"):
        parse_task("sums", ["kind"])


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
        (["joy", "Joy."], "'joy' and 'Joy.' are the same but for case"),
        ({"A": "joy", "B": "A"}, "the answer 'A' would be read as 'joy', so choose another label"),
        (["...", "joy"], "the answer '...' would be read as nothing"),
        ({"A": "joy", "a": "grief"}, "would be read as"),
    ],
)
def test_labels_that_no_response_can_name(labels, part):
    with pytest.raises(GenomeError, match="task t: labels: ") as caught:
        parse_task("t", {**LABELS, "labels": labels})
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [["yes", "no"], ["a|b", "c|d"], {"1": "very good", "2": "bad"}, ["self-harm", "New York"], ["true", "false"]],
)
def test_labels_that_can_be_named(labels):
    assert parse_task("t", {**LABELS, "labels": labels}).labels


def test_a_repeat_beyond_what_python_counts_is_no_pattern():
    assert "pattern is no regular expression" in message(pattern="(a{99999999999})")
