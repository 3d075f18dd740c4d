"""What answers have cost."""

import pytest

from genome.engine.usage import AT_ONCE, USAGE, used


def answer(texts, tokens, **reported):
    usage = {"prompt_tokens": 10 * len(texts), "completion_tokens": tokens, **reported}
    return {"choices": [{"text": text} for text in texts], "usage": usage}


def test_a_server_s_own_count_of_steps_is_used():
    found = used([answer(["a", "b"], 4, batches=1, steps=2), answer(["c"], 7, batches=3, steps=9)])
    assert found == {"samples": 3, "prompt_tokens": 30, "response_tokens": 11, "batches": 4, "steps": 11}
    assert tuple(found) == USAGE


@pytest.mark.parametrize(
    ("texts", "tokens", "steps"),
    [(["A", "B"], 4, 2), (["a" * 99, "a" * 299], 100, 75), (["", ""], 2, 1), (["", "a" * 9], 11, 10)],
)
def test_without_it_the_longest_response_has_its_share_of_the_tokens(texts, tokens, steps):
    assert used([answer(texts, tokens)]) == used([answer(texts, tokens), answer(["a"], 0)]) | {
        "samples": len(texts),
        "prompt_tokens": 10 * len(texts),
        "steps": steps,
        "batches": 1,
    }


def test_a_server_writes_no_more_responses_at_a_time_than_it_can():
    assert used([answer(["A"] * AT_ONCE, 2 * AT_ONCE)] * 5)["steps"] == 2 * 5
    assert used([answer(["A"] * 4, 8)] * 5)["steps"] == 2


def test_no_requests_cost_nothing():
    assert not any(used([]).values())
