"""From individuals to fitness, with an engine that answers from the adapters it was given."""

import math
from dataclasses import replace

import pytest

from builders import make_task
from fake_engine import FakeEngine
from genome.experts.tensors import open_tensors
from genome.genotype import Genotype, expert
from genome.scoring.asking import compare
from genome.scoring.fitness import Evaluator
from genome.scoring.objective import Objective
from genome.search.measure import Measure
from genome.search.population import Individual
from genome.tasks.likelihood import read
from genome.tasks.scoring import extract


def objective(name, references, weight=1.0):
    samples = [{"id": f"{name}-{i}", "tokens": [1, 2], "reference": str(r)} for i, r in enumerate(references)]
    return Objective(make_task("number", name), samples, weight)


def evaluator(make_experts, tmp_path, objectives):
    engine = FakeEngine()
    return Evaluator(objectives, make_experts(2), tmp_path / "store", lambda: engine), engine


def test_fitness_is_the_weighted_mean_of_the_tasks(make_experts, tmp_path):
    objectives = [objective("a", [1, 1, 1, -1]), objective("b", [-1, -1], weight=3.0)]
    evaluate, engine = evaluator(make_experts, tmp_path, objectives)
    plus = open_tensors(evaluate.experts[0].path)
    sign = 1.0 if next(iter(plus.values())).flat[0] > 0 else -1.0
    both = [Individual("x", Genotype((sign, 0.0)), "mixture"), Individual("y", Genotype((-sign, 0.0)), "mixture")]
    first, second = evaluate(both)
    assert first.scores == {"a": 0.75, "b": 0.0}
    assert first.value == (0.75 + 3 * 0.0) / 4
    assert second.scores == {"a": 0.25, "b": 1.0}
    assert second.value == (0.25 + 3 * 1.0) / 4
    assert len(engine.requests) == 1, "everything must be in flight at once"
    assert len(engine.requests[0]) == 4


def test_requests_have_the_stop_texts_of_their_task(make_experts, tmp_path):
    stopping = replace(objective("a", [1]), task=replace(make_task("number", "a"), stop=("Q:",)))
    evaluate, engine = evaluator(make_experts, tmp_path, [stopping, objective("b", [1])])
    evaluate([Individual("x", expert(0, 2), "expert")])
    assert [request.stop for request in engine.requests[0]] == [("Q:",), ()]


LABELS = {"A": "joy", "B": "anger"}


class BiasedEngine(FakeEngine):
    """Knows each label, and finds joy three nats too likely: continuations are [label], prompts [right label]."""

    def score(self, requests):
        super().score(requests)
        return [
            [
                [[float(label == right) * 2 + 3 * (label == 0) - 9] for [label] in options]
                for [right], options in zip(request.prompts, request.continuations, strict=True)
            ]
            for request in requests
        ]


def likely(name="e", answer_by="likelihood"):
    task = make_task("label", name, labels=LABELS, answer_by=answer_by, metric="accuracy")
    continuations = [{"option": each, "tokens": [i], "characters": 1, "bytes": 1} for i, each in enumerate(LABELS)]
    samples = [{"id": f"{name}-{i}", "tokens": [i % 2], "reference": list(LABELS.values())[i % 2]} for i in range(20)]
    return Objective(task, [each | {"continuations": continuations} for each in samples], 1.0)


def biased(make_experts, tmp_path, measure, objectives):
    engine = BiasedEngine()
    return Evaluator(objectives, make_experts(2), tmp_path / "store", lambda: engine, measure=measure)


def test_calibration_takes_back_a_bias_of_answers_by_likelihood(make_experts, tmp_path):
    x = Individual("x", Genotype((0.5, 0.5)), "mixture")
    plain = biased(make_experts, tmp_path, Measure(), [likely()])
    assert plain([x])[0].value == 0.5
    assert plain.calibrations == {}
    evaluate = biased(make_experts, tmp_path, Measure(calibrated=True), [likely()])
    assert evaluate([x])[0].value == 1
    fitted = evaluate.calibrations["x"]["e"]
    assert fitted.biases[0] < fitted.biases[1]
    # The responses that are kept give the same answers without the calibration.
    for row, sample in zip(evaluate.records, likely().samples, strict=True):
        assert extract(likely().task, sample, row["response"]) == row["answer"] == sample["reference"]


def test_calibrated_likelihood_is_higher(make_experts, tmp_path):
    x = Individual("x", Genotype((0.5, 0.5)), "mixture")
    objectives = [likely(answer_by="generation")]
    plain, calibrated = (
        biased(make_experts, tmp_path, Measure("likelihood", calibrated=each), objectives)([x])[0].value
        for each in (False, True)
    )
    assert plain == pytest.approx(math.exp((log_p(2 + 3) + log_p(2 - 3)) / 2))
    assert plain + 0.2 < calibrated <= 1


def log_p(lead):
    """Return the log-probability of the right one of two options that is ahead by some nats."""
    return -math.log1p(math.exp(-lead))


def test_tasks_by_likelihood_are_weighted_as_metrics_are(make_experts, tmp_path):
    objectives = [likely("a"), replace(likely("b"), weight=3.0)]
    evaluate = biased(make_experts, tmp_path, Measure("likelihood"), objectives)
    [fitness] = evaluate([Individual("x", Genotype((0.5, 0.5)), "mixture")])
    assert fitness.value == pytest.approx(fitness.scores["a"] / 4 + 3 * fitness.scores["b"] / 4)
    mean = sum(fitness.losses) / len(fitness.losses)
    assert mean == pytest.approx(-math.log(fitness.scores["a"]) / 4 - 3 * math.log(fitness.scores["b"]) / 4)
    course = evaluate.course(seed=1)
    assert course is not None
    [trial] = course.evaluate([Individual("y", Genotype((0.4, 0.6)), "mixture")], 0, 20)
    assert course.fitness(trial).value == pytest.approx(fitness.value)
    assert biased(make_experts, tmp_path, Measure("likelihood", calibrated=True), objectives).course(1) is None


def test_samples_are_drawn_by_seed_and_draw():
    whole = objective("a", range(50))
    drawn = [whole.drawn(10, seed, draw).samples for seed in (1, 2) for draw in (0, 1)]
    ids = [[each["id"] for each in samples] for samples in drawn]
    assert all(len({*each}) == 10 and set(each) <= {each["id"] for each in whole.samples} for each in ids)
    assert len({tuple(each) for each in ids}) == 4
    assert ids[0] == [each["id"] for each in whole.drawn(10, 1, 0).samples]
    assert ids[0] == sorted(ids[0], key=lambda each: int(each.partition("-")[2])), "in the order of the file"
    assert whole.drawn(99, 1, 0).samples == whole.samples
    other = objective("b", range(50)).drawn(10, 1, 0).samples
    assert [each["id"][2:] for each in other] != [each[2:] for each in ids[0]], "tasks are drawn independently"


def test_every_response_is_kept(make_experts, tmp_path):
    evaluate, _ = evaluator(make_experts, tmp_path, [objective("a", [1, -1])])
    [fitness] = evaluate([Individual("g01-child0", expert(0, 2), "crossover")])
    assert [set(record) for record in evaluate.records] == [
        {"individual", "task", "sample", "response", "answer", "score"}
    ] * 2
    assert sum(record["score"] for record in evaluate.records) / 2 == fitness.value


def test_perplexity_is_the_mean_over_tasks(make_experts, tmp_path):
    evaluate, engine = evaluator(make_experts, tmp_path, [objective("a", [1]), objective("b", [1, 1, 1])])
    assert evaluate.log_perplexity() == [engine.sign(name) for name in engine.paths]


def test_spent_counts_samples_and_evaluations(make_experts, tmp_path):
    evaluate, _ = evaluator(make_experts, tmp_path, [objective("a", [1, -1]), objective("b", [1])])
    nothing = {"scoring_seconds": 0.0, "evaluations": 0, "samples": 0, "prompt_tokens": 0, "response_tokens": 0}
    spent = evaluate.spent()
    assert {name: spent[name] for name in nothing} == nothing
    assert (spent["machine"], spent["asked"]) == (None, [])
    for i in range(2):
        evaluate([Individual(f"x{i}", expert(i, 2), "expert")])
    spent = evaluate.spent()
    assert (spent["machine"], spent["evaluations"], spent["samples"]) == ("1 x Abacus", 2, 6)
    assert spent["scoring_seconds"] > 0
    assert len(spent["asked"]) == 2


def test_reading_prompts_tells_nothing_of_the_length_of_answers(make_experts, tmp_path):
    evaluate, _ = evaluator(make_experts, tmp_path, [objective("a", [1])])
    evaluate.meter.tasks = ["a"]
    evaluate.log_perplexity()
    assert evaluate.spent()["tasks"] == []
    assert len(evaluate.spent()["asked"]) == 1


def test_engine_is_connected_once_and_only_when_needed(make_experts, tmp_path):
    evaluate, engine = evaluator(make_experts, tmp_path, [objective("a", [1])])
    asked = []
    evaluate.connect = lambda: asked.append(1) or engine
    evaluate.spent()
    assert not asked
    evaluate([Individual("x", expert(0, 2), "expert")])
    evaluate.log_perplexity()
    assert len(asked) == 1


def test_parts_of_a_race_add_up_to_the_evaluation(make_experts, tmp_path):
    objectives = [objective("a", [1, -1, -1, 1, 1]), objective("b", [-1, -1], weight=3.0)]
    evaluate, _ = evaluator(make_experts, tmp_path, objectives)
    one = [Individual("x", expert(0, 2), "mixture")]
    [whole] = evaluate(one)
    rows = sorted((row["task"], row["sample"]) for row in evaluate.records)
    evaluate.records.clear()
    course = evaluate.course(1)
    parts = [course.evaluate(one, start, stop)[0] for start, stop in ((0, 2), (2, 5))]
    trial = {task: parts[0][task] + parts[1][task] for task in "ab"}
    assert course.finished(trial)
    assert course.fitness(trial) == whole
    assert course.weights == {"a": 0.25, "b": 0.75}
    assert sorted((row["task"], row["sample"]) for row in evaluate.records) == rows
    assert not course.finished(parts[0])


def test_an_evaluation_is_a_genotype_that_answered_any_samples(make_experts, tmp_path):
    """Several looks count as one, also if a race stops; what goes on in a later job has been counted before."""
    evaluate, _ = evaluator(make_experts, tmp_path, [objective("a", [1, -1, -1, 1, 1]), objective("b", [-1, -1])])
    both = [Individual(f"x{i}", expert(i, 2), "mixture") for i in range(2)]
    course = evaluate.course(1)
    course.evaluate(both, 0, 2)
    course.evaluate(both[:1], 2, 4)
    course.evaluate(both[:1], 4, 5)
    assert evaluate.spent()["evaluations"] == 2
    assert len(evaluate.records) == 2 * 4 + 3
    evaluate(both)
    assert evaluate.spent()["evaluations"] == 4
    later, _ = evaluator(make_experts, tmp_path, [objective("a", [1, -1, -1, 1, 1]), objective("b", [-1, -1])])
    later.course(1).evaluate(both[1:], 2, 5)
    assert later.spent()["evaluations"] == 0


def test_corpus_metrics_cannot_race(make_experts, tmp_path):
    words = make_task("label", "f", labels=["x", "y"], metric="weighted_f1")
    objectives = [objective("a", [1]), Objective(words, [], 1.0)]
    evaluate, _ = evaluator(make_experts, tmp_path, objectives)
    assert evaluate.course(1) is None


class Scorer(FakeEngine):
    """Gives each token of a continuation its number as log-probability, and counts what it was asked."""

    def score(self, requests):
        self.requests.append(requests)
        return [[[[-float(t) for t in each] for each in given] for given in r.continuations] for r in requests]


def compared(name, *continuations, neutral=None):
    given = [{"option": "AB"[i], "tokens": ids, "characters": 1, "bytes": 1} for i, ids in enumerate(continuations)]
    sample = {"id": name, "tokens": [9], "reference": "A", "options": {"A": "a", "B": "b"}, "continuations": given}
    return sample if neutral is None else {**sample, "neutral": {"tokens": [7], "continuations": neutral}}


def test_samples_with_continuations_are_answered_by_their_likelihoods(make_experts, tmp_path):
    engine = Scorer()
    choice = make_task("choice", "c", options="o", answer_by="likelihood")
    samples = [compared("c-0", [1, 2], [4]), compared("c-1", [5], [2, 2])]
    evaluate = Evaluator(
        [objective("a", [1]), Objective(choice, samples, 1.0)], make_experts(2), tmp_path, lambda: engine
    )
    [fitness] = evaluate([Individual("x", expert(0, 2), "expert")])
    assert fitness.scores["c"] == 0.5
    kept = [record for record in evaluate.records if record["task"] == "c"]
    assert [record["answer"] for record in kept] == ["A", "B"]
    likelihoods = [read(record["response"]) for record in kept]
    assert [found.log_likelihood for found in likelihoods if found] == [(-3.0, -4.0), (-5.0, -4.0)]
    assert [len(requests) for requests in engine.requests] == [1, 1], "one call for texts, one for likelihoods"


def test_options_with_separate_prompts_are_scored_behind_these():
    engine = Scorer()
    own = compared("c-0", [1, 2], [4])
    for number, each in enumerate(own["continuations"]):
        each["prompt"] = [8, number]
    [responses] = compare(engine, ["x"], [[own, compared("c-1", [5], [2, 2])]])
    assert [read(each).log_likelihood for each in responses] == [(-3.0, -4.0), (-5.0, -4.0)]
    [[request]] = engine.requests
    assert request.prompts == [[8, 0], [8, 1], [9]]
    assert request.continuations == [[[1, 2]], [[4]], [[5], [2, 2]]]


def test_equal_neutral_prompts_are_scored_once():
    engine = Scorer()
    same, other = [[3], [1]], [[2], [2]]
    samples = [compared(f"c-{i}", [1], [2], neutral=each) for i, each in enumerate([same, other, same])]
    responses = compare(engine, ["x", "y"], [samples])
    assert len(responses) == 2
    assert [read(r).neutral for r in responses[1]] == [(-3.0, -1.0), (-2.0, -2.0), (-3.0, -1.0)]
    assert [request.prompts for request in engine.requests[0]] == [[[9], [9], [9], [7], [7]]] * 2
