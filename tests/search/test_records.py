"""Files of populations."""

import base64
import hashlib
import json
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import ENGINE, evolve, fake_experts, individual, paper_settings, scored
from genome.errors import GenomeError
from genome.genotype import Genotype, Noise
from genome.search.driver import initial_population, next_generation, score_experts
from genome.search.measure import OF_PAPER, Measure
from genome.search.methods import METHODS
from genome.search.population import Fitness, Individual, new_population, track
from genome.search.records import (
    check_engine,
    check_measure,
    has_noise,
    kept,
    read_contents,
    read_individuals,
    read_population,
    write_population,
)
from genome.search.settings import InitialSettings

EXPERTS = fake_experts(2)


def test_population_reads_back_as_it_was_written(tmp_path):
    member = Individual(
        "g03-child1",
        Genotype((0.1, 1 / 3), (Noise(2**53 - 1, 0.2, 1e-3),)),
        "crossover",
        ("g02-member1", "g02-mutant4"),
        Genotype((0.0, -1e-17)),
        Fitness(0.415, {"a": 0.33, "b": 0.5}),
    )
    population = track(
        new_population([member]), [individual("x", 0.9, 1.0, 2.0, fitness=Fitness(0.9, {"a": 0.9, "b": 0.9}))]
    )
    population = scored(population, fake_experts(2))
    path = tmp_path / "population.json"
    write_population(path, population, EXPERTS)
    assert read_population(path) == population


coefficients = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)  # no negative zeros
shares = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)


@st.composite
def points(draw):
    """Draw a genotype over two experts, with and without noise."""
    terms = draw(st.sets(st.tuples(st.integers(0, 2**53 - 1) | st.integers(0, 9), st.sampled_from([0.2, 1.0]))))
    noise = tuple(Noise(*term, draw(coefficients)) for term in sorted(terms))
    return Genotype(tuple(draw(st.lists(coefficients, min_size=2, max_size=2))), noise)


@st.composite
def populations(draw):
    """Draw a population of individuals some of which are equal, have the same name, or the same genotype."""
    tasks = draw(st.sampled_from([("t",), ("t", "u")]))
    known: dict[Genotype, Fitness] = {}
    everyone = []
    for _ in range(draw(st.integers(1, 6))):
        genotype = draw(points())
        known.setdefault(genotype, Fitness(draw(shares), {task: draw(shares) for task in tasks}))
        experience = draw(st.none() | points())
        name, parents = draw(st.sampled_from("abc")), tuple(draw(st.lists(st.text(max_size=3), max_size=2)))
        everyone.append(Individual(name, genotype, "mutation", parents, experience, known[genotype]))
    some = st.lists(st.sampled_from(everyone), max_size=4)
    population = track(new_population(draw(st.permutations(everyone))), draw(some))
    state = {"trials": draw(st.sampled_from([{}, {"x": {"t": (1.0, 0.0)}}])), "personal_bests": tuple(draw(some))}
    return scored(replace(population, state={key: part for key, part in state.items() if part}), EXPERTS)


@settings(max_examples=200, deadline=None)
@given(populations())
def test_any_population_reads_back_from_a_file_that_is_always_the_same(tmp_path_factory, population):
    folder = tmp_path_factory.mktemp("files")
    write_population(folder / "first.json", population, EXPERTS)
    read = read_population(folder / "first.json", EXPERTS)
    assert read == kept(population)
    assert repr(read) == repr(kept(population)), "with the same order and types"
    write_population(folder / "second.json", read, EXPERTS)
    assert (folder / "second.json").read_bytes() == (folder / "first.json").read_bytes()


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.stage == "generation"])
def test_populations_of_every_method_read_back(tmp_path, method):
    changes = {"initialisation": "experts", "crossover_rate": 1.0} if method.startswith("genome") else {}
    experts = fake_experts(4)
    history, _ = evolve(paper_settings(method, **changes), generations=4, experts=experts)
    for population in history:
        write_population(tmp_path / "population.json", population, experts)
        assert read_population(tmp_path / "population.json", experts) == kept(population)


def test_kept_population_continues_as_the_whole_one():
    experts = fake_experts(4)
    history, landscape = evolve(paper_settings("genome_plus"), generations=3, experts=experts)
    method = METHODS["genome_plus"]
    for population in history:
        shortened = kept(population)
        assert shortened.members == population.members
        after = next_generation(shortened, method, method.settings(), 1, experts, landscape)
        assert after == next_generation(population, method, method.settings(), 1, experts, landscape)
    names = {x.name for x in (*history[-1].members, history[-1].best, history[-1].worst)}
    discarded = [x for x in kept(history[-1]).created if x.name not in names]
    assert discarded
    assert not any(x.experience for x in discarded)


def test_individuals_and_noise_terms_are_written_once(stored):
    text = stored(lambda value: None).read_text()
    value = json.loads(text)
    assert value["members"] == value["created"] == ["a", "b"]
    assert value["best"]["genotype"] == {"coefficients": [0.5, 0.5], "noise": coded([1], 0.1)}
    assert value["noise"] == [[7, 0.2]]
    assert list(value["scored"].values()) == [0.5, 0.75]
    contents = read_contents(stored(lambda value: None))
    assert [each["genotype"]["noise"] for each in contents["members"]] == [[], [[7, 0.2, 0.1]]]
    assert contents["created"] == contents["members"]


def test_a_line_of_the_file_is_an_individual(tmp_path):
    """The best is in full above; every other individual that a person looks for is one line."""
    people = [individual(name, score, score) for name, score in (("a", 0.9), ("b", 0.5), ("c", 0.1))]
    path = tmp_path / "population.json"
    write_population(path, scored(new_population(people), fake_experts(1)), fake_experts(1))
    [line] = [line for line in path.read_text().splitlines() if '"name": "b"' in line]
    assert json.loads(line.strip().removesuffix(","))["genotype"] == {"coefficients": [0.5]}


def test_write_population_refuses_a_score_on_another_task(tmp_path):
    population = replace(new_population([individual("a", 0.5, 1.0, 0.0)]), scored={"x": Fitness(0.5, {"other": 0.5})})
    with pytest.raises(ValueError, match="scored on other, others on"):
        write_population(tmp_path / "population.json", population, EXPERTS)
    assert not list(tmp_path.iterdir())


def made_up(individuals):
    """Return a fitness from a hash of the coefficients: a run of any size in seconds."""
    return [Fitness(share, {"t": share}) for share in map(hashed, individuals)]


def hashed(individual):
    digest = hashlib.sha256(repr(individual.genotype.coefficients).encode()).digest()
    return 0.5 + 0.2 * int.from_bytes(digest[:4], "little") / 2**32


def history_size(tmp_path, generations):
    """Return the bytes of all population files of a GENOME+ run of 100 individuals over ten experts, and the last."""
    experts, method = fake_experts(10), METHODS["genome_plus"]
    start = score_experts(experts, made_up)
    population = initial_population(experts, start, InitialSettings(), 100, 1, made_up)
    total = 0
    for generation in range(generations + 1):
        path = tmp_path / f"generation_{generation}" / "population.json"
        write_population(path, population, experts)
        total += path.stat().st_size
        population = read_population(path, experts)
        if generation < generations:
            population = next_generation(population, method, method.settings(), 1, experts, made_up)
    return total, population


def test_history_of_a_large_run_begins_small(tmp_path):
    total, population = history_size(tmp_path, 5)
    assert len(population.members) == 100
    assert total < 1_000_000


@pytest.mark.slow
def test_history_of_a_large_run_is_at_most_50_mb(tmp_path):
    total, population = history_size(tmp_path, 50)
    assert len(population.scored) > 7000
    assert sum(len(x.genotype.noise) for x in population.members) > 50_000
    assert total <= 50_000_000


def test_read_population_refuses_half_a_file_in_one_line(tmp_path):
    path = tmp_path / "population.json"
    write_population(path, new_population([individual("a", 0.5, 1.0)]), fake_experts(2))
    whole = path.read_text()
    for text in (whole[: len(whole) // 2], "[]", "{}", ""):
        path.write_text(text)
        with pytest.raises(GenomeError, match="delete the file to have it made again") as error:
            read_population(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_state_reads_back_as_it_was_written(tmp_path):
    best = individual("a", 0.5, 1.0, 0.0)
    state = {
        "personal_bests": (best,),
        "trials": {"x": {"t": (1.0, 0.0)}},
        "raced_as": {"x": ("a", "b")},
        "history": (((1.0, 0.0), 0.5), ((0.5, 0.5), -1.0)),
    }
    population = scored(replace(new_population([best]), state=state), fake_experts(2))
    path = tmp_path / "population.json"
    write_population(path, population, fake_experts(2))
    assert read_population(path) == population


def test_noise_in_the_state_is_checked(tmp_path):
    noisy = Individual("b", Genotype((0.5, 0.5), (Noise(7, 0.2, 0.1),)), "mutation", fitness=Fitness(0.5, {"t": 0.5}))
    population = new_population([individual("a", 0.5, 1.0, 0.0)])
    assert not has_noise(population)
    assert has_noise(replace(population, state={"personal_bests": (noisy,)}))


@pytest.fixture
def stored(tmp_path):
    """Return a function that edits the file of a population of two, one with noise, in a folder of runs."""
    noisy = Individual("b", Genotype((0.5, 0.5), (Noise(7, 0.2, 0.1),)), "mutation", fitness=Fitness(0.75, {"t": 0.75}))
    path = tmp_path / "results/runs/sums/genome/n2/seed1/generation_1/population.json"
    people = replace(new_population([individual("a", 0.5, 1.0, 0.0), noisy]), generation=1)
    write_population(path, scored(people, EXPERTS), EXPERTS)

    def change(edit):
        value = json.loads(path.read_text())
        edit(value)
        path.write_text(json.dumps(value))
        return path

    return change


def swap(value, key):
    first, second = value["best"], value["worst"]
    first[key], second[key] = second[key], first[key]


def coded(bits, *numbers):
    """Return the noise of a genotype as a file has it."""
    return base64.b64encode(bytes(bits) + struct.pack(f"<{len(numbers)}d", *numbers)).decode()


BROKEN = {
    "swapped genotypes": (lambda v: swap(v, "genotype"), "b: fitness 0.75, but its genotype has 0.5"),
    "swapped fitness": (lambda v: swap(v, "fitness"), "b: fitness 0.5, but its genotype has 0.75"),
    "a NaN fitness": (lambda v: v["best"].update(fitness=float("nan")), "NaN is no"),
    "fitness as text": (lambda v: v["best"].update(fitness="0.75"), "b, fitness: expected a number in"),
    "a score above 1": (lambda v: v["worst"]["scores"].update(t=1.5), "a, score of t: expected a number in"),
    "a NaN that was scored": (lambda v: v["scored"].update(x=float("nan")), "NaN is no"),
    "a score of 2": (lambda v: v["scored"].update(x=2), r"scored, x: expected a number in \[0, 1\], found 2"),
    "scores of another number of tasks": (lambda v: v["scored"].update(x=[0.1]), "x: expected a fitness and 1 s"),
    "other tasks": (lambda v: v.update(tasks=["u"]), "b: fitness 0.75, but its genotype has 0.75 on other tasks"),
    "a genotype without a score": (lambda v: v["worst"]["genotype"].update(coefficients=[0.9, 0.1]), "never been"),
    "an infinite coefficient": (
        lambda v: v["worst"]["genotype"].update(coefficients=[float("inf"), 0.0]), "Infinity is no",
    ),
    "a coefficient that is text": (
        lambda v: v["worst"]["genotype"].update(coefficients=["1", 0.0]), "a, genotype, coefficient 0",
    ),
    "a coefficient too many": (
        lambda v: v["worst"]["genotype"].update(coefficients=[1.0, 0.0, 0.0]), "3 coefficients for 2 experts",
    ),
    "a fractional seed": (lambda v: v["noise"][0].__setitem__(0, 7.5), "noise, entry 0, seed"),
    "a density of 0": (lambda v: v["noise"][0].__setitem__(1, 0), "entry 0: expected a density above 0, found 0"),
    "a noise term cut short": (lambda v: v["noise"][0].pop(), r"expected \[seed, density\]"),
    "noise terms in another order": (lambda v: v["noise"].insert(0, [8, 0.2]), "entry 1: expected rising terms"),
    "the same noise term twice": (lambda v: v["noise"].insert(0, [7, 0.2]), "entry 1: expected rising terms"),
    "noise that is not base64": (lambda v: v["best"]["genotype"].update(noise="A-"), "noise: not valid base64"),
    "noise that is not ASCII": (lambda v: v["best"]["genotype"].update(noise="é"), "noise: not valid base64"),
    "noise as a list": (lambda v: v["best"]["genotype"].update(noise=[[7, 0.2, 0.1]]), "noise: expected text, found"),
    "noise without a number": (
        lambda v: v["best"]["genotype"].update(noise=coded([1])), "b, genotype, noise: expected a bit for each of 1 t",
    ),
    "noise with a number too many": (
        lambda v: v["best"]["genotype"].update(noise=coded([1], 0.1, 0.2)), "and a number for each 1",
    ),
    "noise with a bit too many": (
        lambda v: v["best"]["genotype"].update(noise=coded([3], 0.1, 0.2)), "and a number for each 1",
    ),
    "no bits of noise": (lambda v: v["best"]["genotype"].update(noise=""), "and a number for each 1"),
    "noise that is NaN": (
        lambda v: v["best"]["genotype"].update(noise=coded([1], float("nan"))), "coefficient: expected a finite number",
    ),
    "no members": (lambda v: v.update(members=[]), "members: expected a list of 1 or more"),
    "an unknown name": (lambda v: v["members"].append("c"), "members, entry 2: no individual 'c' before it"),
    "a name before its individual": (lambda v: v.update(best="a"), "best: no individual 'a' before it"),
    "the worst as the best": (lambda v: v.update(best=v["worst"], members=["a", v["best"]]), "0.75 is not b"),
    "no engine": (lambda v: v.pop("engine"), "no field 'engine'"),
    "the file of another generation": (lambda v: v.update(generation=2), "generation 2 in the folder of another"),
    "a generation as text": (lambda v: v.update(generation="1"), "generation: expected an integer"),
    "a race without names": (lambda v: v.update(raced_as={"x": []}), "raced_as, entry"),
    "a NaN in a race": (lambda v: v.update(trials={"x": {"t": [float("nan")]}}), "NaN is no"),
    "an infinity in a history": (lambda v: v.update(history=[[[1.0, 0.0], float("inf")]]), "Infinity is no"),
    "a file of an earlier release": (lambda v: v.pop("tasks"), "no field 'tasks'"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), BROKEN.values(), ids=BROKEN)
def test_read_population_refuses_damaged_values_in_one_line(stored, edit, message):
    path = stored(edit)
    with pytest.raises(GenomeError, match=message) as error:
        read_population(path)
    assert str(error.value).startswith(f"{path}: ")
    assert str(error.value).endswith("; delete the file to have it made again")
    assert "\n" not in str(error.value)


def test_read_individuals_checks_fitness(stored):
    with pytest.raises(GenomeError, match=r"b: fitness 0\.75, but its genotype has 0\.5"):
        read_individuals(stored(lambda value: swap(value, "genotype")))


def test_read_population_names_differing_experts(stored):
    path = stored(lambda value: None)
    other = fake_experts(3)[1:]
    with pytest.raises(GenomeError, match="made of the experts e0 e1, these are e1 e2; restore the experts, or delete"):
        read_population(path, other)
    changed = [EXPERTS[0], type(EXPERTS[1])(**{**vars(EXPERTS[1]), "sha256": "f" * 64})]
    with pytest.raises(
        GenomeError, match=r"of expert e1 with SHA-256 000000000000, this one has ffffffffffff; .*sums "
    ):
        read_population(path, changed)


def test_read_population_refuses_noise_of_another_numpy(stored):
    path = stored(lambda value: value["versions"].update(numpy="1.0"))
    assert read_population(path).best.name == "b", "without experts nothing is drawn"
    with pytest.raises(GenomeError, match=r"noise was drawn by numpy 1\.0"):
        read_population(path, EXPERTS)
    stored(lambda value: value.update(members=["a"], best=value["worst"], created=[]))
    assert read_population(path, EXPERTS).best.name == "a"
    noise = coded([1], 0.1)
    stored(lambda value: value["worst"].update(experience={"coefficients": [0.0, 0.0], "noise": noise}))
    with pytest.raises(GenomeError, match=r"noise was drawn by numpy 1\.0"):
        read_population(path, EXPERTS)


def test_measure_is_written_only_if_it_is_not_the_papers(tmp_path):
    history, _ = evolve(paper_settings("genome"), generations=1)
    path = tmp_path / "population.json"
    write_population(path, history[-1], fake_experts(4))
    assert "measure" not in json.loads(path.read_text())
    other = replace(history[-1], measure=Measure("likelihood", 50, calibrated=True), earlier=30)
    write_population(path, other, fake_experts(4))
    value = json.loads(path.read_text())
    assert value["measure"] == {"objective": "likelihood", "samples": 50, "calibrated": True}
    assert value["evaluations"] == 30 + len(other.scored)
    assert read_population(path) == kept(other)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"measure": {"objective": "luck"}}, "measure: unknown objective 'luck'"),
        ({"measure": {"samples": 0}}, "measure, samples: expected an integer from 1 on, found 0"),
        ({"evaluations": 1}, "evaluations: expected an integer from"),
    ],
)
def test_read_population_refuses_damaged_counts_and_measures(tmp_path, edit, message):
    history, _ = evolve(paper_settings("genome"), generations=1)
    path = tmp_path / "population.json"
    write_population(path, history[-1], fake_experts(4))
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))
    with pytest.raises(GenomeError) as error:
        read_population(path)
    assert message in str(error.value)


def test_check_measure_names_both():
    check_measure("x.json", OF_PAPER, Measure())
    with pytest.raises(GenomeError) as error:
        check_measure("x.json", OF_PAPER, Measure("likelihood", 50))
    assert str(error.value).startswith(
        "x.json: scored by the metric on all samples, expected the likelihood on 50 samples;"
    )


def test_check_engine_names_what_differs(stored):
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
