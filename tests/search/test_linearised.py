"""The linear model of residuals: exact on affine residuals, cautious on few samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.search.linearised import (
    Draw,
    Point,
    corrected,
    expected_losses,
    fit,
    fits,
    jacobian,
    linear_model,
    residuals,
    standard_errors_better,
)

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed, samples=12, coefficients=4):
    """Return a random Jacobian and what is wanted of it."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(samples, coefficients)), generator.normal(size=samples)


@given(SEEDS)
def test_affine_residuals_are_solved_in_one_step(seed):
    model, _ = problem(seed)
    target = np.random.default_rng(seed + 1).normal(size=4)
    best = min(fits(model, model @ target), key=lambda each: each.expected)
    np.testing.assert_allclose(best.step, target, atol=0.01)


@given(SEEDS)
def test_a_stronger_prior_makes_the_step_and_all_leverages_smaller(seed):
    found = fits(*problem(seed))
    lengths = [np.linalg.norm(each.step) for each in found]
    sums = [each.leverages.sum() for each in found]
    assert lengths == sorted(lengths, reverse=True)
    assert sums == sorted(sums, reverse=True)
    assert lengths[-1] < 0.01 * max(lengths[0], 1)


@given(SEEDS, st.sampled_from([0.01, 1.0, 100.0]))
def test_left_out_errors_are_those_of_fits_without_the_sample(seed, strength):
    model, wanted = problem(seed)
    found = fit(model, wanted, strength)
    for sample in range(len(wanted)):
        others = [place for place in range(len(wanted)) if place != sample]
        alone = fit(model[others], wanted[others], strength)
        assert found.left_out[sample] == pytest.approx(wanted[sample] - model[sample] @ alone.step, abs=1e-8)


def test_noise_chooses_the_strongest_prior_far_more_often_than_a_weak_one():
    strong = []
    for seed in range(100):
        generator = np.random.default_rng(seed)
        found = fits(generator.normal(size=(20, 10)), generator.normal(size=20))
        strong.append(min(found, key=lambda each: each.expected).strength > found[16].strength)
    assert np.mean(strong) > 0.8


def test_no_model_is_made_of_residuals_that_nothing_changes():
    assert fits(np.zeros((5, 3)), np.ones(5)) == []


def test_expected_losses_are_those_of_residuals_that_were_not_fitted():
    losses = np.array([0.5, 0.125])
    np.testing.assert_allclose(expected_losses(losses, np.array([0.0, 0.5])), [0.5, 0.5])
    np.testing.assert_allclose(residuals(losses), [1.0, 0.5])


@given(SEEDS)
def test_correction_explains_the_step_and_changes_nothing_across_it(seed):
    model, change = problem(seed)
    step = np.array([1.0, 2.0, 0.0, -1.0])
    found = corrected(model, step, change)
    np.testing.assert_allclose(found @ step, change)
    across = np.array([2.0, -1.0, 5.0, 0.0])
    np.testing.assert_allclose(found @ across, model @ across, atol=1e-9)
    np.testing.assert_array_equal(corrected(model, 0 * step, change), model)


def test_jacobian_of_few_directions_says_nothing_about_others():
    steps = np.array([[0.2, 0.0, 0.0], [0.0, 0.2, 0.0]])
    found = jacobian(steps, np.array([[0.2, 0.4], [-0.2, 0.0]]))
    np.testing.assert_allclose(found, [[1.0, -1.0, 0.0], [2.0, 0.0, 0.0]], atol=1e-12)


@given(SEEDS)
def test_model_of_affine_residuals_is_their_jacobian_at_every_point(seed):
    model, _ = problem(seed)
    generator = np.random.default_rng(seed + 1)

    def point(place):
        return Point(tuple(place.tolist()), tuple(((50 + model @ place) ** 2 / 2).tolist()))

    centre = generator.normal(size=4)
    others = [point(generator.normal(size=4)) for _ in range(3)]
    draw = Draw(point(centre), tuple(point(centre + 0.2 * step) for step in np.eye(4)), tuple(others))
    for anchor in draw.points:
        np.testing.assert_allclose(linear_model(draw, anchor), model, atol=1e-6)


def test_gain_is_measured_by_its_standard_error():
    before, after = np.array([1.0, 1.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    assert standard_errors_better(before, after) == pytest.approx(0.5 / (np.std([1, 0, 1, 0], ddof=1) / 2))
    assert standard_errors_better(before, before) == 0
    assert standard_errors_better(before, before - 0.5) == np.inf
    assert standard_errors_better(np.array([1.0]), np.array([0.0])) == 0
