"""The measured rate of an engine: two lengths of answers, many prompts at once, no prompt read twice, in a minute."""

import json
from collections import Counter

import pytest

from builders import ENGINE
from genome.engine.usage import USAGE
from genome.files import read_json, write_jsonl
from genome.forecast.rates import fitted
from genome.forecast.records import Tokens, find
from genome.jobs import engine_rate as rates

PROMPTS = [[2, 100 + number, *range(number, number + 18)] for number in range(60)]


class FakeEngine:
    """Takes `prompt` and `response` seconds per token and `step` for a token of all, by a clock that requests move."""

    machine, fingerprint, earlier_seconds = "1 x Abacus", {**ENGINE, "base": None}, 0.0

    def __init__(self, prompt, response, step=0.0):
        self.costs, self.now = (prompt, response, step), 1000.0
        self.usage, self.requests = Counter(dict.fromkeys(USAGE, 0)), []

    def time(self):
        return self.now

    monotonic = time

    def complete(self, requests):
        [request] = requests
        self.requests.append(request)
        prompt, response, step = self.costs
        read, written = sum(map(len, request.prompts)), len(request.prompts) * request.max_tokens
        self.now += prompt * read + response * written + step * request.max_tokens
        self.usage.update(samples=len(request.prompts), prompt_tokens=read, response_tokens=written)
        self.usage.update(batches=1, steps=request.max_tokens)


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Return a function that measures a fake engine, and returns the records of its requests."""

    def measure(engine, max_tokens):
        monkeypatch.chdir(tmp_path)
        write_jsonl("sums/validation.jsonl", [{"id": i, "tokens": tokens} for i, tokens in enumerate(PROMPTS)])
        monkeypatch.setattr(rates, "connect", lambda settings, base: engine)
        monkeypatch.setattr(rates.time, "time", engine.time)
        monkeypatch.setattr(rates.time, "monotonic", engine.monotonic)
        settings, out = json.dumps({"max_tokens": max_tokens}), "results/benchmarks/rates/sums.json"
        rates.engine_rate("models/micro", {"backend": "transformers"}, settings, "sums/validation.jsonl", out)
        return read_json(out)["requests"]

    return measure


@pytest.mark.parametrize("costs", [(0.0001, 0.001, 0.02), (0.002, 0.01, 0.05), (0.003, 0.01, 0.1)])
def test_all_costs_are_found_in_a_minute(measure, tmp_path, costs):
    engine = FakeEngine(*costs)
    measure(engine, 64)
    found = find(tmp_path / "results", "micro", {"backend": "transformers"}, tmp_path)
    rate = fitted(found.observations(), "")
    assert (rate.per_prompt_token, rate.per_response_token, rate.per_step) == pytest.approx(costs, rel=0.05)
    assert engine.now - 1000 <= 60
    assert found.tokens()["sums"] == Tokens(20, 64, 64)


def test_as_many_prompts_are_asked_at_once_as_there_is_time_for(measure):
    numbers = [measure(FakeEngine(*costs), 64)[-1]["samples"] for costs in ((1e-5, 1e-5), (0.002, 0.01), (0.05, 0.3))]
    assert numbers == [rates.MOST, 32, rates.FIRST]


def test_a_slow_engine_is_measured_with_shorter_answers(measure):
    records = measure(FakeEngine(0.05, 0.3), 512)
    assert records[-1]["response_tokens"] < 512 * records[-1]["samples"]
    assert {(*record["tasks"],) for record in records} == {()}, "cut answers tell nothing of their length"


def test_answers_that_are_compared_are_measured_by_short_ones(measure):
    record = measure(FakeEngine(1e-4, 1e-4), 0)[-1]
    assert record["response_tokens"] == rates.MOST * rates.READING
    assert record["tasks"] == [], "a sample of the task has the tokens of its options, too"


def test_no_prompt_is_read_from_a_cache(measure):
    """Requests that repeat a prompt change one of its first tokens; whole answers are to the prompts as they are."""
    engine = FakeEngine(1e-5, 1e-5)
    measure(engine, 64)
    *_, short, long = engine.requests
    assert (short.max_tokens, long.max_tokens) == (1, 64)
    assert long.prompts[: len(PROMPTS)] == PROMPTS
    assert all([*prompt[:1], *prompt[2:]] in [[*p[:1], *p[2:]] for p in PROMPTS] for prompt in short.prompts)
    assert sum(prompt in PROMPTS for prompt in short.prompts) < 0.1 * len(short.prompts)
    assert len({tuple(prompt) for prompt in short.prompts}) > 0.5 * len(short.prompts)
