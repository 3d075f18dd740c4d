"""The likelihood of right answers, in responses of models."""

import json
import math

import numpy as np
import pytest
from scipy.special import log_softmax

from builders import make_task
from genome.errors import GenomeError
from genome.scoring.calibration import Calibration, fit, negative_log_likelihood
from genome.scoring.likelihood import LOWEST, calibrated_response, judge_likelihoods, score_matrix
from genome.tasks.likelihood import LIKELIHOOD_PER, Likelihoods, option_scores, read, written

LETTERS = {"A": "fur", "B": "scales", "C": "feathers"}


def response(sums, tokens=None, options=None):
    options = options or "ABCDE"[: len(sums)]
    tokens = tokens or [1] * len(sums)
    return written(Likelihoods(tuple(options), tuple(sums), tuple(tokens), tuple(tokens), tuple(tokens)))


def choices(*references):
    return [{"id": i, "options": LETTERS, "reference": reference} for i, reference in enumerate(references)]


def test_choice_is_judged_by_the_softmax_of_its_options():
    rows = [(-1.0, -2.0, -5.0), (-3.0, -0.5, -0.7)]
    found = judge_likelihoods(make_task("choice", options="o"), choices("A", "C"), list(map(response, rows)))
    expected = log_softmax(rows, axis=1)
    assert found.log_p == pytest.approx((expected[0, 0], expected[1, 2]))
    assert found.answers == ("A", "B")
    assert found.calibration is None


def test_lengths_divide_scores_as_the_task_says():
    task = make_task("choice", options="o", answer_by="likelihood", likelihood_per="token")
    [value] = judge_likelihoods(task, choices("A"), [response((-2.0, -2.0, -9.0), (1, 2, 3))]).log_p
    assert value == pytest.approx(log_softmax([-2.0, -1.0, -3.0])[0])


def test_label_is_judged_by_its_letter():
    task = make_task("label", labels={"A": "joy", "B": "anger"})
    found = judge_likelihoods(task, [{"id": 1, "reference": "anger"}], [response((-1.0, -2.0))])
    assert found.log_p == pytest.approx((log_softmax([-1.0, -2.0])[1],))
    assert found.answers == ("joy",)


def test_open_answer_is_judged_per_token():
    found = judge_likelihoods(make_task("number"), [{"id": 1, "reference": "5"}], [response((-3.0,), (4,), ["x"])])
    assert found.log_p == (-0.75,)
    assert found.answers == (None,)


def test_samples_with_fewer_options_have_no_share_of_the_others():
    task = make_task("choice", options="o")
    samples = choices("A", "B")
    found = judge_likelihoods(task, samples, [response((-1.0, -2.0, -3.0)), response((-1.0, -2.0))])
    assert found.log_p[1] == pytest.approx(log_softmax([-1.0, -2.0])[1])
    assert score_matrix([{"A": 1.0}, {"A": 1.0, "B": 2.0}]).tolist() == [[1.0, -math.inf], [1.0, 2.0]]


def test_calibrated_likelihoods_are_those_of_the_fit():
    chance = np.random.default_rng(1)
    rows = chance.normal(0, 8, (40, 3)).round(4)
    right = chance.integers(3, size=40)
    task = make_task("label", labels=LETTERS)
    samples = [{"id": i, "reference": LETTERS["ABC"[each]]} for i, each in enumerate(right)]
    found = judge_likelihoods(task, samples, list(map(response, rows.tolist())), calibrated=True)
    fitted = fit(rows, right.tolist(), labels="ABC")
    assert found.calibration == fitted
    assert -np.mean(found.log_p) == pytest.approx(negative_log_likelihood(rows, right.tolist(), fitted))
    assert np.mean(found.log_p) > np.mean(judge_likelihoods(task, samples, list(map(response, rows.tolist()))).log_p)


def test_likelihood_of_a_hopeless_sample_is_above_0():
    [value] = judge_likelihoods(make_task("choice", options="o"), choices("B"), [response((0.0, -9999.0, -1.0))]).log_p
    assert value == LOWEST
    assert math.exp(value) > 0


def test_response_without_likelihoods_is_refused():
    with pytest.raises(GenomeError, match="sample 0: no likelihoods in 'Answer: A'"):
        judge_likelihoods(make_task("choice", options="o"), choices("A"), ["Answer: A"])
    assert json.loads(response((-1.0,)))["options"] == ["A"]


@pytest.mark.parametrize("per", LIKELIHOOD_PER)
def test_calibrated_response_has_the_scores_after_calibration(per):
    before = Likelihoods(("A", "B"), (-6.0, -4.0), (2, 1), (8, 4), (9, 4), (-1.0, -2.0))
    after = read(calibrated_response(written(before), per, Calibration(2.0, (0.5, -0.25))))
    assert after is not None
    first, second = option_scores(before, per).values()
    expected = [first / 2 + 0.5, second / 2 - 0.25]
    assert list(option_scores(after, per).values()) == pytest.approx(expected, abs=1e-5)
    assert after.neutral is None


def test_texts_are_not_calibrated():
    assert calibrated_response("Answer: A", "option", Calibration(2.0)) == "Answer: A"


def test_loss_of_generated_options_is_that_of_the_right_text_alone():
    rows = [response((-4.0, -9.0, -9.0), (2, 1, 1)), response((-1.0, 0.0, -1.0))]
    compared = make_task("choice", options="o", answer_by="likelihood")
    found = judge_likelihoods(compared, choices("A", "B"), rows)
    assert found.losses == tuple(-each for each in found.log_p)
    generated = judge_likelihoods(make_task("choice", options="o"), choices("A", "B"), rows)
    assert generated.losses == (2.0, 0.0)
    assert generated.log_p == found.log_p
