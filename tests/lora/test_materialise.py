"""From genotypes to PEFT folders."""

import hashlib
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import TARGET_NAMES, TARGETS, update_of, updates_of, write_adapter, write_expert
from genome.errors import GenomeError
from genome.experts.expert import PREFIX
from genome.experts.tensors import open_tensors
from genome.files import read_json, sha256
from genome.genotype import FACTORS, PRODUCT, Genotype, Noise, add_noise, combine, expert, mixture, shared
from genome.lora import processes
from genome.lora.geometry import update_norms
from genome.lora.layers import factor_names, layer_groups, layers_of
from genome.lora.materialise import CONFIG, WEIGHTS, materialise
from genome.lora.noise import unit_noise
from genome.lora.shared import write_basis
from genome.lora.store import store_genotypes

LAYERS = [f"model.layers.{layer}.{module}" for layer in range(3) for module in TARGETS]
"""The layers of an expert of three layers."""


def weights(folder):
    return dict(open_tensors(folder / WEIGHTS))


def unscaled(expert):
    """Return an expert's tensors as in the adapter that it was."""
    return {
        name: values / np.float32(1 if "lora_A" in name else expert.scale)
        for name, values in open_tensors(expert.path).items()
    }


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_materialise_copies_a_single_expert_bit_for_bit(make_experts, tmp_path, dtype):
    experts = make_experts(2, dtype=dtype)
    materialise([expert(1, 2)], experts, [tmp_path / "out"])
    adapter = write_adapter(tmp_path / "adapter", 1, dtype=dtype)
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (adapter / WEIGHTS).read_bytes()


PINNED = {
    ("F32", 4, 8): "0052b691a81cf34a",
    ("BF16", 4, 8): "4d865e7642fe2a2a",
    ("F16", 4, 8): "518b67d9b3cbddbd",
    ("F32", 8, 4): "72aff7aa305887da",
    ("BF16", 6, 16): "ef594dad2c175f2f",
}
"""Digests of the weights that release 0.2 wrote from adapters of these types, ranks and alphas."""


@pytest.mark.parametrize("kind", PINNED, ids=str)
def test_mixtures_of_one_rank_and_scaling_have_the_weights_of_earlier_releases(make_experts, tmp_path, kind):
    """Runs of earlier releases can be continued, and their adapters rebuilt."""
    dtype, rank, alpha = kind
    experts = make_experts(3, layers=3, dtype=dtype, rank=rank, alpha=alpha)
    grouped = [i / 7 - 0.5 for i in range(18)]
    genotypes = [
        expert(1, 3),
        Genotype((0.2, -0.4, 1.3)),
        Genotype((0.5, 0.0, 0.5), (Noise(1, 0.2, 0.3), Noise(2, 1.0, -0.1))),
        Genotype((0.0, 0.0, 0.0)),
        *(mixture(coefficients, PRODUCT) for coefficients in ((0.7, 0.0, -1.2), (0.7, 0.1, -1.2), (0.0, 0.0, 0.0))),
        Genotype(tuple(grouped), (Noise(5, 0.25, 0.2),)),
        mixture(grouped, PRODUCT),
    ]
    folders = [tmp_path / f"out{number}" for number in range(len(genotypes))]
    materialise(genotypes, experts, folders)
    digests = "".join(sha256(folder / WEIGHTS)[:16] for folder in folders)
    assert hashlib.sha256(digests.encode()).hexdigest()[:16] == PINNED[kind]


def test_materialise_sums_in_float32_and_casts_at_the_end(make_experts, tmp_path):
    experts = make_experts(3, dtype="BF16")
    genotype = add_noise(Genotype((0.5, -0.25, 1.5)), Noise(9, 0.5, 0.1))
    materialise([genotype], experts, [tmp_path / "out"])
    sources = [unscaled(each) for each in experts]
    for name, values in weights(tmp_path / "out").items():
        exact = sum(c * s[name].astype("f8") for c, s in zip(genotype.coefficients, sources, strict=True))
        exact += 0.1 * unit_noise(9, 0.5, name, exact.size).reshape(exact.shape)
        np.testing.assert_allclose(values, exact, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize(
    ("types", "stored"), [(("BF16", "F32"), "F32"), (("F16", "BF16"), "F32"), (("F16", "F16"), "F16")]
)
@pytest.mark.parametrize("space", [FACTORS, PRODUCT])
def test_materialise_writes_the_widest_type_of_the_experts(tmp_path, types, stored, space):
    experts = [write_expert(tmp_path / f"{kind}-{seed}", seed, dtype=kind) for seed, kind in enumerate(types)]
    materialise([mixture([1.0, 0.5], space), expert(0, 2)], experts, [tmp_path / "sum", tmp_path / "first"])
    assert {info.dtype for info in open_tensors(tmp_path / "sum" / WEIGHTS).tensors.values()} == {stored}
    first, second = (unscaled(each) for each in experts)
    for name, values in weights(tmp_path / "first").items():
        np.testing.assert_array_equal(values, first[name])
    if space != PRODUCT and stored == "F32":
        for name, values in weights(tmp_path / "sum").items():
            np.testing.assert_array_equal(values, first[name] + np.float32(0.5) * second[name])
    assert np.isfinite(update_norms([mixture([1.0, 0.5], space)], experts)).all()


@st.composite
def sets(draw):
    """Return (rank, alpha, missing layers) of two to four experts: mixed, or of one rank, scaling or both."""
    count = draw(st.integers(2, 4))
    ranks = draw(st.one_of(st.lists(st.integers(1, 6), min_size=count, max_size=count), st.just([3] * count)))
    scales = draw(
        st.one_of(st.lists(st.sampled_from([0.25, 1, 8 / 3, 2]), min_size=count, max_size=count), st.just([2] * count))
    )
    present = [draw(st.sets(st.sampled_from(LAYERS), min_size=1)) for _ in range(count)]
    return [
        (rank, rank * scale, [layer for layer in LAYERS if layer not in kept])
        for rank, scale, kept in zip(ranks, scales, present, strict=True)
    ]


coefficients = st.floats(-2, 2, width=32).filter(lambda value: value == 0 or abs(value) > 1e-30)
"""A weight times a smaller one may be below 1e-38, where float32 has fewer than seven digits."""


def write_set(folder, members):
    return [
        write_expert(folder / f"e{seed}", seed, rank=rank, alpha=alpha, missing=missing, layers=3)
        for seed, (rank, alpha, missing) in enumerate(members)
    ]


def grouped(experts, data):
    """Return coefficients for each group of layers, or for all, and those of each layer."""
    layers = list(dict.fromkeys(layer for each in experts for layer in layers_of(each.tensors)))
    groups = layer_groups(name for layer in layers for name in factor_names(layer))
    count = (max(groups.values()) + 1) if data.draw(st.booleans()) else 1
    n = len(experts)
    values = data.draw(st.lists(coefficients, min_size=n * count, max_size=n * count))
    of_layers = {layer: groups[factor_names(layer)[0]] * n % len(values) for layer in layers}
    return values, {layer: values[first : first + n] for layer, first in of_layers.items()}


@settings(max_examples=30, deadline=None)
@given(sets(), st.data())
def test_products_are_the_sum_of_the_updates_for_any_ranks_scalings_and_layers(tmp_path_factory, members, data):
    root = tmp_path_factory.mktemp("products")
    experts = write_set(root, members)
    values, of_layers = grouped(experts, data)
    updates = [updates_of(each) for each in experts]
    expected = {
        layer: sum(
            (c * each.get(layer, 0.0) for c, each in zip(mixed, updates, strict=True)),
            np.zeros(next(each[layer].shape for each in updates if layer in each)),
        )
        for layer, mixed in of_layers.items()
    }
    materialise([mixture(values, PRODUCT)], experts, [root / "out"])
    found, config = update_of(root / "out"), read_json(root / "out" / CONFIG)
    used = [each for k, each in enumerate(experts) if any(values[k :: len(experts)])] or experts[:1]
    assert config["r"] == sum(each.rank for each in used)
    # Opposite updates may cancel, so rounding is relative to what is added up.
    scale = sum(max(map(abs, values)) * np.sqrt(sum(np.sum(u**2) for u in each.values())) for each in updates)
    for layer, exact in expected.items():
        assert np.linalg.norm(found[layer] - exact) <= 1e-5 * max(np.linalg.norm(exact), 3e-2 * scale)
    assert found.keys() == expected.keys()


@settings(max_examples=30, deadline=None)
@given(sets(), st.data())
def test_factors_are_summed_with_zeros_for_any_ranks_scalings_and_layers(tmp_path_factory, members, data):
    root = tmp_path_factory.mktemp("factors")
    experts = write_set(root, members)
    values, of_layers = grouped(experts, data)
    rank, n = max(each.rank for each in experts), len(experts)
    scale = experts[0].scale if len({each.scale for each in experts}) == 1 else 1.0
    materialise([mixture(values)], experts, [root / "out"])
    written, config = weights(root / "out"), read_json(root / "out" / CONFIG)
    assert (config["r"], config["lora_alpha"]) == (rank, pytest.approx(scale * rank))
    opened = [open_tensors(each.path) for each in experts]
    assert layers_of(written) == [*of_layers]
    for layer, mixed in of_layers.items():
        for name in factor_names(layer):
            total = np.zeros(written[name].shape)
            for k in range(n):
                if name in opened[k]:
                    tensor = opened[k][name].astype("f8") / (scale if "lora_B" in name else 1)
                    total[: tensor.shape[0], : tensor.shape[1]] += mixed[k] * tensor
            assert rank in total.shape
            np.testing.assert_allclose(written[name], total, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("space", [FACTORS, PRODUCT, shared(5)])
def test_materialise_uses_the_coefficients_of_each_layer_group(make_experts, tmp_path, space):
    experts = make_experts(2, layers=3)
    write_basis(experts, 5, tmp_path / "basis")
    groups = layer_groups(experts[0].tensors)
    pairs = [(0.1 + number, -0.2 * number) for number in range(max(groups.values()) + 1)]
    assert len(pairs) == 6
    together = mixture([value for pair in pairs for value in pair], space)
    materialise([together], experts, [tmp_path / "grouped"], basis=tmp_path / "basis")
    folders = [tmp_path / str(i) for i in range(6)]
    materialise([mixture(pair, space) for pair in pairs], experts, folders, basis=tmp_path / "basis")
    apart = [weights(folder) for folder in folders]
    for name, values in weights(tmp_path / "grouped").items():
        expected = apart[groups[name]][name]
        if space == PRODUCT and pairs[groups[name]][1] == 0:
            # An expert that only other layers use is still stacked here, times zero.
            rank = experts[0].rank
            values = values[:rank] if "lora_A" in name else values[:, :rank]
        np.testing.assert_array_equal(values, expected)


def test_materialise_gives_equal_groups_the_id_of_one_mixture(make_experts, tmp_path):
    experts = make_experts(2)
    noise = Noise(3, 0.5, 0.1)
    one, grouped = Genotype((0.3, 0.6), (noise,)), Genotype((0.3, 0.6) * 4, (noise,))
    assert len(set(materialise([one, grouped], experts, [tmp_path / "one", tmp_path / "grouped"]))) == 1


def test_materialise_gives_the_same_bytes_alone_and_in_a_batch(make_experts, tmp_path):
    experts = make_experts(3)
    shared, own = Noise(1, 0.2, 0.5), Noise(2, 1.0, 0.3)
    one = add_noise(add_noise(Genotype((0.2, 0.3, 0.5)), shared), own)
    two = add_noise(Genotype((1.0, 0.0, -1.0)), shared)
    together = materialise([one, two], experts, [tmp_path / "a", tmp_path / "b"])
    apart = [materialise([g], experts, [tmp_path / n])[0] for g, n in ((one, "c"), (two, "d"))]
    assert together == apart
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "c" / WEIGHTS).read_bytes()


@pytest.mark.skipif(
    processes.PROCESSES == 1, reason="processes are forked on Linux only, and on two processors or more"
)
def test_materialise_gives_the_same_bytes_in_one_process_and_in_several(make_experts, tmp_path, monkeypatch):
    experts = make_experts(3)
    members = [add_noise(Genotype((0.2, 0.3, 0.5)), Noise(i, 0.2, 0.5)) for i in range(4)]
    alone = materialise(members, experts, [tmp_path / f"alone{i}" for i in range(4)])
    monkeypatch.setattr("genome.lora.materialise.LARGE", 0)
    assert materialise(members, experts, [tmp_path / f"several{i}" for i in range(4)]) == alone


@settings(max_examples=20, deadline=None)
@given(a=st.floats(-2, 2), b=st.floats(-2, 2))
def test_materialise_is_linear(tmp_path_factory, a, b):
    root = tmp_path_factory.mktemp("linear")
    experts = [write_expert(root / f"e{i}", i) for i in range(2)]
    first = add_noise(Genotype((0.4, 0.6)), Noise(1, 0.5, 0.2))
    second = add_noise(Genotype((-0.5, 1.0)), Noise(2, 0.5, 0.2))
    outs = [root / name for name in ("first", "second", "both")]
    materialise([first, second, combine([(a, first), (b, second)])], experts, outs)
    one, two, both = map(weights, outs)
    for name in both:
        np.testing.assert_allclose(both[name], a * one[name] + b * two[name], atol=2e-5)


def test_config_names_rank_alpha_and_layers(tmp_path):
    """The experts' own names of modules if they have the same, otherwise those of the layers."""
    missing = [layer for layer in LAYERS if layer.endswith("down_proj")]
    one, two = write_expert(tmp_path / "one", 1, rank=4), write_expert(tmp_path / "two", 2, rank=2, missing=missing)
    materialise([mixture([0.5, 0.5], PRODUCT)], [one, two], [tmp_path / "same"])
    assert read_json(tmp_path / "same" / CONFIG) == {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny",
        "r": 6,
        "lora_alpha": 6,
        "target_modules": TARGET_NAMES,
        "bias": "none",
    }
    other = replace(two, target_modules=("q_proj",))
    materialise([mixture([0.5, 0.5], PRODUCT)], [one, other], [tmp_path / "other"])
    layers = sorted(layer.removeprefix(PREFIX) for layer in layers_of(one.tensors))
    assert read_json(tmp_path / "other" / CONFIG)["target_modules"] == layers
    # A pattern does not name a layer.
    patterns = [replace(each, target_modules=(r".*\\.(q|down)_proj",)) for each in (one, two)]
    materialise([mixture([0.5, 0.5], PRODUCT)], patterns, [tmp_path / "patterns"])
    assert read_json(tmp_path / "patterns" / CONFIG)["target_modules"] == layers


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = torch.nn.Linear(8, 12, bias=False)


class Mlp(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.down_proj = torch.nn.Linear(20, 8, bias=False)


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn, self.mlp = Attention(), Mlp()

    def forward(self, x):
        return x + self.mlp.down_proj(torch.nn.functional.pad(self.self_attn.q_proj(x), (0, 8)))


class Tiny(torch.nn.Module):
    """The made-up base of the builders."""

    def __init__(self):
        super().__init__()
        self.model = torch.nn.Module()
        self.model.layers = torch.nn.ModuleList(Layer() for _ in range(3))

    def forward(self, x):
        for layer in self.model.layers:
            x = layer(x)
        return x

    def prepare_inputs_for_generation(self):
        """PEFT asks a causal language model for it."""


@pytest.mark.parametrize("space", [FACTORS, PRODUCT, shared(5)])
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_peft_merges_mixtures_of_mixed_experts_into_their_layers(tmp_path, dtype, space):
    """What PEFT adds to the weights of a model is the update that was written."""
    from peft import PeftModel

    first = [LAYERS[0], LAYERS[3]]
    experts = [
        write_expert(tmp_path / "a", 1, rank=4, dtype=dtype, layers=3, missing=first),
        write_expert(tmp_path / "b", 2, rank=2, dtype=dtype, layers=3, alpha=1),
        write_expert(tmp_path / "c", 3, rank=3, dtype=dtype, layers=2),
    ]
    experts = [replace(each, target_modules=(f"only_{each.name}",)) for each in experts]
    write_basis(experts, 5, tmp_path / "basis")
    materialise([mixture((0.5, -1.0, 0.25), space)], experts, [tmp_path / "out"], basis=tmp_path / "basis")
    base = Tiny()
    before = {name: values.detach().clone().numpy() for name, values in base.named_parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PEFT warns of keys that are missing or unexpected
        merged = PeftModel.from_pretrained(base, tmp_path / "out").merge_and_unload()
    after = {name: values.detach().numpy() for name, values in merged.named_parameters()}
    for layer, update in update_of(tmp_path / "out").items():
        name = f"{layer.removeprefix(PREFIX)}.weight"
        np.testing.assert_allclose(after[name] - before.pop(name), update, rtol=1e-4, atol=1e-4)
    assert not before, "all layers of the made-up base are in the union of the experts"


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_peft_loads_materialised_adapters(make_experts, tmp_path, dtype):
    from peft import LoraConfig, PeftConfig
    from safetensors.torch import load_file

    experts = make_experts(2, dtype=dtype)
    materialise([Genotype((0.5, 0.5))], experts, [tmp_path / "out"])
    assert isinstance(PeftConfig.from_pretrained(tmp_path / "out"), LoraConfig)
    loaded = load_file(tmp_path / "out" / WEIGHTS)
    assert {name: tuple(tensor.shape) for name, tensor in loaded.items()} == {
        name: info.shape for name, info in experts[0].tensors.items()
    }


@pytest.mark.parametrize(("dtype", "coefficient"), [("F32", 1e39), ("F16", 1e6), ("BF16", 1e39), ("F32", float("nan"))])
@pytest.mark.parametrize("space", [FACTORS, PRODUCT])
def test_materialise_refuses_weights_that_are_not_finite(make_experts, tmp_path, dtype, coefficient, space):
    experts = make_experts(2, dtype=dtype)
    genotypes = [Genotype((0.5, 0.5), space=space), Genotype((coefficient, 0.5), space=space)]
    with pytest.raises(
        GenomeError, match=rf"^g01-b: tensor \S+\.lora_[AB]\.weight is not finite as {dtype}; its coeff"
    ):
        store_genotypes(genotypes, experts, tmp_path / "store", ["g01-a", "g01-b"])
    assert not list((tmp_path / "store").glob("[!.]*"))
