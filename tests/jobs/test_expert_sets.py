"""Other sets of experts: their manifests, the samples that a search on them looks at, and the wall between sets."""

import json
import shutil
from pathlib import Path

import pytest

from builders import paper_settings, write_expert
from genome.errors import GenomeError
from genome.files import read_json, read_jsonl, write_json
from genome.jobs.baselines import baseline
from genome.jobs.evolution import initial_population, score_experts
from genome.jobs.expert_sets import random_experts, with_validation_lora
from genome.jobs.rebuild import rebuild
from genome.jobs.site import Site
from genome.scoring.manifest import read_experts, read_manifest
from genome.search.finalists import VALIDATION_LORA
from genome.search.records import read_population
from jobs.test_evolution import EXPERTS, FITNESS, Project
from jobs.test_evolution import refused as assert_refused

RANDOM = "results/experts/tiny-random/seed1.json"
WITH_LORA = "results/experts/tiny-with_validation_lora/sums/seed1.json"


@pytest.fixture
def project(make_experts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Project(make_experts(3))
    monkeypatch.setattr("genome.jobs.site.connect", made.connect)
    made.experts()
    return made


def add_lora(tmp_path, held_out=("sums-1", "sums-3"), rank=4):
    """Make the set with a Validation LoRA whose training held these samples out."""
    lora = write_expert(tmp_path / VALIDATION_LORA, 9, rank=rank)
    write_json("training.json", {"epochs": 2, "held_out": {"sums": list(held_out)}})
    with_validation_lora("experts.json", str(lora.path), "training.json", WITH_LORA)


def make_random(seed=1):
    place = f"results/experts/tiny-random/seed{seed}"
    random_experts("experts.json", seed, place, f"{place}.json")


def initial(project, manifest, scored, **changes):
    Path("initial").mkdir(exist_ok=True)
    out = project.files("initial")
    settings = json.dumps({**FITNESS, "stage": 1, "initialisation": "pairs", **changes})
    initial_population(Site("base", manifest, {}), settings, ["validation.jsonl"], scored, 4, 1, out)
    return read_population(out.population)


def score(project, manifest):
    Path("set").mkdir(exist_ok=True)
    score_experts(Site("base", manifest, {}), json.dumps(FITNESS), ["validation.jsonl"], "warn", project.files("set"))
    return read_population("set/population.json")


def test_random_experts_take_the_places_of_the_given_ones(project):
    make_random()
    given, made = read_manifest("experts.json"), read_manifest(RANDOM)
    assert (made.ranks, made.mixed, made.unseen) == (given.ranks, given.mixed, None)
    names = [each.name for each in read_experts(RANDOM)]
    assert names == [f"random_{each.name}" for each in read_experts("experts.json")]
    assert Path(RANDOM).with_suffix("").joinpath(f"{names[0]}.safetensors").is_file()
    first = read_json(RANDOM)
    make_random()
    assert read_json(RANDOM) == first
    make_random(seed=2)
    assert read_json(RANDOM.replace("seed1", "seed2"))["experts"] != first["experts"]


def test_search_on_random_experts_refuses_the_scores_of_others(project):
    make_random()
    scored = score(project, RANDOM)
    assert {each.name for each in scored.members} == {each.name for each in read_experts(RANDOM)}
    assert len(initial(project, RANDOM, "set/population.json").members) == 4
    assert_refused(lambda: initial(project, RANDOM, f"{EXPERTS}/population.json"), "made of the experts")


def test_search_with_a_validation_lora_looks_at_samples_that_it_has_not_seen(project, tmp_path):
    add_lora(tmp_path)
    assert read_manifest(WITH_LORA).unseen == {"sums": ["sums-1", "sums-3"]}
    scored = score(project, WITH_LORA)
    assert [each.name for each in scored.members][-1] == VALIDATION_LORA
    assert len(scored.members) == 4
    population = initial(project, WITH_LORA, "set/population.json")
    for place in ("set", "initial"):
        assert {row["sample"] for row in read_jsonl(f"{place}/evaluations.jsonl")} == {"sums-1", "sums-3"}
    assert {len(each.genotype.coefficients) for each in population.members} == {4}
    initial(project, WITH_LORA, "set/population.json", samples=1)
    assert len({row["sample"] for row in read_jsonl("initial/evaluations.jsonl")}) == 1


def test_baselines_with_a_validation_lora_look_at_samples_that_it_has_not_seen(project, tmp_path, caplog):
    add_lora(tmp_path)
    score(project, WITH_LORA)
    settings = json.dumps({**FITNESS, **paper_settings("lorahub", evaluations=3, experts="with_validation_lora")})
    Path("lorahub").mkdir()
    out = project.files("lorahub")
    with caplog.at_level("INFO", "genome"):
        baseline(Site("base", WITH_LORA, {}), settings, ["validation.jsonl"], "set/population.json", 1, out)
    assert {row["sample"] for row in read_jsonl("lorahub/evaluations.jsonl")} <= {"sums-1", "sums-3"}
    assert " on 2 validation samples" in caplog.messages[-1]


def test_a_validation_lora_of_other_samples_is_refused(project, tmp_path):
    add_lora(tmp_path, held_out=("sums-1", "sums-9"))
    assert_refused(lambda: score(project, WITH_LORA), "1 of 2 samples that were held out", "train the Validation LoRA")


def test_an_expert_named_as_the_validation_lora_is_refused(project, tmp_path):
    write_json("training.json", {"held_out": {"sums": ["sums-1"]}})
    twice = read_experts("experts.json")[0].path
    with pytest.raises(GenomeError, match="an expert is named expert0, too"):
        with_validation_lora("experts.json", str(twice), "training.json", WITH_LORA)


def test_an_engine_serves_the_highest_rank_of_all_sets(project, tmp_path):
    """A job on the given experts may start the engine that a search with a Validation LoRA shares."""

    def ranks(manifest, **engine):
        project.ranks.clear()
        Site("base", manifest, engine).connect()
        return project.ranks

    assert ranks("experts.json") == [4]
    assert ranks("experts.json", spaces=["product"]) == [12]
    assert ranks("experts.json", spaces=["product"], added_rank=8) == [20]
    assert ranks("experts.json", spaces=[""], added_rank=4) == [4]
    assert ranks("experts.json", spaces=[""], added_rank=8) == [20], "experts of mixed ranks are merged as products"
    add_lora(tmp_path, rank=8)
    assert ranks(WITH_LORA, spaces=[""], added_rank=8) == [20]


@pytest.mark.parametrize("manifest", [RANDOM, WITH_LORA])
def test_a_member_is_rebuilt_from_the_set_of_its_run(project, tmp_path, manifest):
    make_random()
    add_lora(tmp_path)
    score(project, manifest)
    name = read_experts(manifest)[-1].name
    place = Path("results/runs/sums/set")
    place.mkdir(parents=True)
    shutil.copy("set/population.json", place)
    rebuild(place / "population.json", name, tmp_path / "nowhere", tmp_path / "rebuilt")
    assert (tmp_path / "rebuilt/adapter_model.safetensors").is_file()
