"""Text of a forecast."""

import json
from dataclasses import replace

import pytest

from genome.forecast.cost import forecast
from genome.forecast.rates import Rate
from genome.forecast.text import describe, duration, headline, short, size
from genome.forecast.values import Job, Measured, Setting

SETTING = Setting("micro", ["add", "sub"], 3, "final", {"validation": 20, "test": "rest"}, {"sums": {"max_tokens": 5}})
JOBS = [
    Job("score_experts", {"tasks": "sums"}),
    Job("answer_test", {"test_task": "sums", "run": "static/add"}, json.dumps({"members": 0})),
    Job("train_adapter", {"adapter": "add"}),
]
UNKNOWN = Measured()
KNOWN = Measured(
    {"sums": {"validation": 20, "test": 60}},
    {"sums": 10.0},
    {"sums": 2.0},
    {"sums": 100.0},
    {"": 5000},
    {"sums": 3.0},
    Rate(0.002, 0.01, 0.05, "measured here on laptop", 1, 4),
    own_seconds={"score_experts": 0.5, "answer_test": 0.7},
)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (950, "950"), (1234, "1.2 k"), (2.1e6, "2.1 M"), (3.1e11, "310 G"), (4e12, "4.0 T")]
)
def test_short_rounds_to_two_digits_with_unit(number, text):
    assert short(number) == text


def test_size_and_duration_have_units():
    assert [size(0), size(87343)] == ["0 B", "87 kB"]
    assert [duration(31), duration(540), duration(3600 * 51 + 120)] == ["31 s", "9.0 min", "51 h 2 min"]
    assert [duration(0.44), duration(1440)] == ["0.4 s", "24 min"]


def test_headline_gives_totals_when_everything_is_measured():
    assert headline(forecast(JOBS, SETTING, KNOWN)) == (
        "Plan: 3 jobs, 2 evaluations, 100 samples, 1.0 k tokens of prompts, about 200 of responses.\n"
        "Disk: about 13 kB of responses and populations. "
        "Time: about 5.7 s, one job after another (4.5 s of the engine and 1.2 s of the jobs themselves, "
        "2 ms a prompt token, 10 ms a response token, 50 ms a step of a batch, measured here on laptop).\n"
        "The time does not include the training of 1 adapter."
    )


def test_headline_names_what_is_unknown_when_nothing_is_measured():
    text = headline(forecast(JOBS, SETTING, UNKNOWN))
    assert "unknown tokens of prompts" in text
    assert "Time: unknown; measure it in a minute: snakemake --cores 1 results/benchmarks/rates/sums.json." in text
    assert "at most" in text


def test_time_of_the_rest_is_given_if_that_of_a_task_is_unknown():
    tasks = {"sums": {"max_tokens": 5}, "essays": {"max_tokens": 500}}
    jobs = [*JOBS, Job("score_experts", {"tasks": "essays"})]
    measured = replace(KNOWN, prompt_tokens={"sums": 10.0, "essays": 10.0})
    text = describe(forecast(jobs, replace(SETTING, tasks=tasks), measured, cores=2))
    unknown = (
        "Time   unknown for essays; measure it in a minute: snakemake --cores 1 results/benchmarks/rates/essays.json;"
    )
    assert f"{unknown} for the rest at most " in text
    assert ", 2 jobs side by side (" in text
    lines = text.splitlines()
    assert [line.rsplit("  ", 1)[1].strip() for line in lines[2:4]] == ["unknown", "3.2 s"]
    assert lines[6].endswith("unknown")
    assert "counted with `max_tokens` until some are measured: essays" in text


def test_headline_of_jobs_without_engine_has_no_costs():
    assert headline(forecast([Job("compare", {})], SETTING, UNKNOWN)) == (
        "Plan: 1 jobs, none of which uses the engine."
    )


def test_describe_lists_stages_totals_and_what_is_not_included():
    text = describe(forecast(JOBS, SETTING, UNKNOWN))
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["jobs", "evaluations", "samples"]
    assert [line.split()[0] for line in lines[2:5]] == ["score_experts", "answer_test", "others,"]
    assert lines[6].split() == ["total", "3", "2", "1,040", "unknown", "<=", "5.2", "k", "unknown"]
    assert "training of adapters (1)" in text
    command = "snakemake --cores 1 resources/experts/add.safetensors"
    assert f"Training is included once one has been timed: {command}" in lines
    assert "counted as 1,000: sums" in text
    assert "until prompts are prepared: sums" in text
