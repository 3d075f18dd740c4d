"""The state of a run and its file."""

import json
from dataclasses import replace

import pytest

from builders import ENGINE, fake_experts, scored
from genome.errors import GenomeError
from genome.genotype import Genotype, Noise
from genome.search.population import (
    Fitness,
    Individual,
    check_engine,
    described,
    found,
    read_individuals,
    read_population,
    top,
    track,
    write_population,
)


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


EXPERTS = fake_experts(2)


@pytest.fixture
def stored(tmp_path):
    """A population of two, one with noise, in a folder of runs; and a function that changes what its file holds."""
    noisy = Individual("b", Genotype((0.5, 0.5), (Noise(7, 0.2, 0.1),)), "mutation", fitness=Fitness(0.75, {"t": 0.75}))
    path = tmp_path / "results/runs/sums/genome/n2/seed1/generation_1/population.json"
    people = replace(found([individual("a", 0.5, 1.0, 0.0), noisy]), generation=1)
    write_population(path, scored(people, EXPERTS), EXPERTS)

    def change(edit):
        value = json.loads(path.read_text())
        edit(value)
        path.write_text(json.dumps(value))
        return path

    return change


def swap(value, key):
    first, second = value["members"]
    first[key], second[key] = second[key], first[key]


BROKEN = {
    "swapped genotypes": (lambda v: swap(v, "genotype"), "a: fitness 0.5 where its genotype has 0.75"),
    "swapped fitness": (lambda v: swap(v, "fitness"), "a: fitness 0.75 where its genotype has 0.5"),
    "a NaN fitness": (lambda v: v["members"][0].update(fitness=float("nan")), "NaN is not a number"),
    "fitness as text": (lambda v: v["best"].update(fitness="0.75"), "b, fitness: expected a number in"),
    "a score above 1": (lambda v: v["worst"]["scores"].update(t=1.5), "a, score of t: expected a number in"),
    "a NaN that was scored": (
        lambda v: next(iter(v["scored"].values())).update(fitness=float("nan")), "NaN is not a number",
    ),
    "a genotype nobody scored": (lambda v: v["members"][0]["genotype"].update(coefficients=[0.9, 0.1]), "never been"),
    "an infinite coefficient": (
        lambda v: v["members"][0]["genotype"].update(coefficients=[float("inf"), 0.0]), "Infinity is not a number",
    ),
    "a coefficient that is text": (
        lambda v: v["members"][0]["genotype"].update(coefficients=["1", 0.0]), "a, genotype, coefficient 0",
    ),
    "a coefficient too many": (
        lambda v: v["members"][0]["genotype"].update(coefficients=[1.0, 0.0, 0.0]), "3 coefficients for 2 experts",
    ),
    "a seed that is none": (lambda v: v["best"]["genotype"]["noise"][0].__setitem__(0, 7.5), "noise term 0, seed"),
    "a density of 0": (lambda v: v["best"]["genotype"]["noise"][0].__setitem__(1, 0), "a density above 0, found 0"),
    "noise cut short": (lambda v: v["best"]["genotype"]["noise"][0].pop(), r"expected \[seed, density, coefficient\]"),
    "no members": (lambda v: v.update(members=[]), "members: expected a list of 1 or more"),
    "the worst as the best": (lambda v: v.update(best=v["worst"]), "b: fitness 0.75 is not between"),
    "no engine": (lambda v: v.pop("engine"), "no field 'engine'"),
    "the file of another generation": (lambda v: v.update(generation=2), "generation 2 in the folder of another"),
    "a generation as text": (lambda v: v.update(generation="1"), "generation: expected an integer"),
    "a NaN in a race": (lambda v: v.update(trials={"x": {"t": [float("nan")]}}), "NaN is not a number"),
    "an infinity in a history": (lambda v: v.update(history=[[[1.0, 0.0], float("inf")]]), "Infinity is not a number"),
    "another task": (lambda v: v["scored"].update(x={"fitness": 0.1, "scores": {"u": 0.1}}), "on different tasks"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), BROKEN.values(), ids=BROKEN)
def test_what_no_run_has_written_is_refused_in_one_line(stored, edit, message):
    path = stored(edit)
    with pytest.raises(GenomeError, match=message) as error:
        read_population(path)
    assert str(error.value).startswith(f"{path}: ")
    assert str(error.value).endswith("; delete the file to have it made again")
    assert "\n" not in str(error.value)


def test_individuals_are_checked_as_a_population_is(stored):
    with pytest.raises(GenomeError, match=r"a: fitness 0\.5 where its genotype has 0\.75"):
        read_individuals(stored(lambda value: swap(value, "genotype")))


def test_other_experts_are_refused_by_name(stored):
    path = stored(lambda value: None)
    other = fake_experts(3)[1:]
    with pytest.raises(GenomeError, match="made of the experts e0 e1, these are e1 e2; restore the experts, or delete"):
        read_population(path, other)
    changed = [EXPERTS[0], type(EXPERTS[1])(**{**vars(EXPERTS[1]), "sha256": "f" * 64})]
    with pytest.raises(
        GenomeError, match=r"of expert e1 with SHA-256 000000000000, this one has ffffffffffff; .*sums "
    ):
        read_population(path, changed)


def test_noise_of_another_numpy_is_refused_where_there_is_any(stored):
    path = stored(lambda value: value["versions"].update(numpy="1.0"))
    assert read_population(path).best.name == "b", "who draws nothing may read it"
    with pytest.raises(GenomeError, match=r"noise was drawn by numpy 1\.0"):
        read_population(path, EXPERTS)
    stored(lambda value: value.update(members=[value["worst"]], best=value["worst"], created=[]))
    assert read_population(path, EXPERTS).best.name == "a"
    stored(lambda value: value["members"][0].update(experience={"coefficients": [0.0, 0.0], "noise": [[7, 0.2, 0.1]]}))
    with pytest.raises(GenomeError, match=r"noise was drawn by numpy 1\.0"):
        read_population(path, EXPERTS)


def test_another_engine_is_refused_by_what_differs(stored):
    path = stored(lambda value: None)
    assert read_population(path).engine == ENGINE
    check_engine(path, ENGINE, dict(ENGINE))
    with pytest.raises(GenomeError) as error:
        check_engine(path, ENGINE, {**ENGINE, "backend": "vllm", "quantization": "fp8"})
    message = str(error.value)
    assert "with backend transformers, quantization None, the engine now has backend vllm, quantization fp8" in message
    assert f"set the engine back in the config, or delete {path.parents[4]} to begin again" in message
    assert path.parents[4].name == "sums"
    assert "float32" not in message
    assert "\n" not in message


def test_an_engine_is_described_without_what_it_lacks():
    assert described({**ENGINE, "batch_invariant": True}) == "transformers 5.0, dtype float32, batch invariant"
    named = {"backend": "transformers", "version": "transformers 5.24.0, torch 2.13.0", "kv_cache_dtype": None}
    assert described({**named, "max_model_len": 512}) == "transformers 5.24.0, torch 2.13.0, max model len 512"
    assert described({**named, "version": None}) == "transformers"
    assert described(None) == "an unknown engine"
