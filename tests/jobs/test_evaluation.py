"""Test scores: of the configured number of members, however many have answered."""

import json

import pytest

from builders import ENGINE
from genome.errors import GenomeError
from genome.files import read_json, read_jsonl, write_json, write_jsonl
from genome.jobs.evaluation import score_test
from genome.scoring.answers import read_model_answers
from genome.tasks import parse_task

TASK = {"source": {"path": "x"}, "prompt": "p", "reference": "r", "kind": "number", "pattern": "(.*)"}
MODELS = {"best": "1234", "member1": "9934", "member2": "9299", "member3": "9239", "member4": "1991"}


@pytest.fixture
def score(tmp_path):
    """Return a function that scores the first `given` models' responses with k members: scores, answers as bytes."""
    samples = [{"id": number, "reference": str(number + 1)} for number in range(4)]
    write_jsonl(tmp_path / "prompts.jsonl", samples)

    def score(k, given=5):
        rows = [
            {"role": role, "individual": f"of {role}", "sample": number, "response": answer}
            for role, answers in list(MODELS.items())[:given]
            for number, answer in enumerate(answers)
        ]
        write_jsonl(tmp_path / "responses.jsonl", rows)
        settings = {"task": ["sums", TASK], "similarity": {"metric": "chrf"}, "k": k, "run": {"run": "r"}}
        experts = [{"name": "e", "sha256": "0"}]
        write_json(tmp_path / "responses.json", {"engine": ENGINE, "experts": experts, "versions": {}, "members": 4})
        out = [tmp_path / name for name in ("scores.json", "answers.jsonl")]
        files = [tmp_path / name for name in ("prompts.jsonl", "responses.jsonl", "responses.json")]
        score_test(json.dumps(settings), "base", *files, *out)
        return [path.read_bytes() for path in out]

    return score


def test_further_members_in_the_file_change_nothing(score):
    assert score(3) == score(3, given=4)
    assert score(2) != score(3)


def test_score_test_without_ensemble_reports_the_best_only(score, tmp_path):
    assert score(0) == score(0, given=1)
    assert [row["report"] for row in read_json(tmp_path / "scores.json")] == ["best"]


def test_fewer_members_than_configured_are_all_combined(score):
    assert score(10) == score(4)


def test_models_are_read_in_the_order_of_their_fitness(score, tmp_path):
    score(3)
    task, samples = parse_task("sums", TASK), read_jsonl(tmp_path / "prompts.jsonl")
    models = read_model_answers(task, samples, tmp_path / "responses.jsonl")
    assert [model.individual for model in models] == [f"of {role}" for role in MODELS]
    assert ["".join(model.answers) for model in models] == list(MODELS.values())


def test_a_file_that_is_cut_short_is_refused(score, tmp_path):
    score(3)
    lines = (tmp_path / "responses.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "responses.jsonl").write_text("".join(lines[:-1]))
    task, samples = parse_task("sums", TASK), read_jsonl(tmp_path / "prompts.jsonl")
    with pytest.raises(GenomeError, match="no response of member4 to sample 3"):
        read_model_answers(task, samples, tmp_path / "responses.jsonl")
