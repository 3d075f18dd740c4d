"""Parts of a task's validation samples: the first ones, and random draws."""

import json

import pytest

from genome.files import read_jsonl, write_jsonl
from genome.jobs.data import part_of_split


@pytest.fixture
def part(tmp_path):
    """Return a function that returns the numbers of the rows of a part, of 30."""
    write_jsonl(tmp_path / "validation.jsonl", [{"row": row} for row in range(30)])

    def part(**settings):
        out = tmp_path / "part.jsonl"
        part_of_split(json.dumps(settings), f"{tmp_path / 'validation.jsonl'}", f"{out}")
        return [each["row"] for each in read_jsonl(out)]

    return part


def test_part_has_the_first_rows(part):
    assert part(number=4) == [0, 1, 2, 3]


def test_draws_differ_and_a_smaller_number_is_a_part_of_a_larger_one(part):
    drawn = [part(number=10, draw=draw) for draw in (0, 1, 1)]
    assert drawn[1] == drawn[2] != drawn[0]
    assert len({*drawn[0]}) == 10
    assert part(number=4, draw=1) == drawn[1][:4]
    assert sorted(part(number=30, draw=2)) == [*range(30)]
