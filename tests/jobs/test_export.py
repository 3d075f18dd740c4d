"""The export of a population: files, base, and a card over several tasks."""

import json
from dataclasses import replace

import pytest

from builders import ENGINE, score_row, scored
from genome.errors import GenomeError
from genome.experts.peft import CONFIG, WEIGHTS, load_experts
from genome.files import read_json, read_jsonl, write_json, write_jsonl
from genome.genotype import Genotype, Noise
from genome.jobs.export import export_adapter
from genome.lora.materialise import materialise
from genome.search.population import Fitness, Individual, new_population
from genome.search.records import read_population, write_population

TASKS = ("sums", "change")
DEFINITION = {"kind": "number", "source": {"path": "rows.jsonl"}, "prompt": "{{ question }}", "reference": "answer"}


@pytest.fixture
def run(make_experts, tmp_path):
    """Return what a job is handed: settings and input files of a run on two tasks."""
    experts = make_experts(2)
    genotypes = {"a": Genotype((0.25, 0.75), (Noise(7, 0.2, 0.01),)), "b": Genotype((1.0, 0.0))}
    fitness = {name: Fitness(value, dict.fromkeys(TASKS, value)) for name, value in (("a", 0.75), ("b", 0.5))}
    individuals = [Individual(name, genotypes[name], "mixture", fitness=fitness[name]) for name in "ba"]
    write_population(tmp_path / "population.json", scored(new_population(individuals), experts), experts)
    materialise([genotypes["a"]], experts, [tmp_path / "best"])
    write_json(tmp_path / "experts.json", {"rank": 4, "experts": [{"path": str(expert.path)} for expert in experts]})
    splits = {task: tmp_path / "results/splits" / task for task in TASKS}
    tests = {task: tmp_path / "results/test" / task / "sums+change/genome_plus/n2/seed1" for task in TASKS}
    for task, folder in tests.items():
        write_json(splits[task] / "provenance.json", {"validation": 20, "test": 4, "prompts_on_both_sides": 0})
        row = score_row("genome_plus", task, population_size=2, tasks="+".join(TASKS), n=4, unparsed=0)
        write_json(folder / "scores.json", [row, {**row, "report": "ensemble", "score": 1.0}])
        answers = [("best", sample, sample % 2) for sample in range(4)] + [
            ("ensemble", sample, 1) for sample in range(4)
        ]
        rows = [dict(zip(("report", "sample", "score"), answer, strict=True)) for answer in answers]
        write_jsonl(folder / "answers.jsonl", rows)
        asked = [("best", "a"), ("member1", "a"), ("member2", "b")]
        responses = [
            {"role": role, "individual": name, "sample": n, "response": ""} for role, name in asked for n in range(4)
        ]
        write_jsonl(folder / "responses.jsonl", responses)
    settings = {
        "label": "GENOME+",
        "run": {"method": "genome_plus", "seed": 1, "population_size": 2},
        "settings": {"method": "genome_plus", "weights": {"sums": 1, "change": 2}},
        "members": 2,
        "base": {"hub": "org/base", "revision": "abc", "reference": "org/base"},
        "tasks": [[task, DEFINITION] for task in TASKS],
    }
    return {
        "settings": json.dumps(settings),
        "manifest": str(tmp_path / "experts.json"),
        "population": str(tmp_path / "population.json"),
        "splits": [str(folder / "provenance.json") for folder in splits.values()],
        "scores": [str(folder / "scores.json") for folder in tests.values()],
        "answers": [str(folder / "answers.jsonl") for folder in tests.values()],
        "responses": [str(folder / "responses.jsonl") for folder in tests.values()],
    }


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
        experts = load_experts(tmp_path / f"expert{i}" for i in range(2))
        other = [replace(experts[0], **change), experts[1]]
        write_population(path, scored(read_population(path), other), other)
    with pytest.raises(GenomeError, match=message) as error:
        export_adapter(**run, out=str(tmp_path / "out"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
