"""Calibration: never worse than none, none where nothing is wrong, and a constant bias is taken back."""

import numpy as np
import pytest

from genome.errors import GenomeError
from genome.scoring.calibration import (
    COLDEST,
    Calibration,
    fit,
    log_probabilities,
    negative_log_likelihood,
    read_calibrations,
    write_calibrations,
)

LABELS = ["a", "b", "c", "d"]


def drawn(seed, n=1500, k=4, spread=1.5):
    """Return scores, and right options drawn with the probabilities that they give."""
    chance = np.random.default_rng(seed)
    scores = chance.normal(0, spread, (n, k))
    chances = np.exp(log_probabilities(scores))
    return scores, [int(chance.choice(k, p=row)) for row in chances]


def test_log_probabilities_are_scipys():
    from scipy.special import log_softmax

    scores, _ = drawn(1, 50)
    expected = log_softmax(scores / 2 + np.array([1, 2, 3, 4]), axis=1)
    assert np.allclose(log_probabilities(scores, Calibration(2.0, (1, 2, 3, 4))), expected, atol=1e-12)


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("n", [1, 3, 20, 200])
def test_calibration_never_makes_the_likelihood_worse(n, labels):
    for seed in range(5):
        chance = np.random.default_rng((seed, n))
        scores = chance.normal(0, chance.choice([0.01, 1.0, 30.0]), (n, 4)) + chance.normal(0, 3, 4)
        right = chance.integers(4, size=n).tolist()
        before = negative_log_likelihood(scores, right)
        assert negative_log_likelihood(scores, right, fit(scores, right, labels=labels)) <= before


@pytest.mark.parametrize("labels", [(), LABELS])
def test_calibrated_scores_stay_as_they_are(labels):
    fitted = fit(*drawn(2), labels=labels)
    assert fitted.temperature == pytest.approx(1, abs=0.1)
    assert np.allclose(fitted.biases or 0, 0, atol=0.15)


@pytest.mark.parametrize("temperature", [0.3, 4.0])
def test_temperature_is_recovered(temperature):
    scores, right = drawn(3)
    assert fit(scores * temperature, right).temperature == pytest.approx(temperature, rel=0.1)


def test_constant_bias_is_taken_back():
    scores, right = drawn(4)
    shift = np.array([2.0, 0.0, -1.0, -1.0])
    fitted = fit(scores + shift, right, labels=LABELS)
    assert np.allclose(np.array(fitted.biases) - np.mean(fitted.biases), -shift, atol=0.2)
    assert fitted.temperature == pytest.approx(1, abs=0.1)
    known = negative_log_likelihood(scores, right)
    assert negative_log_likelihood(scores + shift, right, fitted) == pytest.approx(known, abs=0.01)


def test_few_samples_move_biases_little():
    """One sample of a label that the model never finds: its bias is bounded by the prior."""
    scores = np.array([[5.0, 0.0]])
    assert np.abs(fit(scores, [1], labels=["a", "b"]).biases).max() < 2


def test_temperature_has_a_floor_if_all_samples_are_right():
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit(scores, [0, 1]).temperature == pytest.approx(COLDEST, rel=0.01)


def test_missing_options_take_no_part():
    scores, right = drawn(5, k=3)
    padded = np.column_stack([scores, np.full(len(scores), -np.inf)])
    assert fit(padded, right).temperature == pytest.approx(fit(scores, right).temperature, rel=1e-6)
    biased = fit(padded, right, labels=LABELS)
    assert biased.biases[3] == 0
    assert np.isfinite(log_probabilities(padded, biased)[:, :3]).all()


def test_calibrations_read_back(tmp_path):
    kept = {"x": {"t": Calibration(0.5, (1.0, -1.0))}, "base model": {"t": Calibration(), "u": Calibration(2.0)}}
    write_calibrations(tmp_path / "calibration.json", kept)
    assert read_calibrations(tmp_path / "calibration.json") == kept


def test_a_temperature_of_0_is_refused(tmp_path):
    (tmp_path / "calibration.json").write_text('{"x": {"t": {"temperature": 0, "biases": []}}}')
    with pytest.raises(GenomeError, match=r"calibration.json: x, t, temperature: expected a number above 0, found 0"):
        read_calibrations(tmp_path / "calibration.json")
