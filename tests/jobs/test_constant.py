"""Majority: the most frequent answer, and responses that are read as it."""

import json

import pytest

from builders import make_task
from genome.files import read_json, write_jsonl
from genome.jobs.constant import answer_always, majority, most_frequent
from genome.tasks.scoring import extract

OPTIONS = {"A": "fur", "B": "scale", "C": "wool"}


def samples(*references, **facts):
    return [{"id": f"t-{number}", "reference": each, "tokens": [1], **facts} for number, each in enumerate(references)]


class Site:
    """What the stage asks of its site: no engine."""

    def experts(self):
        return []

    def meter(self, tasks):
        from genome.scoring.usage import Meter

        return Meter("tiny", {}, tasks)


@pytest.mark.parametrize(
    ("references", "expected"), [(["B", "A", "B"], ("B", 2 / 3)), (["C", "B", "B", "C", "A"], ("B", 0.4))]
)
def test_most_frequent_answer_and_of_equal_ones_the_first_option(references, expected):
    assert most_frequent(make_task("choice"), samples(*references, options=OPTIONS)) == expected


def test_of_equally_frequent_labels_the_first_of_the_task_is_taken():
    task = make_task("label", labels={"A": "sad", "B": "glad", "C": "angry"})
    assert most_frequent(task, samples("angry", "glad", "angry", "glad")) == ("B", 0.5)


def made(tmp_path, definition, given, tested):
    """Run both stages for a task called `moods`; return the answer and each response."""
    prompts = tmp_path / "moods"
    prompts.mkdir()
    write_jsonl(prompts / "validation.jsonl", given)
    entry = {"name": "moods", "definition": definition}
    paths = {name: str(tmp_path / name) for name in ("answer.json", "record", "responses", "origin", "cost")}
    majority(json.dumps({"tasks": [entry]}), [str(prompts / "validation.jsonl")], paths["answer.json"], paths["record"])
    answer_always(
        Site(),
        paths["answer.json"],
        f"{prompts}/test.jsonl",
        tested,
        *(paths[n] for n in ("responses", "origin", "cost")),
    )
    rows = [json.loads(line) for line in (tmp_path / "responses").read_text().splitlines()]
    assert [row["sample"] for row in rows] == [sample["id"] for sample in tested]
    assert read_json(tmp_path / "origin")["engine"] == {"backend": "no engine"}
    assert read_json(tmp_path / "cost")["samples"] == read_json(tmp_path / "record")["samples"] == 0
    return read_json(tmp_path / "answer.json")["moods"], [row["response"] for row in rows]


FIELDS = {"category": "c", "source": {"path": "x"}, "prompt": "p", "reference": "r"}


def test_response_is_in_the_form_of_the_task(tmp_path):
    definition = {**FIELDS, "kind": "label", "labels": {"A": "sad", "B": "glad"}}
    answer, responses = made(tmp_path, definition, samples("glad", "sad", "glad"), samples("sad", "glad"))
    assert answer == {"answer": "glad", "option": "B", "share": 2 / 3, "response": "Answer: glad"}
    assert [extract(make_task(**definition | {"kind": "label"}), {"id": 1}, each) for each in responses] == ["glad"] * 2


def test_answers_by_likelihood_are_likelihoods_of_the_sample_s_own_options(tmp_path):
    definition = {**FIELDS, "kind": "choice", "options": "o", "answer_by": "likelihood", "likelihood_per": "character"}

    def offered(letters):
        options = {letter: OPTIONS[letter] for letter in letters}
        given = [
            {"option": letter, "tokens": [1, 2], "characters": len(text), "bytes": len(text)}
            for letter, text in options.items()
        ]
        return {"options": options, "continuations": given}

    tested = [*samples("A", **offered("ABC")), {**samples("A", **offered("AB"))[0], "id": "t-9"}]
    answer, responses = made(tmp_path, definition, samples("C", "C", "A", **offered("ABC")), tested)
    assert answer["option"] == "C"
    task = make_task(**definition)
    # The second sample has no option C, and no answer is guessed for it.
    assert [extract(task, sample, each) for sample, each in zip(tested, responses, strict=True)] == ["C", None]
