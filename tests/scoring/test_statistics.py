"""What intervals are computed from: answers read back, and each sample's contribution to a metric."""

import json

import numpy as np
import pytest

from builders import make_task
from genome.errors import GenomeError
from genome.files import write_jsonl
from genome.scoring.statistics import Answered, read_answers, read_report, same_samples
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


def test_each_sample_contributes_its_score_to_a_mean():
    assert accuracy([1, 0, 1, 1]).shares.tolist() == [1, 0, 1, 1]


def labelled(tmp_path, n, seed=2):
    rng = np.random.default_rng(seed)
    references = rng.choice(LABELS, n, p=[0.5, 0.3, 0.2]).tolist()
    answers = [label if rng.random() < 0.6 else str(rng.choice([*LABELS, "none"])) for label in references]
    return of_task(tmp_path, LABEL, references, answers), references, answers


def test_contributions_to_weighted_f1_are_those_of_the_jackknife(tmp_path):
    """Golden: scikit-learn's F1 without each sample in turn."""
    from sklearn.metrics import f1_score

    model, references, answers = labelled(tmp_path, 40)

    def f1(kept):
        chosen = [references[i] for i in kept], [answers[i] for i in kept]
        return f1_score(*chosen, average="weighted", zero_division=0, labels=sorted({*chosen[0]}))

    whole = f1(range(40))
    without = np.array([f1([j for j in range(40) if j != i]) for i in range(40)])
    assert model.shares.mean() == pytest.approx(whole, abs=1e-12)
    np.testing.assert_allclose(model.shares - model.shares.mean(), 39 * (without.mean() - without), atol=1e-10)


def test_variance_of_contributions_is_that_of_the_bootstrap(tmp_path):
    """Another way to the same: the spread of weighted F1 over draws of samples."""
    model, *_ = labelled(tmp_path, 400)
    draws = np.random.default_rng(3).integers(400, size=(2000, 400))
    spread = np.std(metrics.resampled("weighted_f1", model.columns, draws))
    assert np.sqrt(model.shares.var(ddof=1) / 400) == pytest.approx(spread, rel=0.1)


def test_contributions_to_bleu_are_those_of_the_jackknife(tmp_path):
    """Golden: sacrebleu's corpus BLEU without each sentence in turn."""
    from sacrebleu.metrics import BLEU

    references = ["the cat sat on a mat .", "the dog barks!", "one two three four five", "it is 3.5 km"] * 3
    answers = ["the cat sat on the mat .", "a dog, barks!", "one two three four five", "it is 3.5 km away"] * 3
    model = of_task(tmp_path, TRANSLATION, references, answers)

    def bleu(kept):
        return BLEU().corpus_score([answers[i] for i in kept], [[references[i] for i in kept]]).score / 100

    without = np.array([bleu([j for j in range(12) if j != i]) for i in range(12)])
    assert model.shares.mean() == pytest.approx(bleu(range(12)), abs=1e-12)
    np.testing.assert_allclose(model.shares - model.shares.mean(), 11 * (without.mean() - without), atol=1e-10)


def test_answered_is_binary_without_partial_scores():
    assert accuracy([1, 0, 1, 1]).value == 0.75
    assert accuracy([1, 0, 1, 1]).binary
    assert not accuracy([1, 0, 0.5, 1]).binary


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
