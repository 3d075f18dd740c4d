"""From genotypes to PEFT folders."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import write_expert
from genome.errors import GenomeError
from genome.experts.peft import WEIGHTS
from genome.experts.tensors import open_tensors
from genome.genotype import FACTORS, PRODUCT, Genotype, Noise, add_noise, combine, expert, mixture
from genome.lora.geometry import update_norms
from genome.lora.layers import layer_groups
from genome.lora.materialise import materialise, unit_noise
from genome.lora.store import store_genotypes


def weights(folder):
    return dict(open_tensors(folder / WEIGHTS))


@settings(max_examples=30)
@given(st.integers(0, 2**53 - 1), st.floats(0.01, 0.99), st.integers(1, 5000))
def test_unit_noise_covers_its_share_of_the_weights(seed, density, size):
    noise = unit_noise(seed, density, "layer", size)
    assert noise.shape == (size,)
    assert abs(np.count_nonzero(noise) - size * density) <= 6 * np.sqrt(size * density * (1 - density)) + 1


def test_unit_noise_is_standard_normal():
    noise = unit_noise(5, 0.3, "layer", 200_000)
    drawn = noise[noise != 0]
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    positions = np.flatnonzero(noise)
    assert abs(np.corrcoef(positions[:-1] % 7, np.diff(positions))[0, 1]) < 0.02


def test_unit_noise_depends_on_seed_and_tensor():
    base = unit_noise(1, 0.5, "a", 100)
    np.testing.assert_array_equal(base, unit_noise(1, 0.5, "a", 100))
    assert not np.array_equal(base, unit_noise(2, 0.5, "a", 100))
    assert not np.array_equal(base, unit_noise(1, 0.5, "b", 100))


def test_unit_noise_has_not_changed():
    """Numpy does not guarantee equal streams across versions: if this fails, stored runs cannot be rebuilt."""
    noise = unit_noise(42, 0.2, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 1000)
    digest = hashlib.sha256(noise.astype("<f4").tobytes()).hexdigest()
    assert digest == "48d4efa53100ed78bc3a4ad243ca30962c7f15832993f2d13294a329cf71432d"


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_materialise_copies_a_single_expert_bit_for_bit(make_experts, tmp_path, dtype):
    experts = make_experts(2, dtype=dtype)
    materialise([expert(1, 2)], experts, [tmp_path / "out"])
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (experts[1].path / WEIGHTS).read_bytes()


def test_materialise_sums_in_float32_and_casts_at_the_end(make_experts, tmp_path):
    experts = make_experts(3, dtype="BF16")
    genotype = add_noise(Genotype((0.5, -0.25, 1.5)), Noise(9, 0.5, 0.1))
    materialise([genotype], experts, [tmp_path / "out"])
    sources = [weights(e.path) for e in experts]
    for name, values in weights(tmp_path / "out").items():
        exact = sum(c * s[name].astype("f8") for c, s in zip(genotype.coefficients, sources, strict=True))
        exact += 0.1 * unit_noise(9, 0.5, name, exact.size).reshape(exact.shape)
        np.testing.assert_allclose(values, exact, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize(
    ("types", "stored"), [(("BF16", "F32"), "F32"), (("F16", "BF16"), "F32"), (("F16", "F16"), "F16")]
)
@pytest.mark.parametrize("space", ["factors", PRODUCT])
def test_materialise_writes_the_widest_type_of_the_experts(tmp_path, types, stored, space):
    experts = [write_expert(tmp_path / f"{kind}-{seed}", seed, dtype=kind) for seed, kind in enumerate(types)]
    materialise([mixture([1.0, 0.5], space), expert(0, 2)], experts, [tmp_path / "sum", tmp_path / "first"])
    assert {info.dtype for info in open_tensors(tmp_path / "sum" / WEIGHTS).tensors.values()} == {stored}
    first, second = (weights(each.path) for each in experts)
    for name, values in weights(tmp_path / "first").items():
        np.testing.assert_array_equal(values, first[name])
    if space != PRODUCT and stored == "F32":
        for name, values in weights(tmp_path / "sum").items():
            np.testing.assert_array_equal(values, first[name] + np.float32(0.5) * second[name])
    assert np.isfinite(update_norms([mixture([1.0, 0.5], space)], experts)).all()


@pytest.mark.parametrize("space", ["factors", PRODUCT])
def test_materialise_uses_the_coefficients_of_each_layer_group(make_experts, tmp_path, space):
    experts = make_experts(2, layers=3)
    groups = layer_groups(experts[0].tensors)
    pairs = [(0.1 + number, -0.2 * number) for number in range(max(groups.values()) + 1)]
    assert len(pairs) == 6
    grouped = mixture([value for pair in pairs for value in pair], space)
    materialise([grouped], experts, [tmp_path / "grouped"])
    materialise([mixture(pair, space) for pair in pairs], experts, [tmp_path / str(i) for i in range(6)])
    apart = [weights(tmp_path / str(i)) for i in range(6)]
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
    assert not list((tmp_path / "store").iterdir())
