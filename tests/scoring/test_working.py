"""Right answers behind a model's own working."""

import pytest

from builders import make_task
from fake_engine import FakeEngine
from genome.genotype import Genotype
from genome.scoring.fitness import Evaluator
from genome.scoring.objective import Objective
from genome.scoring.working import placed, working_of
from genome.search.measure import Measure
from genome.search.population import Individual
from genome.tasks.likelihood import read


class Characters:
    """A tokenizer whose tokens are the code points of a text."""

    def __call__(self, text, add_special_tokens):
        assert not add_special_tokens
        self.input_ids = [ord(each) for each in text]
        return self


def sample(expected="42", **fields):
    return {"id": "s", "tokens": [1, 2], "reference": expected, "expected": expected, "end": [0], **fields}


def shown(task, response, expected="42"):
    """Return the text behind the prompt, and that of the scored answer."""
    start, answer = placed(task, sample(expected), response, Characters())
    assert start[:2] == [1, 2]
    assert answer[-1] == 0
    return "".join(map(chr, start[2:])), "".join(map(chr, answer[:-1]))


@pytest.mark.parametrize(
    ("response", "start", "answer"),
    [
        ("6 times 7.\nAnswer: 13", "6 times 7.\nAnswer:", " 42"),
        ("Answer: 13\nNo.\n**Answer:** 14", "Answer: 13\nNo.\n**Answer:**", " 42"),
        ("So the answer is 13.", "So the answer is", " 42"),
        (r"Thus \\boxed{13}", r"Thus \\boxed{", "42"),
        ("6 times 7 is hard.", "6 times 7 is hard.\nAnswer:", " 42"),
        ("", "\nAnswer:", " 42"),
    ],
)
def test_right_answer_takes_the_place_of_the_models_own(response, start, answer):
    assert shown(make_task("number"), response) == (start, answer)


def test_working_of_a_task_with_a_pattern():
    task = make_task("number", pattern=r"(?s)(?:.*\bso )?(.*)")
    assert shown(task, "3 and 4 so 7") == ("3 and 4 so", " 42")
    assert shown(task, "7") == ("", "42")
    assert working_of(task, "") is None


def test_response_that_was_cut_off_makes_room_for_the_answer():
    task = make_task("number", max_tokens=20)
    start, answer = shown(task, "x" * 20)
    assert start == "x" * 8 + "\nAnswer:"
    assert len(start) + len(answer) + 1 == 20


class WorkingEngine(FakeEngine):
    """Works before its answers, and finds what it has seen announced likely."""

    def complete(self, requests):
        super().complete(requests)
        return [["I think.\nAnswer: 5" for _ in request.prompts] for request in requests]


def test_fitness_is_the_likelihood_behind_working(make_experts, tmp_path, monkeypatch):
    monkeypatch.setattr("genome.scoring.fitness.load_tokenizer", lambda base: Characters())
    engine, task = WorkingEngine(), make_task("text", options="o", max_tokens=50)
    options = [{"option": each, "tokens": [7], "characters": 1, "bytes": 1} for each in "AB"]
    choice = {"id": "c", "tokens": [3], "reference": "A", "options": {"A": "x", "B": "y"}, "continuations": options}
    samples = [sample(id="s1"), choice, sample(expected="7", id="s2")]
    evaluate = Evaluator(
        [Objective(task, samples, 1.0)],
        make_experts(2),
        tmp_path / "store",
        lambda: engine,
        measure=Measure("likelihood"),
        base="base",
    )
    evaluate([Individual("x", Genotype((0.5, 0.5)), "mixture")])
    [[request]] = engine.requests
    assert len(request.prompts) == 2, "only what has working is generated"
    assert [row["sample"] for row in evaluate.records] == ["s1", "c", "s2"]
    [direct], [behind] = engine.scored
    assert (direct.prompts, direct.continuations) == ([[3]], [[[7], [7]]])
    assert behind.continuations == [[[*map(ord, " 42"), 0]], [[*map(ord, " 7"), 0]]]
    assert {tuple(each) for each in behind.prompts} == {(1, 2, *map(ord, "I think.\nAnswer:"))}
    first, second, third = (read(row["response"]) for row in evaluate.records)
    assert first is not None
    assert third is not None
    assert second is not None
    assert (len(first.options), len(second.options), third.tokens) == (1, 2, (3,))
    assert evaluate.records[1]["score"] == 0.5
