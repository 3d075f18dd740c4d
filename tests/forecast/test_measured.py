"""What is measured in a folder before a run."""

import pytest

from genome.errors import GenomeError
from genome.files import write_json, write_jsonl, write_text
from genome.forecast.cost import Job, Setting
from genome.forecast.measured import READ, RECORDS, measure, measured_rate

SETTING = Setting("micro", ["add", "sub"], 3, "all", {"validation": 20, "test": 50}, {"sums": {}})


def record(machine="laptop", seconds=3.0, scoring=2.0, samples=400):
    return {"machine": machine, "seconds": seconds, "scoring_seconds": scoring, "samples": samples}


def test_an_empty_folder_tells_nothing(tmp_path):
    measured = measure([], SETTING, tmp_path)
    assert not measured.samples
    assert not measured.prompt_tokens
    assert not measured.row_bytes
    assert measured.adapter_bytes is None
    assert measured.rate is None


@pytest.fixture
def folder(tmp_path):
    results = tmp_path / "results"
    write_json(results / "splits/sums/provenance.json", {"validation": 4, "test": 6, "pool": 10})
    prompts = [{"tokens": [0] * 10}] * READ + [{"tokens": [0] * 1000}]
    write_jsonl(results / "prompts/micro/sums/validation.jsonl", prompts)
    write_text(results / "runs/sums/experts/evaluations.jsonl", "x" * 800)
    write_text(tmp_path / "resources/experts/sub.safetensors", "x" * 123)
    return tmp_path


def test_files_of_earlier_runs_are_measured(folder):
    measured = measure([], SETTING, folder)
    assert measured.samples == {"sums": {"validation": 4, "test": 6}}
    assert measured.prompt_tokens == {"sums": 10}
    assert measured.row_bytes == {"sums": 100}
    assert measured.adapter_bytes == 123


def test_a_split_that_will_be_drawn_again_tells_nothing(folder):
    assert not measure([Job("split", {"task": "sums"})], SETTING, folder).samples


def test_a_rate_is_that_of_the_most_frequent_machine(tmp_path):
    records = [record(), record(samples=800, scoring=4.0, seconds=6.0), record("server", samples=10**6)]
    for i, each in enumerate(records):
        write_json(tmp_path / f"sums/experts{i}.json", each)
    rate = measured_rate(tmp_path)
    assert (rate.samples_per_second, rate.overhead) == (200, 1.5)
    assert "laptop" in rate.source


def test_jobs_that_scored_nothing_give_no_rate(tmp_path):
    write_json(tmp_path / "sums/best_single.json", record(samples=0, scoring=0.0))
    assert measured_rate(tmp_path) is None


def test_a_rate_is_taken_evenly_out_of_many_records(tmp_path):
    number = 3 * RECORDS
    for i in range(number):
        write_json(tmp_path / f"{i:04}.json", record(samples=100 if i < number // 2 else 300, scoring=1.0))
    assert measured_rate(tmp_path).samples_per_second == pytest.approx(200, rel=0.02)


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
