"""Tasks of lm-evaluation-harness as rows: what is read, and what is refused by name."""

import importlib.util
import json
from types import SimpleNamespace

import pytest

from genome.errors import GenomeError
from genome.files import read_json
from genome.jobs import data as jobs
from genome.jobs.constant import _response
from genome.scoring.results import read_samples, read_scored_task
from genome.tasks import harness
from genome.tasks.file import check_task
from genome.tasks.harness_answers import read_answer, score_answers
from genome.tasks.harness_file import expanded
from genome.tasks.prompts import columns_of
from genome.tasks.scoring import extract, judge
from genome.tasks.splits import read_rows, split
from tasks.harness_tasks import ROWS, TASKS, write_tasks
from tasks.test_continuations import byte_tokenizer

needs_harness = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed (pip install 'genome[lm-eval]')"
)
pytestmark = pytest.mark.filterwarnings("ignore:::(lm_eval|datasets|evaluate)")


def task_of(folder, name, **fields):
    return check_task("t", {"lm_eval": name, "include_path": str(folder), **fields})


def test_the_harness_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(harness, "find_spec", lambda _: None)
    with pytest.raises(GenomeError, match=r"task t: lm_eval arc_easy: .* pip install 'genome\[lm-eval\]'"):
        read_rows(check_task("t", {"lm_eval": "arc_easy"}))


def test_files_of_own_tasks_are_inputs(tmp_path):
    folder = write_tasks(tmp_path / "mine", "own_arc")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/utils.pyc").write_bytes(b"")
    names = [file.name for file in harness.own_files(task_of(folder, "own_arc"))]
    assert names == ["own_arc.yaml", "own_arc_test.jsonl", "utils.py"]
    assert harness.own_files(check_task("t", {"lm_eval": "arc_easy"})) == []
    with pytest.raises(GenomeError, match=r"task t: include_path: no folder .*nowhere; correct it"):
        harness.own_files(task_of(tmp_path / "nowhere", "own_arc"))


@needs_harness
def test_documents_are_split_as_the_rows_of_every_task(tmp_path):
    task = task_of(write_tasks(tmp_path, "own_piqa"), "own_piqa", shots=2)
    rows = read_rows(task)
    assert len(rows) == ROWS
    assert rows[0]["harness"]["shots"] == 2
    sides = split(task, rows, validation=8, test=8)
    asked = [{columns_of(row)["question"] for row in side} for side in sides]
    assert list(map(len, sides)) == [8, 8]
    assert not asked[0] & asked[1]
    assert sides == split(task, read_rows(task), validation=8, test=8)


@needs_harness
@pytest.mark.parametrize(
    ("name", "fields"),
    [("own_winogrande", {}), ("own_gsm8k", {"metric": "exact_match", "filter": "flexible-extract", "shots": 1})],
)
def test_stages_write_samples_that_are_scored(tmp_path, monkeypatch, name, fields):
    monkeypatch.chdir(tmp_path)
    byte_tokenizer().save_pretrained("base")
    definition = expanded({"lm_eval": name, "include_path": str(write_tasks(tmp_path / "mine", name)), **fields})
    settings = {"task": ["t", definition], "validation": 5, "test": 7, "seed": 42, "chat": "plain"}
    jobs.split(json.dumps(settings), None, "validation.jsonl", "test.jsonl", "provenance.json")
    assert read_json("provenance.json")["harness"]["file"] == f"{name}.yaml"
    for side, number in {"validation": 5, "test": 7}.items():
        jobs.prepare_prompts(json.dumps(settings), f"{side}.jsonl", "base", f"prompts-{side}.jsonl")
        task, samples = read_scored_task("t", definition, "base", f"prompts-{side}.jsonl")
        assert len(read_samples(f"prompts-{side}.jsonl", asked=True)) == number
        if task.kind == "harness":
            assert (task.max_tokens, list(task.stop)) == (48, ["Question:", "</s>"])
            responses = [f"It is {sample['reference'].partition('#### ')[2]}." for sample in samples]
        else:
            right = [sample["reference"] for sample in samples]
            responses = [_response(sample, option, "") for sample, option in zip(samples, right, strict=True)]
        answers = [extract(task, sample, response) for sample, response in zip(samples, responses, strict=True)]
        assert judge(task, samples, [answers])[0].value == 1


@needs_harness
def test_the_same_examples_are_in_both_forms(tmp_path):
    rows = read_rows(
        task_of(write_tasks(tmp_path, "own_gsm8k"), "own_gsm8k", metric="exact_match", filter="strict-match")
    )
    for row in rows:
        [messages], [text] = row["chat"]["contexts"], row["plain"]["contexts"]
        assert [each["role"] for each in messages] == ["user", "assistant"] * 3 + ["user"]
        assert all(each["content"] in text for each in messages)
    assert len({row["plain"]["contexts"][0].partition("\n\n")[0] for row in rows}) > 1, "drawn for each document"
    assert (rows[0]["max_tokens"], rows[0]["until"]) == (48, ["Question:", "</s>"])


MULTIPLE = ("own_arc", {})
GENERATED = ("own_gsm8k", {"metric": "exact_match", "filter": "strict-match"})


@needs_harness
@pytest.mark.parametrize(
    ("case", "changes", "fields", "part"),
    [
        (MULTIPLE, {"output_type": "loglikelihood"}, {}, "output_type loglikelihood is not supported"),
        (MULTIPLE, {"doc_to_image": "question"}, {}, "pictures or sound"),
        (MULTIPLE, {"doc_to_target": "{{[0, 1]}}"}, {}, "several of its options are right"),
        (MULTIPLE, {"process_results": "!function utils.words_in_common"}, {}, "its own process_results"),
        (MULTIPLE, {"doc_to_target": "{{7 * place}}"}, {}, "document 2: the right answer 7 is none of its 4 options"),
        (MULTIPLE, {}, {"metric": "exact_match"}, "set metric to acc, acc_norm, acc_bytes or acc_mutual_info"),
        (MULTIPLE, {}, {"shots": 2}, "few-shot examples are documents of 'test', which are scored; set shots: 0"),
        (MULTIPLE, {"doc_to_text": "{{ nothing.strip() }}"}, {}, "the harness fails (UndefinedError"),
        (
            GENERATED,
            {},
            {"metric": "acc", "filter": None},
            "set metric to one of exact_match and filter to one of strict",
        ),
        (GENERATED, {}, {"metric": "f1"}, "it has no metric 'f1'; set metric to one of exact_match"),
        (GENERATED, {}, {"filter": None}, "several filters; set filter to one of strict-match, flexible-extract"),
        (GENERATED, {}, {"filter": "strict"}, "no filter 'strict'; set filter to one of strict-match"),
        (GENERATED, {"repeats": 4}, {}, "asks 4 times"),
        (GENERATED, {"unsafe_code": True}, {}, "use a task of the kind program"),
        (GENERATED, {"generation_kwargs": {"until": [], "temperature": 0.7}}, {}, "decoding is greedy"),
        (GENERATED, {"generation_kwargs": {"until": [], "num_beams": 4}}, {}, "'num_beams'"),
        (GENERATED, {"generation_kwargs": {"until": list("abcdefghijklmnopq")}}, {}, "it has 17 texts"),
        (
            GENERATED,
            {"metric_list": [{"metric": "bleu", "aggregation": "bleu", "higher_is_better": True}]},
            {"metric": "bleu"},
            "bleu is not a mean over documents",
        ),
        (
            GENERATED,
            {"metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": False}]},
            {},
            "better if it is lower",
        ),
    ],
)
def test_unsupported_tasks_are_refused_by_name(tmp_path, monkeypatch, case, changes, fields, part):
    name, given = case
    splits, definition = TASKS[name]
    monkeypatch.setitem(TASKS, name, (splits, {**definition, **changes}))
    task = task_of(write_tasks(tmp_path, name), name, **{**given, **fields})
    with pytest.raises(GenomeError, match="task t") as caught:
        read_rows(task)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_harness
def test_groups_and_unknown_names_are_refused(tmp_path, monkeypatch):
    folder = write_tasks(tmp_path, "own_arc", "own_piqa")
    (folder / "group.yaml").write_text("group: own_group\ntask: [own_arc, own_piqa]\n")
    with pytest.raises(GenomeError, match="own_group is a group of tasks \\(own_arc, own_piqa, …\\); name one of them"):
        read_rows(task_of(folder, "own_group"))
    # Without the harness's own tasks, whose index takes long.
    monkeypatch.setattr(harness, "harness_folder", lambda: folder)
    manager = harness.harness_module("tasks").TaskManager(include_path=folder, include_defaults=False)
    monkeypatch.setattr(harness, "_manager", lambda *_: (manager, folder))
    with pytest.raises(GenomeError, match="has no task 'own_ark'; did you mean 'own_arc'"):
        read_rows(task_of(folder, "own_ark"))


@needs_harness
def test_responses_are_read_by_the_filter_and_scored_by_the_task(tmp_path):
    folder = write_tasks(tmp_path, "own_gsm8k", "own_words", "own_triviaqa")
    gsm8k = {"metric": "exact_match", "doc": {"question": "q", "answer": "It is 7.\n#### 7"}, "targets": False}
    cases = [
        ("own_gsm8k", {**gsm8k, "filter": "strict-match"}, "so\n#### 7", "7", 1.0),
        ("own_gsm8k", {**gsm8k, "filter": "strict-match"}, "so 7", None, 0.0),
        ("own_gsm8k", {**gsm8k, "filter": "flexible-extract"}, "<think>3</think> 4, no 7", "7", 1.0),
        (
            "own_triviaqa",
            {"metric": "exact_match", "doc": {"question": "q", "names": ["Paris", "the city"]}, "targets": True},
            " The City.",
            "The City.",
            1.0,
        ),
        (
            "own_words",
            {"metric": "f1", "doc": {"question": "q", "answer": "Rome"}, "targets": False},
            "Rome it",
            "Rome it",
            2 / 3,
        ),
    ]
    for name, given, response, answer, score in cases:
        doc, targets = given.pop("doc"), given.pop("targets")
        sample = {"id": "s-0", "doc": doc, "harness": {"file": f"{name}.yaml", "several_targets": targets}}
        task = task_of(folder, name, **given)
        assert read_answer(task, sample, response) == answer
        if answer is not None:
            assert score_answers(task, [(sample, answer)]) == [pytest.approx(score)]


def test_scores_that_are_not_shares_are_refused(monkeypatch):
    found = SimpleNamespace(process_results=lambda doc, results: {"rouge1": 37.5})
    monkeypatch.setattr("genome.tasks.harness_answers._loaded", lambda *_: found)
    monkeypatch.setattr(harness, "find_spec", lambda _: True)
    task = check_task("t", {"lm_eval": "x", "metric": "rouge1"})
    with pytest.raises(GenomeError, match=r"metric rouge1 of sample s-1 is 37\.5, expected a share from 0 to 1"):
        score_answers(task, [({"id": "s-1", "doc": {}}, "a")])
