import json

import pytest

from builders import make_task
from genome.errors import GenomeError
from genome.jobs.checks import check_answers, check_objectives
from genome.scoring.objective import Objective


def objective(samples=(), **changes):
    return Objective(make_task("number", "sums", **{"max_tokens": 6} | changes), samples, 1.0)


def records(**answers):
    """Return records of experts by name, each with its answers; None is a response that rambles."""
    return [
        {
            "individual": name,
            "task": "sums",
            "sample": f"sums-{i}",
            "response": f"I think\nit is {i} or",
            "answer": answer,
        }
        for name, given in answers.items()
        for i, answer in enumerate(given)
    ]


def test_unreadable_answers_stop_a_run_with_an_example_and_remedy():
    with pytest.raises(GenomeError) as caught:
        check_answers([objective()], records(one=[None, None], two=[None, None]))
    said = str(caught.value)
    assert said.startswith("task sums: 4 of 4 responses of the experts have no readable answer; expected a number")
    assert "sample sums-0 got 'I think it is 0 or'" in said
    assert all(word in said for word in ("`pattern`", "`fallback`", "max_tokens (6)", "`prompt`"))


def test_the_pattern_is_named_and_empty_responses_are_counted():
    empty = [{**record, "response": " "} for record in records(one=[None, None])]
    with pytest.raises(
        GenomeError, match=r"2 of them empty; expected a number in group 1 of the pattern 'Sum: \(\.\*\)'"
    ):
        check_answers([objective(pattern="Sum: (.*)")], empty)


def test_mostly_unreadable_answers_warn(caplog):
    check_answers([objective()], records(one=[None, None, "1"], two=[None, None, None]))
    [line] = caplog.messages
    assert line.startswith("task sums: 5 of 6 responses")


def test_unreadable_answers_only_warn_if_configured(caplog):
    check_answers([objective()], records(one=[None], two=[None]), stop=False)
    assert "task sums: 2 of 2 responses of the experts have no readable answer" in caplog.text


@pytest.mark.parametrize("answers", [{"one": ["1", None], "two": [None, None]}, {"one": ["1", "2"]}])
def test_one_readable_expert_prevents_the_warning(answers, caplog):
    check_answers([objective()], records(**answers))
    assert caplog.text == ""


def test_prompts_and_references_are_checked_before_requests(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 8}))
    sample = {"id": "sums-1", "tokens": [1, 2], "reference": "2"}
    check_objectives([objective([sample])], str(tmp_path), {})
    with pytest.raises(GenomeError, match=r"row sums-1: its prompt of 2 tokens and max_tokens 7 make 9; .* at most 8"):
        check_objectives([objective([sample], max_tokens=7)], str(tmp_path), {})
    with pytest.raises(GenomeError, match="at most 7"):
        check_objectives([objective([sample])], str(tmp_path), {"max_model_len": 7})
    with pytest.raises(GenomeError, match="none of the 1 references can ever be answered"):
        check_objectives([objective([sample], pattern=r"(\D)")], str(tmp_path), {})
