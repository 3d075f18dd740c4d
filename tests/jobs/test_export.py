"""The export of a population: files, base, and a card over several tasks."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel

from builders import ENGINE, score_row, scored
from engine.tiny_models import FAMILIES, tokenizer
from genome.errors import GenomeError
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.expert import PREFIX, is_mixed, read_expert, write_expert
from genome.experts.tensors import open_tensors
from genome.files import read_json, read_jsonl, write_json, write_jsonl
from genome.genotype import FACTORS, PRODUCT, Genotype, Noise, expert, mixture, shared
from genome.jobs.export import export_adapter, merge_model
from genome.lora.compress import lost
from genome.lora.materialise import materialise
from genome.lora.shared import write_basis
from genome.search.population import Fitness, Individual, new_population
from genome.search.records import read_population, write_population

TASKS = ("sums", "change")
DEFINITION = {"kind": "number", "source": {"path": "rows.jsonl"}, "prompt": "{{ question }}", "reference": "answer"}


def make_run(folder, experts, genotypes, **settings):
    """Return what a job is handed: settings and input files of a run on two tasks; `genotypes` by name, best first."""
    values = dict(zip(genotypes, (0.75, 0.5), strict=False))
    fitness = {name: Fitness(value, dict.fromkeys(TASKS, value)) for name, value in values.items()}
    individuals = [Individual(name, genotypes[name], "mixture", fitness=fitness[name]) for name in reversed(values)]
    write_population(folder / "population.json", scored(new_population(individuals), experts), experts)
    scores = [Fitness(value, dict.fromkeys(TASKS, value)) for value in (0.6, 0.4, 0.3)]
    n = len(experts)
    singles = [Individual(x.name, expert(i, n), "expert", fitness=scores[i]) for i, x in enumerate(experts)]
    write_population(folder / "scored_experts.json", scored(new_population(singles), experts), experts)
    entries = [{"path": str(each.path), "sha256": each.sha256, "rank": each.rank} for each in experts]
    write_json(folder / "experts.json", {"mixed": is_mixed(experts), "experts": entries})
    splits = {task: folder / "results/splits" / task for task in TASKS}
    tests = {task: folder / "results/test" / task / "sums+change/genome_plus/n2/seed1" for task in TASKS}
    for task, place in tests.items():
        write_json(splits[task] / "provenance.json", {"validation": 20, "test": 4, "prompts_on_both_sides": 0})
        row = score_row("genome_plus", task, population_size=2, tasks="+".join(TASKS), n=4, unparsed=0)
        write_json(place / "scores.json", [row, {**row, "report": "ensemble", "score": 1.0}])
        answers = [("best", sample, sample % 2) for sample in range(4)] + [
            ("ensemble", sample, 1) for sample in range(4)
        ]
        rows = [dict(zip(("report", "sample", "score"), answer, strict=True)) for answer in answers]
        write_jsonl(place / "answers.jsonl", rows)
        asked = [("best", next(iter(values))), *((f"member{i + 1}", name) for i, name in enumerate(values))]
        responses = [
            {"role": role, "individual": name, "sample": n, "response": ""} for role, name in asked for n in range(4)
        ]
        write_jsonl(place / "responses.jsonl", responses)
    settings = {
        "label": "GENOME+",
        "run": {"method": "genome_plus", "seed": 1, "population_size": 2},
        "settings": {"method": "genome_plus", "weights": {"sums": 1, "change": 2}},
        "members": 2,
        "base": {"hub": "org/base", "revision": "abc", "reference": "org/base"},
        "tasks": [[task, DEFINITION] for task in TASKS],
        **settings,
    }
    return {
        "settings": json.dumps(settings),
        "manifest": str(folder / "experts.json"),
        "population": str(folder / "population.json"),
        "scored_experts": str(folder / "scored_experts.json"),
        "splits": [str(place / "provenance.json") for place in splits.values()],
        "scores": [str(place / "scores.json") for place in tests.values()],
        "answers": [str(place / "answers.jsonl") for place in tests.values()],
        "responses": [str(place / "responses.jsonl") for place in tests.values()],
    }


@pytest.fixture
def run(make_experts, tmp_path):
    experts = make_experts(2)
    genotypes = {"a": Genotype((0.25, 0.75), (Noise(7, 0.2, 0.01),)), "b": Genotype((1.0, 0.0))}
    materialise([genotypes["a"]], experts, [tmp_path / "best"])
    return make_run(tmp_path, experts, genotypes)


def test_the_best_is_exported_with_its_base_at_its_commit(run, tmp_path):
    out = tmp_path / "out"
    export_adapter(**run, out=str(out))
    assert (out / WEIGHTS).read_bytes() == (tmp_path / "best" / WEIGHTS).read_bytes()
    config, experts = read_json(out / CONFIG), read_json(tmp_path / "best" / CONFIG)
    assert config == experts | {"base_model_name_or_path": "org/base", "revision": "abc"}
    genotype = read_json(out / "genotype.json")
    assert genotype["best"]["name"] == "a"
    assert [member["name"] for member in genotype["members"]] == ["a", "b"]


def test_members_are_those_that_answered_even_if_others_are_fitter(run, tmp_path):
    """A team that validation answers chose need not be the fittest."""
    asked = (("best", "a"), ("member1", "b"))
    rows = [{"role": role, "individual": name, "sample": n, "response": ""} for role, name in asked for n in range(4)]
    write_jsonl(run["responses"][0], rows)
    export_adapter(**run, out=str(tmp_path / "out"))
    assert [member["name"] for member in read_json(tmp_path / "out/genotype.json")["members"]] == ["b"]


def test_the_card_has_every_task_of_the_run(run, tmp_path):
    export_adapter(**run, out=str(tmp_path / "out"))
    text = (tmp_path / "out/README.md").read_text()
    assert "# GENOME+ on sums and change" in text
    for task in TASKS:
        assert f"| {task}: **this adapter** on test | accuracy | 50.0 |" in text
        assert f"| {task}: the ensemble of 2 on test | accuracy | 100.0 |" in text
        assert f"| {task} | 20 samples | 4 samples |" in text
    assert "  change: 2\n" in text


def test_the_card_says_what_the_run_hands_out(run, tmp_path):
    export_adapter(**run, out=str(tmp_path / "out"))
    text = (tmp_path / "out/README.md").read_text()
    said = "the search's a, 75.0 % on 40 validation samples; best expert expert0 60.0 %; base model not asked."
    assert f"By the validation samples, this is {said}" in text


def test_an_export_again_gives_the_same_bytes(run, tmp_path):
    made = []
    for _ in range(2):
        export_adapter(**run, out=str(tmp_path / "out"))
        made.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {CONFIG, WEIGHTS, "genotype.json", "README.md"}


def test_a_card_says_which_engine_answered(run, tmp_path):
    export_adapter(**run, out=str(tmp_path / "out"))
    assert "one engine: transformers 5.0, dtype float32.\n" in (tmp_path / "out/README.md").read_text()
    assert read_json(tmp_path / "out/genotype.json")["engine"] == ENGINE


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("scores", {"engine": {**ENGINE, "dtype": "float16"}}, "with dtype float16, the engine now has dtype float32"),
        ("scores", {"score": 0.25}, "answers of best, worth 0.5, its scores.json says 4, worth 0.25"),
        ("scores", {"n": 5}, "4 answers of best"),
        ("responses", {"individual": "z"}, "responses of z, which is not of this run"),
        ("experts", {"sha256": "0"}, "made of expert expert0 with SHA-256"),
    ],
)
def test_export_refuses_files_of_different_runs(run, tmp_path, name, change, message):
    path = {"scores": run["scores"][0], "responses": run["responses"][0], "experts": run["population"]}[name]
    if name == "responses":
        write_jsonl(path, [row | change for row in read_jsonl(path)])
    elif name == "scores":
        first, *others = read_json(path)
        write_json(path, [first | change, *others])
    else:
        experts = [read_expert(tmp_path / f"expert{i}.safetensors") for i in range(2)]
        other = [replace(experts[0], **change), experts[1]]
        write_population(path, scored(read_population(path), other), other)
    with pytest.raises(GenomeError, match=message) as error:
        export_adapter(**run, out=str(tmp_path / "out"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


COEFFICIENTS = (0.7, -0.4, 1.1)
RANKS = (2, 5, 3)


def experts_of(network, folder, ranks=RANKS, dtype="F32"):
    """Write an expert of each rank for a tiny model; the second leaves the attention unchanged."""
    experts = []
    for number, rank in enumerate(ranks):
        generator = np.random.default_rng(number)
        factors = {}
        for layer, module in network.named_modules():
            if not layer.endswith("_proj") or (number == 1 and "self_attn" in layer):
                continue
            outputs, inputs = module.weight.shape
            b, a = generator.normal(size=(outputs, rank)), generator.normal(size=(rank, inputs))
            factors[layer] = (0.2 * b).astype("f4"), (0.2 * a).astype("f4")
        path, targets = folder / f"expert{number}.safetensors", sorted({layer.split(".")[-1] for layer in factors})
        provenance = {"kind": "LoRA", "source": "test", "revision": None}
        name = f"expert{number}"
        experts.append(
            write_expert(path, name, factors, alpha=rank, dtype=dtype, target_modules=targets, provenance=provenance)
        )
    return experts


def factors_of(experts):
    """Return (B, A) of each expert for each layer that any of them changes; a missing one has rank 0."""
    opened = [open_tensors(each.path) for each in experts]
    names = dict.fromkeys(tensor.rpartition(".lora_")[0] for tensors in opened for tensor in tensors)
    found = {}
    for name in names:
        shape = {
            side: next(t[f"{name}.lora_{side}.weight"].shape for t in opened if f"{name}.lora_{side}.weight" in t)
            for side in "AB"
        }
        empty = np.zeros((shape["B"][0], 0), "f4"), np.zeros((0, shape["A"][1]), "f4")
        found[name.removeprefix(PREFIX)] = [
            (t[f"{name}.lora_B.weight"], t[f"{name}.lora_A.weight"]) if f"{name}.lora_A.weight" in t else empty
            for t in opened
        ]
    return found


def summed(factors, space):
    """Return the update of a layer by hand."""
    if space == FACTORS:
        rank = max(RANKS)
        b = sum(
            c * np.pad(b, ((0, 0), (0, rank - b.shape[1]))) for c, (b, _) in zip(COEFFICIENTS, factors, strict=True)
        )
        a = sum(c * np.pad(a, ((0, rank - len(a)), (0, 0))) for c, (_, a) in zip(COEFFICIENTS, factors, strict=True))
        return b @ a
    return sum(c * b.astype("f8") @ a for c, (b, a) in zip(COEFFICIENTS, factors, strict=True))


def logits(network):
    tokens = torch.tensor([[5, 17, 30, 42, 8, 61, 9, 77]])
    with torch.no_grad():
        return network(tokens).logits


@pytest.mark.parametrize("space", [FACTORS, PRODUCT, shared(10)])
@pytest.mark.parametrize("family", FAMILIES)
def test_peft_loads_every_export_and_gives_the_logits_of_the_sum(tmp_path, family, space):
    """The joint basis has the rank of all experts together, so that it loses nothing."""
    torch.manual_seed(3)
    network = FAMILIES[family]().eval()
    experts = experts_of(network, tmp_path)
    basis = []
    if space == shared(10):
        basis = [str(tmp_path / "basis.safetensors")]
        write_basis(experts, 10, basis[0])
    job = make_run(tmp_path, experts, {"a": mixture(COEFFICIENTS, space)})
    export_adapter(**job, out=str(tmp_path / "out"), basis=basis)
    assert read_json(tmp_path / "out" / CONFIG)["r"] == {FACTORS: 5, PRODUCT: 10}.get(space, 10)
    card = (tmp_path / "out/README.md").read_text()
    assert ("joint basis of rank 10, which loses 0.0 %" in card) == (space == shared(10))

    network.save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    merge_model(str(tmp_path / "base"), str(tmp_path / "out" / CONFIG), str(tmp_path / "merged"))
    merged = logits(type(network).from_pretrained(tmp_path / "merged", dtype=torch.float32).eval())
    before = logits(network)
    adapted = logits(
        PeftModel.from_pretrained(type(network).from_pretrained(tmp_path / "base").eval(), tmp_path / "out")
    )
    with torch.no_grad():
        for layer, factors in factors_of(experts).items():
            network.get_submodule(layer).weight += torch.from_numpy(summed(factors, space)).float()
    expected = logits(network)
    scale = expected.abs().max().item()
    assert (before - expected).abs().max().item() > 0.01 * scale
    for found in (adapted, merged):
        assert (found - expected).abs().max().item() < 1e-4 * scale


def test_export_in_a_narrow_basis_says_what_it_loses(tmp_path):
    experts = experts_of(FAMILIES["llama"](), tmp_path)
    write_basis(experts, 4, tmp_path / "basis.safetensors")
    job = make_run(tmp_path, experts, {"a": mixture(COEFFICIENTS, shared(4))})
    export_adapter(**job, out=str(tmp_path / "out"), basis=[str(tmp_path / "basis.safetensors")])
    materialise([mixture(COEFFICIENTS, PRODUCT)], experts, [tmp_path / "exact"])
    loss = lost(tmp_path / "exact", tmp_path / "out")
    assert 0.1 < loss < 0.9
    assert f"joint basis of rank 4, which loses {100 * loss:.1f} %" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(("rank", "compressed"), [(3, True), (10, False), (64, False)])
def test_export_is_compressed_on_request_and_says_what_that_loses(tmp_path, rank, compressed):
    experts = experts_of(FAMILIES["llama"](), tmp_path)
    job = make_run(tmp_path, experts, {"a": mixture(COEFFICIENTS, PRODUCT)}, rank=rank)
    export_adapter(**job, out=str(tmp_path / "out"))
    materialise([mixture(COEFFICIENTS, PRODUCT)], experts, [tmp_path / "whole"])
    card, config = (tmp_path / "out/README.md").read_text(), read_json(tmp_path / "out" / CONFIG)
    loss = lost(tmp_path / "whole", tmp_path / "out")
    assert config["r"] == min(rank, 10)
    assert ("adapter of rank 10 that was evolved. This one is the nearest of rank 3" in card) == compressed
    assert (f"{100 * loss:.1f} % of the norm of the update" in card) == compressed
    assert (loss > 0.01) == compressed
    if not compressed:
        assert (tmp_path / "out" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {CONFIG, WEIGHTS, "genotype.json", "README.md"}
