"""Searches on random experts, and on the given ones with a Validation LoRA, run to a scored test."""

import json

import pytest

from genome.experts.expert import read_expert, write_expert
from genome.experts.tensors import open_tensors
from genome.files import write_json
from genome.search.finalists import VALIDATION_LORA, kind_of
from genome.search.records import read_population

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RANDOM, WITH_LORA = "genome_plus-random_experts", "cma_es-with_validation_lora"
CONFIG = {
    "generations": 1,
    "splits": {"validation": 10, "test": 10, "seed": 42},
    "table2": None,
    "variants": {
        RANDOM: {"method": "genome_plus", "experts": "random"},
        WITH_LORA: {"method": "cma_es", "experts": "with_validation_lora"},
    },
}


def scores_of(variant):
    return f"results/test/sums/sums/{variant}/n4/seed1/scores.json"


def put_lora(project, held_out):
    """Put the files of a Validation LoRA where its rule writes them: an expert's factors under another name."""
    place = project.folder / "results/runs/sums/validation_lora/seed1"
    expert = read_expert(next((project.folder / "resources/experts").glob("*.safetensors")))
    weights = open_tensors(expert.path)
    layers = {name.removeprefix("base_model.model.").rpartition(".lora_")[0] for name in weights}
    factors = {x: tuple(weights[f"base_model.model.{x}.lora_{side}.weight"] for side in "BA") for x in sorted(layers)}
    (place / "held_out").mkdir(parents=True)
    known = {"kind": "LoRA", "source": "validation samples", "licence": None, "layers": {}, "dropped": {"tensors": []}}
    write_expert(
        place / "held_out/expert.safetensors",
        VALIDATION_LORA,
        factors,
        alpha=expert.alpha,
        dtype=expert.dtype,
        target_modules=expert.target_modules,
        provenance=known,
    )
    write_json(place / "training.json", {"held_out": {"sums": held_out}})


def test_search_on_random_experts_runs_to_a_scored_test(fresh):
    fresh.configure(**CONFIG)
    fresh.make(scores_of(RANDOM))
    population = fresh.read(f"results/runs/sums/{RANDOM}/n4/seed1/generation_1/population.json")
    made = fresh.read("results/experts/micro-random/seed1.json")["experts"]
    assert population["experts"] == [{"name": each["name"], "sha256": each["sha256"]} for each in made]
    assert len(made) == len(fresh.read("results/experts/micro.json")["experts"])
    assert not (fresh.folder / "results/runs/sums/experts").exists(), "the given experts are not needed"
    rows = fresh.read(scores_of(RANDOM))
    assert [row["handed_out"] for row in rows] == ["search", "search"]
    assert fresh.planned(scores_of(RANDOM)) == []


def test_search_with_a_validation_lora_runs_to_a_scored_test(fresh):
    fresh.configure(**CONFIG)
    prompts = "results/prompts/micro/sums/validation.jsonl"
    fresh.make("results/experts/micro.json", prompts)
    held_out = [json.loads(line)["id"] for line in (fresh.folder / prompts).read_text().splitlines()][:3]
    put_lora(fresh, held_out)
    fresh.make(scores_of(WITH_LORA))
    run = fresh.folder / f"results/runs/sums/{WITH_LORA}/n4/seed1"
    assert fresh.read("results/experts/micro-with_validation_lora/sums/seed1.json")["unseen"] == {"sums": held_out}
    for place in (run / "generation_1", run / "finalists"):
        asked = [json.loads(line)["sample"] for line in (place / "evaluations.jsonl").read_text().splitlines()]
        assert {*asked} == {*held_out}, place
    finalists = read_population(run / "finalists/population.json")
    names = [each["name"] for each in fresh.read(f"{run}/finalists/population.json")["experts"]]
    assert names[-1] == VALIDATION_LORA
    assert all(len(each.genotype.coefficients) == len(names) for each in finalists.members)
    rows = fresh.read(scores_of(WITH_LORA))
    assert {row["handed_out"] for row in rows} == {kind_of(finalists.best.genotype, names)}
    log = (fresh.folder / f"logs/runs/sums/{WITH_LORA}/n4/seed1/finalists.log").read_text().splitlines()
    assert "handed out: " in log[-1]
    assert " on 3 validation samples" in log[-1]
    export = f"results/export/sums/{WITH_LORA}/n4/seed1/README.md"
    fresh.make(export)
    text = (fresh.folder / export).read_text()
    assert "By the validation samples, this is " in text
    assert " on 3 validation samples" in text
    assert f"| {VALIDATION_LORA} | " in text
