"""A real vLLM: the same answers as transformers, adapters that never answer for each other, whole workflows."""

import copy
import json
import math
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from engine.real_vllm import (
    ENGINE,
    MARKS,
    WIDE,
    greedy_tokens,
    server_pid,
    serving,
    supervisor_pid,
    wait_until_gone,
    worker_pid,
)
from engine.tiny_models import SHAPE, tokenizer
from genome.engine import local
from genome.engine.merged import reference
from genome.engine.messages import Request
from genome.engine.probe import get
from genome.engine.state import STORE
from genome.engine.vllm import allowed_rank
from genome.errors import GenomeError
from genome.experts.expert import is_mixed, read_expert
from genome.experts.importing import import_expert
from genome.files import read_json, read_jsonl
from genome.genotype import FACTORS, PRODUCT, Genotype, Noise, shared
from genome.lora.shared import write_basis
from genome.lora.store import store_genotypes
from workflow.conftest import Project

pytestmark = MARKS

MAX_TOKENS = 16
TASKS = ["sums", "emotions", "facts"]


ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# By the kind of an expert: its fields in PEFT, and the rank of its expert.
KINDS = {
    "low": ({"r": 4, "lora_alpha": 8, "target_modules": ALL}, 4),
    "few layers": ({"r": 8, "lora_alpha": 8, "target_modules": r".*layers\.1\..*(q_proj|down_proj)"}, 8),
    "high": ({"r": 16, "lora_alpha": 24, "target_modules": ALL}, 16),
    "rsLoRA": ({"r": 8, "lora_alpha": 6, "use_rslora": True, "target_modules": ["o_proj", "up_proj"]}, 8),
    "DoRA": ({"r": 4, "lora_alpha": 8, "use_dora": True, "target_modules": ALL}, 24),
}
FULL_RANK = 32
BASIS_RANK = 16


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    """A base with random weights, and the experts of several kinds, ranks and layers that people may have of it."""
    folder = tmp_path_factory.mktemp("brought")
    torch.manual_seed(5)
    network = LlamaForCausalLM(LlamaConfig(**SHAPE | WIDE | {"initializer_range": 0.3})).eval()
    network.save_pretrained(folder / "base")
    tokenizer().save_pretrained(folder / "base")
    sources = {}
    for kind, (fields, rank) in KINDS.items():
        adapted = get_peft_model(copy.deepcopy(network), LoraConfig(**fields))
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.data += 0.1 * torch.randn_like(weight)
        adapted.save_pretrained(folder / kind)
        sources[kind] = {"path": str(folder / kind), "rank": rank}
    tuned = copy.deepcopy(network)
    for name, weight in tuned.named_parameters():
        if name.endswith("_proj.weight"):
            weight.data += 0.1 * torch.randn_like(weight)
    tuned.save_pretrained(folder / "tuned")
    sources["full"] = {"path": str(folder / "tuned"), "rank": FULL_RANK}
    return folder / "base", [
        import_expert(kind, source, folder / "base", folder / f"{number}.safetensors")
        for number, (kind, source) in enumerate(sources.items())
    ]


def test_mixtures_of_experts_of_any_rank_answer_as_under_transformers(brought, tmp_path, monkeypatch):
    """In each space, mixtures of all experts and of some, whose adapters have padded layers named in full."""
    base, experts = brought
    assert is_mixed(experts)
    assert [expert.rank for expert in experts] == [*(rank for _, rank in KINDS.values()), FULL_RANK]
    basis = tmp_path / "basis.safetensors"
    write_basis(experts, BASIS_RANK, basis)
    draw = random.Random(2)
    mixtures = [tuple(draw.uniform(-0.3, 1) for _ in experts), (0.6, 0.0, 0.0, 0.9, 0.0, 0.0), (0, 0.5, 0, 0, 0.7, 0)]
    spaces = (FACTORS, PRODUCT, shared(BASIS_RANK))
    genotypes = [Genotype(mixture, space=space) for space in spaces for mixture in mixtures]
    genotypes.append(Genotype(mixtures[0], (Noise(7, 0.2, 0.01),)))
    prompts = [[draw.randrange(3, 70) for _ in range(length)] for length in range(4, 14) for _ in range(6)]
    monkeypatch.chdir(tmp_path)
    folders = store_genotypes(genotypes, experts, STORE.absolute(), basis=basis)
    highest = sum(expert.rank for expert in experts)
    ranks = [read_json(folder / "adapter_config.json")["r"] for folder in folders]
    assert ranks == [32, 32, 32, highest, 12, 32, 16, 16, 16, 32]
    assert (highest, allowed_rank(highest)) == (92, 128)
    with_peft = [texts_with_peft(base, folder, prompts) for folder in folders]
    expected = [[text.strip() for text in texts] for texts, _ in reference(base, folders, prompts, MAX_TOKENS)]
    assert agreement(expected, with_peft) >= 0.99
    with serving(base, highest, {"max_model_len": 64}) as engine:
        ours = answers(engine, folders, prompts)
    assert len({tuple(texts) for texts in ours}) == len(folders), "every adapter has its answers"
    assert agreement(ours, expected) >= 0.99
    assert agreement(ours, with_peft) >= 0.99


def texts_with_peft(base, folder, prompts):
    """Return transformers' own greedy texts of an adapter, which PEFT has loaded."""
    network = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
    found = greedy_tokens(network, prompts, network.generation_config.eos_token_id, MAX_TOKENS)
    return [tokenizer().decode(tokens, skip_special_tokens=True).strip() for tokens in found]


@pytest.fixture(scope="module")
def world(trained, tmp_path_factory) -> Project:
    """A project with base, experts, and the prompts of its tasks."""
    project = trained.copy(tmp_path_factory.mktemp("vllm") / "project")
    project.configure(generations=2, table2={"tasks": TASKS, "variants": ["best_single", "genome", "genome_plus"]})
    project.make(*(f"results/prompts/micro/{task}/validation.jsonl" for task in TASKS))
    return project


@pytest.fixture(scope="module")
def base(world):
    return world.folder / "resources/models/micro"


@pytest.fixture(scope="module")
def prompts(world):
    files = [world.folder / f"results/prompts/micro/{task}/validation.jsonl" for task in TASKS]
    return [sample["tokens"] for file in files for sample in read_jsonl(file)]


@pytest.fixture(scope="module")
def engine(base, tmp_path_factory):
    """One server for most tests of this module."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("engine"))
    with serving(base, 8) as engine:
        yield engine
    os.chdir(before)


@pytest.fixture(scope="module")
def folders(world, engine):
    """Ten random mixtures of the experts, in the store."""
    experts = [read_expert(world.folder / entry["path"]) for entry in manifest(world)["experts"]]
    draw = random.Random(1)
    genotypes = [
        Genotype(
            tuple(draw.choice((0.0, draw.uniform(-0.3, 1.0))) for _ in experts),
            (Noise(draw.randrange(99), 0.2, 0.001),),
        )
        for _ in range(10)
    ]
    return store_genotypes(genotypes, experts, STORE.absolute())


def manifest(world):
    return read_json(world.folder / "results/experts/micro.json")


def answers(engine, folders, prompts):
    """Return the adapters' answers, all asked for at once."""
    with engine.serving(folders):
        texts = engine.complete([Request(folder.name, prompts, MAX_TOKENS) for folder in folders])
    return [[text.strip() for text in by_adapter] for by_adapter in texts]


def agreement(ours, theirs):
    pairs = [pair for lists in zip(ours, theirs, strict=True) for pair in zip(*lists, strict=True)]
    return sum(one == other for one, other in pairs) / len(pairs)


def test_texts_and_perplexities_equal_those_of_transformers(engine, base, folders, prompts):
    expected = reference(base, folders, prompts, MAX_TOKENS)
    ours = answers(engine, folders, prompts)
    assert len({text for texts in ours for text in texts}) > 10
    assert agreement(ours, [[text.strip() for text in texts] for texts, _ in expected]) >= 0.99
    with engine.serving(folders):
        sums = [engine.negative_log_likelihood(folder.name, prompts) for folder in folders]
    perplexities = [math.exp(nll / number) for nll, number in sums]
    assert perplexities == pytest.approx([perplexity for _, perplexity in expected], rel=1e-3)


def test_adapters_are_unloaded_after_their_answers(engine, folders, prompts):
    answers(engine, folders, prompts[:2])
    address = engine._address
    listed = json.loads(get(f"{address.url}/v1/models", address.key).data)["data"]
    assert [model["id"] for model in listed] == ["base"]


def test_a_wrong_adapter_is_refused_in_one_line(engine, tmp_path):
    with pytest.raises(GenomeError, match="No adapter found") as caught:
        engine.load("nothing", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("victim", [worker_pid, server_pid, supervisor_pid])
def test_adapters_keep_their_answers_when_the_server_is_killed(engine, base, folders, prompts, victim):
    """Two adapters alternate, are unloaded and loaded under new ids; the server is killed while they do.

    Nothing is left of a killed server, and no answer is missing or of a dead request.
    """
    pair = folders[:2]
    alone = [answers(engine, [folder], prompts)[0] for folder in pair]
    assert agreement(alone[:1], alone[1:]) < 0.9
    first = server_pid()
    killed = threading.Timer(2, lambda: os.kill(victim(), signal.SIGKILL))

    def alternate(number):
        order = (0, 1) if number % 2 else (1, 0)
        return dict(zip(order, answers(engine, [pair[i] for i in order], prompts), strict=True))

    killed.start()
    until = time.monotonic() + 4
    rounds = []
    with ThreadPoolExecutor(4) as threads:
        while time.monotonic() < until or len(rounds) < 8:
            rounds += threads.map(alternate, range(4))
    assert server_pid() != first
    wait_until_gone(first)
    # Other ids than before: the server has counted from one again, the second adapter first.
    rounds.append(dict(zip((1, 0), answers(engine, pair[::-1], prompts), strict=True)))
    for by_adapter in rounds:
        for i in (0, 1):
            assert len(by_adapter[i]) == len(prompts)
            assert agreement([by_adapter[i]], [alone[i]]) >= 0.99


def test_scores_of_a_workflow_under_vllm_equal_those_under_transformers(world, tmp_path):
    """GENOME and GENOME+ end to end, with the check of the engine; scores are those under transformers."""
    table, check = "results/tables/table2.csv", "results/engine_check.txt"
    plain, real = world.copy(tmp_path / "transformers"), world.copy(tmp_path / "vllm")
    plain.make(table)
    text = (real.folder / "small.yaml").read_text()
    (real.folder / "small.yaml").write_text(yaml.safe_dump(yaml.safe_load(text) | {"engine": ENGINE}))
    real.make(table, check)
    assert "All checks passed." in (real.folder / check).read_text()
    log = (real.folder / local.LOG).read_text()
    assert log.count("serves") == 1, "one engine for all jobs"
    for run in (f"{task}/{method}" for task in TASKS for method in ("genome", "genome_plus")):
        file = f"results/runs/{run}/n4/seed1/generation_2/population.json"
        ours, theirs = real.read(file)["best"], plain.read(file)["best"]
        assert ours["fitness"] == pytest.approx(theirs["fitness"], abs=0.04)
    assert not real.processes("genome.engine.supervisor")
    assert not real.processes("vllm.entrypoints")
