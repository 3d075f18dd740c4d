"""Search beyond the paper: CMA-ES, and mixtures of products, in the workflow."""

import subprocess

import pytest

from genome.files import read_json, read_jsonl
from genome.jobs.rebuild import rebuild
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
