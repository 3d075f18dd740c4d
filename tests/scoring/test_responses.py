"""`genome score`: from a file of responses to one JSON object, or to an error of one line."""

import json

import pytest
from typer.testing import CliRunner

from genome.cli import app
from genome.errors import GenomeError
from genome.files import read_jsonl, write_jsonl
from genome.scoring.responses import find_task, score_responses

CHRF = {"metric": "chrf"}
QUESTION = {"question": "What is 2 + 3?", "answer": "2 + 3 = 5\n#### 5"}


def scored(task, lines, tmp_path, **settings):
    path = tmp_path / "responses.jsonl"
    write_jsonl(path, lines)
    return score_responses(find_task(task), path, CHRF, **settings)


def refusal(task, lines, tmp_path):
    with pytest.raises(GenomeError) as caught:
        scored(task, lines, tmp_path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_responses_are_scored_as_right_wrong_or_unparsed(tmp_path):
    responses = ["Easy.\nAnswer: 5", "The answer is 6.", r"so \boxed{5}", "five, I think", "#### 5.00 apples"]
    lines = [{"sample": QUESTION, "response": response} for response in responses]
    result = scored("gsm8k", lines, tmp_path, details=tmp_path / "details.jsonl")
    assert result == {
        "task": "gsm8k",
        "metric": "accuracy",
        "score": 0.6,
        "n": 5,
        "unparsed": 1,
        "standard_error": pytest.approx((0.3 / 5) ** 0.5),
    }
    assert read_jsonl(tmp_path / "details.jsonl") == [
        {"line": 1, "answer": "5", "reference": "5", "score": 1.0},
        {"line": 2, "answer": "6", "reference": "5", "score": 0.0},
        {"line": 3, "answer": "5", "reference": "5", "score": 1.0},
        {"line": 4, "answer": None, "reference": "5", "score": 0.0},
        {"line": 5, "answer": "5", "reference": "5", "score": 1.0},
    ]


def test_likelihoods_are_scored_by_the_most_likely_option(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "{kind: choice, source: {path: x}, prompt: p, options: choices, reference: answer, answer_by: likelihood, "
        "likelihood_per: token}"
    )
    row = {"choices": ["fur", "scale"], "answer": "B"}
    given = {"options": ["A", "B"], "log_likelihood": [-3, -4], "tokens": [1, 2], "characters": [3, 5], "bytes": [3, 5]}
    lines = [{"sample": row, "response": text} for text in (json.dumps(given), "Answer: B")]
    result = scored(str(tmp_path / "own.yaml"), lines, tmp_path)
    assert (result["score"], result["unparsed"]) == (0.5, 1)


def test_an_ensemble_votes_and_ties_go_to_the_fittest(tmp_path):
    votes = [["Answer: 5", "Answer: 6", "Answer: 6"], ["Answer: 5", "Answer: 6", "?"], ["?", "?", "Answer: 5"]]
    lines = [{"sample": {"id": str(i), **QUESTION}, "responses": each} for i, each in enumerate(votes)]
    result = scored("gsm8k", lines, tmp_path, details=tmp_path / "details.jsonl")
    assert (result["score"], result["n"], result["unparsed"]) == (pytest.approx(2 / 3), 3, 0)
    assert read_jsonl(tmp_path / "details.jsonl")[0] == {
        "line": 1, "id": "0", "answer": "6", "answers": ["5", "6", "6"], "reference": "5", "score": 0.0,
    }  # fmt: skip


def test_raw_rows_of_other_kinds(tmp_path):
    row = {"input": "Which?\nOptions:\n(A) fur\n(B) scale", "target": "(B)", "subtask": "animals"}
    assert scored("bbh", [{"sample": row, "response": "So the answer is (B)."}], tmp_path)["score"] == 1
    row = {"sentence": "Der Hund schläft heute im Garten.", "id": 3, "language": "deu"}
    result = scored("flores37", [{"sample": row, "response": row["sentence"]}], tmp_path)
    assert result["score"] == 1
    assert "tok:13a" in result["signature"]
    row = {"passage": "…", "question": "Who?", "answers_spans": {"spans": ["the two dogs"], "types": ["span"]}}
    result = scored("drop", [{"sample": row, "response": "Answer: dogs"}], tmp_path)
    assert (result["score"], result["f1"]) == (0, pytest.approx(0.67))


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ({"response": "Answer: 5"}, "line 1: expected `sample`"),
        ({"sample": QUESTION}, "line 1: expected one of `response`"),
        ({"sample": QUESTION, "response": "a", "responses": ["a"]}, "line 1: expected one of"),
        ({"sample": QUESTION, "responses": []}, "line 1: a response must be text"),
        ({"sample": QUESTION, "response": None}, "line 1: a response must be text"),
        ({"sample": {"question": "?"}, "response": "5"}, "line 1: task gsm8k"),
        ([1], "line 1: expected `sample`"),
    ],
)
def test_faults_are_named_with_their_line(line, part, tmp_path):
    assert part in refusal("gsm8k", [line], tmp_path)


def test_lines_must_have_equally_many_responses(tmp_path):
    lines = [{"sample": QUESTION, "responses": ["a"] * n} for n in (2, 3)]
    assert "lines have 2 or 3 responses" in refusal("gsm8k", lines, tmp_path)
    assert "no lines" in refusal("gsm8k", [], tmp_path)


def test_a_task_is_a_name_or_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("{kind: number, source: {path: x}, prompt: '{{ q }}', reference: a}")
    assert find_task(str(path)).name == "mine"
    with pytest.raises(GenomeError, match="did you mean 'gsm8k'"):
        find_task("gsm8")
    path.write_text("{kind: [")
    with pytest.raises(GenomeError, match="not YAML"):
        find_task(str(path))


def test_responses_to_tasks_of_the_harness_are_not_scored_here(tmp_path):
    (tmp_path / "arc.yaml").write_text("lm_eval: arc_easy")
    with pytest.raises(GenomeError, match=r"arc\.yaml: a task of lm-evaluation-harness; score .* with lm-eval itself"):
        find_task(str(tmp_path / "arc.yaml"))


def test_the_command_prints_json_or_one_line(tmp_path):
    path = tmp_path / "a.jsonl"
    write_jsonl(path, [{"sample": QUESTION, "response": "Answer: 5"}])
    result = CliRunner().invoke(app, ["score", "gsm8k", str(path)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["score"] == 1.0
    result = CliRunner().invoke(app, ["score", "gsm8k", str(tmp_path / "b.jsonl")])
    assert result.exit_code == 1
    assert str(result.exception.code) == f"error: {tmp_path / 'b.jsonl'}: no such file"
    path.write_text("{")
    assert "each line has" in str(CliRunner().invoke(app, ["score", "gsm8k", str(path)]).exception.code)


def test_details_are_written_over_details_only(tmp_path):
    lines = [{"sample": QUESTION, "response": "Answer: 5"}]
    mine = tmp_path / "mine.jsonl"
    for text in ("my notes\n", '{"line": 1}\n', "kind: number\n"):
        mine.write_text(text)
        with pytest.raises(GenomeError, match="exists and does not contain details of scores"):
            scored("gsm8k", lines, tmp_path, details=mine)
        assert mine.read_text() == text
    for _ in range(2):
        scored("gsm8k", lines, tmp_path, details=tmp_path / "details.jsonl")
    assert read_jsonl(tmp_path / "details.jsonl")[0]["score"] == 1.0


@pytest.mark.parametrize(("given", "shown"), [(None, "null"), (7, "7"), ({"a": 1}, '{"a": 1}')])
def test_a_response_that_is_not_text_is_quoted(given, shown, tmp_path):
    said = refusal("gsm8k", [{"sample": QUESTION, "response": given}], tmp_path)
    assert said.endswith(f"a response must be text, found {shown}")
