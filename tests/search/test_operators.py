"""Operators: properties on genotypes, and Eq. 3 to 5 by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from genome.genotype import PRODUCT, Genotype, combine, expert, from_json, mixture, shared, to_json
from genome.rng import stream
from genome.search.operators import (
    SELECTION,
    Mutation,
    Succession,
    crossover,
    draw_by_share,
    initialise,
    mutants,
    mutate,
    populate,
    select,
    succeed,
    take_experts,
    with_experience,
    without_copies,
)
from genome.search.population import Fitness, Individual

PAPER = Succession()
fitness = st.integers(0, 200).map(lambda right: right / 200)


def population(scores) -> list[Individual]:
    return list(builders.population(*scores).members)


@given(st.integers(2, 12), st.integers(2, 60), st.integers(0, 1000))
def test_initialise_mixes_each_pair_once_before_any_twice(n, size, seed):
    mixtures = initialise(n, size, seed)
    pairs = []
    for one in mixtures:
        used = [c for c in one.genotype.coefficients if c]
        assert len(used) == 2
        assert sum(used) == pytest.approx(1)
        assert min(used) > 0
        pairs.append(tuple(np.flatnonzero(one.genotype.coefficients)))
    rounds = n * (n - 1) // 2
    counts = [pairs.count(pair) for pair in set(pairs)]
    assert max(counts) - min(counts) <= 1
    assert len(counts) == min(size, rounds)


def test_initialise_draws_shares_uniformly():
    """t ~ U(0, 1) in Eq. 3: a tenth of the values in each tenth."""
    shares = [x.genotype.coefficients[0] for x in initialise(2, 4000, 1)]
    assert np.histogram(shares, 10, (0, 1))[0] / 4000 == pytest.approx(np.full(10, 0.1), abs=0.02)


def test_operators_draw_other_numbers_in_each_generation_and_trial():
    members = population(np.linspace(0.3, 0.7, 12))
    parents = [[x.parents for x in crossover(members, 1.0, 1, generation)] for generation in (1, 2, 3)]
    assert parents[0] != parents[1] != parents[2]
    assert all(len({*each}) > 1 for each in parents)
    chosen = [[x.name for x in select(members, 6, 0.1, "proportional", 1, generation)] for generation in (1, 2, 3)]
    assert chosen[0] != chosen[1] != chosen[2]
    seeds = [[x.genotype.noise for x in mutants(members, Mutation(1.0, 0.2, 0.1), 1, g)] for g in (1, 2)]
    assert len({noise for each in seeds for noise in each}) == 24
    ways = [[x.experience for x in with_experience(members, members, PAPER, 0.1, 1, g)] for g in (1, 2)]
    assert ways[0] != ways[1]


@pytest.mark.parametrize("scheme", [*SELECTION, "elite"])
def test_select_keeps_copies_only_if_the_pool_has_too_few_genotypes(scheme):
    pool = population([0.9, 0.8, 0.1, 0.05])
    copies = [replace(pool[0], name=f"copy{i}") for i in range(6)]
    for seed in range(20):
        assert len({x.genotype for x in select([*copies, *pool], 4, 0.3, scheme, seed, 1)}) == 4
    assert len(select([*copies, *pool], 8, 0.3, scheme, 1, 1)) == 8


def test_initialise_extends_smaller_populations():
    assert initialise(10, 40, 3)[:10] == initialise(10, 10, 3)
    assert initialise(10, 10, 3) != initialise(10, 10, 4)


def test_take_experts_takes_the_fittest_or_adds_mutants():
    experts = [
        Individual(f"e{i}", expert(i, 3), "expert", fitness=Fitness(s, {})) for i, s in enumerate((0.1, 0.9, 0.5))
    ]
    assert take_experts(experts, 3, 1, 0.2, 0.001) == [experts[1], experts[2], experts[0]]
    assert take_experts(experts, 2, 1, 0.2, 0.001) == [experts[1], experts[2]]
    more = take_experts(experts, 8, 1, 0.2, 0.001)
    assert more[:3] == experts
    assert [x.parents for x in more[3:]] == [("e0",), ("e1",), ("e2",), ("e0",), ("e1",)]
    assert len({x.genotype for x in more}) == 8


def test_populate_takes_the_fittest_or_adds_points_on_lines():
    """Half of the added points are between two of those before, the others beyond them."""
    scores = (0.1, 0.9, 0.5)
    experts = [Individual(f"e{i}", expert(i, 3), "expert", fitness=Fitness(s, {})) for i, s in enumerate(scores)]
    assert populate(experts, 3, 1) == [experts[1], experts[2], experts[0]]
    assert populate(experts, 2, 1) == [experts[1], experts[2]]
    more = populate(experts, 2003, 1)
    assert more[:3] == experts
    assert more[:8] == populate(experts, 8, 1) != populate(experts, 8, 2)
    before = {x.name: np.array(x.genotype.coefficients) for x in more}
    shares = []
    for place, x in enumerate(more[3:], start=3):
        first, second = (before[name] for name in x.parents)
        assert {*x.parents} < {y.name for y in more[:place]}
        direction = first - second
        shares.append(np.dot(before[x.name] - second, direction) / np.dot(direction, direction))
        np.testing.assert_allclose(before[x.name], second + shares[-1] * direction, atol=1e-6)
    assert np.histogram(shares, 10, (0, 2))[0] / 2000 == pytest.approx(np.full(10, 0.1), abs=0.03)
    assert {x.genotype.space for x in populate(experts, 8, 1, PRODUCT)} == {PRODUCT}


@given(st.lists(fitness, min_size=2, max_size=12), st.integers(0, 100), st.data())
def test_draw_by_share_draws_distinct_positions_positives_first(weights, seed, data):
    k = data.draw(st.integers(0, len(weights)))
    chosen = draw_by_share(np.array(weights), k, np.random.default_rng(seed))
    assert len(chosen) == len(set(chosen)) == k
    positive = {i for i, weight in enumerate(weights) if weight > 0}
    assert len(positive & set(chosen)) == min(k, len(positive))


def test_draw_by_share_follows_the_shares():
    generator = np.random.default_rng(0)
    first = [draw_by_share(np.array([1.0, 3.0, 0.0]), 1, generator)[0] for _ in range(4000)]
    assert first.count(1) / 4000 == pytest.approx(0.75, abs=0.03)
    assert first.count(2) == 0


@given(st.lists(fitness, min_size=2, max_size=12), st.integers(0, 50))
def test_crossover_places_children_between_parents_by_fitness(scores, seed):
    parents = {x.name: x for x in population(scores)}
    children = crossover(list(parents.values()), 1.0, seed, 1)
    assert len(children) == len(scores) // 2
    for child in children:
        first, second = (parents[name] for name in child.parents)
        assert first != second
        total = first.score + second.score
        t = first.score / total if total else 0.5
        assert child.genotype == combine([(t, first.genotype), (1 - t, second.genotype)])
        assert child.fitness is None


def test_rates_of_crossover_and_mutation_are_probabilities():
    members = population([0.5] * 10)
    assert crossover(members, 0.0, 1, 1) == []
    assert mutants(members, Mutation(0.0, 0.2, 0.1), 1, 1) == []
    assert len(mutants(members, Mutation(1.0, 0.2, 0.1), 1, 1)) == 10
    counts = [len(crossover(members, 0.3, seed, 1)) for seed in range(400)]
    assert np.mean(counts) == pytest.approx(1.5, abs=0.15)


def test_mutants_add_one_noise_term_to_their_source():
    members = population([0.5, 0.7])
    for mutant in mutants(members, Mutation(1.0, 0.25, 0.01), 1, 2):
        source = next(x for x in members if x.name == mutant.parents[0])
        assert mutant.genotype.coefficients == source.genotype.coefficients
        [noise] = mutant.genotype.noise
        assert (noise.density, noise.coefficient) == (0.25, 0.01)


def test_noise_seeds_are_exact_as_floats():
    seeds = [mutate(expert(0, 2), 0.2, 0.1, stream(1, "mutation", i)).noise[0].seed for i in range(400)]
    assert len({*seeds}) == 400
    assert 2**52 < max(seeds) < 2**53
    assert all(float(seed) == seed for seed in seeds)


def test_mutants_of_members_do_not_depend_on_children():
    """Members have the same mutants with and without crossover: ablations share their random numbers."""
    members = population([0.5, 0.7, 0.1])
    children = crossover(members, 1.0, 1, 1)
    mutation = Mutation(0.5, 0.2, 0.1)
    alone = mutants(members, mutation, 1, 1)
    assert mutants([*members, *children], mutation, 1, 1)[: len(alone)] == alone


def test_without_copies_drops_known_genotypes():
    members = population([0.5, 0.7])
    copy = Individual("copy", members[0].genotype, "crossover")
    new = Individual("new", Genotype((9.0, 9.0)), "crossover")
    assert without_copies([copy, new, new], members) == [new]


def test_succeed_is_equation_5():
    members = with_experience(population([0.5, 0.9, 0.1]), population([0.5, 0.9, 0.1]), PAPER, 0.001, 1, 1)
    best, worst, current = members[1], members[2], members[0]
    updated = succeed(members, best, current, worst, PAPER, 4)
    total = 0.95 + 0.2 + 0.2 + 0.1
    for old, new in zip(members, updated, strict=True):
        w, e = (np.array(g.coefficients) for g in (old.genotype, old.experience))
        g, c, b = (np.array(x.genotype.coefficients) for x in (best, current, worst))
        expected = (0.95 * e + 0.2 * (g - w) + 0.2 * (c - w) - 0.1 * (b - w)) / total
        np.testing.assert_allclose(new.experience.coefficients, expected, atol=1e-12)
        np.testing.assert_allclose(new.genotype.coefficients, w + 0.95 * expected, atol=1e-12)
        assert new.fitness is None
        assert new.parents == (old.name,)


def test_succeed_moves_towards_experiences_with_attractor_experience():
    settings = Succession(1.0, 1.0, 0.0, 0.0, 1.0, attractor="experience")
    members = with_experience(population([0.5, 0.9]), population([0.5, 0.9]), settings, 0.001, 1, 1)
    updated = succeed(members, members[1], members[0], members[0], settings, 1)
    e = [np.array(x.experience.coefficients) for x in members]
    np.testing.assert_allclose(updated[0].experience.coefficients, (e[0] + e[1] - e[0]) / 2)


def test_first_experience_is_the_difference_to_another_member_or_noise():
    members = population([0.5, 0.9, 0.1])
    for x in with_experience(members, members, PAPER, 0.001, 1, 1):
        target = combine([(1.0, x.genotype), (1.0, x.experience)])
        assert target in {other.genotype for other in members if other.name != x.name}
    gaussian = Succession(experience="gaussian")
    [x] = with_experience(members[:1], members, gaussian, 0.003, 1, 1)
    assert x.experience.coefficients == (0.0, 0.0)
    assert [(n.density, n.coefficient) for n in x.experience.noise] == [(1.0, 0.003)]


@given(
    st.lists(fitness, min_size=2, max_size=25), st.integers(0, 50), st.sampled_from([*SELECTION, "elite"]), st.data()
)
def test_select_keeps_distinct_individuals_and_elites(scores, seed, scheme, data):
    pool = population(scores)
    size = data.draw(st.integers(2, len(pool)))
    chosen = select(pool, size, 0.1, scheme, seed, 1)
    assert len({x.name for x in chosen}) == size
    if scheme != "random":
        assert max(x.score for x in chosen) == max(scores)
    if scheme == "elite":
        assert sorted(x.score for x in chosen) == sorted(scores)[-size:]


def test_select_rounds_the_number_of_elites_down():
    pool = population(np.linspace(0, 1, 300))
    for seed in range(5):
        chosen = {x.name for x in select(pool, 100, 0.29, "proportional", seed, 1)}
        assert {x.name for x in pool[-29:]} <= chosen


@pytest.mark.parametrize(("ratio", "size", "elites"), [(0.19, 10, 1), (0.1, 25, 2), (0.05, 10, 1), (0.0, 10, 1)])
def test_select_draws_the_first_individual_after_the_elites(ratio, size, elites):
    """floor(alpha N) are kept, at least one; the next is drawn like any other."""
    pool = population(np.linspace(1, 0.9, 40))
    draws = [[x.name for x in select(pool, size, ratio, "proportional", seed, 1)] for seed in range(60)]
    assert all(set(names[:elites]) == {x.name for x in pool[:elites]} for names in draws)
    kept = sum(pool[elites].name in names for names in draws)
    assert 0 < kept < 60


def test_select_by_rank_draws_by_rank_alone():
    """After the elite the weights are 3, 2, 1: the last may survive too, and the fitness itself does not matter."""
    pool = population([0.9, 0.8, 0.79, 0.0])
    second = [select(pool, 2, 0.1, "rank", seed, 1)[1].name for seed in range(3000)]
    shares = [second.count(f"x{i}") / 3000 for i in (1, 2, 3)]
    assert shares == pytest.approx([3 / 6, 2 / 6, 1 / 6], abs=0.03)


def test_select_by_tournament_takes_the_fitter_of_two():
    """After the elite, three are left: x1 wins both of its pairs, x2 the third pair, x3 none."""
    pool = population([0.9, 0.8, 0.7, 0.6])
    second = [select(pool, 2, 0.1, "tournament", seed, 1)[1].name for seed in range(3000)]
    assert [second.count(f"x{i}") / 3000 for i in (1, 2)] == pytest.approx([2 / 3, 1 / 3], abs=0.03)
    assert second.count("x3") == 0


def test_select_at_random_has_no_elites():
    pool = population([0.9, *[0.1] * 19])
    kept = sum("x0" in {x.name for x in select(pool, 10, 0.1, "random", seed, 1)} for seed in range(400))
    assert kept / 400 == pytest.approx(0.5, abs=0.08)


def test_select_prefers_fitter_individuals():
    pool = population([0.9] + [0.8] * 5 + [0.1] * 10)
    for scheme in ("proportional", "rank", "tournament"):
        survived = [sum(x.score == 0.8 for x in select(pool, 6, 0.1, scheme, seed, 1)) for seed in range(200)]
        assert np.mean(survived) > 5 * 5 / 15 + 0.5


@pytest.mark.parametrize("space", [PRODUCT, shared(64)])
def test_mutate_changes_coefficients_outside_the_space_of_factors(space):
    source = mixture((0.5, 0.5, 0.0, 0.0), space)
    mutated = [mutate(source, 0.25, 0.1, stream(1, "mutation", i)) for i in range(2000)]
    changes = np.array([x.coefficients for x in mutated]) - source.coefficients
    assert all(x.noise == () and x.space == space for x in mutated)
    assert np.mean(changes != 0) == pytest.approx(0.25, abs=0.02)
    assert changes[changes != 0].std() == pytest.approx(0.1, rel=0.05)
    assert changes[changes != 0].mean() == pytest.approx(0, abs=0.01)
    assert mutate(source, 0.25, 0.1, stream(1, "mutation", 5)) == mutated[5]
    read = from_json(json.loads(json.dumps(to_json(source))))
    assert mutate(read, 0.25, 0.1, stream(1, "mutation", 5)) == mutated[5]


@pytest.mark.parametrize("space", [PRODUCT, shared(64)])
@pytest.mark.parametrize("experience", ["difference", "gaussian"])
def test_succession_keeps_the_space(experience, space):
    members = [replace(x, fitness=Fitness(0.5, {})) for x in initialise(4, 6, 1, space)]
    settings = replace(PAPER, experience=experience)
    experienced = with_experience(members, members, settings, 0.1, 1, 1)
    moved = succeed(experienced, experienced[0], experienced[1], experienced[2], settings, 1)
    assert {x.experience.space for x in moved} | {x.genotype.space for x in moved} == {space}
    assert {x.genotype.noise for x in moved} == {()}
    assert {x.genotype.space for x in take_experts(members, 8, 1, 0.5, 0.1, space)} == {space}
