"""The stage of the Validation LoRA: which samples are held out, and what is taught of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_task
from genome.errors import GenomeError
from genome.jobs.validation_lora import draw, lessons

NAMES = st.lists(st.integers(), min_size=2, max_size=40, unique=True)


@given(NAMES, st.floats(0.01, 0.99), st.integers(0, 5))
def test_some_samples_are_held_out_but_not_all_in_their_order(names, share, seed):
    held = draw(names, share, seed, "sums")
    assert 1 <= len(held) < len(names)
    assert abs(len(held) - share * len(names)) <= 1
    assert held == [name for name in names if name in held]
    assert held == draw(names, share, seed, "sums")


def test_draw_depends_on_seed_and_task():
    names = list(range(100))
    assert len({tuple(draw(names, 0.2, seed, task)) for seed in (1, 2) for task in ("sums", "facts")}) == 4


def test_one_sample_cannot_be_divided():
    with pytest.raises(GenomeError, match="needs 2 samples with a right answer, found 1"):
        draw(["a"], 0.2, 1, "sums")


def test_the_right_option_is_taught_where_options_are_compared():
    task = make_task("choice", options="o", answer_by="likelihood")
    sample = {
        "id": "t-1",
        "reference": "B",
        "options": {"A": "fur", "B": "wool"},
        "tokens": [5, 6],
        "continuations": [{"option": "A", "tokens": [7]}, {"option": "B", "tokens": [8, 9]}],
    }
    [(name, example)] = lessons(task, [sample], "no base is read", None)
    assert (name, example.tokens, example.prompt_length) == ("t-1", (5, 6, 8, 9), 2)
    sample["continuations"] = [{**each, "prompt": [place]} for place, each in enumerate(sample["continuations"])]
    [(name, example)] = lessons(task, [sample], "no base is read", None)
    assert (example.tokens, example.prompt_length) == ((1, 8, 9), 1), "each option has its prompt"
