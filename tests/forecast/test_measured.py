"""What is measured in a folder before a run."""

import json
from dataclasses import replace

import pytest

from builders import write_expert
from genome.errors import GenomeError
from genome.experts.adapter_files import WEIGHTS
from genome.files import write_json, write_jsonl, write_text
from genome.forecast.measured import READ, measure
from genome.forecast.values import Job, Setting
from genome.genotype import Genotype
from genome.lora.materialise import materialise
from genome.lora.shared import write_basis

SETTING = Setting("micro", ["add", "sub"], 3, "all", {"validation": 20, "test": 50}, {"sums": {}})


def test_an_empty_folder_tells_nothing(tmp_path):
    measured = measure([], SETTING, tmp_path)
    assert not measured.samples
    assert not measured.prompt_tokens
    assert not measured.row_bytes
    assert not measured.adapter_bytes
    assert measured.rate is None


@pytest.fixture
def folder(tmp_path):
    results = tmp_path / "results"
    write_json(results / "splits/sums/provenance.json", {"validation": 4, "test": 6, "pool": 10})
    prompts = [{"tokens": [0] * 10}] * READ + [{"tokens": [0] * 1000}]
    write_jsonl(results / "prompts/micro/sums/validation.jsonl", prompts)
    write_text(results / "runs/sums/experts/evaluations.jsonl", "x" * 800)
    return tmp_path


def test_files_of_earlier_runs_are_measured(folder):
    measured = measure([], SETTING, folder)
    assert measured.samples == {"sums": {"validation": 4, "test": 6}}
    assert measured.prompt_tokens == {"sums": 10}
    assert measured.row_bytes == {"sums": 100}


def test_files_of_the_whole_task_are_measured_for_a_part(folder):
    parts = replace(SETTING, tasks={"sums@3": {}})
    assert measure([], parts, folder).prompt_tokens == {"sums": 10}


def test_a_split_that_will_be_drawn_again_tells_nothing(folder):
    assert not measure([Job("split", {"task": "sums"})], SETTING, folder).samples


def test_an_adapter_has_the_size_that_its_rank_needs(tmp_path):
    experts = [
        write_expert(tmp_path / f"resources/experts/{name}", number, rank=rank)
        for number, (name, rank) in enumerate((("add", 2), ("sub", 6)))
    ]
    write_basis(experts, 5, tmp_path / "basis.safetensors")
    spaces = ["", "factors", "product", "shared-5"]
    jobs = [Job("generation", {}, space=space) for space in spaces]
    measured = measure(jobs, SETTING, tmp_path).adapter_bytes
    for space in spaces:
        genotype = Genotype((0.5, 0.5), space=space or "product")
        materialise([genotype], experts, [tmp_path / f"written{space}"], basis=tmp_path / "basis.safetensors")
        assert measured[space] == (tmp_path / f"written{space}" / WEIGHTS).stat().st_size, space


def test_an_expert_that_is_made_again_tells_nothing(folder):
    write_text(folder / "resources/experts/sub.safetensors", "of an earlier release")
    jobs = [Job("import_adapter", {"adapter": "sub"}), Job("generation", {})]
    assert not measure(jobs, SETTING, folder).adapter_bytes


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("splits/sums/provenance.json", "{"),
        ("splits/sums/provenance.json", "[]"),
        ("splits/sums/provenance.json", '{"validation": 3}'),
        ("prompts/micro/sums/validation.jsonl", "{"),
        ("prompts/micro/sums/validation.jsonl", ""),
        ("prompts/micro/sums/validation.jsonl", "[1]"),
        ("benchmarks/runs/sums/x.json", "{}"),
        ("benchmarks/runs/sums/x.json", '{"samples": 3'),
    ],
)
def test_a_damaged_result_is_named(tmp_path, file, text):
    path = tmp_path / "results" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(GenomeError) as error:
        measure([], SETTING, tmp_path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_validation_loras_are_timed_by_their_samples(folder):
    settings = {
        "search": {"method": "validation_lora", "epochs": [2], "held_out": 0.5, "batch_size": 16},
        "training": {},
    }
    parts = {"tasks": "sums@8", "variant": "validation_lora", "seed": "1"}
    jobs = [Job("validation_lora", parts, json.dumps(settings))]
    assert not measure(jobs, SETTING, folder).training_seconds
    record = {"base": "micro", "machine": "laptop", "seconds": 3.0, "samples": 0, "prompt_tokens": 100}
    write_json(folder / "results/benchmarks/runs/sums/validation_lora/seed1.json", record)
    # 8 samples of 10 tokens: half of them twice, the other half once, and all of them twice
    expected = {"results/runs/sums@8/validation_lora/seed1/expert.safetensors": pytest.approx(0.03 * 80 * 3.5)}
    assert measure(jobs, SETTING, folder).training_seconds == expected
