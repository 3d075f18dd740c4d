"""Rates of an engine, fitted to what it did."""

import numpy as np
import pytest

from genome.errors import GenomeError
from genome.forecast.rates import REACH, TOKENS_OF_A_STEP, Observation, Rate, Work, fitted, given_rate, not_negative

PROMPT, RESPONSE, STEP = 0.002, 0.004, 0.05


def work(samples, prompt, response, width):
    return Work(samples, samples * prompt, samples * response, samples * response / width)


def took(asked, noise=1.0):
    return noise * (asked.prompt_tokens * PROMPT + asked.response_tokens * RESPONSE + asked.steps * STEP)


def observation(*asked, noise=1.0):
    return Observation(**vars(work(*asked)), seconds=took(work(*asked), noise))


def costs(rate):
    return rate.per_prompt_token, rate.per_response_token, rate.per_step


def test_all_coefficients_are_found():
    rate = fitted([observation(100, 50, 1, 100), observation(10, 50, 100, 10), observation(60, 50, 100, 60)], "here")
    assert costs(rate) == pytest.approx((PROMPT, RESPONSE, STEP), rel=0.01)
    assert (rate.shortest, rate.longest, rate.narrowest, rate.source) == (1, 100, 10, "here")


def test_coefficients_are_never_negative_and_no_response_token_is_cheaper_than_a_prompt_token():
    rate = fitted([Observation(1, 100, 1, 1, 1.0), Observation(1, 100, 50, 50, 0.9)], "here")
    assert rate.per_response_token == rate.per_prompt_token > 0
    assert rate.per_step == 0


@pytest.mark.parametrize("width", [3, 100])
def test_of_one_kind_of_work_the_time_is_met_and_the_rest_assumed(width):
    seen = observation(width, 50, 100, width)
    rate = fitted([seen], "here")
    assert rate.seconds(seen) == pytest.approx(seen.seconds, rel=0.01)
    assert rate.per_response_token == pytest.approx(rate.per_prompt_token, rel=0.01)
    assert rate.per_step == pytest.approx(TOKENS_OF_A_STEP * rate.per_prompt_token, rel=0.01)


def test_more_responses_at_once_than_measured_cost_less_per_token():
    """Letters say what a token costs, and a few long responses what a step costs."""
    rate = fitted([observation(200, 80, 2, 200), observation(4, 80, 256, 4)], "here")
    few, many = (rate.seconds(work(samples, 80, 256, samples)) / samples for samples in (4, 200))
    assert few == pytest.approx(took(work(4, 80, 256, 4)) / 4, rel=0.01)
    assert many < few / 4


def test_the_sum_of_noisy_times_is_met():
    rng = np.random.default_rng(0)
    seen = [
        observation(int(rng.integers(20, 400)), 40, 3, rng.integers(4, 100), noise=rng.uniform(0.5, 1.5))
        for _ in range(200)
    ]
    rate = fitted(seen, "here")
    assert sum(map(rate.seconds, seen)) == pytest.approx(sum(each.seconds for each in seen), rel=0.02)


@pytest.mark.parametrize(
    ("length", "known"), [(4, True), (4 / REACH, True), (200 * REACH, True), (1.9, False), (401, False), (30, True)]
)
def test_a_rate_is_used_about_the_lengths_that_were_seen(length, known):
    rate = fitted([observation(100, 50, 4, 10), observation(10, 50, 200, 10)], "here")
    assert (rate.seconds(work(10, 50, length, 10)) is not None) == known


@pytest.mark.parametrize(("width", "known"), [(20, True), (20 / REACH, True), (9.9, False), (1000, True)])
def test_a_rate_is_not_used_for_fewer_responses_at_once_than_were_seen(width, known):
    rate = fitted([observation(100, 50, 4, 100), observation(20, 50, 4, 20)], "here")
    assert (rate.seconds(work(10, 50, 4, width)) is not None) == known


def test_reading_a_prompt_is_a_step_as_an_answer_of_one_token():
    read = Work(10, 500, 0, 0)
    assert Rate(0.002, 0.01, 0.1, "", 2, 4, 50).seconds(read) == pytest.approx(1)
    assert Rate(0.002, 0.01, 0.1, "", 20, 40, 50).seconds(read) is None


def test_nothing_seen_gives_no_rate():
    assert fitted([], "here") is None
    assert fitted([Observation(0, 0, 0, 0, 3.0), Observation(5, 50, 5, 1, 0.0)], "here") is None


def test_prompts_that_were_only_read_give_a_rate_for_reading():
    rate = fitted([Observation(10, 500, 0, 0, 1.0)], "here")
    assert rate.seconds(Work(10, 500, 0, 0)) == pytest.approx(1)


def test_a_given_rate_holds_for_all_lengths_and_widths():
    rate = given_rate("500,100")
    assert rate.seconds(Work(10, 5000, 100, 10)) == pytest.approx(10 + 1)
    assert rate.seconds(Work(1, 500, 10_000, 10_000)) == pytest.approx(1 + 100)


@pytest.mark.parametrize("text", ["500", "0,100", "a,b", "1,2,3", "inf,1", "-1,5", "nan,1"])
def test_a_wrong_rate_is_refused_in_one_line(text):
    with pytest.raises(GenomeError, match=f"--tokens-per-second {text}: expected two numbers"):
        given_rate(text)


@pytest.mark.parametrize("seed", range(20))
def test_least_squares_without_negative_numbers_are_those_of_scipy(seed):
    from scipy.optimize import nnls

    rng = np.random.default_rng(seed)
    matrix, wanted = rng.standard_normal((8, 3)), rng.standard_normal(8)
    assert not_negative(matrix, wanted) == pytest.approx(nnls(matrix, wanted)[0], abs=1e-12)
