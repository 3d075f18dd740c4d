"""Stages of a run with a fake engine: its fingerprint is kept with the answers, and other engines are refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders import ENGINE, make_task, paper_settings, write_expert, write_manifest
from fake_engine import FakeEngine
from genome.errors import GenomeError
from genome.files import read_json, read_jsonl, write_json, write_jsonl
from genome.jobs.baselines import baseline
from genome.jobs.evaluation import answer_test, score_test
from genome.jobs.evolution import generation, initial_population, score_experts
from genome.jobs.site import Outputs, Site
from genome.jobs.spending import most_tokens_of
from genome.lora.shared import write_basis
from genome.scoring.usage import read_usage
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
    """A folder in which stages run, with an engine that can be replaced."""

    def __init__(self, experts):
        self.engine, self.ranks = FakeEngine(), []
        self.site = Site("base", "experts.json", {})
        write_manifest("experts.json", experts)
        samples = [{"id": f"sums-{i}", "tokens": [1, 2], "reference": str((-1) ** i)} for i in range(4)]
        write_jsonl("validation.jsonl", samples)
        write_jsonl("test.jsonl", samples)
        for place in (EXPERTS, START, *(f"{RUN}/generation_{g}" for g in (1, 2)), TEST):
            Path(place).mkdir(parents=True)

    def connect(self, settings, base, rank, kept):
        self.ranks.append(rank)
        return self.engine

    def files(self, place):
        return Outputs(f"{place}/population.json", f"{place}/evaluations.jsonl", f"{place}/record.json")

    def experts(self):
        score_experts(self.site, json.dumps(FITNESS), ["validation.jsonl"], "stop", self.files(EXPERTS))

    def initial_population(self, **changes):
        settings = json.dumps({**FITNESS, "stage": 1, "initialisation": "pairs", **changes})
        scored = f"{EXPERTS}/population.json"
        initial_population(self.site, settings, ["validation.jsonl"], scored, 4, 1, self.files(START))

    def generation(self, number=1, racing=None, records=(), **changes):
        settings = json.dumps({**FITNESS, **paper_settings("genome", **changes), "racing": racing})
        place, previous = f"{RUN}/generation_{number}", f"{RUN}/generation_{number - 1}"
        out = self.files(place)
        previous = f"{START if number == 1 else previous}/population.json"
        generation(self.site, settings, ["validation.jsonl"], previous, records, 1, False, f"{place}/adapters", out)
        return read_population(out.population)

    def answer(self, members=2, **more):
        settings = json.dumps({"version": 1, "members": members, "max_tokens": None, **more})
        out = f"{TEST}/responses.jsonl", f"{TEST}/responses.json", "test_record.json"
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
    monkeypatch.setattr("genome.jobs.site.connect", project.connect)
    project.experts()
    project.initial_population()
    return project


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """A project whose experts have ranks 3, 4 and 5; they have been scored."""
    monkeypatch.chdir(tmp_path)
    made = [write_expert(tmp_path / f"expert{rank}", rank, rank=rank) for rank in (3, 4, 5)]
    project = Project(made)
    project.made = made
    monkeypatch.setattr("genome.jobs.site.connect", project.connect)
    project.experts()
    return project


def refused(call, *parts):
    with pytest.raises(GenomeError) as error:
        call()
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_populations_record_the_engine_that_answered(project):
    for place in (EXPERTS, START):
        assert read_population(f"{place}/population.json").engine == ENGINE
    assert project.generation().engine == ENGINE


def test_stages_refuse_populations_of_another_engine(project):
    project.generation()
    project.engine.fingerprint = OTHER
    differing = "backend transformers, quantization None, the engine now has backend vllm, quantization fp8"
    delete = "delete results/runs/sums to begin again"
    refused(lambda: project.generation(2), f"{RUN}/generation_1/population.json: ", differing, delete)
    refused(project.initial_population, f"{EXPERTS}/population.json: ", differing, delete)
    refused(project.answer, f"{RUN}/generation_1/population.json: ", differing, delete)
    settings = json.dumps({**FITNESS, **paper_settings("pack_of_llms_merge")})
    scored, out = f"{EXPERTS}/population.json", project.files(RUN)
    refused(lambda: baseline(project.site, settings, ["validation.jsonl"], scored, 1, out), differing, delete)
    assert not Path(f"{RUN}/generation_2/population.json").exists()
    assert not Path(f"{TEST}/responses.jsonl").exists()


def test_generation_without_evaluations_passes_on_the_engine(project):
    project.generation(patience=0)
    project.engine.fingerprint = OTHER
    assert project.generation(2, patience=0).engine == ENGINE
    assert read_json(f"{RUN}/generation_2/record.json")["machine"] is None


def test_generation_refuses_other_experts_and_tasks(project, make_experts):
    value = read_json("experts.json")
    write_json("experts.json", {**value, "experts": value["experts"][::-1]})
    refused(
        project.generation, f"{START}/population.json: made of the experts expert0 expert1 expert2, these are expert2"
    )
    write_json("experts.json", value)
    FITNESS["tasks"][0]["name"] = "facts"
    try:
        refused(project.generation, f"{START}/population.json: scored on sums, expected facts")
    finally:
        FITNESS["tasks"][0]["name"] = "sums"


def test_responses_and_scores_record_the_engine(project):
    project.generation()
    project.answer()
    who = read_json(f"{TEST}/responses.json")
    assert (who["engine"], who["members"]) == (ENGINE, 2)
    assert [expert["name"] for expert in who["experts"]] == ["expert0", "expert1", "expert2"]
    assert [row["engine"] for row in project.score()] == [ENGINE, ENGINE]


def test_answer_test_refuses_prompts_longer_than_the_model(project):
    project.experts()
    project.initial_population()
    project.generation()
    write_json("base/config.json", {"max_position_embeddings": 513})
    asked = len(project.ranks)
    with pytest.raises(
        GenomeError, match=r"row sums-0: its prompt of 2 tokens and max_tokens 512 make 514; .* at most 513"
    ):
        project.answer()
    assert len(project.ranks) == asked


def test_score_test_does_not_depend_on_the_order_of_responses(project):
    project.generation()
    project.answer()
    before = project.score(), read_jsonl(f"{TEST}/answers.jsonl")
    write_jsonl(f"{TEST}/responses.jsonl", read_jsonl(f"{TEST}/responses.jsonl")[::-1])
    assert (project.score(), read_jsonl(f"{TEST}/answers.jsonl")) == before


def test_responses_to_a_test_end_at_the_stop_texts_of_the_settings(project):
    project.generation()
    project.answer(stop=["Q:"])
    assert {tuple(request.stop) for request in project.engine.requests[-1]} == {("Q:",)}


def test_engine_has_the_rank_of_the_job_s_adapters(project):
    """Adapters have rank 4, or 12 if products of three experts are merged; an engine may be started for both."""
    assert project.ranks == [4, 4]
    project.generation()
    project.initial_population(merge_space="product")
    project.generation(merge_space="product", individual_mutation_rate=1.0, gene_mutation_rate=1.0)
    project.answer()
    assert project.ranks == [4, 4, 4, 12, 12, 12]
    for spaces, rank in ((["factors", "product"], 12), (["", "shared-7"], 7), (["", "shared-2"], 4)):
        project.site.engine["spaces"] = spaces
        project.experts()
        assert project.ranks[-1] == rank


def test_experts_of_several_ranks_are_merged_as_products_unless_a_space_is_named(mixed):
    mixed.initial_population()
    assert {each.genotype.space for each in read_population(f"{START}/population.json").members} == {"product"}
    assert mixed.ranks == [5, 3 + 4 + 5]
    mixed.initial_population(merge_space="factors")
    population = read_population(f"{START}/population.json")
    assert {each.genotype.space for each in population.members} == {"factors"}
    assert mixed.ranks[-1] == 5
    assert mixed.generation(merge_space="factors").best.score >= population.best.score


def test_a_run_in_a_shared_space_uses_its_basis(mixed):
    write_basis(mixed.made, 6, "basis.safetensors")
    mixed.site = replace(mixed.site, basis=["basis.safetensors"])
    space = {"merge_space": {"shared": {"rank": 6}}}
    mixed.initial_population(**space)
    mixed.generation(**space, individual_mutation_rate=1.0, gene_mutation_rate=1.0)
    mixed.answer()
    assert mixed.ranks == [5, 6, 6, 6]
    members = read_population(f"{RUN}/generation_1/population.json").members
    assert {each.genotype.space for each in members} == {"shared-6"}


def test_products_of_a_higher_rank_than_vllm_serves_are_refused(mixed):
    value = read_json("experts.json")
    for entry in value["experts"]:
        entry["rank"] = 200
    write_json("experts.json", value)
    mixed.site = replace(mixed.site, engine={"backend": "vllm"})
    refused(mixed.initial_population, "product needs adapters of rank 600, the ranks of 3 experts", "{shared: {rank: ")
    mixed.initial_population(merge_space="factors")
    assert mixed.ranks[-1] == 200


def test_a_single_expert_answers_by_its_file(project):
    expert = write_expert(Path("merged").resolve(), 9, rank=6)
    settings = json.dumps({"version": 1, "members": 0, "max_tokens": None})
    out = f"{TEST}/responses.jsonl", f"{TEST}/responses.json", "test_record.json"
    answer_test(project.site, settings, str(expert.path), [], "test.jsonl", *out)
    assert project.ranks[-1] == 6
    assert {(row["role"], row["individual"]) for row in read_jsonl(out[0])} == {("best", "merged")}
    assert read_json(out[1])["experts"] == [{"name": "merged", "sha256": expert.sha256}]


@pytest.mark.parametrize(("fusion", "tau"), [({"weights": "sim", "tau": 0.5}, 0.5), ({"weights": "opt"}, None)])
def test_all_experts_answer_together(project, fusion, tau):
    settings = json.dumps({"version": 1, "members": 0, "max_tokens": 7, "stop": ["."], "fusion": fusion})
    out = f"{TEST}/responses.jsonl", f"{TEST}/responses.json", "test_record.json"
    answer_test(project.site, settings, project.site.manifest, [], "test.jsonl", *out)
    [(models, prompts, *asked)] = project.engine.fused
    experts = project.site.experts()
    assert (len({*models}), prompts, asked) == (len(experts), [[1, 2]] * 4, [7, tau, ["."]])
    assert {(row["role"], row["individual"]) for row in read_jsonl(out[0])} == {("best", "all experts")}
    assert [each["sha256"] for each in read_json(out[1])["experts"]] == [each.sha256 for each in experts]


def test_generation_refuses_races_on_other_samples(project):
    racing = {"looks": [2], "confidence": 0.95, "share": 0.5}
    project.generation(racing=racing, individual_mutation_rate=1.0)
    path = f"{RUN}/generation_1/population.json"
    trials = read_json(path)["trials"]
    assert {len(trial["sums"]) for trial in trials.values()} <= {2, 4}
    write_jsonl("validation.jsonl", read_jsonl("validation.jsonl")[:3])
    refused(lambda: project.generation(2, racing), f"{path}: raced on other samples than these; delete the file")


def test_stages_record_what_they_asked_the_engine(project):
    """By these records the time of further jobs is forecast."""
    project.generation()
    project.answer()
    records = f"{EXPERTS}/record.json", f"{RUN}/generation_1/record.json", "test_record.json"
    for path, task in zip(records, ("sums", "sums", Path("test.jsonl").parent.name), strict=True):
        usage = read_usage(path)
        assert (usage.base, usage.tasks) == ("base", (task,)), path
        assert json.loads(usage.engine) == ENGINE
        assert 0 <= usage.asking_seconds <= read_json(path)["seconds"]
        assert usage.samples > 0


BUSY = {"crossover_rate": 1, "individual_mutation_rate": 1.0}
"""Rates with which a population of four has two children and six mutants."""


def test_a_generation_that_the_budget_does_not_pay_for_passes_its_population_on_and_asks_nothing(project):
    assert read_population(f"{START}/population.json").samples == 4 * 4
    first = project.generation(**BUSY, budget="50 samples")
    assert (first.samples, first.ended) == (16 + 8 * 4, "")
    second = project.generation(2, **BUSY, budget="50 samples")
    assert second.ended == "budget of 50 samples: 48 are spent, and the next batch may need 24"
    assert (second.samples, second.members, second.best) == (48, first.members, first.best)
    assert read_jsonl(f"{RUN}/generation_2/evaluations.jsonl") == []
    record = read_json(f"{RUN}/generation_2/record.json")
    assert (record["machine"], record["samples"], record["evaluations"]) == (None, 0, 0)
    other = project.generation(2, **BUSY, budget="72 samples")
    assert (other.samples, other.ended) == (72, "")
    assert read_population(f"{RUN}/generation_1/population.json") == first


def test_populations_of_runs_without_a_budget_have_no_part_of_one(project):
    project.generation(**BUSY, budget="50 samples")
    with_budget = Path(f"{RUN}/generation_1/population.json").read_bytes()
    project.generation(**BUSY)
    assert Path(f"{RUN}/generation_1/population.json").read_bytes() == with_budget


def test_finalists_and_the_scores_of_experts_are_kept_from_a_budget(project):
    """Two finalists and three experts on four samples."""
    kept = (2 + 3) * 4
    assert not project.generation(**BUSY, budget=f"{16 + 32 + kept} samples", reserved=2).ended
    ended = project.generation(**BUSY, budget=f"{16 + 32 + kept - 1} samples", reserved=2).ended
    assert "16 are spent, 20 are reserved for finalists, and the next batch may need 32" in ended
    refused(
        lambda: project.generation(budget="30 samples", reserved=2),
        "budget of 30 samples: generation 0 has spent 16 and 20 are reserved for finalists; raise `budget`",
    )


def test_a_budget_in_tokens_counts_what_the_engine_has_read_and_generated(project):
    """Prompts have two tokens, and so have the responses, of at most 512; records have what is spent before."""
    write_json("spent.json", {"machine": None, "prompt_tokens": 100, "response_tokens": 20})
    project.engine, most = FakeEngine(), 8 * 4 * (2 + 512)
    first = project.generation(**BUSY, budget=f"{120 + most} tokens", records=["spent.json"])
    assert (first.tokens, first.ended) == (120 + 8 * 4 * (2 + 2), "")
    second = project.generation(2, **BUSY, budget=f"{first.tokens} tokens")
    assert second.tokens == first.tokens
    assert f"{first.tokens} are spent, and the next batch may need {most * 6 // 8:,}" in second.ended


@pytest.mark.parametrize(("backend", "most"), [("transformers", 3 + 5), ("vllm", 2 * 3 + 5)])
def test_a_prompt_with_options_is_read_once_or_with_each_of_them(project, backend, most):
    """By likelihood, nothing is generated: one prompt of three tokens and two options of two and three."""
    options = [{"option": name, "tokens": tokens} for name, tokens in (("A", [1, 2]), ("B", [1, 2, 3]))]
    task = make_task("choice", answer_by="likelihood")
    samples = [{"id": "x", "tokens": [1, 2, 3], "continuations": options}]
    assert most_tokens_of([(task, samples)], once=backend == "transformers", likelihood=True) == most
    worked = [{"id": "x", "tokens": [1, 2, 3], "expected": "A"}]
    task = make_task("number", max_tokens=10)
    assert most_tokens_of([(task, worked)], once=True, likelihood=True) == 2 * (3 + 10)
    assert most_tokens_of([(task, worked)], once=True, likelihood=False) == 3 + 10
