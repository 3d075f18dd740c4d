"""Finalists: the search's best, the best expert and the base model, decided by another fitness than the search's."""

from dataclasses import replace

from builders import Landscape, evolve, fake_experts, paper_settings
from genome.genotype import Genotype, mixture
from genome.search.driver import score_experts
from genome.search.finalists import BASE, decide, finalists
from genome.search.measure import Measure
from genome.search.population import Fitness, fittest
from genome.search.records import read_population, write_population

EXPERTS = fake_experts(4)


def scored(value):
    """Return a fitness on the task t."""
    return Fitness(value, {"t": value})


def run(generations=3):
    history, _ = evolve(paper_settings("genome_plus"), generations=generations)
    experts = score_experts(EXPERTS, Landscape(EXPERTS))
    return replace(history[-1], measure=Measure("likelihood", 20), samples=700), replace(experts, samples=800)


def test_finalists_are_the_searchs_best_then_expert_and_base_without_fitness():
    population, experts = run()
    found = finalists(population, experts, 3)
    assert [each.name for each in found[:1]] == [population.best.name]
    assert [each.genotype for each in found[3:]] == [fittest(experts.members)[0].genotype, mixture([0.0] * 4)]
    assert found[-1].name == BASE
    assert len({each.genotype for each in found}) == 5
    assert all(each.fitness is None and each.experience is None for each in found)


def test_finalists_are_distinct():
    """The best expert may be the search's best, too."""
    _, experts = run()
    found = finalists(replace(experts, members=experts.members * 2), experts, 3)
    assert [each.name for each in found] == [*(each.name for each in fittest(experts.members)[:3]), BASE]


def test_result_is_the_best_finalist_by_the_metric(tmp_path):
    population, experts = run()
    names = [each.name for each in finalists(population, experts, 3)]
    values = dict(zip(names, (0.2, 0.6, 0.6), strict=False)) | {BASE: 0.5}
    asked = []

    def evaluate(individuals):
        asked.extend(each.name for each in individuals)
        return [scored(values[each.name]) for each in individuals]

    experts = replace(experts, scored={name: scored(0.1) for name in experts.scored})
    decided = decide(population, experts, 3, EXPERTS, evaluate)
    assert decided.best.name == names[1], "the earlier of equal finalists is the result"
    assert asked == [*names[:3], BASE], "experts have been scored already"
    assert (decided.measure, decided.generation) == (Measure(), population.generation)
    assert decided.samples == 700 + 800
    assert decided.evaluations == population.evaluations + 4 + 4
    folder = tmp_path / "finalists"
    folder.mkdir()
    write_population(folder / "population.json", decided, EXPERTS)
    assert read_population(folder / "population.json", EXPERTS) == decided


def test_base_model_wins_if_it_answers_best():
    population, experts = run()

    def evaluate(individuals):
        return [scored(0.9 if each.genotype == Genotype((0.0,) * 4) else 0.3) for each in individuals]

    experts = replace(experts, scored={name: scored(0.1) for name in experts.scored})
    assert decide(population, experts, 5, EXPERTS, evaluate).best.name == BASE
