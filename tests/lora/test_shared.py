"""Joint bases: exact where they can be, optimal where the optimum is known, and what they report."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import update_of, updates_of, write_expert
from genome.errors import GenomeError
from genome.experts.tensors import open_tensors
from genome.files import read_json
from genome.genotype import combine, expert, mixture, shared
from genome.lora.materialise import CONFIG, materialise
from genome.lora.shared import joint_basis, read_basis, write_basis, write_losses

LAYER = "model.layers.1.mlp.down_proj"


def factors(generator, ranks, outputs=30, inputs=40):
    """Return factors (B, A) of random experts of one layer, with norms of different size."""
    return [
        (
            generator.normal(size=(outputs, rank)) * 10.0 ** generator.integers(-2, 3),
            generator.normal(size=(rank, inputs)),
        )
        for rank in ranks
    ]


def loss(made, found):
    """Return the relative norm of what `found` (U, V, cores) loses of the updates of factors."""
    u, v, cores, *_ = found
    updates = [b @ a for b, a in made]
    lost = sum(np.sum((update - u @ core @ v) ** 2) for update, core in zip(updates, cores, strict=True))
    return float(np.sqrt(lost / sum(np.sum(update**2) for update in updates)))


def tail(matrix, rank):
    """Return the relative norm that a truncated singular value decomposition loses."""
    values = np.linalg.svd(matrix, compute_uv=False)
    return float(np.sqrt(np.sum(values[rank:] ** 2) / np.sum(values**2)))


def bound(made, rank):
    """Return what any joint basis loses at least: what the best one of all columns loses, or of all rows."""
    updates = [b @ a for b, a in made]
    return max(tail(np.hstack(updates), rank), tail(np.vstack(updates), rank))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 8), min_size=1, max_size=5), st.integers(1, 12))
def test_a_joint_basis_is_between_the_bounds_and_reports_its_loss(seed, ranks, rank):
    made = factors(np.random.default_rng(seed), ranks)
    found = joint_basis(made, rank)
    u, v, cores, lost, norms = found
    sides = min(rank, sum(ranks))
    assert (u.shape, v.shape, cores.shape) == ((30, sides), (sides, 40), (len(ranks), sides, sides))
    lower = bound(made, rank)
    # Alternations start from a basis of columns and one of rows, which lose no more than both bounds together.
    assert lower - 1e-9 <= loss(made, found) <= np.sqrt(2) * lower + 1e-7
    assert loss(made, found) == pytest.approx(np.sqrt(lost.sum() / norms.sum()), abs=1e-7)
    np.testing.assert_allclose(norms, [np.sum((b @ a) ** 2) for b, a in made], rtol=1e-9)
    if rank >= sum(ranks):
        for (b, a), core in zip(made, cores, strict=True):
            np.testing.assert_allclose(u @ core @ v, b @ a, atol=1e-7 * np.linalg.norm(b @ a))


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_basis_of_one_expert_is_its_truncated_singular_value_decomposition(rank):
    [made] = factors(np.random.default_rng(1), [8])
    u, v, [core], *_ = joint_basis([made], rank)
    left, values, right = np.linalg.svd(made[0] @ made[1], full_matrices=False)
    np.testing.assert_allclose(u @ core @ v, (left[:, :rank] * values[:rank]) @ right[:rank], atol=1e-9 * values[0])


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.1])
def test_the_basis_of_experts_in_one_subspace_is_optimal(noise):
    """Five experts are cores in a subspace of rank 6, with noise: nothing else is lost."""
    generator = np.random.default_rng(3)
    columns, rows = generator.normal(size=(30, 6)), generator.normal(size=(6, 40))
    made = []
    for _ in range(5):
        b = columns @ generator.normal(size=(6, 4)) + noise * generator.normal(size=(30, 4))
        a = generator.normal(size=(4, 6)) @ rows + noise * generator.normal(size=(4, 40))
        made.append((b, a))
    found = loss(made, joint_basis(made, 6))
    assert found <= 1.01 * np.sqrt(sum(tail(matrix, 6) ** 2 for matrix in stacks(made))) + 1e-7
    assert bound(made, 6) <= found + 1e-9
    if not noise:
        assert found < 1e-7


def stacks(made):
    updates = [b @ a for b, a in made]
    return np.hstack(updates), np.vstack(updates)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_start_gives_a_basis_that_is_better_by_one_percent(seed):
    """Long alternations from many random starts find the optimum of unrelated experts, which no formula gives."""
    generator = np.random.default_rng(seed)
    made, rank = factors(generator, [4, 2, 6, 4]), 6
    updates = np.stack([b @ a for b, a in made])
    best = np.inf
    for _ in range(20):
        v = np.linalg.qr(generator.normal(size=(40, rank)))[0]
        for _ in range(60):
            u = np.linalg.svd(np.hstack(list(updates @ v)), full_matrices=False)[0][:, :rank]
            v = np.linalg.svd(np.vstack(list(u.T @ updates)), full_matrices=False)[2][:rank].T
        lost = np.sum((updates - u @ (u.T @ updates @ v) @ v.T) ** 2)
        best = min(best, float(np.sqrt(lost / np.sum(updates**2))))
    assert loss(made, joint_basis(made, rank)) <= 1.01 * best


def test_copies_of_one_expert_have_its_rank():
    [made] = factors(np.random.default_rng(2), [5])
    twins = [made, (2 * made[0], made[1]), (made[0], np.zeros_like(made[1]))]
    found = joint_basis(twins, 5)
    assert loss(twins, found) < 1e-7
    assert np.isfinite(found[0]).all()


def mixed(folder):
    """Return experts of three ranks and scalings, one of which lacks a layer."""
    return [
        write_expert(folder / "small", 1, rank=2, layers=3),
        write_expert(folder / "large", 2, rank=5, layers=3, missing=[LAYER]),
        write_expert(folder / "middle", 3, rank=3, layers=3, alpha=3),
    ]


@pytest.mark.parametrize("rank", [10, 64])
def test_a_basis_of_all_ranks_gives_the_sum_of_the_updates(tmp_path, rank):
    """Also in layers with fewer outputs than the ranks add up to, or that some experts lack."""
    experts, coefficients = mixed(tmp_path), (0.5, -1.5, 2.0)
    losses = write_basis(experts, rank, tmp_path / "basis")
    materialise([mixture(coefficients, shared(rank))], experts, [tmp_path / "out"], basis=tmp_path / "basis")
    updates = [updates_of(each) for each in experts]
    for layer, found in update_of(tmp_path / "out").items():
        exact = sum(c * each[layer] for c, each in zip(coefficients, updates, strict=True) if layer in each)
        np.testing.assert_allclose(found, exact, atol=1e-5 * np.linalg.norm(exact))
    assert read_json(tmp_path / "out" / CONFIG)["r"] == 10
    assert max(losses.total, *losses.experts.values()) < 1e-7


@pytest.mark.parametrize("rank", [1, 4])
def test_reported_losses_are_those_of_the_experts_adapters(tmp_path, rank):
    experts, basis = mixed(tmp_path), tmp_path / "basis"
    losses = write_basis(experts, rank, basis)
    folders = [tmp_path / f"out{k}" for k in range(3)]
    materialise([expert(k, 3, shared(rank)) for k in range(3)], experts, folders, basis=basis)
    lost, whole = [], []
    for each, folder in zip(experts, folders, strict=True):
        exact, written = updates_of(each), update_of(folder)
        none = np.zeros(1)
        lost.append(sum(np.sum((exact.get(layer, none) - written[layer]) ** 2) for layer in written))
        whole.append(sum(np.sum(values**2) for values in exact.values()))
        assert losses.experts[each.name] == pytest.approx(np.sqrt(lost[-1] / whole[-1]), rel=1e-4)
    assert losses.total == pytest.approx(np.sqrt(sum(lost) / sum(whole)), rel=1e-4)
    assert read_json(folders[0] / CONFIG)["r"] == rank
    read = read_basis(basis, experts)
    assert (read.rank, read.width, read.experts) == (rank, rank, tuple(each.sha256 for each in experts))
    assert read.losses.experts == pytest.approx(losses.experts)
    write_losses(losses, tmp_path / "losses.csv")
    rows = list(csv.DictReader((tmp_path / "losses.csv").read_text().splitlines()))
    assert [row["expert"] for row in rows] == ["small", "large", "middle", "all experts"]
    assert [float(row["loss"]) for row in rows] == pytest.approx([*losses.experts.values(), losses.total], rel=1e-5)


def test_updates_in_a_shared_space_are_linear_in_the_coefficients(tmp_path):
    experts, space = mixed(tmp_path), shared(4)
    write_basis(experts, 4, tmp_path / "basis")
    one, two = mixture((0.5, 0.25, -1.0), space), mixture((-0.1, 0.6, 0.2), space)
    folders = [tmp_path / name for name in ("one", "two", "both")]
    materialise([one, two, combine([(2.0, one), (-0.5, two)])], experts, folders, basis=tmp_path / "basis")
    first, second, both = (update_of(folder) for folder in folders)
    for layer, found in both.items():
        np.testing.assert_allclose(found, 2 * first[layer] - 0.5 * second[layer], atol=1e-4)


def test_a_mixture_has_the_same_bytes_alone_and_with_others(tmp_path):
    experts, space, basis = mixed(tmp_path), shared(4), tmp_path / "basis"
    write_basis(experts, 4, basis)
    genotypes = [mixture((0.5, share, -1.0), space) for share in (0.1, 0.2, 0.3)]
    together = materialise(genotypes, experts, [tmp_path / f"together{i}" for i in range(3)], basis=basis)
    apart = [materialise([x], experts, [tmp_path / f"apart{i}"], basis=basis)[0] for i, x in enumerate(genotypes)]
    assert together == apart


def test_tensors_of_a_basis_have_the_ranks_of_their_layers(tmp_path):
    experts = mixed(tmp_path)
    write_basis(experts, 9, tmp_path / "basis")
    tensors = open_tensors(tmp_path / "basis")
    name = f"base_model.model.{LAYER}"
    # Outputs are 8, inputs 20, and the two experts that change this layer have ranks 2 and 3.
    assert [tensors[f"{name}.{part}"].shape for part in ("U", "V", "cores")] == [(8, 5), (5, 20), (3, 5, 5)]
    assert not tensors[f"{name}.cores"][1].any()
    other = "base_model.model.model.layers.0.mlp.down_proj"
    assert [tensors[f"{other}.{part}"].shape for part in ("U", "V", "cores")] == [(8, 8), (9, 20), (3, 8, 9)]


def test_read_basis_refuses_other_experts_and_other_files(tmp_path):
    experts, basis = mixed(tmp_path), tmp_path / "basis"
    write_basis(experts, 4, basis)
    with pytest.raises(GenomeError, match=rf"^{basis}: the joint basis of other experts \(small, large, m"):
        read_basis(basis, experts[::-1])
    with pytest.raises(GenomeError, match=r"not a joint basis of experts; delete"):
        read_basis(experts[0].path, experts)
    (tmp_path / "text").write_text("text")
    with pytest.raises(GenomeError, match="truncated"):
        read_basis(tmp_path / "text", experts)
    with pytest.raises(GenomeError, match=r"basis: a joint basis of rank 4, not of the space shared-5$"):
        materialise([expert(0, 3, shared(5))], experts, [tmp_path / "out"], basis=basis)
    with pytest.raises(ValueError, match="without a basis"):
        materialise([expert(0, 3, shared(4))], experts, [tmp_path / "out"])
    assert not (tmp_path / "out").exists()
