"""The state of a run and its file."""

import pytest

from builders import fake_experts, scored
from genome.errors import GenomeError
from genome.genotype import Genotype, Noise
from genome.population import Fitness, Individual, found, read_population, top, track, write_population


def individual(name, score, *coefficients, scores=None, **fields):
    fitness = Fitness(score, scores or {"t": score})
    return Individual(name, Genotype(coefficients), "mutation", fitness=fitness, **fields)


def test_best_and_worst_ever_stay_with_the_earlier_of_equals():
    population = found([individual("a", 0.5, 1.0), individual("b", 0.5, 2.0), individual("c", 0.2, 3.0)])
    assert (population.best.name, population.worst.name) == ("a", "c")
    population = track(population, [individual("d", 0.5, 4.0), individual("e", 0.2, 5.0), individual("f", 0.7, 6.0)])
    assert (population.best.name, population.worst.name) == ("f", "c")


def test_the_top_is_distinct_and_fittest_first():
    members = [
        individual("a", 0.5, 1.0),
        individual("b", 0.9, 2.0),
        individual("copy", 0.9, 2.0),
        individual("c", 0.5, 3.0),
    ]
    assert [x.name for x in top(found(members), 3)] == ["b", "a", "c"]
    assert [x.name for x in top(found(members[:1]), 3)] == ["a"]


def test_a_population_survives_its_file(tmp_path):
    member = Individual(
        "g03-child1",
        Genotype((0.1, 1 / 3), (Noise(2**53 - 1, 0.2, 1e-3),)),
        "crossover",
        ("g02-member1", "g02-mutant4"),
        Genotype((0.0, -1e-17)),
        Fitness(0.415, {"a": 0.33, "b": 0.5}),
    )
    population = track(found([member]), [individual("x", 0.9, 1.0, 2.0, scores={"a": 0.9, "b": 0.9})])
    population = scored(population, fake_experts(2))
    path = tmp_path / "population.json"
    write_population(path, population, fake_experts(2))
    assert read_population(path) == population


def test_half_a_population_is_refused_in_one_line(tmp_path):
    path = tmp_path / "population.json"
    write_population(path, found([individual("a", 0.5, 1.0)]), fake_experts(2))
    whole = path.read_text()
    for text in (whole[: len(whole) // 2], "[]", "{}", ""):
        path.write_text(text)
        with pytest.raises(GenomeError, match="delete the file to have it made again") as error:
            read_population(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
