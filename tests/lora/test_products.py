"""Mixtures of products: exact, equal to PEFT's `cat`, and compressed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from builders import expert_of, update_of, updates_of, write_expert
from genome.experts.tensors import open_tensors
from genome.files import read_json
from genome.genotype import PRODUCT, combine, expert, mixture
from genome.lora.materialise import CONFIG, WEIGHTS, materialise
from genome.lora.store import store_genotypes

COEFFICIENTS = (0.7, -1.2, 0.0, 0.4)


def norm(updates):
    return np.sqrt(sum(np.sum(values**2) for values in updates.values()))


def difference(first, second):
    return {module: first[module] - second[module] for module in first}


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    return [write_expert(folder / f"e{seed}", seed) for seed in range(4)]


values = st.floats(-4, 4, width=32)


@settings(max_examples=25, deadline=None)
@given(st.lists(values, min_size=4, max_size=4))
def test_product_mixture_equals_the_sum_of_the_products(experts, tmp_path_factory, coefficients):
    out = tmp_path_factory.mktemp("out") / "out"
    materialise([mixture(coefficients, PRODUCT)], experts, [out])
    sources = [updates_of(e) for e in experts]
    for module, written in update_of(out).items():
        exact = sum(c * source[module] for c, source in zip(coefficients, sources, strict=True))
        np.testing.assert_allclose(written, exact, rtol=1e-5, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(values, min_size=4, max_size=4), st.lists(values, min_size=4, max_size=4), values, values)
def test_product_updates_are_linear_in_the_coefficients(experts, tmp_path_factory, first, second, a, b):
    root = tmp_path_factory.mktemp("out")
    one, two = mixture(first, PRODUCT), mixture(second, PRODUCT)
    folders = [root / name for name in ("one", "two", "both")]
    materialise([one, two, combine([(a, one), (b, two)])], experts, folders)
    parts = [update_of(folder) for folder in folders]
    for module in parts[2]:
        np.testing.assert_allclose(parts[2][module], a * parts[0][module] + b * parts[1][module], rtol=1e-4, atol=1e-2)


def test_factor_mixture_has_cross_terms(experts, tmp_path):
    folders = [tmp_path / "factors", tmp_path / "product"]
    materialise([mixture(COEFFICIENTS), mixture(COEFFICIENTS, PRODUCT)], experts, folders)
    assert norm(difference(update_of(folders[0]), update_of(folders[1]))) > 0.1 * norm(update_of(folders[1]))


def test_products_stack_only_experts_with_a_coefficient(experts, tmp_path):
    materialise([mixture(COEFFICIENTS, PRODUCT)], experts, [tmp_path / "out"])
    config = read_json(tmp_path / "out" / CONFIG)
    assert (config["r"], config["lora_alpha"]) == (3 * experts[0].rank, 3 * experts[0].alpha)
    for name, tensor in load_file(tmp_path / "out" / WEIGHTS).items():
        assert tensor.shape[0 if "lora_A" in name else 1] == 12


def test_a_single_expert_is_unchanged_in_either_space(experts, tmp_path):
    """The same adapter, whether the expert is alone or one of a set."""
    [alone] = store_genotypes([expert(0, 1)], experts[1:2], tmp_path)
    for space in ("factors", PRODUCT):
        assert store_genotypes([expert(1, 4, space)], experts, tmp_path) == [alone]


def test_product_mixture_of_zeros_has_the_rank_of_one_expert(experts, tmp_path):
    materialise([mixture((0.0,) * 4, PRODUCT)], experts, [tmp_path / "out"])
    assert norm(update_of(tmp_path / "out")) == 0


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_product_coefficient_is_rounded_into_b_only(make_experts, tmp_path, dtype):
    experts = make_experts(2, dtype=dtype)
    materialise([mixture((0.3, 0.7), PRODUCT)], experts, [tmp_path / "out"])
    stacked, sources = open_tensors(tmp_path / "out" / WEIGHTS), [open_tensors(e.path) for e in experts]
    for name, values in stacked.items():
        if "lora_A" in name:
            np.testing.assert_array_equal(values, np.concatenate([source[name] for source in sources]))
    first, second = (updates_of(e) for e in experts)
    exact = {module: 0.3 * first[module] + 0.7 * second[module] for module in first}
    assert norm(difference(update_of(tmp_path / "out"), exact)) < 2**-8 * norm(exact)


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.name_or_path = "tiny"
        self.q_proj = torch.nn.Linear(6, 8, bias=False)
        self.down_proj = torch.nn.Linear(8, 6, bias=False)

    def forward(self, x):
        return self.down_proj(self.q_proj(x))


def test_product_mixture_equals_peft_cat(tmp_path):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    torch.manual_seed(7)
    names, weights = ["math", "law", "code"], [0.5, 1.25, -0.75]
    model = get_peft_model(Tiny(), config, adapter_name=names[0])
    for name in names[1:]:
        model.add_adapter(name, config)
    model.add_weighted_adapter(names, weights, "cat", combination_type="cat")
    model.save_pretrained(tmp_path, selected_adapters=[*names, "cat"], save_embedding_layers=False)
    experts = [expert_of(tmp_path / name, tmp_path / f"expert_{name}") for name in names]
    materialise([mixture(weights, PRODUCT)], experts, [tmp_path / "ours"])
    theirs, ours = update_of(tmp_path / "cat"), update_of(tmp_path / "ours")
    assert read_json(tmp_path / "cat" / CONFIG)["r"] == read_json(tmp_path / "ours" / CONFIG)["r"] == 9
    for module, values in theirs.items():
        np.testing.assert_allclose(ours[module], values, rtol=1e-5, atol=1e-6)
    # PEFT computes the same logits with our adapter and with its own.
    model.load_adapter(tmp_path / "ours", "ours")
    x = torch.randn(5, 6)
    outputs = []
    for name in ("cat", "ours"):
        model.set_adapter(name)
        outputs.append(model(x).detach().numpy())
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-4, atol=1e-6)
