"""Methods under the driver: whole runs on genotypes, without an engine."""

import json
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from builders import fake_experts, paper_settings
from genome.errors import GenomeError
from genome.experts.peft import WEIGHTS
from genome.experts.tensors import open_tensors
from genome.genotype import Genotype, Noise, identity
from genome.lora.materialise import materialise, unit_noise
from genome.rng import stream
from genome.search.driver import drive, found_population, next_generation, score_experts
from genome.search.methods import BASELINES, GENERATIONS
from genome.search.population import Fitness, Individual, read_population, write_population

TARGET = np.array([0.6, 0.5, -0.1, 0.2])


class Landscape:
    """A fitness that only coefficients decide, and a record of what was asked."""

    def __init__(self, experts):
        self.asked = []
        self.digests = [expert.sha256 for expert in experts]

    def __call__(self, individuals):
        self.asked += [identity(x.genotype, self.digests) for x in individuals]
        values = [float(np.exp(-2 * np.sum((np.array(x.genotype.coefficients) - TARGET) ** 2))) for x in individuals]
        return [Fitness(value, {"t": value}) for value in values]


def run(settings, generations=10, size=10, seed=1, experts=None):
    experts = experts or fake_experts(4)
    landscape = Landscape(experts)
    scored = score_experts(experts, landscape)
    population = found_population(experts, scored, settings, size, seed, landscape)
    history = [population]
    for _ in range(generations):
        history.append(next_generation(history[-1], settings, seed, experts, landscape))
    return history, landscape


@pytest.mark.parametrize("method", GENERATIONS)
def test_evolution_finds_something(method):
    gains = []
    for seed in range(5):
        history, _ = run(paper_settings(method), seed=seed)
        gains.append(history[-1].best.score - history[0].best.score)
        bests = [population.best.score for population in history]
        assert bests == sorted(bests)
        assert all(len(population.members) == 10 for population in history)
    assert np.mean(gains) > 0.01


@pytest.mark.parametrize("method", GENERATIONS)
def test_equal_genotypes_are_never_evaluated_twice(method):
    history, landscape = run(paper_settings(method))
    assert len(landscape.asked) == len(set(landscape.asked))
    # The experts, scored beside the run, are not among what it has spent.
    assert history[-1].evaluations == len(landscape.asked) - 4


@pytest.mark.parametrize("method", GENERATIONS)
def test_a_run_continues_from_its_file_as_if_it_had_never_stopped(method, tmp_path):
    settings, experts = paper_settings(method), fake_experts(4)
    history, _ = run(settings, generations=6)
    population = history[2]
    for expected in history[3:]:
        write_population(tmp_path / "population.json", population, experts)
        population = next_generation(
            read_population(tmp_path / "population.json"), settings, 1, experts, Landscape(experts)
        )
        assert population == expected


def test_a_population_of_the_experts_asks_for_no_score_that_is_known():
    _, landscape = run(paper_settings("genome_plus", initialisation="experts"), generations=0, size=4)
    assert len(landscape.asked) == 4
    _, landscape = run(paper_settings("genome_plus", initialisation="experts"), generations=0, size=6)
    assert len(landscape.asked) == 6


def test_parents_and_fresh_children_mutate():
    """At a rate of 1 everybody does: the mutation of SPEC section 3 is over parents and fresh children."""
    history, _ = run(paper_settings("genome", crossover_rate=1.0, individual_mutation_rate=1.0), generations=1)
    created = history[1].created
    children = [x.name for x in created if x.operator == "crossover"]
    assert children
    mutated = [x.parents[0] for x in created if x.operator == "mutation"]
    assert mutated == [*(x.name for x in history[0].members), *children]


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_each_space_has_a_scale_of_mutation_of_its_own(scale):
    """Noise on weights has the scale `sigma`; the noise on the coefficients of products has `coefficient_sigma`."""
    rates = {"crossover_rate": 0, "individual_mutation_rate": 1.0, "gene_mutation_rate": 1.0}
    space = json.loads('"product"')  # as settings come, from a file: equal to the name, and not the same object
    settings = paper_settings("genome", **rates, merge_space=space, sigma=1e-9, coefficient_sigma=scale)
    history, _ = run(settings, generations=1, size=100)
    before = {x.name: np.array(x.genotype.coefficients) for x in history[0].members}
    moves = [np.array(x.genotype.coefficients) - before[x.parents[0]] for x in history[1].created]
    assert 0.9 * scale < np.std(moves) < 1.1 * scale  # of 400 normal draws
    history, _ = run(paper_settings("genome", **rates, sigma=scale, coefficient_sigma=1e-9), generations=1)
    assert [[term.coefficient for term in x.genotype.noise] for x in history[1].created] == [[scale]] * 10


@pytest.mark.parametrize("choice", [{"selection": "elite"}, {"selection": "proportional", "elite_ratio": 1.0}])
@pytest.mark.parametrize("method", ["genome", "genome_plus"])
def test_selection_is_from_members_and_offspring(method, choice):
    """Of elites alone the survivors are the fittest there: of parents, children, mutants, and those that moved."""
    settings = paper_settings(method, **choice, crossover_rate=1.0, individual_mutation_rate=1.0)
    history, _ = run(settings, generations=3)
    for before, after in pairwise(history):
        there = after.created if method == "genome_plus" else [*before.members, *after.created]
        expected = sorted({x.genotype: x.score for x in there}.values())[-10:]
        assert sorted(x.score for x in after.members) == expected


def test_the_best_ever_attracts_by_the_experience_that_it_had():
    """The literal reading of Eq. 5: with phi_e = phi_g alone, e <- (e + e_g - e) / 2 is e_g / 2 for everybody."""
    phi = {"phi_self": 1.0, "phi_best": 1.0, "phi_current": 0.0, "phi_worst": 0.0, "attractor": "experience"}
    settings = paper_settings("genome_plus", succession=phi, crossover_rate=0, individual_mutation_rate=0)
    for seed in range(3):
        history, _ = run(settings, generations=1, seed=seed)
        [half] = {tuple(np.round(x.experience.coefficients, 12)) for x in history[1].created}
        reached = np.array(history[0].best.genotype.coefficients) + 2 * np.array(half)
        members = [x for x in history[0].members if x.name != history[0].best.name]
        assert min(np.abs(reached - x.genotype.coefficients).max() for x in members) < 1e-9


def test_offspring_that_are_copies_are_dropped():
    """With one positive fitness every child is that parent again; with a sigma of 0 every mutant is its source."""
    experts = fake_experts(4)

    def one_is_good(individuals):
        values = [float(x.name == "g00-initial2") for x in individuals]
        return [Fitness(value, {"t": value}) for value in values]

    for changes in ({"crossover_rate": 1.0, "individual_mutation_rate": 0}, {"crossover_rate": 0, "sigma": 0.0}):
        settings = paper_settings("genome", **{"individual_mutation_rate": 1.0, **changes})
        population = found_population(experts, score_experts(experts, one_is_good), settings, 6, 1, one_is_good)
        after = next_generation(population, settings, 1, experts, one_is_good)
        assert all(x.genotype not in {y.genotype for y in population.members} for x in after.created)
        assert not [x for x in after.created if "g00-initial2" in x.parents]


def test_a_swarm_s_steps_shrink_from_the_first_that_is_whole():
    """x <- x + lambda v, lambda = 1 in the first step and 0.95 times the last one's after it."""
    settings = paper_settings("model_swarms", step=1.0, step_decay=0.5)
    history, _ = run(settings, generations=3)
    for generation, step in enumerate((1.0, 0.5, 0.25), start=1):
        before = {x.name: np.array(x.genotype.coefficients) for x in history[generation - 1].members}
        for particle in history[generation].members:
            moved = np.array(particle.genotype.coefficients) - before[particle.parents[0]]
            np.testing.assert_allclose(moved, step * np.array(particle.experience.coefficients), atol=1e-12)


def test_a_step_of_the_swarm_is_its_equation():
    """v <- (1/C) [phi_v r_v v + phi_p r_p (p - x) + phi_g r_g (g - x) - phi_w r_w (w - x)], of the state before."""
    phi = {"inertia": 0.3, "cognitive": 0.2, "social": 0.4, "repel": 0.15}
    history, _ = run(paper_settings("model_swarms", **phi, step=0.8), generations=3, size=5)

    def at(individual):
        return np.array(individual.genotype.coefficients)

    personal = list(history[0].members)
    drawn = set()
    for now, (before, after) in enumerate(pairwise(history), start=1):
        assert after.created == after.members
        for i, (old, new) in enumerate(zip(before.members, after.members, strict=True)):
            random = stream(1, "swarm", now, i).random(4)
            drawn |= {*random}
            weights = np.array([*phi.values()]) * random
            x = at(old)
            pulls = np.stack([at(personal[i]) - x, at(before.best) - x, x - at(before.worst)])
            rest = weights.sum() * np.array(new.experience.coefficients) - weights[1:] @ pulls
            velocity = rest / weights[0]
            if now == 1:
                targets = [at(other) for other in before.members if other is not old]
                assert min(np.abs(x + velocity - target).max() for target in targets) < 1e-9
            else:
                np.testing.assert_allclose(velocity, old.experience.coefficients, atol=1e-9)
            personal[i] = new if new.score > personal[i].score else personal[i]
    assert len(drawn) == 3 * 5 * 4


def test_a_particle_s_best_is_the_earlier_of_equals():
    """On a plateau nobody improves: each stays attracted by where it began."""
    experts = fake_experts(4)

    def plateau(individuals):
        return [Fitness(0.5, {"t": 0.5}) for _ in individuals]

    settings = paper_settings("model_swarms")
    first = found_population(experts, score_experts(experts, plateau), settings, 5, 1, plateau)
    population = next_generation(first, settings, 1, experts, plateau)
    population = next_generation(population, settings, 1, experts, plateau)
    assert [x.name for x in population.personal_bests] == [x.name for x in first.members]
    assert (population.best.name, population.worst.name) == (first.members[0].name,) * 2


def test_a_particle_s_best_moves_with_it_as_long_as_it_improves():
    history, _ = run(paper_settings("model_swarms"), generations=6)
    best = {i: (x.score, x.name) for i, x in enumerate(history[0].members)}
    for population in history[1:]:
        for i, x in enumerate(population.members):
            best[i] = max(best[i], (x.score, x.name), key=lambda pair: pair[0])
        assert [(x.score, x.name) for x in population.personal_bests] == list(best.values())


LOST = {
    "coefficient": lambda value: Individual("lost", Genotype((0.5, value, 0.5)), "mixture"),
    "noise": lambda value: Individual("lost", Genotype((0.5, 0.5, 0.0), (Noise(1, 0.2, value),)), "mutation"),
    "experience": lambda value: Individual("lost", Genotype((0.5, 0.5, 0.0)), "swarm", (), Genotype((0.0, value, 0.0))),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", LOST)
def test_what_is_no_longer_finite_is_refused_before_anything_is_scored(place, value):
    def search():
        yield [Individual("fine", Genotype((0.1, 0.2, 0.7)), "mixture"), LOST[place](value)]

    with pytest.raises(GenomeError, match=r"^lost: its coefficients are no longer finite; choose a smaller step$"):
        drive(search(), {}, fake_experts(3), lambda individuals: pytest.fail("was scored"))


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("genome_plus", {"succession": {"step": 1e200}}),
        ("genome_plus", {"succession": {"step": 1.7e308}}),
        ("genome_plus", {"succession": {"step": 1e200}, "sigma": 1e200, "individual_mutation_rate": 1.0}),
        ("model_swarms", {"step": 1e200}),
        ("model_swarms", {"step": 1.7e308, "step_decay": 1.0}),
    ],
)
def test_a_step_that_is_far_too_large_ends_in_one_line(method, changes):
    """Sums may overflow on the way to a genotype, too."""
    experts, settings = fake_experts(4), paper_settings(method, **changes)

    def evaluate(individuals):
        return [Fitness(sum(map(ord, x.name)) % 97 / 97, {}) for x in individuals]

    def run_far():
        population = found_population(experts, score_experts(experts, evaluate), settings, 6, 1, evaluate)
        for _ in range(6):
            population = next_generation(population, settings, 1, experts, evaluate)

    with pytest.raises(GenomeError, match=r"^g0\d-\w+: its coefficients are no longer finite; choose a smaller step$"):
        run_far()


def test_succession_scores_every_changed_member_again():
    history, _ = run(paper_settings("genome_plus"), generations=1)
    operators = [x.operator for x in history[1].created]
    assert operators.count("succession") == 10
    assert {x.name for x in history[1].created if x.operator == "succession"} >= {
        x.name for x in history[1].members if x.operator == "succession"
    }


def test_ablations_share_their_randomness():
    full, _ = run(paper_settings("genome_plus"), generations=1)
    without, _ = run(paper_settings("genome_plus", succession=False), generations=1)
    offspring = [
        {x.name: x.genotype for x in history[1].created if x.operator != "succession"} for history in (full, without)
    ]
    assert offspring[0] == offspring[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"crossover_rate": 0},
        {"individual_mutation_rate": 0},
        {"selection": "random"},
        {"selection": "tournament"},
        {"selection": "rank"},
        {"selection": "elite"},
        {"succession": False},
        {"initialisation": "experts"},
    ],
)
def test_every_ablation_runs(changes):
    history, _ = run(paper_settings("genome_plus", **changes), generations=3)
    assert all(len({x.genotype for x in population.members}) == 10 for population in history)
    created = {x.operator for population in history[1:] for x in population.created}
    if "crossover_rate" in changes:
        assert "crossover" not in created
    if "individual_mutation_rate" in changes:
        assert "mutation" not in created
    if "succession" in changes:
        assert "succession" not in created


@pytest.mark.parametrize("attractor", ["weights", "experience"])
@pytest.mark.parametrize("experience", ["difference", "gaussian"])
def test_every_reading_of_succession_runs(attractor, experience):
    history, _ = run(paper_settings("genome_plus", succession={"attractor": attractor, "experience": experience}))
    assert history[-1].best.score > 0


def test_the_best_ever_returns_to_the_pool_when_asked():
    kept = paper_settings("genome_plus", selection="elite", succession={"keep_best": True})
    for population in run(kept)[0][1:]:
        assert population.best.genotype in {x.genotype for x in population.members}


def test_a_run_out_of_patience_passes_its_population_on():
    settings = paper_settings("genome", crossover_rate=0, individual_mutation_rate=0, patience=2)
    history, _ = run(settings, generations=5)
    assert [population.stalled for population in history] == [0, 1, 2, 2, 2, 2]
    assert history[-1] == replace(history[2], generation=5, created=())


@pytest.mark.parametrize("size", [2, 10, 23])
def test_populations_of_any_size(size):
    for method in GENERATIONS:
        if method == "cma_es" and size < 4:
            continue
        history, _ = run(paper_settings(method), generations=3, size=size)
        assert [len(population.members) for population in history] == [size] * 4


def test_a_population_of_one_is_refused():
    with pytest.raises(GenomeError, match="at least 2"):
        run(paper_settings("genome"), size=1)


def test_fitness_of_zero_everywhere_stops_nothing():
    experts = fake_experts(4)

    def nothing(individuals):
        return [Fitness(0.0, {"t": 0.0}) for _ in individuals]

    for method in GENERATIONS:
        population = found_population(experts, score_experts(experts, nothing), paper_settings(method), 10, 1, nothing)
        for _ in range(3):
            population = next_generation(population, paper_settings(method), 1, experts, nothing)
        assert len(population.members) == 10


def test_an_evolution_on_genotypes_is_one_on_tensors(make_experts, tmp_path):
    """A whole GENOME+ run, its operations repeated on float32 weights; and any member rebuilds from its file."""
    experts = make_experts(4)
    phi = {"phi_self": 0.9, "phi_best": 0.3, "phi_current": 0.1, "phi_worst": 0.15}
    settings = paper_settings("genome_plus", sigma=0.05, crossover_rate=0.8, succession=phi)
    history, _ = run(settings, generations=4, size=6, experts=experts)
    weights = replay_on_tensors(history, settings, experts, seed=1)
    for generation, population in enumerate(history):
        path = tmp_path / f"population{generation}.json"
        write_population(path, population, experts)
        read = read_population(path).members
        folders = [tmp_path / f"{generation}-{kind}-{x.name}" for kind in ("kept", "read") for x in read]
        ids = materialise([x.genotype for x in (*population.members, *read)], experts, folders)
        assert ids[: len(read)] == ids[len(read) :]
        for member, folder in zip(read, folders, strict=False):
            for name, values in open_tensors(folder / WEIGHTS).items():
                np.testing.assert_allclose(values, weights[member.name][name], rtol=1e-4, atol=1e-5)


def replay_on_tensors(history, settings, experts, seed):
    """Do Algorithm 2 on tensors: fitness, names and parents as in `history`, weights from the parents' weights."""
    sources = [dict(open_tensors(expert.path / WEIGHTS)) for expert in experts]
    names = list(sources[0])
    w, e, fitness = {}, {}, {}

    def mix(*terms):
        return {name: sum(np.float32(factor) * tensors[name] for factor, tensors in terms) for name in names}

    def experience(name, members, generation):
        others = [member for member in members if member != name]
        other = others[stream(seed, "experience", generation, name).integers(len(others))]
        return mix((1, w[other]), (-1, w[name]))

    for x in history[0].members:
        w[x.name] = mix(*zip(x.genotype.coefficients, sources, strict=True))
        fitness[x.name] = x.score
    first = [x.name for x in history[0].members]
    e.update({name: experience(name, first, 0) for name in first})
    phi, step = settings["succession"], settings["succession"]["step"]
    total = phi["phi_self"] + phi["phi_best"] + phi["phi_current"] + phi["phi_worst"]
    for generation, population in enumerate(history[1:], start=1):
        members = [x.name for x in history[generation - 1].members]
        offspring = [x for x in population.created if x.operator != "succession"]
        for x in offspring:
            parents = [w[name] for name in x.parents]
            if x.operator == "crossover":
                f1, f2 = (fitness[name] for name in x.parents)
                w[x.name] = mix((f1 / (f1 + f2), parents[0]), (f2 / (f1 + f2), parents[1]))
            else:
                known = {n.seed for y in everyone_before(history, generation, x) for n in y.genotype.noise}
                [fresh] = [n.seed for n in x.genotype.noise if n.seed not in known]
                noise = {n: unit_noise(fresh, 0.2, n, v.size).reshape(v.shape) for n, v in parents[0].items()}
                w[x.name] = mix((1, parents[0]), (settings["sigma"], noise))
            fitness[x.name] = x.score
        e.update({x.name: experience(x.name, members, generation) for x in offspring})
        best, worst = max(fitness, key=fitness.get), min(fitness, key=fitness.get)
        current = max([*members, *(x.name for x in offspring)], key=fitness.get)
        new_w, new_e = {}, {}
        for x in (x for x in population.created if x.operator == "succession"):
            [old] = x.parents
            pulls = [(phi["phi_best"], best), (phi["phi_current"], current), (-phi["phi_worst"], worst)]
            terms = [(f / total, mix((1, w[name]), (-1, w[old]))) for f, name in pulls]
            new_e[x.name] = mix((phi["phi_self"] / total, e[old]), *terms)
            new_w[x.name] = mix((1, w[old]), (step, new_e[x.name]))
            fitness[x.name] = x.score
        w.update(new_w)
        e.update(new_e)
    return w


def everyone_before(history, generation, individual):
    for population in history[:generation]:
        yield from (*population.members, *population.created)
    for other in history[generation].created:
        if other.name == individual.name:
            return
        yield other


LORAHUB_WARNS = pytest.mark.filterwarnings("ignore:COBYLA:UserWarning")  # of a tolerance that nevergrad sets


@LORAHUB_WARNS
@pytest.mark.parametrize("method", BASELINES)
def test_baselines(method):
    experts = fake_experts(4)
    landscape = Landscape(experts)
    scored = score_experts(experts, landscape)
    settings = {**paper_settings(method), "log_perplexity": [1.0, 1.1, 1.3, 1.2]}
    result = drive(BASELINES[method](scored, settings, 1), scored.scored, experts, landscape)
    coefficients = np.array(result.best.genotype.coefficients)
    if method == "best_single":
        assert coefficients.tolist() == [1, 0, 0, 0]
    if method == "expert_fusion":
        fitness = np.array([x.score for x in scored.members])
        np.testing.assert_allclose(coefficients, fitness / fitness.sum())
    if method == "pack_of_llms":
        expected = np.exp(-np.array([1.0, 1.1, 1.3, 1.2]) / 0.1)
        np.testing.assert_allclose(coefficients, expected / expected.sum())
    if method == "lorahub":
        assert len(result.created) == 50
        assert result.created[0].genotype.coefficients == (0.0, 0.0, 0.0, 0.0)
        assert np.abs([x.genotype.coefficients for x in result.created]).max() <= 1.5
        losses = [-x.score + 0.05 * np.abs(x.genotype.coefficients).mean() for x in result.created]
        assert -result.best.score + 0.05 * np.abs(coefficients).mean() == pytest.approx(min(losses))
        assert result.best.score > max(x.score for x in scored.members)


def test_mixtures_by_fitness_and_by_perplexity_have_no_numbers_out_of_range():
    experts = fake_experts(4)

    def nothing(individuals):
        return [Fitness(0.0, {"t": 0.0}) for _ in individuals]

    scored = score_experts(experts, nothing)
    fused = drive(BASELINES["expert_fusion"](scored, paper_settings("expert_fusion"), 1), {}, experts, nothing)
    assert fused.best.genotype.coefficients == (0.25,) * 4
    for base in (0.0, 500.0):
        settings = {**paper_settings("pack_of_llms", tau=0.5), "log_perplexity": [base + x for x in (0, 0.5, 1, 1.5)]}
        packed = drive(BASELINES["pack_of_llms"](scored, settings, 1), {}, experts, nothing)
        shares = np.exp([0, -1, -2, -3]) / np.exp([0, -1, -2, -3]).sum()
        assert packed.best.genotype.coefficients == pytest.approx(shares)


@LORAHUB_WARNS
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_lorahub_ends_its_optimiser_s_thread_where_it_cannot_go_on(error):
    """An optimiser that waits in a thread keeps a process from ending, as long as anything holds the error."""
    experts, before = fake_experts(4), {*threading.enumerate()}
    landscape = Landscape(experts)

    def fails_late(individuals):
        if len(landscape.asked) > 20:
            raise error
        return landscape(individuals)

    scored = score_experts(experts, landscape)
    with pytest.raises(error) as caught:
        drive(BASELINES["lorahub"](scored, paper_settings("lorahub"), 1), {}, experts, fails_late)
    for thread in {*threading.enumerate()} - before:
        thread.join(5)
        assert not thread.is_alive()
    assert caught.value


@LORAHUB_WARNS
def test_lorahub_repeats_itself():
    experts = fake_experts(4)
    scored = score_experts(experts, Landscape(experts))
    results = [
        drive(BASELINES["lorahub"](scored, paper_settings("lorahub"), 1), {}, experts, Landscape(experts))
        for _ in range(2)
    ]
    assert results[0] == results[1]
