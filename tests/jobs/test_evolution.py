"""Stages of a run with an engine that is none: who answered goes with the answers, and others are refused."""

import json
from pathlib import Path

import pytest

from builders import ENGINE, paper_settings
from fake_engine import FakeEngine
from genome.errors import GenomeError
from genome.files import read_json, read_jsonl, write_json, write_jsonl
from genome.jobs.evaluation import answer_test, score_test
from genome.jobs.evolution import Site, evaluate_experts, evolve, found, run_baseline
from genome.search.records import read_population

OTHER = {**ENGINE, "backend": "vllm", "quantization": "fp8"}
TASK = {
    "category": "c",
    "kind": "number",
    "metric": "accuracy",
    "source": {"path": "x"},
    "prompt": "p",
    "reference": "r",
}
FITNESS = {"version": 1, "tasks": [{"name": "sums", "definition": TASK, "weight": 1}]}
EXPERTS = "results/runs/sums/experts"
START = "results/runs/sums/initial-pairs/n4/seed1"
RUN = "results/runs/sums/genome/n4/seed1"
TEST = "results/test/sums/sums/genome/n4/seed1"


class Project:
    """A folder in which stages run, whose engine can be replaced by another."""

    def __init__(self, experts):
        self.engine, self.ranks = FakeEngine(), []
        self.site = Site("base", "experts.json", {})
        entries = [{"name": each.name, "path": str(each.path)} for each in experts]
        write_json("experts.json", {"rank": experts[0].rank, "experts": entries})
        samples = [{"id": f"sums-{i}", "tokens": [1, 2], "reference": str((-1) ** i)} for i in range(4)]
        write_jsonl("validation.jsonl", samples)
        write_jsonl("test.jsonl", samples)
        for place in (EXPERTS, START, *(f"{RUN}/generation_{g}" for g in (1, 2)), TEST):
            Path(place).mkdir(parents=True)

    def connect(self, settings, base, rank):
        self.ranks.append(rank)
        return self.engine

    def files(self, place):
        return f"{place}/population.json", f"{place}/evaluations.jsonl", f"{place}/record.json"

    def experts(self):
        evaluate_experts(self.site, json.dumps(FITNESS), ["validation.jsonl"], "stop", *self.files(EXPERTS))

    def found(self, **changes):
        settings = json.dumps({**FITNESS, **paper_settings("genome", **changes)})
        scored = f"{EXPERTS}/population.json"
        found(self.site, settings, ["validation.jsonl"], scored, 4, 1, *self.files(START))

    def evolve(self, generation=1, racing=None, **changes):
        settings = json.dumps({**FITNESS, **paper_settings("genome", **changes), "racing": racing})
        place, previous = f"{RUN}/generation_{generation}", f"{RUN}/generation_{generation - 1}"
        population, evaluations, record = self.files(place)
        previous = f"{START if generation == 1 else previous}/population.json"
        adapters = f"{place}/adapters"
        evolve(self.site, settings, ["validation.jsonl"], previous, 1, False, population, evaluations, adapters, record)
        return read_population(population)

    def answer(self, members=2):
        settings = json.dumps({"version": 1, "members": members, "max_tokens": None})
        out = f"{TEST}/responses.jsonl", f"{TEST}/responses.json"
        answer_test(self.site, settings, f"{RUN}/generation_1/population.json", [], "test.jsonl", *out)

    def score(self):
        run = {"method": "genome", "tasks": "sums", "seed": 1, "population_size": 4, "run": RUN}
        settings = {"task": ["sums", TASK], "similarity": {"metric": "chrf"}, "k": 2, "run": run}
        files = [f"{TEST}/{name}" for name in ("responses.jsonl", "responses.json", "scores.json", "answers.jsonl")]
        score_test(json.dumps(settings), "base", "test.jsonl", *files)
        return read_json(f"{TEST}/scores.json")


@pytest.fixture
def project(make_experts, tmp_path, monkeypatch):
    """A project whose experts and generation 0 have been scored."""
    monkeypatch.chdir(tmp_path)
    project = Project(make_experts(3))
    monkeypatch.setattr("genome.jobs.evolution.connect", project.connect)
    project.experts()
    project.found()
    return project


def refused(call, *parts):
    with pytest.raises(GenomeError) as error:
        call()
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_who_answered_stands_in_every_population(project):
    for place in (EXPERTS, START):
        assert read_population(f"{place}/population.json").engine == ENGINE
    assert project.evolve().engine == ENGINE


def test_a_stage_does_not_go_on_from_another_engine_s_answers(project):
    project.evolve()
    project.engine.fingerprint = OTHER
    differing = "backend transformers, quantization None, the engine now has backend vllm, quantization fp8"
    delete = "delete results/runs/sums to begin again"
    refused(lambda: project.evolve(2), f"{RUN}/generation_1/population.json: ", differing, delete)
    refused(project.found, f"{EXPERTS}/population.json: ", differing, delete)
    refused(project.answer, f"{RUN}/generation_1/population.json: ", differing, delete)
    settings = json.dumps({**FITNESS, **paper_settings("pack_of_llms")})
    scored, out = f"{EXPERTS}/population.json", project.files(RUN)
    refused(lambda: run_baseline(project.site, settings, ["validation.jsonl"], scored, 1, *out), differing, delete)
    assert not Path(f"{RUN}/generation_2/population.json").exists()
    assert not Path(f"{TEST}/responses.jsonl").exists()


def test_a_stage_that_asks_nobody_passes_on_who_answered(project):
    project.evolve(patience=0)
    project.engine.fingerprint = OTHER
    assert project.evolve(2, patience=0).engine == ENGINE
    assert read_json(f"{RUN}/generation_2/record.json")["machine"] is None


def test_other_experts_and_another_task_are_refused(project, make_experts):
    value = read_json("experts.json")
    write_json("experts.json", {**value, "experts": value["experts"][::-1]})
    refused(project.evolve, f"{START}/population.json: made of the experts expert0 expert1 expert2, these are expert2")
    write_json("experts.json", value)
    FITNESS["tasks"][0]["name"] = "facts"
    try:
        refused(project.evolve, f"{START}/population.json: scored on sums, expected facts")
    finally:
        FITNESS["tasks"][0]["name"] = "sums"


def test_responses_and_scores_say_who_answered(project):
    project.evolve()
    project.answer()
    who = read_json(f"{TEST}/responses.json")
    assert (who["engine"], who["members"]) == (ENGINE, 2)
    assert [expert["name"] for expert in who["experts"]] == ["expert0", "expert1", "expert2"]
    assert [row["engine"] for row in project.score()] == [ENGINE, ENGINE]


def test_a_test_that_does_not_fit_the_model_is_refused_before_it_is_asked(project):
    project.experts()
    project.found()
    project.evolve()
    write_json("base/config.json", {"max_position_embeddings": 513})
    asked = len(project.ranks)
    with pytest.raises(
        GenomeError, match=r"row sums-0: its prompt of 2 tokens and max_tokens 512 make 514; .* at most 513"
    ):
        project.answer()
    assert len(project.ranks) == asked


def test_shuffled_responses_score_the_same(project):
    project.evolve()
    project.answer()
    before = project.score(), read_jsonl(f"{TEST}/answers.jsonl")
    write_jsonl(f"{TEST}/responses.jsonl", read_jsonl(f"{TEST}/responses.jsonl")[::-1])
    assert (project.score(), read_jsonl(f"{TEST}/answers.jsonl")) == before


def test_an_engine_is_as_wide_as_the_job_s_adapters(project):
    """Experts of rank 4 by themselves, or three side by side: an engine that a narrow job starts is made wide first."""
    assert project.ranks == [4, 4]
    project.evolve()
    project.found(merge_space="product")
    project.evolve(merge_space="product", individual_mutation_rate=1.0, gene_mutation_rate=1.0)
    project.answer()
    assert project.ranks == [4, 4, 4, 12, 12, 12]
    project.site.engine["stacked"] = 3
    project.experts()
    assert project.ranks[-1] == 12


def test_a_race_on_other_samples_is_refused(project):
    racing = {"looks": [2], "confidence": 0.95, "share": 0.5}
    project.evolve(racing=racing, individual_mutation_rate=1.0)
    path = f"{RUN}/generation_1/population.json"
    trials = read_json(path)["trials"]
    assert {len(trial["sums"]) for trial in trials.values()} <= {2, 4}
    write_jsonl("validation.jsonl", read_jsonl("validation.jsonl")[:3])
    refused(lambda: project.evolve(2, racing), f"{path}: raced on other samples than these; delete the file")
