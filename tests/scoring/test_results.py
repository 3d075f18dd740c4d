"""Readers of the files of stages: each refuses, in one line, contents that no stage writes."""

import json
import random

import pytest

from builders import ENGINE
from genome.errors import GenomeError
from genome.files import write_json, write_jsonl
from genome.scoring.manifest import read_manifest
from genome.scoring.results import (
    read_answers,
    read_evaluations,
    read_names,
    read_origin,
    read_record,
    read_responses,
    read_samples,
    read_scores,
    read_split,
)

NAN = float("nan")
SAMPLES = [{"id": f"s{i}", "tokens": [1, 2]} for i in range(3)]
RESPONSES = [
    {"role": role, "individual": name, "sample": sample["id"], "response": f"{role} on {sample['id']}"}
    for role, name in (("best", "a"), ("member1", "a"), ("member2", "b"))
    for sample in SAMPLES
]
SCORE = {
    "method": "genome", "report": "best", "population_size": 4, "tasks": "sums", "test_task": "sums", "seed": 1,
    "score": 0.5, "n": 4, "standard_error": 0.25, "unparsed": 0, "run": "results/runs/sums/genome/n4/seed1",
    "engine": ENGINE,
}  # fmt: skip
EVALUATION = {"individual": "a", "task": "t", "sample": "s0", "response": "r", "answer": None, "score": 0.0}
ANSWER = {"report": "best", "sample": "s0", "answer": "x", "score": 1.0}
RECORD = {"seconds": 1.5, "evaluations": 3, "machine": None}
EXPERT = {"path": "x", "sha256": "0", "rank": 4}
WHO = {"engine": ENGINE, "versions": {"numpy": "2"}, "experts": [{"name": "e", "sha256": "0"}], "members": 3}

READERS = {
    "scores": (read_scores, [SCORE]),
    "evaluations": (read_evaluations, [EVALUATION]),
    "answers": (read_answers, [ANSWER]),
    "record": (lambda path: read_record(path, "seconds", "evaluations"), RECORD),
    "responses": (lambda path: read_responses(path, SAMPLES), RESPONSES),
    "names": (read_names, RESPONSES),
    "samples": (lambda path: read_samples(path, asked=True), SAMPLES),
    "origin": (read_origin, WHO),
    "split": (lambda path: read_split(path, "pool"), {"validation": 3, "test": 4, "pool": 9}),
    "manifest": (read_manifest, {"mixed": False, "experts": [EXPERT]}),
}
LINES = ("evaluations", "answers", "responses", "names", "samples")


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a value as the file of a kind and reads it, and the file's path."""

    def read(kind, value):
        path = tmp_path / f"{kind}.json"
        if kind in LINES and isinstance(value, list):
            path.write_text("".join(json.dumps(row) + "\n" for row in value))
        else:
            path.write_text(json.dumps(value))
        return READERS[kind][0](path)

    return read


def refused(read, kind, value, message):
    with pytest.raises(GenomeError, match=message) as error:
        read(kind, value)
    assert f"{kind}.json" in str(error.value)
    assert str(error.value).endswith("; delete the file to have it made again")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", READERS)
def test_reader_accepts_what_stages_write(read, kind):
    assert read(kind, READERS[kind][1])


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("value", [[], {}, 3, None, [3], [[]], ["x"], [{}], [None]], ids=json.dumps)
def test_values_of_other_types_are_refused(read, kind, value):
    if kind == "evaluations" and value in ([], [[]]):  # the line [] is an empty array
        assert read(kind, value) == []  # a stage without evaluations writes no rows
    else:
        refused(read, kind, value, ": ")


@pytest.mark.parametrize("kind", READERS)
def test_a_field_that_is_missing_is_named(read, kind):
    value = READERS[kind][1]
    rows = value if isinstance(value, list) else [value]
    unread = {"engine", "response", "answer", "parts"} if kind in ("scores", "evaluations", "answers") else set()
    for name in rows[0].keys() - unread:
        without = [{key: each for key, each in row.items() if key != name} for row in rows]
        if kind == "answers" or (kind == "evaluations" and name == "answer"):
            continue
        refused(read, kind, without if isinstance(value, list) else without[0], f"no field '{name}'")


WRONG = {
    "a NaN score": ("scores", [{**SCORE, "score": NAN}], "NaN is not a number"),
    "a score in percent": ("scores", [{**SCORE, "score": 50}], "row 1, score"),
    "a score as text": ("scores", [{**SCORE, "score": "0.5"}], "row 1, score"),
    "no samples": ("scores", [{**SCORE, "n": 0}], "row 1, n: expected an integer from 1 on"),
    "truth as a number": ("scores", [{**SCORE, "unparsed": True}], "row 1, unparsed"),
    "an infinite error": ("scores", [{**SCORE, "standard_error": float("inf")}], "Infinity is not a number"),
    "another report": ("scores", [{**SCORE, "report": "worst"}], "expected best or ensemble, found 'worst'"),
    "a row twice": ("scores", [SCORE, SCORE], "the best of sums/sums/genome/n4/seed1 occurs twice"),
    "a NaN answer": ("answers", [{**ANSWER, "score": NAN}], "line 1: .*NaN is not a number"),
    "NaN parts": ("answers", [{**ANSWER, "parts": [[1.0, NAN]]}], "line 1: .*NaN is not a number"),
    "an answer twice": ("answers", [ANSWER, ANSWER], "the answer of best to s0 occurs twice"),
    "a NaN evaluation": (
        "evaluations", [EVALUATION, {**EVALUATION, "sample": 1, "score": NAN}], "line 2: .*NaN is not a number",
    ),
    "an evaluation twice": ("evaluations", [EVALUATION] * 2, "the answer of a to t s0 occurs twice"),
    "an answer as a number": ("evaluations", [{**EVALUATION, "answer": 3}], "row 1, answer: expected text, found 3"),
    "NaN seconds": ("record", {**RECORD, "seconds": NAN}, "NaN is not a number"),
    "half an evaluation": ("record", {**RECORD, "evaluations": 0.5}, "evaluations"),
    "a response twice": ("responses", [*RESPONSES, RESPONSES[4]], "two responses of member1 to sample s1"),
    "a response missing": ("responses", RESPONSES[:-1], r"no response of member2 to sample s2 \(1 of 3 missing\)"),
    "one in the middle": ("responses", RESPONSES[:4] + RESPONSES[5:], "no response of member1 to sample s1"),
    "a foreign response": (
        "responses", [*RESPONSES, {**RESPONSES[0], "sample": "s9"}], "best has answered sample s9, which is not among",
    ),
    "two of one role": (
        "responses", [*RESPONSES[:-1], {**RESPONSES[-1], "individual": "c"}], "member2 is both b and c",
    ),
    "a role missing": ("responses", RESPONSES[:3] + RESPONSES[6:], "no responses of member1; it has best, member2"),
    "no best": ("responses", RESPONSES[3:], "no responses of best"),
    "a response that is none": ("responses", [{**RESPONSES[0], "response": None}], "row 1, response: expected text"),
    "a sample twice": ("samples", [*SAMPLES, SAMPLES[0]], "sample s0 occurs twice"),
    "samples that were cut": ("samples", [{"id": "x", "tokens": [1], "of": 3}], "1 of 3 samples"),
    "no tokens": ("samples", [{"id": "x", "tokens": []}], "sample x, tokens: expected a list of 1 or more"),
    "a rank of none": (
        "manifest", {"mixed": False, "experts": [{**EXPERT, "rank": 0}]}, "rank: expected an integer from 1 on",
    ),
    "neither mixed nor not": ("manifest", {"mixed": 1, "experts": [EXPERT]}, "mixed: expected true or false, found 1"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(read, kind, value, message):
    refused(read, kind, value, message)


def test_responses_are_read_in_any_order(tmp_path):
    path, shuffled = tmp_path / "responses.jsonl", RESPONSES.copy()
    random.Random(1).shuffle(shuffled)
    write_jsonl(path, shuffled)
    found = read_responses(path, SAMPLES)
    assert list(found) == ["best", "member1", "member2"]
    assert found["member2"] == ("b", ["member2 on s0", "member2 on s1", "member2 on s2"])
    assert read_names(path) == ["a", "a", "b"]


def test_prompts_cut_to_a_third_are_refused(tmp_path):
    write_jsonl(tmp_path / "responses.jsonl", RESPONSES)
    with pytest.raises(GenomeError, match="best has answered sample s1, which is not among the 1 prompts"):
        read_responses(tmp_path / "responses.jsonl", SAMPLES[:1])


def test_scores_below_results_are_those_of_their_folder(tmp_path):
    path = tmp_path / "results/test/sums/sums/genome/n4/seed1/scores.json"
    write_json(path, [SCORE])
    assert read_scores(path) == [SCORE]
    for change in ({"test_task": "facts"}, {"seed": 2}, {"method": "genome_plus"}, {"population_size": None}):
        write_json(path, [SCORE, {**SCORE, **change}])
        with pytest.raises(GenomeError, match="row 2 is of "):
            read_scores(path)
    merge = {**SCORE, "method": "dare_ties", "tasks": "static", "population_size": None, "seed": 0}
    path = tmp_path / "results/test/sums/static/dare_ties/seed0/scores.json"
    write_json(path, [merge])
    assert read_scores(path) == [merge]
