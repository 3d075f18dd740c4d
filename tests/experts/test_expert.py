"""Experts' files: what is written is read again, and anything else is one line."""

import json
from dataclasses import replace

import numpy as np
import pytest

from builders import random_factors, write_expert
from genome.errors import GenomeError
from genome.experts.expert import METADATA, common_scale, is_mixed, read_expert, stored_type
from genome.experts.expert import write_expert as write
from genome.experts.tensors import header_bytes, open_tensors


def test_an_expert_is_read_as_it_was_written(tmp_path):
    factors = random_factors(1)
    known = {"kind": "DoRA", "layers": {}, "licence": "größer"}
    written = write(
        tmp_path / "x.safetensors",
        "math",
        factors,
        alpha=4.0,
        dtype="F32",
        target_modules=["q_proj"],
        base_model=None,
        provenance=known,
    )
    found = read_expert(tmp_path / "x.safetensors")
    assert found == written
    assert (found.name, found.rank, found.scale, found.base_model) == ("math", 4, 1.0, None)
    assert known.items() <= found.provenance.items()
    tensors = open_tensors(found.path)
    for layer, (b, a) in factors.items():
        np.testing.assert_array_equal(tensors[f"base_model.model.{layer}.lora_A.weight"], a)
        np.testing.assert_array_equal(tensors[f"base_model.model.{layer}.lora_B.weight"], b)


def test_a_known_digest_is_taken(tmp_path):
    expert = write_expert(tmp_path / "x", 1)
    assert read_expert(expert.path, "ab" * 32).sha256 == "ab" * 32


def test_missing_and_foreign_files_are_one_line(tmp_path):
    with pytest.raises(GenomeError, match=r"x\.safetensors: missing; import the expert again"):
        read_expert(tmp_path / "x.safetensors")
    values = np.zeros(3, "<f4")
    (tmp_path / "x.safetensors").write_bytes(header_bytes({"x": "F32"}, {"x": (3,)}) + values.tobytes())
    with pytest.raises(GenomeError, match="not the file of an imported expert"):
        read_expert(tmp_path / "x.safetensors")


FOREIGN = {
    "no name": {"name": None},
    "no rank": {"rank": 0},
    "text for alpha": {"alpha": "x"},
    "no modules": {"target_modules": []},
    "a base that is not text": {"base_model": 3},
    "a type that is not text": {"dtype": 3},
    "no alpha": {"alpha": 0},
}


@pytest.mark.parametrize("case", FOREIGN)
def test_invalid_metadata_is_one_line(tmp_path, case):
    good = {"name": "x", "base_model": None, "rank": 4, "alpha": 8, "target_modules": ["q"], "dtype": "F32"}
    text = json.dumps(good | FOREIGN[case])
    name = "base_model.model.q.lora_A.weight"
    header = header_bytes({name: "F32"}, {name: (1, 1)}, {METADATA: text})
    (tmp_path / "x.safetensors").write_bytes(header + bytes(4))
    with pytest.raises(GenomeError, match=r"x\.safetensors") as error:
        read_expert(tmp_path / "x.safetensors")
    assert "\n" not in str(error.value)


def test_sets_know_their_ranks_scale_and_type(tmp_path):
    one, two = (write_expert(tmp_path / f"e{seed}", seed) for seed in (1, 2))
    small = write_expert(tmp_path / "small", 3, rank=2, alpha=4, dtype="F16")
    assert not is_mixed([one, two])
    assert is_mixed([one, small])
    assert common_scale([one, two, small]) == 2.0
    assert common_scale([one, replace(two, alpha=4.0)]) == 1.0
    assert stored_type([one, small]) == "F32"
    assert stored_type([small]) == "F16"


@pytest.mark.parametrize("name", ["lora_A.weight", "lora_B.bias", "weight"])
def test_tensors_that_are_not_pairs_of_factors_are_refused(tmp_path, name):
    whole = write_expert(tmp_path / "one", 0)
    damaged = tmp_path / "two.safetensors"
    damaged.write_bytes(
        whole.path.read_bytes().replace(
            b"layers.1.mlp.down_proj.lora_B.weight", b"x".ljust(36 - len(name), b".") + name.encode()
        )
    )
    with pytest.raises(GenomeError, match="not one of the two factors of a layer; import the expert again"):
        read_expert(damaged)
