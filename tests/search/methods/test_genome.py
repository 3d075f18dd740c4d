"""GENOME and GENOME+: whole runs on a landscape of coefficients."""

import json
from itertools import pairwise

import numpy as np
import pytest

from builders import evolve, fake_experts, initial_population, next_generation, paper_settings
from genome.search.driver import score_experts
from genome.search.population import Fitness


def test_mutation_is_of_members_and_their_children():
    """At a rate of 1, all have a mutant."""
    history, _ = evolve(paper_settings("genome", crossover_rate=1.0, individual_mutation_rate=1.0), generations=1)
    created = history[1].created
    children = [x.name for x in created if x.operator == "crossover"]
    assert children
    mutated = [x.parents[0] for x in created if x.operator == "mutation"]
    assert mutated == [*(x.name for x in history[0].members), *children]


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_mutation_has_the_scale_of_its_space(scale):
    """Noise on weights has the scale `sigma`, noise on the coefficients of products `coefficient_sigma`."""
    rates = {"crossover_rate": 0, "individual_mutation_rate": 1.0, "gene_mutation_rate": 1.0}
    space = json.loads('"product"')  # as settings come from a file: equal to the constant, but another object
    settings = paper_settings("genome", **rates, merge_space=space, sigma=1e-9, coefficient_sigma=scale)
    history, _ = evolve(settings, generations=1, size=100)
    before = {x.name: np.array(x.genotype.coefficients) for x in history[0].members}
    moves = [np.array(x.genotype.coefficients) - before[x.parents[0]] for x in history[1].created]
    assert 0.9 * scale < np.std(moves) < 1.1 * scale  # of 400 normal draws
    history, _ = evolve(paper_settings("genome", **rates, sigma=scale, coefficient_sigma=1e-9), generations=1)
    assert [[term.coefficient for term in x.genotype.noise] for x in history[1].created] == [[scale]] * 10


@pytest.mark.parametrize("choice", [{"selection": "elite"}, {"selection": "proportional", "elite_ratio": 1.0}])
@pytest.mark.parametrize("method", ["genome", "genome_plus"])
def test_selection_is_from_members_and_offspring(method, choice):
    """With elites alone, the survivors are the fittest of members (after succession), children and mutants."""
    settings = paper_settings(method, **choice, crossover_rate=1.0, individual_mutation_rate=1.0)
    history, _ = evolve(settings, generations=3)
    for before, after in pairwise(history):
        there = after.created if method == "genome_plus" else [*before.members, *after.created]
        expected = sorted({x.genotype: x.score for x in there}.values())[-10:]
        assert sorted(x.score for x in after.members) == expected


def test_succession_reads_the_experience_of_the_best_ever():
    """The literal reading of Eq. 5: with phi_e = phi_g alone, e <- (e + e_g - e) / 2 is e_g / 2 for all members."""
    phi = {"phi_self": 1.0, "phi_best": 1.0, "phi_current": 0.0, "phi_worst": 0.0, "attractor": "experience"}
    settings = paper_settings("genome_plus", succession=phi, crossover_rate=0, individual_mutation_rate=0)
    for seed in range(3):
        history, _ = evolve(settings, generations=1, seed=seed)
        [half] = {tuple(np.round(x.experience.coefficients, 12)) for x in history[1].created}
        reached = np.array(history[0].best.genotype.coefficients) + 2 * np.array(half)
        members = [x for x in history[0].members if x.name != history[0].best.name]
        assert min(np.abs(reached - x.genotype.coefficients).max() for x in members) < 1e-9


def test_generation_drops_offspring_that_are_copies():
    """With one positive fitness, every child equals that parent; with a sigma of 0, every mutant equals its source."""
    experts = fake_experts(4)

    def one_is_good(individuals):
        values = [float(x.name == "g00-initial2") for x in individuals]
        return [Fitness(value, {"t": value}) for value in values]

    for changes in ({"crossover_rate": 1.0, "individual_mutation_rate": 0}, {"crossover_rate": 0, "sigma": 0.0}):
        settings = paper_settings("genome", **{"individual_mutation_rate": 1.0, **changes})
        population = initial_population(experts, score_experts(experts, one_is_good), settings, 6, 1, one_is_good)
        after = next_generation(population, settings, 1, experts, one_is_good)
        assert all(x.genotype not in {y.genotype for y in population.members} for x in after.created)
        assert not [x for x in after.created if "g00-initial2" in x.parents]


def test_succession_scores_every_moved_member():
    history, _ = evolve(paper_settings("genome_plus"), generations=1)
    operators = [x.operator for x in history[1].created]
    assert operators.count("succession") == 10
    assert {x.name for x in history[1].created if x.operator == "succession"} >= {
        x.name for x in history[1].members if x.operator == "succession"
    }


def test_ablations_share_their_random_numbers():
    full, _ = evolve(paper_settings("genome_plus"), generations=1)
    without, _ = evolve(paper_settings("genome_plus", succession=False), generations=1)
    offspring = [
        {x.name: x.genotype for x in history[1].created if x.operator != "succession"} for history in (full, without)
    ]
    assert offspring[0] == offspring[1]


ABLATIONS = {
    "no crossover": {"crossover_rate": 0},
    "no mutation": {"individual_mutation_rate": 0},
    "no succession": {"succession": False},
    "no initialisation": {"initialisation": "experts"},
    "random selection": {"selection": "random"},
    "tournament": {"selection": "tournament"},
    "rank": {"selection": "rank"},
    "elite": {"selection": "elite"},
}


def assert_ablated(name, history):
    """Check what each ablation leaves out, or how its survivors differ."""
    operators = {x.operator for population in history for x in population.created}
    everything = {"initialisation", "crossover", "mutation", "succession"}
    missing = {"no crossover": "crossover", "no mutation": "mutation", "no succession": "succession"}
    if name in missing:
        assert operators == everything - {missing[name]}
    elif name == "no initialisation":
        assert {x.operator for x in history[0].created} == {"expert", "mutation"}
        assert operators == everything - {"initialisation"} | {"expert"}
    else:
        assert operators == everything
    for population in history[1:]:
        fittest = sorted((x.score for x in population.created if x.operator != "initialisation"), reverse=True)
        elites = sum(x.score == fittest[0] for x in population.members)
        if name == "elite":
            assert [x.score for x in population.members] == fittest[: len(population.members)]
        elif name not in ("random selection", "no succession"):
            assert elites >= 1


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_leave_out_one_operator_or_select_otherwise(name):
    history, _ = evolve(paper_settings("genome_plus", **ABLATIONS[name]), generations=3)
    assert all(len({x.genotype for x in population.members}) == 10 for population in history)
    assert_ablated(name, history)
    full, _ = evolve(paper_settings("genome_plus"), generations=3)
    assert [x.name for x in history[-1].members] != [x.name for x in full[-1].members]


def test_readings_of_succession_move_members_to_different_places():
    reached = set()
    for attractor in ("weights", "experience"):
        for experience in ("difference", "gaussian"):
            succession = {"attractor": attractor, "experience": experience}
            history, _ = evolve(paper_settings("genome_plus", succession=succession), generations=1)
            moved = [x for x in history[1].created if x.operator == "succession"]
            assert any(x.genotype.noise for x in moved) or experience == "difference"
            reached.add(moved[0].genotype)
    assert len(reached) == 4


def test_keep_best_returns_the_best_ever_to_the_pool():
    kept = paper_settings("genome_plus", selection="elite", succession={"keep_best": True})
    for population in evolve(kept)[0][1:]:
        assert population.best.genotype in {x.genotype for x in population.members}
