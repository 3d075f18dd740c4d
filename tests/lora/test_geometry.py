"""Cosines of experts and norms of updates, compared with dense numpy."""

import csv
from itertools import combinations

import numpy as np
import pytest

from builders import write_expert
from genome.experts.peft import CONFIG, WEIGHTS, read_expert, write_provenance
from genome.experts.tensors import from_float32, header_bytes, open_tensors
from genome.files import write_json
from genome.genotype import Genotype, Noise
from genome.genotype import expert as only
from genome.lora.geometry import MATRICES, cosines, inner_products, update_norms, write_cosines
from genome.lora.layers import layers_of
from genome.lora.materialise import materialise

GROUPS = ("all", "attention", "mlp", "early", "middle", "late")
GENOTYPES = [
    only(0, 3),
    Genotype((0.2, -0.4, 1.3)),
    Genotype((0.5, 0.0, 0.5), (Noise(1, 0.2, 0.3), Noise(2, 1.0, -0.1))),
    Genotype((0.0, 0.0, 0.0)),
]


def dense(expert, chosen):
    """Return the three factors of an expert's layers as flat vectors, the updates formed in full."""
    tensors = open_tensors(expert.path / WEIGHTS)
    names = [name for name in layers_of(expert.tensors) if chosen(name)]
    pairs = [[tensors[f"{name}.lora_{side}.weight"].astype("f8") for side in "AB"] for name in names]
    flat = {"A": [a for a, _ in pairs], "B": [b for _, b in pairs], "BA": [b @ a for a, b in pairs]}
    return {factor: np.concatenate([values.ravel() for values in flat[factor]]) for factor in MATRICES}


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
        tensors = open_tensors(expert.path / WEIGHTS)
        values = {key: tensors[key] * np.float32(a if "lora_A" in key else b) for key in tensors}
        experts.append(rewritten(tmp_path / name, expert, values))
    found = {(other, factor): cosine for one, other, group, factor, cosine in cosines(experts)
             if one == expert.name and group == "all"}  # fmt: skip
    for factor in MATRICES:
        assert found["same", factor] == pytest.approx(1)
        assert found["rescaled", factor] == pytest.approx(1)
        assert found["negative", factor] == pytest.approx(1 if factor == "A" else -1)


def rewritten(folder, expert, values):
    folder.mkdir()
    write_json(folder / CONFIG, {"peft_type": "LORA", "base_model_name_or_path": expert.base_model, "r": expert.rank,
                                 "lora_alpha": 8, "target_modules": list(expert.target_modules)})  # fmt: skip
    header = header_bytes(dict.fromkeys(values, "F32"), {name: value.shape for name, value in values.items()})
    (folder / WEIGHTS).write_bytes(header + b"".join(from_float32(value, "F32").tobytes() for value in values.values()))
    write_provenance(folder, folder.name, "test")
    return read_expert(folder)


def test_cosines_of_an_untrained_adapter_are_empty(tmp_path, make_experts):
    [expert] = make_experts(1)
    tensors = open_tensors(expert.path / WEIGHTS)
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
        expert.path / WEIGHTS).items()}  # fmt: skip
    experts = [rewritten(tmp_path / name, expert, renamed) for name in ("two", "three")]
    assert [*inner_products(experts)] == ["all", "mlp", "early"]


def dense_norm(folder, layers, scale):
    """Return the norm of a written adapter's updates, formed in full."""
    tensors = open_tensors(folder / WEIGHTS)
    pairs = [[tensors[f"{layer}.lora_{side}.weight"].astype("f8") for side in "BA"] for layer in layers]
    return np.sqrt(sum(np.linalg.norm(scale * b @ a) ** 2 for b, a in pairs))


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_update_norms_equal_those_of_written_adapters(make_experts, tmp_path, dtype):
    experts = make_experts(3, dtype=dtype)
    folders = [tmp_path / f"out{i}" for i in range(len(GENOTYPES))]
    materialise(GENOTYPES, experts, folders)
    scale = experts[0].alpha / experts[0].rank
    assert scale != 1
    expected = [dense_norm(folder, layers_of(experts[0].tensors), scale) for folder in folders]
    np.testing.assert_allclose(update_norms(GENOTYPES, experts), expected, rtol=1e-5)
    assert expected[-1] == 0 < min(expected[:-1])


def test_update_norms_do_not_depend_on_other_genotypes(make_experts):
    experts = make_experts(3)
    assert update_norms(GENOTYPES, experts) == [norm for each in GENOTYPES for norm in update_norms([each], experts)]
