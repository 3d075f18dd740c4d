"""Diversity by generation: distances by hand, and answers of survivors that an earlier generation scored."""

import pytest

from builders import individual, initial_population, next_generation, paper_settings
from genome.genotype import Genotype, Noise
from genome.lora.geometry import update_norms
from genome.report.figures.diversity import disagreement, diversity, draw_diversity
from genome.scoring.answers import answers_by_genotype
from genome.search.driver import score_experts
from genome.search.population import Fitness, Individual, Population, new_population


def answered(name, *answers, task="t"):
    return [{"individual": name, "task": task, "sample": f"s{i}", "answer": answer} for i, answer in enumerate(answers)]


def test_survivor_is_compared_by_the_answers_of_the_generation_that_scored_it(make_experts):
    a, b, c = individual("a", 0.5, 1.0, 0.0), individual("b", 0.5, 0.0, 1.0), individual("c", 0.5, 1.0, 1.0)
    twin = individual("twin", 0.5, 1.0, 0.0)  # looked up, never evaluated
    first = new_population([a, b])
    second = Population(1, (b, c), best=a, worst=b, created=(c, twin))
    third = Population(2, (twin, c, b), best=a, worst=b)
    evaluations = [
        *answered("a", "1", "2", None, "4"),
        *answered("b", "1", "3", None, "5"),
        *answered("c", "1", None, None, "5"),
        *answered("discarded", "9", "9", "9", "9"),
    ]
    rows = diversity([third, first, second], evaluations, make_experts(2))
    assert [row["generation"] for row in rows] == [0, 1, 2]
    assert [row["answers"] for row in rows] == [0.5, 0.25, pytest.approx((0.5 + 0.5 + 0.25) / 3)]
    assert [row["coefficients"] for row in rows] == pytest.approx([2**0.5, 1.0, (1 + 1 + 2**0.5) / 3])


def test_norms_are_those_of_the_best_and_the_members(make_experts):
    experts = make_experts(2)
    a, b = individual("a", 0.9, 1.0, 0.0), individual("b", 0.5, 0.25, 0.5)
    noisy = Individual("n", Genotype((0.5, 0.5), (Noise(3, 0.2, 0.1),)), "mutation", fitness=Fitness(0.1, {}))
    population = Population(4, (b, noisy), best=a, worst=noisy, created=(b, noisy))
    [row] = diversity([population], [*answered("b", "1"), *answered("n", "1")], experts)
    of_a, of_b, of_noisy = update_norms([a.genotype, b.genotype, noisy.genotype], experts)
    of_experts = update_norms([Genotype((1.0, 0.0)), Genotype((0.0, 1.0))], experts)
    assert row["best"] == "a"
    assert row["norm_best"] == of_a == of_experts[0]
    assert row["norm_members"] == pytest.approx((of_b + of_noisy) / 2)
    assert row["norm_experts"] == pytest.approx(sum(of_experts) / 2)


def test_answers_of_all_tasks_are_compared():
    a = individual("a", 0.5, 1.0)
    answers = answers_by_genotype([new_population([a])], [*answered("a", "1", "2"), *answered("a", "x", task="u")])
    ours = {("t", "s0"): "1", ("t", "s1"): "2", ("u", "s0"): "x"}
    assert answers == {a.genotype: ours}
    assert disagreement(ours, ours | {("u", "s0"): "y"}) == pytest.approx(1 / 3)


def test_answers_are_compared_sample_by_sample_whatever_their_order(make_experts):
    """A race asks in another order, and goes on from the samples that an equal one had answered when it was stopped."""
    a, b, c = individual("a", 0.5, 1.0, 0.0), individual("b", 0.5, 0.0, 1.0), individual("c", 0.5, 1.0, 1.0)
    rows = [*answered("a", "1", "2", "3", "4"), *answered("b", "1", "2", "3", "5")[::-1], *answered("c", "1", "2")[1:]]
    [row] = diversity([new_population([a, b, c])], rows, make_experts(2))
    assert row["answers"] == pytest.approx((1 / 4 + 0 + 0) / 3)


@pytest.mark.parametrize("initialisation", ["pairs", "experts"])
@pytest.mark.parametrize("method", ["genome", "genome_plus", "model_swarms"])
def test_every_member_of_a_real_run_has_its_answers(make_experts, method, initialisation, drawn, tmp_path):
    experts = make_experts(3)
    evaluations = []

    def evaluate(individuals):
        for each in individuals:
            evaluations.extend(answered(each.name, *(round(value, 1) for value in each.genotype.coefficients)))
        return [Fitness(0.5, {"t": 0.5}) for _ in individuals]

    settings = paper_settings(method, initialisation=initialisation)
    start = score_experts(experts, evaluate)
    populations = [initial_population(experts, start, settings, 5, 1, evaluate)]
    for _ in range(3):
        populations.append(next_generation(populations[-1], settings, 1, experts, evaluate))
    rows = diversity(populations, evaluations, experts)
    assert len(rows) == 4
    assert all(row["coefficients"] > 0 and row["answers"] > 0 and row["norm_members"] > 0 for row in rows)
    draw_diversity(rows, [tmp_path / "diversity.svg"], "a run")
    for axes, key in zip(drawn[0].axes, ("coefficients", "answers", "norm_best"), strict=True):
        assert list(axes.get_lines()[0].get_ydata()) == [row[key] for row in rows]
        assert axes.get_ylim()[0] == 0


def test_a_population_without_diversity_can_be_drawn(drawn, tmp_path):
    row = {"generation": 0, "coefficients": 0.0, "answers": 0.0, "best": "a"}
    row |= {"norm_best": 1.0, "norm_members": 1.0, "norm_experts": 1.0}
    draw_diversity([row], [tmp_path / "diversity.svg"])
    for axes in drawn[0].axes[:2]:
        assert list(axes.get_lines()[0].get_ydata()) == [0.0]
        assert axes.get_ylim() == (0, 1)
