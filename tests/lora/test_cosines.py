"""Cosines of experts: against dense numpy, on shapes and in cases that matter."""

import csv
from itertools import combinations

import numpy as np
import pytest

from builders import write_expert
from genome.experts.peft import CONFIG, WEIGHTS, read_expert, write_provenance
from genome.experts.tensors import from_float32, header_bytes, open_tensors
from genome.files import write_json
from genome.lora.cosines import FACTORS, cosines, inner_products, write_cosines
from genome.lora.layers import modules

GROUPS = ("all", "attention", "mlp", "early", "middle", "late")


def dense(expert, chosen):
    """Return the three factors of an expert's layers as flat vectors, the updates formed in full."""
    tensors = open_tensors(expert.path / WEIGHTS)
    names = [name for name in modules(expert.tensors) if chosen(name)]
    pairs = [[tensors[f"{name}.lora_{side}.weight"].astype("f8") for side in "AB"] for name in names]
    flat = {"A": [a for a, _ in pairs], "B": [b for _, b in pairs], "BA": [b @ a for a, b in pairs]}
    return {factor: np.concatenate([values.ravel() for values in flat[factor]]) for factor in FACTORS}


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
def test_cosines_are_those_of_dense_vectors(make_experts, dtype):
    experts = make_experts(3, layers=3, dtype=dtype)
    table = {tuple(labels): cosine for *labels, cosine in cosines(experts)}
    assert len(table) == 3 * len(GROUPS) * len(FACTORS)
    for group, chosen in CHOSEN.items():
        flat = [dense(expert, chosen) for expert in experts]
        for one, other in combinations(range(3), 2):
            for factor in FACTORS:
                u, v = flat[one][factor], flat[other][factor]
                expected = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
                found = table[experts[one].name, experts[other].name, group, factor]
                assert found == pytest.approx(expected, abs=1e-12)


def test_groups_add_up(make_experts):
    groups = inner_products(make_experts(2, layers=5))
    for factor in FACTORS:
        for parts in (("attention", "mlp"), ("early", "middle", "late")):
            np.testing.assert_allclose(sum(groups[part][factor] for part in parts), groups["all"][factor])


def test_an_expert_is_itself_and_the_opposite_of_its_negative(tmp_path, make_experts):
    [expert] = make_experts(1)
    copies = {"same": (1, 1), "negative": (1, -1), "rescaled": (4, 0.25)}
    experts = [expert]
    for name, (a, b) in copies.items():
        tensors = open_tensors(expert.path / WEIGHTS)
        values = {key: tensors[key] * np.float32(a if "lora_A" in key else b) for key in tensors}
        experts.append(rewritten(tmp_path / name, expert, values))
    found = {(other, factor): cosine for one, other, group, factor, cosine in cosines(experts)
             if one == expert.name and group == "all"}  # fmt: skip
    for factor in FACTORS:
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


def test_what_was_never_trained_has_no_direction(tmp_path, make_experts):
    [expert] = make_experts(1)
    tensors = open_tensors(expert.path / WEIGHTS)
    fresh = {name: tensors[name] * np.float32("lora_A" in name) for name in tensors}
    experts = [expert, rewritten(tmp_path / "fresh", expert, fresh)]
    write_cosines(experts, tmp_path / "cosines.csv")
    with (tmp_path / "cosines.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["cosine"] for row in rows if row["factor"] == "A"} == {"1.000000"}
    assert {row["cosine"] for row in rows if row["factor"] != "A"} == {""}


def test_layers_without_a_number_or_a_known_part_count_in_all(tmp_path):
    expert = write_expert(tmp_path / "one", 1, layers=1)
    renamed = {name.replace("layers.0.self_attn", "head"): value for name, value in open_tensors(
        expert.path / WEIGHTS).items()}  # fmt: skip
    experts = [rewritten(tmp_path / name, expert, renamed) for name in ("two", "three")]
    assert [*inner_products(experts)] == ["all", "mlp", "early"]
