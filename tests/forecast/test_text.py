"""Text of a forecast."""

import json

import pytest

from genome.forecast.cost import Job, Measured, Rate, Setting, forecast
from genome.forecast.text import describe, duration, headline, short, size

SETTING = Setting("micro", ["add", "sub"], 3, "final", {"validation": 20, "test": "rest"}, {"sums": {"max_tokens": 5}})
JOBS = [
    Job("score_experts", {"tasks": "sums"}),
    Job("answer_test", {"test_task": "sums", "run": "static/add"}, json.dumps({"members": 0})),
    Job("train_adapter", {"adapter": "add"}),
]
UNKNOWN = Measured({}, {}, {}, None, None)
KNOWN = Measured({"sums": {"validation": 20, "test": 60}}, {"sums": 10.0}, {"sums": 100.0}, 5000, Rate(50, 0.5, "here"))


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (950, "950"), (1234, "1.2 k"), (2.1e6, "2.1 M"), (3.1e11, "310 G"), (4e12, "4.0 T")]
)
def test_short_rounds_to_two_digits_with_unit(number, text):
    assert short(number) == text


def test_size_and_duration_have_units():
    assert [size(0), size(87343)] == ["0 B", "87 kB"]
    assert [duration(31), duration(540), duration(3600 * 51 + 120)] == ["31 s", "9 min", "51 h 2 min"]


def test_headline_gives_totals_when_everything_is_measured():
    assert headline(forecast(JOBS, SETTING, KNOWN)) == (
        "Plan: 3 jobs, 2 evaluations, 100 samples, 1.0 k tokens of prompts, at most 500 of responses.\n"
        "Disk: about 13 kB of responses and populations. "
        "Time: about 3 s at 50 samples/s and 0.5 s per job in addition (here).\n"
        "Neither includes the training of 1 adapter."
    )


def test_headline_names_what_is_unknown_when_nothing_is_measured():
    text = headline(forecast(JOBS, SETTING, UNKNOWN))
    assert "unknown tokens of prompts" in text
    assert "no rate measured here" in text
    assert "at most" in text


def test_headline_of_jobs_without_engine_has_no_costs():
    assert headline(forecast([Job("compare", {})], SETTING, UNKNOWN)) == (
        "Plan: 1 jobs, none of which uses the engine."
    )


def test_describe_lists_stages_totals_and_what_is_not_included():
    text = describe(forecast(JOBS, SETTING, UNKNOWN))
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["jobs", "evaluations", "samples"]
    assert [line.split()[0] for line in lines[2:5]] == ["score_experts", "answer_test", "others,"]
    assert lines[6].split() == ["total", "3", "2", "1,040", "unknown", "5.2", "k"]
    assert "training of adapters (1)" in text
    assert "counted as 1,000: sums" in text
    assert "until prompts are prepared: sums" in text
