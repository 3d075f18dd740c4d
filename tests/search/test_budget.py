"""Budgets: how they are read, that no run exceeds one, and runs that end because they are done."""

import re
from dataclasses import replace
from itertools import pairwise

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    GENERATIONS,
    SIZED,
    Landscape,
    evolve,
    fake_experts,
    initial_population,
    next_generation,
    paper_settings,
)
from genome.errors import GenomeError
from genome.search import driver
from genome.search.budget import Allowance, Budget, read_budget
from genome.search.driver import score_experts
from genome.search.methods import METHODS, read_method
from genome.search.population import Fitness, top
from genome.search.records import read_population, write_population

SAMPLES = 20
"""How many samples an evaluation costs in these tests."""

EXPERTS = fake_experts(4)

UNITS = st.sampled_from(["samples", "tokens"])


@given(st.integers(1, 10**15), UNITS)
def test_a_budget_is_read_from_its_text(amount, unit):
    assert read_budget(str(Budget(amount, unit))) == Budget(amount, unit)
    assert read_budget(f"{amount} {unit.removesuffix('s')}") == Budget(amount, unit)


@given(st.integers(1, 10**6), st.sampled_from([("", 1), ("k", 10**3), ("M", 10**6), ("G", 10**9)]), UNITS)
def test_factors_are_exact(thousandths, factor, unit):
    letter, value = factor
    exact, rest = divmod(thousandths * value, 1000)
    text = f"{thousandths // 1000}.{thousandths % 1000:03}{letter} {unit}"
    if exact and not rest:
        assert read_budget(text) == Budget(exact, unit)
    else:
        with pytest.raises(GenomeError, match="whole number"):
            read_budget(text)


@pytest.mark.parametrize(
    "text", ["", "5000", "samples", "0 samples", "-5 samples", "1,00 samples", "5 m tokens", "1e3 tokens"]
)
def test_texts_without_a_budget_are_refused(text):
    with pytest.raises(
        GenomeError, match=f"^expected a whole number of samples or tokens.* found {re.escape(repr(text))}$"
    ):
        read_budget(text)


def run(method, amount, generations=6, reserved=0, size=6, **changes):
    """Return the populations of a run with a budget of `amount` samples, and its landscape."""
    settings, landscape = paper_settings(method, **changes), Landscape(EXPERTS)
    start = score_experts(EXPERTS, landscape)
    history = [initial_population(EXPERTS, start, settings, size, 1, landscape)]
    before = len(landscape.asked) - history[0].evaluations
    budget = Budget(amount, "samples")
    allowance = Allowance(budget, lambda: SAMPLES * (len(landscape.asked) - before), reserved, SAMPLES)
    for _ in range(generations):
        following = driver.next_generation(
            history[-1], *read_method(settings), 1, EXPERTS, landscape, allowance=allowance
        )
        history.append(following)
    return history, landscape, allowance


@pytest.mark.parametrize("method", GENERATIONS)
@given(st.integers(6, 60), st.integers(0, 3))
@hypothesis.settings(deadline=None, max_examples=10)
def test_no_run_exceeds_its_budget(method, evaluations, kept):
    reserved = SAMPLES * kept
    amount = SAMPLES * evaluations + reserved
    history, _, allowance = run(method, amount, generations=4, reserved=reserved)
    assert allowance.spent() + reserved <= amount
    ended = [bool(population.ended) for population in history]
    assert ended == sorted(ended), "it stays ended"
    assert all(b.evaluations == a.evaluations for a, b in pairwise(history) if a.ended)


@pytest.mark.parametrize("method", SIZED)
def test_generations_before_the_end_are_those_without_a_budget(method):
    free, _, _ = run(method, 10**9)
    history, _, allowance = run(method, SAMPLES * free[3].evaluations)
    assert not any(population.ended for population in free)
    assert history[:4] == free[:4]
    assert [bool(population.ended) for population in history[:5]] == [False] * 4 + [True]
    assert history[4].ended == history[6].ended
    assert history[4].members == history[3].members
    assert history[6] == replace(history[4], generation=6, created=(), stalled=history[4].stalled)
    assert re.fullmatch(
        rf"budget of [\d,]+ samples: {allowance.spent():,} are spent, and the next batch may need [\d,]+",
        history[6].ended,
    )


def test_a_larger_budget_continues_where_the_smaller_one_ended(tmp_path):
    free, _, _ = run("cma_es", 10**9)
    short, _, _ = run("cma_es", SAMPLES * free[2].evaluations)
    assert short[3].ended
    settings = paper_settings("cma_es")
    write_population(tmp_path / "population.json", short[2], EXPERTS)
    start = read_population(tmp_path / "population.json", EXPERTS)
    assert next_generation(start, settings, 1, EXPERTS, Landscape(EXPERTS)) == free[3]


def test_batches_of_a_generation_that_was_paid_for_in_part_count(tmp_path):
    """GENOME+ scores its offspring, then its moved members."""
    for seed_of_budget in range(1, 20):
        history, _, _ = run("genome_plus", SAMPLES * (6 + seed_of_budget), individual_mutation_rate=1.0)
        end = next(population for population in history if population.ended)
        before = history[end.generation - 1]
        if end.created:
            break
    assert end.evaluations == before.evaluations + len(end.created)
    assert end.members == before.members
    assert end.best.score == max(each.score for each in (before.best, *end.created))
    assert end.best in (before.best, *end.created)
    assert top(end, 3) == top(before, 3)
    write_population(tmp_path / "population.json", end, EXPERTS)
    read = read_population(tmp_path / "population.json", EXPERTS)
    assert (read.ended, read.evaluations, read.best) == (end.ended, end.evaluations, end.best)


def test_a_generation_that_draws_its_own_samples_is_not_begun_if_its_members_cannot_be_scored_again():
    history, _, allowance = run("genome", SAMPLES * 9, samples=20, redraw=True, generations=2)
    assert history[1] == replace(history[0], generation=1, ended=history[1].ended, created=())
    assert history[1].ended
    assert allowance.spent() == SAMPLES * 6


def test_known_genotypes_cost_nothing():
    """A generation without children or mutants can always be paid for."""
    history, _, _ = run("genome", SAMPLES * 6, crossover_rate=0, individual_mutation_rate=0)
    assert not history[-1].ended


@pytest.mark.parametrize("method", [name for name in SIZED if METHODS[name].most])
@pytest.mark.parametrize("rates", [{}, {"crossover_rate": 1, "individual_mutation_rate": 0.6}])
def test_a_generation_scores_as_many_genotypes_as_its_method_says_at_most(method, rates):
    changes = rates if "genome" in method else {}
    settings = read_method(paper_settings(method, **changes))[1]
    counted, most = [], []
    for seed in range(6):
        history, _ = evolve(paper_settings(method, **changes), generations=4, size=6, seed=seed)
        scored = [population.evaluations for population in history]
        counted += [b - a for a, b in pairwise(scored)]
        most += [METHODS[method].most(settings, 6, len(EXPERTS), seed, number) for number in range(1, 5)]
    assert all(each <= limit for each, limit in zip(counted, most, strict=True))
    assert sum(counted) > 0.9 * sum(most), "hardly more than it scores"


def test_a_run_that_is_done_ends_when_its_best_cannot_be_better():
    settings = paper_settings("genome", until_done=True)
    asked = []

    def perfect(individuals):
        asked.extend(individuals)
        return [Fitness(1.0, {"t": 1.0}) for _ in individuals]

    population = initial_population(EXPERTS, score_experts(EXPERTS, perfect), settings, 4, 1, perfect)
    number = len(asked)
    after = next_generation(population, settings, 1, EXPERTS, perfect)
    assert (after.ended, len(asked)) == ("the best has the highest possible fitness", number)
    assert not next_generation(population, settings | {"until_done": False}, 1, EXPERTS, perfect).ended
    redrawn = settings | {"samples": 5, "redraw": True}
    assert not next_generation(population, redrawn, 1, EXPERTS, perfect).ended, "other samples may show a difference"


def test_cma_es_ends_by_the_criteria_of_its_library_if_it_may(make_experts):
    experts = make_experts(2)

    def flat(individuals):
        return [Fitness(0.5, {"t": 0.5}) for _ in individuals]

    def ends(**changes):
        settings = paper_settings("cma_es", **changes)
        population = initial_population(experts, score_experts(experts, flat), settings, 6, 1, flat)
        for _ in range(40):
            population = next_generation(population, settings, 1, experts, flat)
        return population.ended, population.evaluations

    assert ends()[0] == ""
    ended, evaluations = ends(until_done=True)
    assert ended == "cma_es has converged"
    assert evaluations < ends()[1]
