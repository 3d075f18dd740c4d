"""Variants: every method is one, others change its settings, and all have a label."""

from dataclasses import replace

import pytest

from config.conftest import read
from genome.config.variants import read_variant
from genome.search.method import deciding
from genome.search.methods import METHODS
from genome.search.settings import Ensemble


def variant(changes, **more):
    return read({"variants": {"mine": changes}, **more}).variants["mine"]


def test_other_experts_need_a_method_with_a_seed(monkeypatch):
    changes = {"method": "lorahub", "experts": "random"}
    assert variant(changes).settings.experts == "random"
    monkeypatch.setitem(METHODS, "lorahub", replace(METHODS["lorahub"], seeded=False))
    _, problems = read_variant("mine", changes, {}, {})
    assert problems == [
        "config.variants.mine: lorahub has no seed, but other experts are made for each seed; leave `experts` out"
    ]


def test_every_method_is_a_variant_with_its_defaults_and_label():
    variants = read({}).variants
    for name, method in METHODS.items():
        assert (variants[name].method, variants[name].settings) == (method, method.settings())
        assert variants[name].label == method.label + (" (not in the paper)" if method.group == "beyond" else "")


def test_variant_has_its_changes_over_those_of_methods_over_the_defaults():
    methods = {"genome_plus": {"sigma": 0.5, "ensemble": {"k": 5}, "succession": {"step": 1}}}
    settings = variant({"method": "genome_plus", "ensemble": {"choose": "team"}}, methods=methods).settings
    assert settings.ensemble == Ensemble(5, "team")
    assert (settings.sigma, settings.succession.step, settings.succession.phi_self) == (0.5, 1, 0.95)
    assert variant({"method": "genome"}, methods=methods).settings == METHODS["genome"].settings()


def test_setting_that_is_false_is_replaced_by_a_mapping_completed_with_defaults():
    settings = variant({"method": "genome", "succession": {"phi_self": 1}}).settings
    assert settings.succession == type(settings.succession)(phi_self=1)


@pytest.mark.parametrize(("size", "team", "changes"), [(3, False, {}), (0, False, {"ensemble": False}),
                                                      (3, True, {"ensemble": {"choose": "team"}})])  # fmt: skip
def test_variant_has_the_ensemble_of_its_settings(size, team, changes):
    mine = variant({"method": "genome_plus", **changes})
    assert (mine.ensemble_size, mine.is_team) == (size, team)
    assert read({}).variants["dare_ties"].ensemble_size == 0


def test_numbers_in_settings_keep_their_type():
    assert repr(variant({"method": "genome", "crossover_rate": 0}).settings.crossover_rate) == "0"
    assert deciding(variant({"method": "cma_es", "bounds": [-2, 1.0]}).settings)["bounds"] == [-2, 1.0]


def test_label_is_the_config_s_or_the_method_s():
    config = read({"variants": {"mine": {"method": "genome"}, "genome": {"sigma": 1}}, "labels": {"cma_es": "C"}})
    assert [config.variants[name].label for name in ("mine", "genome", "cma_es")] == ["mine", "GENOME", "C"]
    assert config.label_of("genome_plus-product") == "GENOME+ on products (not in the paper)"


def test_variant_of_the_study_has_the_config_s_defaults():
    config = read({"methods": {"genome": {"sigma": 0.5}}})
    settings = config.variant("study-x", "genome", ensemble={"k": 3}, crossover_rate=0.1).settings
    assert (settings.sigma, settings.ensemble, settings.crossover_rate) == (0.5, Ensemble(3), 0.1)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([1], "whole numbers of at least 2"),
        ([5, 5], "rising numbers"),
        ([20, 10], "rising numbers"),
    ],
)
def test_looks_of_a_race_rise_from_at_least_two(refused, looks, expected):
    racing = {"looks": looks, "confidence": 0.9, "share": 1}
    line = f"racing.looks: expected {expected}, found {looks}"
    assert refused({"variants": {"mine": {"method": "genome", "racing": racing}}}) == [f"config.variants.mine.{line}"]
    assert refused({"methods": {"cma_es": {"racing": racing}}}) == [f"config.methods.cma_es.{line}"]


def test_bounds_of_cma_es_rise(refused):
    line = "config.methods.cma_es.bounds: expected rising numbers, found [1.5, -1.5]"
    assert refused({"methods": {"cma_es": {"bounds": [1.5, -1.5]}}}) == [line]
    assert read({"methods": {"cma_es": {"bounds": None}}}).variants["cma_es"].settings.bounds is None


@pytest.mark.parametrize("text", ["5000", 5000, 0.5, "5 thousand samples", "-1 tokens", "0.5 samples"])
def test_budgets_are_numbers_of_samples_or_tokens(refused, text):
    expected = "a whole number of samples or tokens, such as `5000 samples` or `2 M tokens` (k, M, G)"
    line = f"budget: expected {expected}, found '{text}'"
    assert refused({"variants": {"mine": {"method": "genome", "budget": text}}}) == [f"config.variants.mine.{line}"]
    assert refused({"methods": {"cma_es": {"budget": text}}}) == [f"config.methods.cma_es.{line}"]


def test_budgets_of_other_types_and_of_methods_of_one_job_are_refused(refused):
    [line] = refused({"methods": {"cma_es": {"budget": True}}})
    assert line.startswith("config.methods.cma_es.budget: expected text, or null, found true")
    [line] = refused({"methods": {"lorahub": {"budget": "5000 samples"}}})
    assert line.startswith("config.methods.lorahub: unknown key 'budget'")


def test_a_variant_with_a_budget_says_so():
    assert variant({"method": "genome", "budget": "2 M tokens"}).has_budget
    assert not variant({"method": "genome"}).has_budget
    assert not variant({"method": "lorahub"}).has_budget
