"""From individuals to fitness, with an engine that answers from the adapters it was given."""

from builders import make_task
from fake_engine import FakeEngine
from genome.experts.tensors import open_tensors
from genome.genotype import Genotype, expert
from genome.scoring.fitness import Evaluator, Objective, compare
from genome.search.population import Individual
from genome.tasks.likelihood import read


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
    assert evaluate.spent() == {"machine": None, **nothing}
    for i in range(2):
        evaluate([Individual(f"x{i}", expert(i, 2), "expert")])
    spent = evaluate.spent()
    assert (spent["machine"], spent["evaluations"], spent["samples"]) == ("1 x Abacus", 2, 6)
    assert spent["scoring_seconds"] > 0


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


def test_an_evaluation_is_one_individual_on_all_samples(make_experts, tmp_path):
    """A race that looks several times counts as one; an individual that it stopped is not counted."""
    evaluate, _ = evaluator(make_experts, tmp_path, [objective("a", [1, -1, -1, 1, 1]), objective("b", [-1, -1])])
    both = [Individual(f"x{i}", expert(i, 2), "mixture") for i in range(2)]
    course = evaluate.course(1)
    course.evaluate(both, 0, 2)
    assert evaluate.spent()["evaluations"] == 0
    course.evaluate(both[:1], 2, 4)
    course.evaluate(both[:1], 4, 5)
    assert evaluate.spent()["evaluations"] == 1
    assert len(evaluate.records) == 2 * 4 + 3
    evaluate(both)
    assert evaluate.spent()["evaluations"] == 3


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


def test_equal_neutral_prompts_are_scored_once():
    engine = Scorer()
    same, other = [[3], [1]], [[2], [2]]
    samples = [compared(f"c-{i}", [1], [2], neutral=each) for i, each in enumerate([same, other, same])]
    responses = compare(engine, ["x", "y"], [samples])
    assert len(responses) == 2
    assert [read(r).neutral for r in responses[1]] == [(-3.0, -1.0), (-2.0, -2.0), (-3.0, -1.0)]
    assert [request.prompts for request in engine.requests[0]] == [[[9], [9], [9], [7], [7]]] * 2
