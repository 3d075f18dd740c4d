"""Intervals and paired differences, against scipy, scikit-learn and sacrebleu, and their rules one by one."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import make_task
from genome.errors import GenomeError
from genome.files import write_jsonl
from genome.scoring.statistics import (
    Answered,
    draw_samples,
    interval,
    over_seeds,
    percentiles,
    read_answers,
    read_report,
    replicates,
    same_samples,
    wilson,
)
from genome.tasks import metrics

LABELS = ["joy", "fear", "anger"]
LABEL = make_task("label", "mood", metric="weighted_f1", labels=LABELS)
TRANSLATION = make_task("translation", "words", metric="bleu")


def accuracy(scores):
    scores = np.asarray(scores, dtype=float)
    return Answered("accuracy", tuple(range(len(scores))), tuple(scores.tolist()), (scores,))


def of_task(tmp_path, task, references, answers):
    """Return a model's answers after they went through an answers file."""
    samples = [{"reference": reference} for reference in references]
    parts = metrics.parts(task, samples, answers)
    rows = [{"report": "best", "sample": i, "answer": a, "score": 0.5, "parts": part}
            for i, (a, part) in enumerate(zip(answers, parts, strict=True))]  # fmt: skip
    write_jsonl(tmp_path / "answers.jsonl", rows)
    return read_answers(tmp_path / "answers.jsonl", task.metric)["best"]


@given(st.integers(1, 3000), st.data())
@settings(deadline=None)  # the first example imports scipy
def test_wilson_equals_scipys(n, data):
    from scipy.stats import binomtest

    right = data.draw(st.integers(0, n))
    theirs = binomtest(right, n).proportion_ci(method="wilson")
    ours = wilson(right, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= ours.low <= right / n <= ours.high <= 1


@pytest.mark.parametrize("n", [25, 1012])
def test_wilson_ends_at_1_if_all_are_correct(n):
    """Bars of a figure cannot end below their point, not by the last bit."""
    assert wilson(n, n).high == 1


def test_wilson_starts_at_0_if_all_are_wrong():
    """Rounding must not take an interval below 0."""
    assert {wilson(0, n).low for n in range(1, 1200)} == {0.0}


def test_paired_difference_equals_scipys():
    """Golden: scipy's own draws differ from ours, and the interval does by as much as draws do."""
    from scipy.stats import bootstrap

    rng = np.random.default_rng(1)
    one = (rng.random(400) < 0.6).astype(float)
    other = np.where(rng.random(400) < 0.8, one, rng.random(400) < 0.5).astype(float)
    draws = draw_samples("t", 400)
    ours = percentiles(replicates(accuracy(one), draws) - replicates(accuracy(other), draws))
    theirs = bootstrap(
        (one, other), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), paired=True, vectorized=True,
        n_resamples=20_000, method="percentile", rng=0,
    ).confidence_interval  # fmt: skip
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.005)
    # Pairing matters: the methods agree on most samples.
    apart = percentiles(replicates(accuracy(one), draws) - replicates(accuracy(other), draw_samples("u", 400)))
    assert apart.high - apart.low > 1.3 * (ours.high - ours.low)


def test_weighted_f1_is_drawn_by_its_own_metric(tmp_path):
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(2)
    references = rng.choice(LABELS, 60).tolist()
    answers = [label if rng.random() < 0.6 else None for label in references]
    model = of_task(tmp_path, LABEL, references, answers)
    draws = draw_samples("mood", 60)
    for value, draw in list(zip(replicates(model, draws), draws, strict=True))[:20]:
        theirs = f1_score(
            [references[i] for i in draw], [answers[i] or "none" for i in draw], average="weighted", zero_division=0
        )
        assert value == pytest.approx(theirs, abs=1e-12)


def test_bleu_is_drawn_by_its_own_metric(tmp_path):
    from sacrebleu.metrics import BLEU

    references = [
        "the cat sat on a mat .",
        "the dog barks!",
        "one two three four five",
        "it is 3.5 km",
        "a b c d e",
    ] * 4
    answers = ["the cat sat on the mat .", "a dog, barks!", "one two three four five", "it is 3.5 km away", None] * 4
    model = of_task(tmp_path, TRANSLATION, references, answers)
    draws = draw_samples("words", 20)
    for value, draw in list(zip(replicates(model, draws), draws, strict=True))[:20]:
        theirs = BLEU().corpus_score([answers[i] or "" for i in draw], [[references[i] for i in draw]])
        assert value == pytest.approx(theirs.score / 100, abs=1e-12)


def test_over_seeds_has_the_variance_of_the_mean():
    """Golden: the variance of a mean over S seeds is s² / S with the unbiased s, however few they are."""
    for by_seed in ([0.2, 0.5], [0.1, 0.4, 0.3], [0.2, 0.25, 0.4, 0.1, 0.6]):
        means = over_seeds([np.full(200_000, value) for value in by_seed])
        assert means.mean() == pytest.approx(np.mean(by_seed), abs=1e-3)
        assert means.std() == pytest.approx(np.std(by_seed, ddof=1) / np.sqrt(len(by_seed)), rel=0.02)


def test_one_seed_varies_by_samples_only():
    values = np.linspace(0, 1, 50)
    np.testing.assert_array_equal(over_seeds([values]), values)
    np.testing.assert_allclose(over_seeds([values] * 3), values)


def test_seeds_are_paired():
    """Two methods that differ by the same amount in every seed differ for sure, whatever seeds do."""
    seeds = [np.full(500, value) for value in (0.2, 0.5, 0.9)]
    difference = over_seeds([values + 0.01 for values in seeds]) - over_seeds(seeds)
    np.testing.assert_allclose(difference, 0.01)


def test_draws_repeat_and_belong_to_their_test():
    np.testing.assert_array_equal(draw_samples("t", 30), draw_samples("t", 30))
    assert (draw_samples("t", 30) != draw_samples("u", 30)).any()
    assert draw_samples("t", 30).shape == (2000, 30)
    assert {*draw_samples("t", 30).flat} == {*range(30)}


def test_answered_is_binary_without_partial_scores():
    assert accuracy([1, 0, 1, 1]).value == 0.75
    assert accuracy([1, 0, 1, 1]).binary
    assert not accuracy([1, 0, 0.5, 1]).binary


def test_interval_is_wilson_or_bootstrap():
    draws = draw_samples("t", 40)
    half, right, partial = accuracy([0, 1] * 20), accuracy([1] * 40), accuracy([0.25, 1] * 20)
    assert interval([half], replicates(half, draws)).kind == "wilson"
    assert interval([partial], replicates(partial, draws)).kind == "bootstrap"
    assert interval([half, right], over_seeds([replicates(half, draws), replicates(right, draws)])).kind == "bootstrap"
    certain = interval([right, right], over_seeds([replicates(right, draws)] * 2))
    assert certain.kind == "wilson"
    assert (certain.low, certain.high) == pytest.approx((0.912, 1.0), abs=1e-3)
    wrong = accuracy([0] * 40)
    never = interval([wrong, wrong], over_seeds([replicates(wrong, draws)] * 2))
    assert (never.low, never.high, never.kind) == (0.0, pytest.approx(0.088, abs=1e-3), "wilson")


def test_interval_of_scores_stays_in_0_to_1():
    """Scaled-up seeds may leave [0, 1]; what is reported must not."""
    seeds = [accuracy([1.0] * 10), accuracy([0.0] * 10)]
    values = over_seeds([replicates(seed, draw_samples("t", 10)) for seed in seeds])
    assert values.max() > 1
    found = interval(seeds, values)
    assert (found.low, found.high) == (0.0, 1.0)


def test_difference_is_significant_if_its_interval_excludes_zero():
    assert percentiles(np.linspace(0.1, 0.2, 100)).significant
    assert percentiles(np.linspace(-0.2, -0.1, 100)).significant
    assert not percentiles(np.linspace(-0.1, 0.2, 100)).significant
    assert not percentiles(np.zeros(100)).significant


def test_answers_without_their_parts_say_what_to_do(tmp_path):
    (tmp_path / "answers.jsonl").write_text(
        json.dumps({"report": "best", "sample": 1, "answer": "x", "score": 1.0}) + "\n"
    )
    with pytest.raises(GenomeError, match=r"answers\.jsonl: rows without the parts of bleu; delete the file"):
        read_answers(tmp_path / "answers.jsonl", "bleu")
    assert read_answers(tmp_path / "answers.jsonl", "accuracy")["best"].binary


def test_other_samples_are_refused_by_name():
    assert same_samples([("a", accuracy([1, 0])), ("b", accuracy([0, 0]))]) == 2
    with pytest.raises(GenomeError, match="b and a answered different samples"):
        same_samples([("a", accuracy([1, 0])), ("b", accuracy([0]))])


def test_read_report_refuses_answers_of_other_scores(tmp_path):
    path = tmp_path / "answers.jsonl"
    write_jsonl(path, [{"report": "best", "sample": i, "answer": "x", "score": float(i < 3)} for i in range(4)])
    assert read_report(path, "accuracy", "best", 4, 0.75).value == 0.75
    for report, n, score in (("ensemble", 4, 0.75), ("best", 5, 0.75), ("best", 4, 0.5)):
        with pytest.raises(GenomeError, match=rf"answers\.jsonl: \d answers of {report}.* its scores.json says {n}, "):
            read_report(path, "accuracy", report, n, score)
