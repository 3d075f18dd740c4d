"""Search beyond the paper, in the workflow: CMA-ES, mixtures of products, and controls over coefficients."""

import subprocess

import pytest

from genome.files import read_json, read_jsonl
from genome.jobs.rebuild import rebuild
from genome.search.population import top
from genome.search.records import read_population

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CMA_ES = "results/runs/sums/cma_es/n4/seed1"
PRODUCT = "results/runs/sums/cma_es-product/n4/seed1"


def test_interrupted_cma_es_resumes_with_the_same_bytes(fresh):
    fresh.make(f"{CMA_ES}/generation_3/population.json")
    before = fresh.files(f"{CMA_ES}/**/*")
    for generation in (2, 3):
        subprocess.run(["rm", "-r", fresh.folder / CMA_ES / f"generation_{generation}"], check=True)
    fresh.make(f"{CMA_ES}/generation_3/population.json")
    assert fresh.files(f"{CMA_ES}/**/*") == before


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_engine_answers_with_products_as_peft_does(fresh, tmp_path):
    """The answers of the engine are those of transformers with the rebuilt adapter, run by PEFT."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = fresh.folder / PRODUCT / "generation_1/population.json"
    fresh.make(path.relative_to(fresh.folder).as_posix())
    name = read_population(path).created[0].name
    rebuild(path, name, fresh.folder / "resources/experts", tmp_path / "adapter")
    assert read_json(tmp_path / "adapter/adapter_config.json")["r"] == 80
    base = fresh.folder / "resources/models/micro"
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter").eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = read_jsonl(path.with_name("evaluations.jsonl"))
    served = {row["sample"]: row["response"] for row in rows if row["individual"] == name}
    samples = read_jsonl(fresh.folder / "results/prompts/micro/sums/validation.jsonl")
    assert len(served) == len(samples) == 30
    for sample in samples:
        tokens = torch.tensor([sample["tokens"]])
        longest = len(tokenizer(served[sample["id"]])["input_ids"]) + 4
        out = model.generate(input_ids=tokens, max_new_tokens=longest, do_sample=False)[0, tokens.shape[1] :]
        assert tokenizer.decode(out, skip_special_tokens=True) == served[sample["id"]]


def test_products_start_from_a_separate_generation_0(fresh):
    assert "initial-pairs-product/n4" in " ".join(fresh.planned(f"{PRODUCT}/generation_1/population.json"))
    assert "product" not in " ".join(fresh.planned(f"{CMA_ES}/generation_1/population.json"))


def test_chosen_team_answers_the_test(fresh):
    """Chosen from what the run has kept of its validation answers."""
    run = "results/runs/sums/genome_plus-team/n4/seed1"
    responses = "results/test/sums/sums/genome_plus-team/n4/seed1/responses.jsonl"
    fresh.make(responses)
    roles = {row["role"]: row["individual"] for row in read_jsonl(fresh.folder / responses)}
    members = {member.name for member in read_population(fresh.folder / run / "generation_3/population.json").members}
    assert sorted(roles) == ["best", "member1", "member2", "member3"]
    assert {name for role, name in roles.items() if role != "best"} <= members


def test_controls_over_coefficients_are_tested_and_the_best_neighbours_vote(fresh):
    """An ensemble of a method of one job; with a team, its members are chosen by the validation answers of that job."""
    fresh.configure(
        methods={"randopt": {"candidates": 5}, "task_arithmetic": {"scales": [0.2, 0.6]}},
        variants={"randopt-team": {"method": "randopt", "ensemble": {"choose": "team"}}},
    )
    runs = ("base", "uniform", "task_arithmetic", "randopt/seed1", "randopt-team/seed1")
    fresh.make(*(f"results/test/sums/sums/{run}/scores.json" for run in runs))
    found = {run: read_json(fresh.folder / f"results/test/sums/sums/{run}/scores.json") for run in runs}
    reports = {run: [row["report"] for row in rows] for run, rows in found.items()}
    assert reports == {run: ["best", "ensemble"] if "/" in run else ["best"] for run in runs}
    answered = read_jsonl(fresh.folder / "results/test/sums/sums/randopt/seed1/responses.jsonl")
    members = [name for role, name in {row["role"]: row["individual"] for row in answered}.items() if role != "best"]
    neighbours = read_population(fresh.folder / "results/runs/sums/randopt/seed1/population.json")
    assert members == [each.name for each in top(neighbours, 3)]
    assert len(neighbours.members) == 5


def test_first_swarm_is_the_fittest_experts_and_asks_nothing(fresh):
    swarm = "results/runs/sums/model_swarms/n4/seed1/generation_1"
    fresh.make(f"{swarm}/population.json")
    experts = read_population(fresh.folder / "results/runs/sums/experts/population.json")
    initial = fresh.folder / "results/runs/sums/initial-populated/n4/seed1"
    assert [x.name for x in read_population(initial / "population.json").members] == [x.name for x in top(experts, 4)]
    assert read_jsonl(initial / "evaluations.jsonl") == []
    assert {row["individual"] for row in read_jsonl(fresh.folder / swarm / "evaluations.jsonl")} == {
        f"g01-particle{i}" for i in range(4)
    }
