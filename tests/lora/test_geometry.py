"""Cosines of experts and norms of updates, compared with dense numpy."""

import csv
from itertools import combinations

import numpy as np
import pytest

from builders import update_of, write_expert
from genome.experts import expert as canonical
from genome.experts.expert import PREFIX
from genome.experts.tensors import open_tensors
from genome.genotype import PRODUCT, Genotype, Noise, mixture, shared
from genome.genotype import expert as only
from genome.lora.geometry import MATRICES, cosines, inner_products, update_norms, write_cosines
from genome.lora.layers import factor_names, layers_of
from genome.lora.materialise import materialise
from genome.lora.shared import write_basis

GROUPS = ("all", "attention", "mlp", "early", "middle", "late")
GENOTYPES = [
    only(0, 3),
    Genotype((0.2, -0.4, 1.3)),
    Genotype((0.5, 0.0, 0.5), (Noise(1, 0.2, 0.3), Noise(2, 1.0, -0.1))),
    Genotype((0.0, 0.0, 0.0)),
]


def dense(expert, chosen, layers=None, rank=None):
    """Return the three factors of an expert's layers as flat vectors, the updates formed in full.

    Factors are padded to `rank`; of `layers` that the expert lacks they are zero.
    """
    tensors = open_tensors(expert.path)
    flat = {factor: [] for factor in MATRICES}
    for layer, (outputs, inputs) in (layers or sizes(expert)).items():
        if not chosen(layer):
            continue
        height = rank or expert.rank
        a, b = np.zeros((height, inputs)), np.zeros((outputs, height))
        name_a, name_b = factor_names(layer)
        if name_a in tensors:
            a[: len(tensors[name_a])], b[:, : len(tensors[name_a])] = tensors[name_a], tensors[name_b]
        for factor, values in (("A", a), ("B", b), ("BA", b @ a)):
            flat[factor].append(values.ravel())
    return {factor: np.concatenate(values) for factor, values in flat.items()}


def sizes(*experts):
    """Return outputs and inputs of all layers of the experts."""
    return {
        layer: (each.tensors[factor_names(layer)[1]].shape[0], each.tensors[factor_names(layer)[0]].shape[1])
        for each in experts
        for layer in layers_of(each.tensors)
    }


def layer(number):
    return lambda name: f".layers.{number}." in name


CHOSEN = {
    "all": lambda name: True,
    "attention": lambda name: "self_attn" in name,
    "mlp": lambda name: "mlp" in name,
    "early": layer(0),
    "middle": layer(1),
    "late": layer(2),
}


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_cosines_equal_those_of_dense_vectors(make_experts, dtype):
    experts = make_experts(3, layers=3, dtype=dtype)
    table = {tuple(labels): cosine for *labels, cosine in cosines(experts)}
    assert len(table) == 3 * len(GROUPS) * len(MATRICES)
    for group, chosen in CHOSEN.items():
        flat = [dense(expert, chosen) for expert in experts]
        for one, other in combinations(range(3), 2):
            for factor in MATRICES:
                u, v = flat[one][factor], flat[other][factor]
                expected = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
                found = table[experts[one].name, experts[other].name, group, factor]
                assert found == pytest.approx(expected, abs=1e-12)


def test_inner_products_of_groups_sum_to_those_of_all_layers(make_experts):
    groups = inner_products(make_experts(2, layers=5))
    for factor in MATRICES:
        for parts in (("attention", "mlp"), ("early", "middle", "late")):
            np.testing.assert_allclose(sum(groups[part][factor] for part in parts), groups["all"][factor])


def test_cosines_of_copies_and_negatives_are_plus_and_minus_one(tmp_path, make_experts):
    [expert] = make_experts(1)
    copies = {"same": (1, 1), "negative": (1, -1), "rescaled": (4, 0.25)}
    experts = [expert]
    for name, (a, b) in copies.items():
        tensors = open_tensors(expert.path)
        values = {key: tensors[key] * np.float32(a if "lora_A" in key else b) for key in tensors}
        experts.append(rewritten(tmp_path / name, expert, values))
    found = {(other, factor): cosine for one, other, group, factor, cosine in cosines(experts)
             if one == expert.name and group == "all"}  # fmt: skip
    for factor in MATRICES:
        assert found["same", factor] == pytest.approx(1)
        assert found["rescaled", factor] == pytest.approx(1)
        assert found["negative", factor] == pytest.approx(1 if factor == "A" else -1)


def rewritten(path, expert, values):
    """Write an expert with other values, whose tensors may have other names too."""
    return canonical.write_expert(
        path.with_suffix(".safetensors"),
        path.name,
        {
            layer.removeprefix(PREFIX): tuple(values[name] for name in reversed(factor_names(layer)))
            for layer in layers_of(values)
        },
        alpha=8,
        dtype="F32",
        target_modules=expert.target_modules,
        base_model=expert.base_model,
        provenance={"kind": "LoRA", "source": "test"},
    )


def test_cosines_of_an_untrained_adapter_are_empty(tmp_path, make_experts):
    [expert] = make_experts(1)
    tensors = open_tensors(expert.path)
    fresh = {name: tensors[name] * np.float32("lora_A" in name) for name in tensors}
    experts = [expert, rewritten(tmp_path / "fresh", expert, fresh)]
    write_cosines(experts, tmp_path / "cosines.csv")
    with (tmp_path / "cosines.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["cosine"] for row in rows if row["factor"] == "A"} == {"1.000000"}
    assert {row["cosine"] for row in rows if row["factor"] != "A"} == {""}


def test_layers_of_unknown_number_or_part_count_in_all(tmp_path):
    expert = write_expert(tmp_path / "one", 1, layers=1)
    renamed = {name.replace("layers.0.self_attn", "head"): value for name, value in open_tensors(
        expert.path).items()}  # fmt: skip
    experts = [rewritten(tmp_path / name, expert, renamed) for name in ("two", "three")]
    assert [*inner_products(experts)] == ["all", "mlp", "early"]


def dense_norm(folder):
    """Return the norm of a written adapter's updates, formed in full."""
    return np.sqrt(sum(np.sum(update**2) for update in update_of(folder).values()))


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_update_norms_equal_those_of_written_adapters(make_experts, tmp_path, dtype):
    experts = make_experts(3, dtype=dtype)
    folders = [tmp_path / f"out{i}" for i in range(len(GENOTYPES))]
    materialise(GENOTYPES, experts, folders)
    assert experts[0].scale != 1
    expected = [dense_norm(folder) for folder in folders]
    np.testing.assert_allclose(update_norms(GENOTYPES, experts), expected, rtol=1e-5)
    assert expected[-1] == 0 < min(expected[:-1])


def test_update_norms_do_not_depend_on_other_genotypes(make_experts):
    experts = make_experts(3)
    assert update_norms(GENOTYPES, experts) == [norm for each in GENOTYPES for norm in update_norms([each], experts)]


def mixed(folder):
    """Return experts of three ranks and scalings, one of which lacks a layer."""
    missing = ["model.layers.1.mlp.down_proj"]
    return [
        write_expert(folder / "small", 1, rank=2, layers=3),
        write_expert(folder / "large", 2, rank=5, layers=3, missing=missing),
        write_expert(folder / "middle", 3, rank=3, layers=3, alpha=3),
    ]


def test_cosines_of_mixed_experts_equal_those_of_vectors_with_zeros(tmp_path):
    experts = mixed(tmp_path)
    table = {tuple(labels): cosine for *labels, cosine in cosines(experts)}
    for group, chosen in CHOSEN.items():
        flat = [dense(expert, chosen, sizes(*experts), 5) for expert in experts]
        for one, other in combinations(range(3), 2):
            for factor in MATRICES:
                u, v = flat[one][factor], flat[other][factor]
                expected = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
                found = table[experts[one].name, experts[other].name, group, factor]
                assert found == pytest.approx(expected, abs=1e-12)


def test_update_norms_of_mixed_experts_in_all_spaces_equal_those_of_written_adapters(tmp_path):
    experts, basis = mixed(tmp_path), tmp_path / "basis"
    write_basis(experts, 4, basis)
    genotypes = [mixture((0.5, -1.0, 2.0), space) for space in ("factors", PRODUCT, shared(4))]
    folders = [tmp_path / f"out{i}" for i in range(3)]
    materialise(genotypes, experts, folders, basis=basis)
    found = update_norms(genotypes, experts, basis)
    np.testing.assert_allclose(found, [dense_norm(folder) for folder in folders], rtol=1e-5)
    assert len({*found}) == 3
