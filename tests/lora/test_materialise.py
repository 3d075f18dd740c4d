"""From genotypes to PEFT folders."""

import fcntl
import hashlib
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import write_expert
from fuzz.runner import REFUSED, run
from genome.errors import GenomeError
from genome.experts.tensors import open_tensors
from genome.genotype import FACTORS, PRODUCT, Genotype, Noise, add_noise, combine, expert, mixture
from genome.lora.layers import layer_groups
from genome.lora.materialise import WEIGHTS, link_adapter, materialise, store_expert, store_genotypes, unit_noise
from genome.lora.norms import update_norms


def weights(folder):
    return dict(open_tensors(folder / WEIGHTS))


@settings(max_examples=30)
@given(st.integers(0, 2**53 - 1), st.floats(0.01, 0.99), st.integers(1, 5000))
def test_noise_falls_on_its_share_of_the_weights(seed, density, size):
    noise = unit_noise(seed, density, "layer", size)
    assert noise.shape == (size,)
    assert abs(np.count_nonzero(noise) - size * density) <= 6 * np.sqrt(size * density * (1 - density)) + 1


def test_noise_is_standard_normal_where_it_falls():
    noise = unit_noise(5, 0.3, "layer", 200_000)
    drawn = noise[noise != 0]
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    positions = np.flatnonzero(noise)
    assert abs(np.corrcoef(positions[:-1] % 7, np.diff(positions))[0, 1]) < 0.02


def test_noise_is_addressed_by_seed_and_tensor():
    base = unit_noise(1, 0.5, "a", 100)
    np.testing.assert_array_equal(base, unit_noise(1, 0.5, "a", 100))
    assert not np.array_equal(base, unit_noise(2, 0.5, "a", 100))
    assert not np.array_equal(base, unit_noise(1, 0.5, "b", 100))


def test_noise_is_the_stream_that_stored_runs_were_made_with():
    """Numpy does not promise streams across versions: a change here means that old runs no longer rebuild."""
    noise = unit_noise(42, 0.2, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 1000)
    digest = hashlib.sha256(noise.astype("<f4").tobytes()).hexdigest()
    assert digest == "48d4efa53100ed78bc3a4ad243ca30962c7f15832993f2d13294a329cf71432d"


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_an_expert_is_itself_bit_for_bit(make_experts, tmp_path, dtype):
    experts = make_experts(2, dtype=dtype)
    materialise([expert(1, 2)], experts, [tmp_path / "out"])
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (experts[1].path / WEIGHTS).read_bytes()


def test_the_sum_is_taken_in_float32_and_cast_at_the_end(make_experts, tmp_path):
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
def test_experts_of_several_types_give_the_widest(tmp_path, types, stored, space):
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
def test_each_group_of_layers_has_the_coefficients_of_its_own(make_experts, tmp_path, space):
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
            # An expert that other layers hold has its place, times zero, in those that do not.
            rank = experts[0].rank
            values = values[:rank] if "lora_A" in name else values[:, :rank]
        np.testing.assert_array_equal(values, expected)


def test_equal_groups_are_none(make_experts, tmp_path):
    experts = make_experts(2)
    noise = Noise(3, 0.5, 0.1)
    one, grouped = Genotype((0.3, 0.6), (noise,)), Genotype((0.3, 0.6) * 4, (noise,))
    assert len(set(materialise([one, grouped], experts, [tmp_path / "one", tmp_path / "grouped"]))) == 1


def test_members_do_not_depend_on_who_is_made_beside_them(make_experts, tmp_path):
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
def test_materialising_is_linear(tmp_path_factory, a, b):
    root = tmp_path_factory.mktemp("linear")
    experts = [write_expert(root / f"e{i}", i) for i in range(2)]
    first = add_noise(Genotype((0.4, 0.6)), Noise(1, 0.5, 0.2))
    second = add_noise(Genotype((-0.5, 1.0)), Noise(2, 0.5, 0.2))
    outs = [root / name for name in ("first", "second", "both")]
    materialise([first, second, combine([(a, first), (b, second)])], experts, outs)
    one, two, both = map(weights, outs)
    for name in both:
        np.testing.assert_allclose(both[name], a * one[name] + b * two[name], atol=2e-5)


def test_the_store_is_addressed_by_content(make_experts, tmp_path):
    experts = make_experts(2)
    store = tmp_path / "store"
    first = store_genotypes([expert(0, 2), Genotype((0.5, 0.5))], experts, store)
    again = store_genotypes([Genotype((0.5, 0.5))], experts, store)
    assert again == first[1:]
    assert store_expert(experts[0], store) == first[0]
    assert sorted(path.name for path in store.iterdir()) == sorted(path.name for path in first)


def test_the_same_content_may_be_published_by_many_at_once(make_experts, tmp_path):
    experts = make_experts(2)
    store = tmp_path / "store"
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: store_genotypes([Genotype((0.5, 0.5))], experts, store), range(24)))
    assert len({path for [path] in results}) == 1
    assert len(list(store.iterdir())) == 1


def test_adapters_that_nobody_uses_any_more_leave_the_store(make_experts, tmp_path):
    experts = make_experts(2)
    old, locked, asked, kept = (Genotype((share, 1 - share)) for share in (0.1, 0.2, 0.3, 0.4))
    folders = store_genotypes([old, locked, asked], experts, tmp_path / "store")
    for folder in folders:
        os.utime(folder, (0, 0))
    lock = os.open(folders[1], os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)  # as a job holds it that uses the adapter
    os.utime(folders[2])
    store_genotypes([kept], experts, tmp_path / "store")
    assert [folder.exists() for folder in folders] == [False, True, True]
    os.close(lock)
    assert store_genotypes([locked], experts, tmp_path / "store") == folders[1:2]  # asked for again, whether it stayed
    assert (folders[1] / WEIGHTS).is_file()
    assert not list((tmp_path / "store").glob(".*"))


def test_a_full_disk_is_one_line_about_the_store(make_experts, tmp_path):
    experts, store = make_experts(2), tmp_path / "store"

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
        store_genotypes([expert(0, 2)], experts, store)

    outcome = run(limited, tmp_path)
    assert outcome.kind == REFUSED
    assert outcome.text.startswith(f"cannot write {store}: File too large; ")
    assert not list(store.iterdir())
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(GenomeError, match=f"^cannot write {place}: "):
            store_expert(experts[0], place)


def test_links_share_the_bytes(make_experts, tmp_path):
    [one, _] = make_experts(2)
    link_adapter(one.path, tmp_path / "linked")
    assert (tmp_path / "linked" / WEIGHTS).samefile(one.path / WEIGHTS)


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_peft_loads_what_is_written(make_experts, tmp_path, dtype):
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
def test_weights_that_are_not_finite_are_refused_by_member_and_tensor(
    make_experts, tmp_path, dtype, coefficient, space
):
    experts = make_experts(2, dtype=dtype)
    genotypes = [Genotype((0.5, 0.5), space=space), Genotype((coefficient, 0.5), space=space)]
    with pytest.raises(
        GenomeError, match=rf"^g01-b: tensor \S+\.lora_[AB]\.weight is not finite as {dtype}; its coeff"
    ):
        store_genotypes(genotypes, experts, tmp_path / "store", ["g01-a", "g01-b"])
    assert not list((tmp_path / "store").iterdir())
