"""Stages that import, check and compare experts: what they write, and what they say."""

import json
from pathlib import Path

import numpy as np
import pytest

from builders import write_adapter, write_base, write_expert
from genome.errors import GenomeError
from genome.experts.expert import is_mixed, read_expert
from genome.experts.tensors import open_tensors
from genome.files import read_json, sha256
from genome.genotype import expert
from genome.jobs.experts import check_experts, compare_experts, import_adapter, shared_basis
from genome.lora.materialise import materialise
from genome.scoring.manifest import read_experts, read_manifest

MANIFEST = "manifest.json"
SETTINGS = json.dumps({"version": 2, "base_name": "owner/tiny"})


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Work in a folder with a base."""
    monkeypatch.chdir(tmp_path)
    write_base(tmp_path / "base")
    return tmp_path


def imported(name, source):
    import_adapter(json.dumps({"version": 3, "source": source}), "base", f"{name}.safetensors")
    return read_expert(f"{name}.safetensors")


def check(*experts):
    check_experts(SETTINGS, "base", [str(each.path) for each in experts], MANIFEST)
    return read_manifest(MANIFEST)


def test_import_writes_one_file_and_leaves_the_source_as_it_is(project):
    write_adapter(project / "mine", 1, rank=3, alpha=6)
    before = {file.name: file.read_bytes() for file in (project / "mine").iterdir()}
    found = imported("one", {"path": "mine"})
    assert (found.name, found.rank, found.scale, found.provenance["kind"]) == ("one", 3, 2, "LoRA")
    assert found.provenance["source"] == {"path": "mine"}
    assert {file.name: file.read_bytes() for file in (project / "mine").iterdir()} == before


def test_refused_import_leaves_nothing(project):
    with pytest.raises(GenomeError, match=r"^expert one: mine is not a folder"):
        imported("one", {"path": "mine"})
    assert [file.name for file in project.iterdir()] == ["base"]


def test_manifest_has_ranks_kinds_and_digests(project):
    experts = [write_expert(project / name, seed, rank=4) for seed, name in enumerate(("one", "two"))]
    manifest = check(*experts)
    assert (manifest.rank, manifest.ranks, manifest.mixed) == (4, (4, 4), False)
    value = read_json(MANIFEST)
    assert [(entry["name"], entry["kind"], entry["rank"]) for entry in value["experts"]] == [
        ("one", "LoRA", 4),
        ("two", "LoRA", 4),
    ]
    assert [entry["sha256"] for entry in value["experts"]] == [sha256(each.path) for each in experts]
    assert (value["rank"], value["ranks"], value["mixed"]) == (4, [4, 4], False)
    assert read_experts(MANIFEST) == experts


def test_experts_of_several_ranks_are_a_mixed_set(project):
    experts = [write_expert(project / f"rank{rank}", rank, rank=rank) for rank in (2, 5, 3)]
    manifest = check(*experts)
    assert (manifest.rank, manifest.ranks, manifest.mixed) == (5, (2, 5, 3), True)
    assert is_mixed(read_experts(MANIFEST))


def test_later_stages_do_not_hash_the_experts_again(project):
    experts = [write_expert(project / name, seed) for seed, name in enumerate(("one", "two"))]
    check(*experts)
    value = read_json(MANIFEST)
    value["experts"][0]["sha256"] = "f" * 64
    Path(MANIFEST).write_text(json.dumps(value))
    assert [each.sha256 for each in read_experts(MANIFEST)] == ["f" * 64, experts[1].sha256]


def test_mixed_and_unrelated_factors_are_said_with_the_cosines(project, caplog):
    check(*(write_expert(project / f"rank{rank}", rank, rank=rank) for rank in (2, 3)))
    [line] = caplog.messages
    assert "different ranks (rank2: 2, rank3: 3) and unrelated factors; cosines between experts: of A " in line


def test_experts_that_all_name_another_base_are_said(project, caplog):
    experts = [write_expert(project / name, 1) for name in ("one", "two")]  # the same factors
    check_experts(json.dumps({"base_name": "owner/large"}), "base", [str(each.path) for each in experts], MANIFEST)
    [line] = caplog.messages
    assert line.startswith("WRONG BASE? ")
    assert "2 experts name another base than the configured one (owner/large): tiny" in line


def test_a_set_of_one_is_refused(project):
    with pytest.raises(GenomeError, match="at least 2 are needed"):
        check(write_expert(project / "one", 1))
    assert not Path(MANIFEST).exists()


def test_damaged_experts_are_refused(project):
    one, two = (write_expert(project / name, seed) for seed, name in enumerate(("one", "two")))
    data = bytearray(two.path.read_bytes())
    data[-4:] = np.float32("nan").tobytes()
    two.path.write_bytes(data)
    with pytest.raises(GenomeError, match=r"two\.safetensors: 1 of \d+ weights of tensor .* are NaN or infinite"):
        check(one, two)
    assert not Path(MANIFEST).exists()


def test_cosines_of_mixed_experts_have_a_row_per_pair_group_and_factor(project):
    check(*(write_expert(project / f"rank{rank}", rank, rank=rank) for rank in (2, 3, 4)))
    compare_experts(MANIFEST, "cosines.csv")
    rows = Path("cosines.csv").read_text().splitlines()
    assert len([row for row in rows if ",all," in row]) == 3 * 3


def test_shared_basis_lists_what_each_expert_loses(project):
    experts = [write_expert(project / f"rank{rank}", rank, rank=rank) for rank in (2, 3)]
    check(*experts)
    shared_basis(MANIFEST, 5, "basis.safetensors", "losses.csv")
    header, *rows = Path("losses.csv").read_text().splitlines()
    assert header.startswith("expert")
    assert {row.split(",")[0] for row in rows} >= {"rank2", "rank3"}
    # Rank 5 holds both experts exactly.
    materialise([expert(0, 2, "shared-5")], experts, [project / "served"], basis=Path("basis.safetensors"))
    served, given = open_tensors(project / "served/adapter_model.safetensors"), open_tensors(experts[0].path)
    for layer in (name.removesuffix(".lora_A.weight") for name in given if "lora_A" in name):
        ours, theirs = (
            tensors[f"{layer}.lora_B.weight"] @ tensors[f"{layer}.lora_A.weight"] for tensors in (served, given)
        )
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())
