"""Rates of an engine, fitted to what it did."""

import numpy as np
import pytest

from genome.errors import GenomeError
from genome.forecast.rates import REACH, Observation, Rate, fitted, given_rate

PROMPT, RESPONSE = 0.002, 0.01


def observation(samples, prompt, response, noise=1.0):
    tokens = samples * prompt, samples * response
    return Observation(samples, *tokens, noise * (tokens[0] * PROMPT + tokens[1] * RESPONSE))


def test_both_coefficients_are_found():
    rate = fitted([observation(100, 50, 1), observation(10, 50, 100)], "here")
    assert (rate.per_prompt_token, rate.per_response_token) == pytest.approx((PROMPT, RESPONSE))
    assert (rate.shortest, rate.longest, rate.source) == (1, 100, "here")


def test_coefficients_are_never_negative():
    rate = fitted([Observation(1, 100, 1, 1.0), Observation(1, 100, 50, 0.9)], "here")
    assert rate.per_prompt_token > 0
    assert rate.per_response_token == 0


def test_the_sum_of_noisy_times_is_met():
    rng = np.random.default_rng(0)
    seen = [observation(int(rng.integers(20, 400)), 40, 3, rng.uniform(0.5, 1.5)) for _ in range(200)]
    rate = fitted(seen, "here")
    forecast = sum(rate.seconds(each.samples, each.prompt_tokens, each.response_tokens) for each in seen)
    assert forecast == pytest.approx(sum(each.seconds for each in seen), rel=0.02)


@pytest.mark.parametrize(
    ("length", "known"), [(4, True), (4 / REACH, True), (200 * REACH, True), (1.9, False), (401, False), (30, True)]
)
def test_a_rate_is_used_about_the_lengths_that_were_seen(length, known):
    rate = fitted([observation(100, 50, 4), observation(10, 50, 200)], "here")
    assert (rate.seconds(10, 500, 10 * length) is not None) == known


def test_reading_a_prompt_is_a_step_as_an_answer_of_one_token():
    assert Rate(0.002, 0.01, "", 2, 4).seconds(10, 500, 0) == pytest.approx(1)
    assert Rate(0.002, 0.01, "", 20, 40).seconds(10, 500, 0) is None


def test_nothing_seen_gives_no_rate():
    assert fitted([], "here") is None
    assert fitted([Observation(0, 0, 0, 3.0), Observation(5, 50, 5, 0.0)], "here") is None


def test_a_given_rate_holds_for_all_lengths():
    rate = given_rate("500,100")
    assert rate.seconds(10, 5000, 100) == pytest.approx(10 + 1)
    assert rate.seconds(1, 500, 10_000) == pytest.approx(1 + 100)


@pytest.mark.parametrize("text", ["500", "0,100", "a,b", "1,2,3", "inf,1", "-1,5", "nan,1"])
def test_a_wrong_rate_is_refused_in_one_line(text):
    with pytest.raises(GenomeError, match=f"--tokens-per-second {text}: expected two numbers"):
        given_rate(text)
