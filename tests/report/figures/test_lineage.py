"""The family tree: every individual has one row, and the descent of the best is right."""

from collections import Counter
from itertools import pairwise

import pytest

from genome.report.figures.lineage import (
    CARRIED,
    OPERATORS,
    descent,
    draw_family_tree,
    family_tree,
    node,
    parents_of,
    place,
)

METHODS = ("genome", "genome_plus", "model_swarms", "cma_es")


@pytest.mark.parametrize("method", METHODS)
def test_every_created_individual_has_one_row(run, method):
    populations = run(method)
    created = Counter(each["name"] for population in populations for each in population["created"])
    rows = family_tree(populations[::-1])
    assert Counter(row["individual"] for row in rows if row["operator"] != CARRIED) == created
    assert {*created.values()} == {1}
    assert {row["operator"] for row in rows} <= {*OPERATORS}


@pytest.mark.parametrize("method", METHODS)
def test_survivors_are_the_members_after_each_generation(run, method):
    populations = run(method)
    rows = family_tree(populations)
    for population in populations:
        here = [row for row in rows if row["generation"] == population["generation"]]
        members = {member["name"] for member in population["members"]}
        assert {row["individual"] for row in here if row["survived"] == "yes"} == members
        assert [row["rank"] for row in here] == list(range(1, len(here) + 1))
        assert all(one["fitness"] >= other["fitness"] for one, other in pairwise(here))


@pytest.mark.parametrize("method", METHODS)
def test_descent_contains_all_ancestors_of_the_best(run, method):
    populations = run(method)
    rows = family_tree(populations)
    parents = {each["name"]: each["parents"] for population in populations for each in population["created"]}
    expected, left = set(), {populations[-1]["best"]["name"]}
    while left:
        expected |= left
        left = {parent for name in left for parent in parents[name]}
    assert {row["individual"] for row in rows if row["descent"]} == expected
    [best] = [row for row in rows if row["descent"] == "best"]
    assert best["individual"] == populations[-1]["best"]["name"]
    assert best["operator"] != CARRIED


def test_a_line_runs_through_the_generations_that_kept_an_individual():
    """By hand: a is kept by generation 1 and has b in generation 2, where b has the mutant c, the best."""
    a, z = ({"name": name, "operator": "initialisation", "parents": [], "fitness": 0.1} for name in "az")
    b = {"name": "b", "operator": "crossover", "parents": ["a", "z"], "fitness": 0.3}
    c = {"name": "c", "operator": "mutation", "parents": ["b"], "fitness": 0.4}
    rows = family_tree(
        [
            {"generation": 0, "members": [a, z], "created": [a, z], "best": a},
            {"generation": 1, "members": [a, z], "created": [], "best": a},
            {"generation": 2, "members": [a, c], "created": [b, c], "best": c},
            {"generation": 3, "members": [a, c], "created": [], "best": c},
        ]
    )
    parents = parents_of(rows)
    assert parents[2, "c"] == [(2, "b")]
    assert parents[2, "b"] == [(1, "a"), (1, "z")]
    assert parents[1, "a"] == [(0, "a")]
    assert parents[0, "a"] == []
    assert parents[3, "c"] == [(2, "c")]
    line = {(2, "c"), (2, "b"), (1, "a"), (1, "z"), (0, "a"), (0, "z")}
    assert descent((2, "c"), parents) == line
    assert {node(row) for row in rows if row["descent"]} == line
    assert [row["survived"] for row in rows if row["individual"] == "b"] == ["no"]


@pytest.mark.parametrize("method", METHODS)
def test_markers_do_not_overlap_and_all_are_drawn(run, method, drawn, tmp_path):
    rows = family_tree(run(method))
    draw_family_tree(rows, [tmp_path / "tree.svg"], "a run")
    axes = drawn[0].axes[0]
    dots = [tuple(map(float, offset)) for dots in axes.collections[3:] for offset in dots.get_offsets()]
    assert sorted(dots) == sorted(place(row) for row in rows)
    assert len({*dots}) == len(rows)
    edges = sum(len(collection.get_paths()) for collection in axes.collections[:3])
    assert edges == sum(len(row["parents"].split()) for row in rows)
    assert axes.get_title(loc="left") == "a run"


def test_a_run_from_the_experts_and_their_mutants_can_be_drawn(run, tmp_path):
    rows = family_tree(run("genome_plus", initialisation="experts"))
    assert {row["operator"] for row in rows if row["generation"] == 0} == {"expert", "mutation"}
    draw_family_tree(rows, [tmp_path / "tree.svg"])


def test_a_run_that_stopped_early_can_be_drawn(run, tmp_path):
    populations = run("genome", patience=1, generations=8)
    assert populations[-1]["created"] == []
    rows = family_tree(populations)
    assert {row["operator"] for row in rows if row["generation"] == 8} == {CARRIED}
    draw_family_tree(rows, [tmp_path / "tree.svg"])


def test_a_parent_stopped_by_a_race_is_left_out(tmp_path):
    a = {"name": "a", "operator": "initialisation", "parents": [], "fitness": 0.1}
    b = {"name": "b", "operator": "mutation", "parents": ["stopped"], "fitness": 0.3}
    rows = family_tree(
        [
            {"generation": 0, "members": [a], "created": [a], "best": a},
            {"generation": 1, "members": [b], "created": [b], "best": b},
        ]
    )
    assert parents_of(rows)[1, "b"] == []
    draw_family_tree(rows, [tmp_path / "tree.svg"])
