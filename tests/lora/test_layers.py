"""Groups of layers, by their names."""

from random import Random

import pytest

from builders import TARGETS, write_expert
from genome.lora.layers import layer_groups, layers_of, parts_of, union_of


def factors(*layers):
    return [f"{layer}.lora_{side}.weight" for layer in layers for side in "AB"]


LLAMA = [
    f"base_model.model.model.layers.{number}.{part}"
    for number in range(7)
    for part in ("self_attn.q_proj", "mlp.up_proj")
]
GPT2 = [
    f"base_model.model.transformer.h.{number}.{part}" for number in range(3) for part in ("attn.c_attn", "mlp.c_fc")
]


def test_layers_of_returns_each_layer_once_in_file_order():
    assert layers_of(factors(*LLAMA)) == LLAMA


def test_parts_of_returns_attention_or_mlp_and_a_third():
    parts = parts_of(LLAMA)
    assert parts[LLAMA[0]] == ["attention", "early"]
    assert parts[LLAMA[-1]] == ["mlp", "late"]
    assert [parts[layer][1] for layer in LLAMA[::2]] == ["early"] * 3 + ["middle"] * 2 + ["late"] * 2
    assert parts_of(["base_model.model.lm_head"]) == {"base_model.model.lm_head": []}


@pytest.mark.parametrize(
    ("layers", "groups"), [(LLAMA, 6), (GPT2, 6), (LLAMA[:4], 4), (LLAMA[::2], 3), (["lm_head"], 1)]
)
def test_number_of_layer_groups(layers, groups):
    found = layer_groups(factors(*layers))
    assert sorted(set(found.values())) == list(range(groups))
    for layer in layers:
        a, b = factors(layer)
        assert found[a] == found[b]


def test_layer_groups_do_not_depend_on_tensor_order():
    names = factors(*LLAMA)
    assert layer_groups(Random(0).sample(names, len(names))) == layer_groups(names)


def test_union_of_has_the_layers_of_all_experts_in_order(tmp_path):
    first, second = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"
    one = write_expert(tmp_path / "one", 1, missing=[first])
    two = write_expert(tmp_path / "two", 2, rank=2, missing=[second])
    assert [*union_of([one, two])] == [*layers_of(one.tensors), f"base_model.model.{first}"]
    assert [*union_of([two, one])] == [*layers_of(two.tensors), f"base_model.model.{second}"]
    for layer, size in union_of([one, two]).items():
        assert size == next(sizes for module, sizes in TARGETS.items() if layer.endswith(module))
