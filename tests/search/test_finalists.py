"""Finalists: the search's best, the best expert and the base model, decided by another fitness than the search's."""

from dataclasses import replace

from builders import Landscape, evolve, fake_experts, paper_settings
from genome.genotype import Genotype, Noise, expert, identity, mixture, shared
from genome.search.driver import score_experts
from genome.search.finalists import BASE, VALIDATION_LORA, compare, decide, finalists, kind_of
from genome.search.measure import Measure
from genome.search.population import Fitness, Individual, fittest, new_population
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
    assert decided.evaluations == population.evaluations + 4 + 1, "the experts and the base, whose answers are new"
    folder = tmp_path / "finalists"
    folder.mkdir()
    write_population(folder / "population.json", decided, EXPERTS)
    assert read_population(folder / "population.json", EXPERTS) == decided


def test_only_the_base_is_asked_if_the_search_maximised_the_metric():
    population, experts = run()
    population = replace(population, measure=Measure(), samples=900)
    asked = []

    def evaluate(individuals):
        asked.extend(each.name for each in individuals)
        return [scored(1.0) for _ in individuals]

    decided = decide(population, experts, 3, EXPERTS, evaluate)
    assert asked == [BASE]
    assert decided.best.name == BASE
    assert decided.evaluations == len(population.scored.keys() | experts.scored.keys()) + 1
    assert decided.samples == 900 + 800
    inside = replace(population, scored={**population.scored, **experts.scored})
    assert decide(inside, experts, 3, EXPERTS, evaluate).samples == 900, "the run has counted the experts"


def test_a_search_that_hands_out_what_it_found_has_no_others():
    population, experts = run()
    found = finalists(population, experts, 2, others=False)
    assert [each.genotype for each in found] == [each.genotype for each in finalists(population, experts, 2)[:2]]
    assert len(found) == 2


def of(name, genotype, value):
    return Individual(name, genotype, "mixture", fitness=scored(value))


def compared(best, members=(), experts=(0.7, 0.4), names=("add", "compare"), base=None):
    """Return the comparison of a run over experts of this fitness; the fitness of the base is None if not known."""
    made = [replace(each, name=name) for each, name in zip(fake_experts(len(names)), names, strict=True)]
    n, digests = len(names), [each.sha256 for each in made]
    singles = [of(name, expert(i, n), experts[i]) for i, name in enumerate(names)]
    starting = new_population(singles)
    starting = replace(starting, scored={identity(x.genotype, digests): x.fitness for x in singles})
    known = {} if base is None else {identity(mixture([0.0] * n), digests): scored(base)}
    return compare(replace(new_population([best, *members]), scored=known), starting, made)


MIXED = mixture([0.5, 0.5])


def test_a_run_says_that_its_search_is_better():
    found = compared(of("g07-child1", MIXED, 0.935), base=0.12)
    assert found.kind == "search"
    expected = "the search's g07-child1, 93.5 % on 200 validation samples; best expert add 70.0 %; base model 12.0 %"
    assert found.text(200) == expected


def test_a_run_says_what_it_does_not_beat():
    search = of("g07-child1", MIXED, 0.5)
    found = compared(of("add", expert(0, 2), 0.7), [search], base=0.12)
    assert found.kind == "expert"
    assert found.text(20) == (
        "the expert add, 70.0 % on 20 validation samples, because the search found nothing better (g07-child1 50.0 %); "
        "base model 12.0 %"
    )
    base = compared(of(BASE, mixture([0.0, 0.0]), 0.8), [search], base=0.8)
    assert base.kind == "base"
    assert base.text(20) == (
        "the base model, 80.0 % on 20 validation samples, because the search found nothing better (g07-child1 50.0 %); "
        "best expert add 70.0 %"
    )
    assert compared(search).text(20).endswith("base model not asked; worse than best expert add")
    assert (
        compared(replace(search, fitness=scored(0.7)), base=0.7)
        .text(20)
        .endswith("; no better than best expert add and base model")
    )


def test_a_run_says_whether_it_is_better_than_the_validation_lora():
    names, better = ("add", VALIDATION_LORA), of("g01-child0", MIXED, 0.9)
    found = compared(better, names=names, base=0.1)
    assert "; best expert add 70.0 %; Validation LoRA 40.0 %; base" in found.text(20)
    found = compared(better, names=names, experts=(0.2, 0.4), base=0.1)
    assert found.text(20).count("40.0 %") == 1
    assert compared(of(VALIDATION_LORA, expert(1, 2), 0.9), names=names).kind == "validation_lora"


def test_kinds_of_genotypes():
    names = ["a", "b"]
    assert kind_of(expert(1, 2, "product"), names) == "expert"
    assert kind_of(expert(1, 2, shared(8)), names) == "search", "an approximation of the expert"
    assert kind_of(mixture([0.0, 0.0, 0.0, 0.0]), names) == "base", "groups of layers"
    assert kind_of(mixture([1.0, 0.0, 1.0, 0.0]), names) == "expert"
    assert kind_of(mixture([1.0, 0.0, 0.0, 1.0]), names) == "search"
    assert kind_of(mixture([2.0, 0.0]), names) == "search"
    assert kind_of(Genotype((1.0, 0.0), (Noise(1, 1.0, 0.1),)), names) == "search"


def test_base_model_wins_if_it_answers_best():
    population, experts = run()

    def evaluate(individuals):
        return [scored(0.9 if each.genotype == Genotype((0.0,) * 4) else 0.3) for each in individuals]

    experts = replace(experts, scored={name: scored(0.1) for name in experts.scored})
    assert decide(population, experts, 5, EXPERTS, evaluate).best.name == BASE
