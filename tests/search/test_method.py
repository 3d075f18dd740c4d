"""Rows of methods, and settings as they are written into params and read from them."""

import json

import pytest

from builders import paper_settings
from genome.errors import GenomeError
from genome.search.method import deciding
from genome.search.methods import METHODS, read_method
from genome.search.methods.genome import GenomePlusSettings
from genome.search.operators import Succession
from genome.search.racing import STATE
from genome.search.settings import (
    InitialSettings,
    JointBasis,
    Nothing,
    Racing,
    Shared,
    named_space,
    read_initial,
    settled,
    space_name,
    space_of,
)


@pytest.mark.parametrize("name", METHODS)
def test_read_method_reads_defaults_from_params_of_deciding_settings(name):
    settings = METHODS[name].settings()
    params = {"method": name, "version": 3, "tasks": [], "stage": 1, "races": 2, **deciding(settings, reporting=True)}
    assert read_method(json.loads(json.dumps(params))) == (METHODS[name], settings)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("data_merge", "best_single")])
def test_defaults_of_settings_are_those_of_the_config(name):
    assert read_method(paper_settings(name)) == (METHODS[name], METHODS[name].settings())


def test_read_method_reads_nested_settings():
    changes = {"racing": {"looks": [25, 50], "confidence": 0.9, "share": 1}, "succession": {"step": 2}}
    _, settings = read_method({"method": "genome_plus", **changes, "crossover_rate": 0})
    looks = Racing(looks=(25, 50), confidence=0.9, share=1)
    assert settings == GenomePlusSettings(racing=looks, succession=Succession(step=2), crossover_rate=0)
    assert deciding(settings)["racing"] == changes["racing"]
    assert read_method({"method": "genome_plus", "succession": False})[1].succession is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crossover": 1}, "genome: unknown setting 'crossover'; did you mean crossover_rate?"),
        ({"zzz": 1}, "genome: unknown setting 'zzz'; expected one of objective, samples, "),
        ({"racing": {"looks": [1], "share": 1}}, "genome.racing: setting 'confidence' is missing"),
        ({"racing": {"look": [1]}}, "genome.racing: unknown setting 'look'; did you mean looks?"),
        ({"sigma": {"a": 1}}, "genome.sigma: expected a single value, found an object"),
    ],
)
def test_read_method_refuses_settings_that_the_method_does_not_have(changes, message):
    with pytest.raises(GenomeError) as error:
        read_method({"method": "genome", **changes})
    assert str(error.value).startswith(message)


def test_initial_settings_depend_on_mutation_only_if_experts_are_repeated():
    assert deciding(InitialSettings()) == {"initialisation": "pairs"}
    experts = InitialSettings(initialisation="experts")
    assert deciding(experts) == {"initialisation": "experts", "gene_mutation_rate": 0.2, "sigma": 0.001}
    products = InitialSettings(initialisation="experts", merge_space="product")
    expected = {"initialisation": "experts", "merge_space": "product", "gene_mutation_rate": 0.2}
    assert deciding(products) == expected | {"coefficient_sigma": 0.2}
    assert read_initial({"version": 3, "tasks": [], "stage": 1, **deciding(products)}) == products
    assert (experts.mutation_scale, products.mutation_scale) == (0.001, 0.2)


SHARED = Shared(JointBasis(64))


@pytest.mark.parametrize(
    ("space", "depends"),
    [
        (None, {"sigma": 0.001}),
        ("factors", {"merge_space": "factors", "sigma": 0.001}),
        ("product", {"merge_space": "product", "coefficient_sigma": 0.2}),
        (SHARED, {"merge_space": {"shared": {"rank": 64}}, "coefficient_sigma": 0.2}),
    ],
)
def test_results_depend_on_the_mutation_of_their_space(space, depends):
    """With null, either may be needed; the default of coefficients is left out, as in params of finished runs."""
    decided = deciding(GenomePlusSettings(merge_space=space))
    names = ("merge_space", "sigma", "coefficient_sigma")
    assert {name: decided[name] for name in names if name in decided} == depends
    changed = deciding(GenomePlusSettings(merge_space=space, sigma=0.5, coefficient_sigma=0.5))
    both = (
        {"sigma": 0.5, "coefficient_sigma": 0.5}
        if space is None
        else dict.fromkeys(set(depends) - {"merge_space"}, 0.5)
    )
    assert {name: changed[name] for name in names[1:] if name in changed} == both
    assert read_method({"method": "genome_plus", **json.loads(json.dumps(decided))})[1].merge_space == space


def test_settled_chooses_the_space_by_the_experts_where_none_is_given():
    for mixed, expected in ((False, "factors"), (True, "product")):
        assert space_of(settled(GenomePlusSettings(), mixed=mixed).merge_space) == expected
        assert settled(InitialSettings(), mixed=mixed).merge_space == expected
        for given in ("factors", "product", SHARED):
            assert settled(GenomePlusSettings(merge_space=given), mixed=mixed).merge_space == given
    assert settled(Nothing(), mixed=True) == Nothing()
    assert settled(GenomePlusSettings(), mixed=False).mutation.sigma == 0.001
    assert settled(GenomePlusSettings(), mixed=True).mutation.sigma == 0.2
    assert GenomePlusSettings(merge_space=SHARED).mutation.sigma == 0.2
    assert (space_of(SHARED), space_of(None)) == ("shared-64", "factors")


@pytest.mark.parametrize("space", [None, "factors", "product", SHARED])
def test_named_space_is_the_space_of_a_name(space):
    assert named_space(space_name(space)) == space


def test_methods_and_races_keep_different_parts_of_the_state():
    keys = [key for method in METHODS.values() for key in method.state] + [*STATE]
    expected = ["draws", "founder", "history", "improved", "personal_bests", "raced_as", "trials"]
    assert sorted(keys) == sorted(set(keys)) == expected


def test_settings_have_descriptions():
    for method in METHODS.values():
        for name, setting in method.settings.__dataclass_fields__.items():
            assert setting.metadata["description"].endswith("."), f"{method.name}.{name}"
