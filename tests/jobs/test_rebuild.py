"""Adapters rebuilt from population files."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from builders import scored, write_expert
from genome.cli import app
from genome.errors import GenomeError
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.expert import read_expert
from genome.experts.tensors import open_tensors
from genome.files import read_json
from genome.genotype import PRODUCT, Genotype, Noise, mixture, shared
from genome.jobs.rebuild import rebuild
from genome.lora.compress import lost
from genome.lora.materialise import materialise
from genome.lora.shared import write_basis
from genome.search.population import Fitness, Individual, new_population
from genome.search.records import read_population, write_population, write_result


@pytest.fixture
def stored(make_experts, tmp_path):
    experts = make_experts(2)
    genotypes = [Genotype((0.5, 0.25), (Noise(7, 0.2, 0.1),)), Genotype((1.0, 0.0))]
    members = [
        Individual(n, g, "mixture", fitness=Fitness(f, {})) for n, g, f in zip("ab", genotypes, (0.9, 0.1), strict=True)
    ]
    write_population(tmp_path / "population.json", scored(new_population(members), experts), experts)
    materialise(genotypes, experts, [tmp_path / "a", tmp_path / "b"])
    return tmp_path


@pytest.mark.parametrize(("member", "expected"), [("a", "a"), ("b", "b"), ("best", "a")])
def test_rebuilds_the_same_bytes(stored, member, expected):
    rebuild(stored / "population.json", member, stored, stored / "out")
    assert (stored / "out" / WEIGHTS).read_bytes() == (stored / expected / WEIGHTS).read_bytes()


@pytest.mark.parametrize(("member", "expected"), [("a", "a"), ("b", "b"), ("best", "a")])
def test_an_export_rebuilds_itself(stored, member, expected):
    individuals = read_population(stored / "population.json").members
    write_result(
        stored / "genotype.json",
        individuals[0],
        individuals,
        [read_expert(stored / f"expert{i}.safetensors") for i in (0, 1)],
    )
    rebuild(stored / "genotype.json", member, stored, stored / "out")
    assert (stored / "out" / WEIGHTS).read_bytes() == (stored / expected / WEIGHTS).read_bytes()


def test_the_command_line(stored):
    arguments = ["materialise", str(stored / "population.json"), str(stored / "out"), "--experts", str(stored)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (stored / "out" / WEIGHTS).exists()
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_rebuild_refuses_unknown_individuals_and_other_experts(stored):
    path = stored / "population.json"
    with pytest.raises(GenomeError, match="no individual 'c'; it has a, b"):
        rebuild(path, "c", stored, stored / "out")
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps({**recorded, "versions": {"numpy": "1.0"}}))
    with pytest.raises(GenomeError, match=r"noise was drawn by numpy 1\.0"):
        rebuild(path, "a", stored, stored / "out")
    rebuild(path, "b", stored, stored / "noise-free")
    recorded["experts"][0]["sha256"] = "0"
    path.write_text(json.dumps(recorded))
    with pytest.raises(GenomeError, match="not the expert of this run"):
        rebuild(path, "b", stored, stored / "out")


def test_a_mixture_of_products_is_rebuilt_wide_or_compressed(make_experts, tmp_path):
    experts = make_experts(2)
    [member] = [Individual("a", mixture((0.5, 0.25), PRODUCT), "mixture", fitness=Fitness(1.0, {}))]
    write_population(tmp_path / "population.json", scored(new_population([member]), experts), experts)
    materialise([member.genotype], experts, [tmp_path / "served"])
    path = tmp_path / "population.json"
    assert rebuild(path, "a", tmp_path, tmp_path / "wide") == 0
    assert (tmp_path / "wide" / WEIGHTS).read_bytes() == (tmp_path / "served" / WEIGHTS).read_bytes()
    lost = rebuild(path, "a", tmp_path, tmp_path / "narrow", rank=4)
    assert 0.01 < lost < 0.9
    assert read_json(tmp_path / "narrow" / "adapter_config.json")["r"] == 4
    arguments = ["materialise", str(path), str(tmp_path / "cli"), "--experts", str(tmp_path), "--rank", "4"]
    assert f"{100 * lost:.2f} % of the update's norm is lost" in CliRunner().invoke(app, arguments).output
    assert (tmp_path / "cli" / WEIGHTS).read_bytes() == (tmp_path / "narrow" / WEIGHTS).read_bytes()


def test_an_expert_is_written_as_a_peft_folder(make_experts, tmp_path):
    """Its update is B A of the file; the scaling that it had is in the config again."""
    [expert] = make_experts(1, rank=4, alpha=8)
    out = tmp_path / "out"
    assert rebuild(expert.path, "best", tmp_path / "nowhere", out) == 0
    tensors, stored, config = open_tensors(out / WEIGHTS), open_tensors(expert.path), read_json(out / CONFIG)
    assert (config["r"], config["lora_alpha"]) == (4, 8)
    for name in stored:
        np.testing.assert_array_equal(tensors[name] * (2 if "lora_B" in name else 1), stored[name])
    result = CliRunner().invoke(app, ["materialise", str(expert.path), str(tmp_path / "cli"), "--rank", "2"])
    loss = lost(out, tmp_path / "cli")
    assert f"cli: {expert.path}, at rank 2 at most: {100 * loss:.2f} % of the update" in result.output


def test_experts_are_hashed_and_not_only_named(stored):
    """An expert of the same name whose weights were replaced is not the expert of the run."""
    path = stored / "expert1.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(GenomeError, match=r"expert1\.safetensors: not the expert of this run"):
        rebuild(stored / "population.json", "b", stored, stored / "out")
    path.unlink()
    with pytest.raises(GenomeError, match=r"expert1\.safetensors: missing"):
        rebuild(stored / "population.json", "b", stored, stored / "out")


@pytest.fixture
def in_basis(tmp_path):
    """A project with a population in a joint basis of mixed experts, and with bases of other ranks and experts."""
    experts = [write_expert(tmp_path / f"resources/experts/expert{i}", i, rank=rank) for i, rank in enumerate((2, 5))]
    others = [write_expert(tmp_path / f"others/expert{i}", i + 7) for i in range(2)]
    bases = tmp_path / "results/experts"
    for name, basis_of, rank in (("a", others, 3), ("b", experts, 3), ("b", experts, 4)):
        write_basis(basis_of, rank, bases / f"{name}_shared-{rank}.safetensors")
    [member] = [Individual("a", mixture((0.5, 0.25), shared(3)), "mixture", fitness=Fitness(1.0, {}))]
    population = tmp_path / "results/runs/till/genome/n2/seed1/generation_0/population.json"
    write_population(population, scored(new_population([member]), experts), experts)
    materialise([member.genotype], experts, [tmp_path / "served"], (), bases / "b_shared-3.safetensors")
    return tmp_path, population, bases / "b_shared-3.safetensors"


def test_the_joint_basis_is_that_of_the_project(in_basis):
    project, population, _ = in_basis
    rebuild(population, "a", project / "resources/experts", project / "out")
    assert (project / "out" / WEIGHTS).read_bytes() == (project / "served" / WEIGHTS).read_bytes()
    assert read_json(project / "out" / CONFIG)["r"] == 3


def test_a_population_outside_of_its_project_needs_the_name_of_its_basis(in_basis, tmp_path_factory):
    project, population, basis = in_basis
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    moved = shutil.copy(population, elsewhere)
    arguments = ["materialise", str(moved), str(elsewhere / "out"), "--experts", str(project / "resources/experts")]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert "name its file with --basis" in refused.output
    assert CliRunner().invoke(app, [*arguments, "--basis", str(basis)]).exit_code == 0
    assert (elsewhere / "out" / WEIGHTS).read_bytes() == (project / "served" / WEIGHTS).read_bytes()
    other = str(basis.with_name("b_shared-4.safetensors"))
    wrong = CliRunner().invoke(app, [*arguments[:2], str(elsewhere / "other"), *arguments[3:], "--basis", other])
    assert "a joint basis of rank 4" in wrong.output
    assert not (elsewhere / "other").exists()
