"""Adapters rebuilt from population files."""

import json

import pytest
from typer.testing import CliRunner

from builders import scored
from genome.cli import app
from genome.errors import GenomeError
from genome.experts.peft import WEIGHTS, read_expert
from genome.files import read_json
from genome.genotype import PRODUCT, Genotype, Noise, mixture
from genome.jobs.rebuild import rebuild
from genome.lora.materialise import materialise
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
        stored / "genotype.json", individuals[0], individuals, [read_expert(stored / f"expert{i}") for i in (0, 1)]
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
