"""Norms of updates: against dense numpy, on what is written to disk."""

import numpy as np
import pytest

from genome.experts.peft import WEIGHTS
from genome.experts.tensors import open_tensors
from genome.genotype import Genotype, Noise, expert
from genome.lora.layers import modules
from genome.lora.materialise import materialise
from genome.lora.norms import update_norms

GENOTYPES = [
    expert(0, 3),
    Genotype((0.2, -0.4, 1.3)),
    Genotype((0.5, 0.0, 0.5), (Noise(1, 0.2, 0.3), Noise(2, 1.0, -0.1))),
    Genotype((0.0, 0.0, 0.0)),
]


def dense(folder, layers, scale):
    """Return the norm of a written adapter's updates, formed in full."""
    tensors = open_tensors(folder / WEIGHTS)
    pairs = [[tensors[f"{layer}.lora_{side}.weight"].astype("f8") for side in "BA"] for layer in layers]
    return np.sqrt(sum(np.linalg.norm(scale * b @ a) ** 2 for b, a in pairs))


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_norms_are_those_of_what_is_served(make_experts, tmp_path, dtype):
    experts = make_experts(3, dtype=dtype)
    folders = [tmp_path / f"out{i}" for i in range(len(GENOTYPES))]
    materialise(GENOTYPES, experts, folders)
    scale = experts[0].alpha / experts[0].rank
    assert scale != 1
    expected = [dense(folder, modules(experts[0].tensors), scale) for folder in folders]
    np.testing.assert_allclose(update_norms(GENOTYPES, experts), expected, rtol=1e-5)
    assert expected[-1] == 0 < min(expected[:-1])


def test_a_norm_does_not_depend_on_the_others(make_experts):
    experts = make_experts(3)
    assert update_norms(GENOTYPES, experts) == [norm for each in GENOTYPES for norm in update_norms([each], experts)]
