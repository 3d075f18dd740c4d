"""A task of lm-evaluation-harness as a definition: what it becomes, and what is refused without the harness."""

import pytest

from genome.config.anchors import anchored
from genome.errors import GenomeError
from genome.tasks.file import check_task
from genome.tasks.harness_file import expanded


@pytest.mark.parametrize(
    ("metric", "per", "neutral"),
    [
        ("acc", "option", None),
        ("acc_norm", "character", None),
        ("acc_bytes", "byte", None),
        ("acc_mutual_info", "option", ""),
    ],
)
def test_metrics_of_a_multiple_choice_compare_options(metric, per, neutral):
    task = check_task("t", {"lm_eval": "arc_easy", "metric": metric, "shots": 5, "chat": "plain", "category": "c"})
    assert (task.kind, task.metric, task.answer_by) == ("choice", "accuracy", "likelihood")
    assert (task.likelihood_per, task.neutral_prompt) == (per, neutral)
    assert task.source == {"lm_eval": "arc_easy", "shots": 5}
    assert (task.shots, task.chat, task.category) == (0, "plain", "c")


def test_acc_is_the_metric_by_default():
    assert check_task("t", {"lm_eval": "x"}) == check_task("t", {"lm_eval": "x", "metric": "acc", "filter": None})


@pytest.mark.parametrize(
    ("fields", "metric"),
    [
        ({"metric": "exact_match"}, "exact_match"),
        ({"metric": "f1"}, "mean"),
        ({"metric": "acc", "filter": "none"}, "mean"),
    ],
)
def test_other_metrics_and_filters_are_of_generated_responses(fields, metric):
    task = check_task("t", {"lm_eval": "gsm8k", "include_path": "mine", **fields})
    assert (task.kind, task.metric, task.answer_by) == ("harness", metric, "generation")
    assert task.source == {"lm_eval": "gsm8k", "include_path": "mine", **fields}


def test_other_definitions_stay_as_they_are():
    given = {"kind": "number", "prompt": "p", "source": {"path": "x"}, "reference": "r"}
    assert expanded(given) == given


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"prompt": "{{ question }}"}, "unknown key 'prompt'"),
        ({"shot": 1}, "unknown key 'shot', did you mean 'shots'"),
        ({"shots": -1}, "shots"),
        ({"lm_eval": 3}, "lm_eval"),
        ({"test_samples": 0}, "test_samples"),
    ],
)
def test_wrong_fields_are_refused_in_one_line(fields, part):
    with pytest.raises(GenomeError, match="task t: ") as caught:
        check_task("t", {"lm_eval": "arc_easy", **fields})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_kind_of_generated_answers_needs_the_harness():
    with pytest.raises(GenomeError, match="kind 'harness' needs the key 'lm_eval'"):
        check_task("t", {"kind": "harness", "source": {"path": "x"}, "prompt": "p", "reference": "r"})


def test_a_folder_of_tasks_starts_at_the_file_that_names_it():
    assert anchored({"lm_eval": "x", "include_path": "./mine"}, "there/task.yaml")["include_path"] == "there/mine"
