"""What finished jobs have recorded: how long the engine worked for each, and jobs themselves."""

import os
from pathlib import Path

import numpy as np
import pytest

from builders import ENGINE
from genome.errors import GenomeError
from genome.files import write_json, write_text
from genome.forecast import records
from genome.forecast.records import Tokens, find, own_seconds, shares, training_seconds, trainings, validation_lora_rate

SETTINGS = {"backend": "transformers", "batch_size": 256}
NOWHERE = Path("resources/models/micro")


def record(asked=((0, 2),), samples=40, prompt=10, response=2, batches=1, **changes):
    return {
        "seconds": 3.0,
        "scoring_seconds": 2.0,
        "machine": "laptop",
        "base": "micro",
        "engine": ENGINE,
        "engine_settings": SETTINGS,
        "tasks": ["sums"],
        "connecting_seconds": 0.01,
        "asked": [list(each) for each in asked],
        "samples": samples,
        "prompt_tokens": samples * prompt,
        "response_tokens": samples * response,
        "batches": batches,
        "steps": batches * 2 * response,
    } | changes


@pytest.fixture
def results(tmp_path):
    """Return a function that writes records of jobs in their order, and returns the folder of results."""

    def write(*rows, folder="runs/sums"):
        for number, row in enumerate(rows):
            path = tmp_path / f"results/benchmarks/{folder}/{number:04}.json"
            write_json(path, row)
            os.utime(path, (number, number))
        return tmp_path / "results"

    return write


def found(folder, settings=SETTINGS, base="micro", model=NOWHERE):
    return find(folder, base, settings, model)


def test_the_engine_works_for_the_job_that_is_answered_first():
    assert shares([[(0, 2), (5, 6)], [(1, 4)]]) == [3, 2]
    assert shares([[(0, 10)], [(5, 7)]]) == [8, 2]
    assert shares([[(0, 6)], [(0, 2)], [(1, 4)], [(7, 8)]]) == [2, 2, 2, 1]
    assert shares([[(0, 0)], []]) == [0, 0]
    assert shares([]) == []


def test_an_engine_that_answers_together_works_for_all_that_wait():
    assert shares([[(0, 2), (5, 6)], [(1, 4)]], equal=True) == [2.5, 2.5]
    assert shares([[(0, 6)], [(0, 6)], [(0, 6)]], equal=True) == [2, 2, 2]
    assert shares([[(0, 0)], []], equal=True) == [0, 0]


def test_shares_add_up_to_the_time_in_which_the_engine_was_asked():
    rng = np.random.default_rng(0)
    begins = rng.uniform(0, 100, size=60)
    asked = [[(begin, begin + length)] for begin, length in zip(begins, rng.exponential(3, size=60), strict=True)]
    busy = [any(a <= t < b for [(a, b)] in asked) for t in np.arange(0, 130, 0.01)]
    assert sum(shares(asked)) == pytest.approx(sum(busy) * 0.01, rel=0.01)


def test_the_rate_of_two_jobs_side_by_side_is_the_engine_s(results):
    one_by_one = found(results(record([(0, 2)]), record([(2, 4)]))).observations()
    side_by_side = found(results(record([(0, 2)]), record([(0, 4)]))).observations()
    assert [each.seconds for each in one_by_one] == [each.seconds for each in side_by_side] == [2, 2]


def test_jobs_with_an_engine_each_do_not_share(results):
    settings = {**SETTINGS, "per_job": True}
    rows = [record([(0, 4)], engine_settings=settings) for _ in range(2)]
    assert [each.seconds for each in found(results(*rows), settings).observations()] == [4, 4]


@pytest.mark.parametrize(
    "other",
    [
        {"base": "gemma-2-2b"},
        {"engine_settings": {**SETTINGS, "dtype": "bfloat16"}},
        {"engine_settings": {**SETTINGS, "workers": 2}},
    ],
)
def test_records_of_another_base_or_engine_are_not_used(results, other):
    assert found(results(record(**other))) is None
    assert len(found(results(record(), record(**other))).jobs) == 1


def test_settings_that_do_not_change_the_speed_do_not_matter(results):
    assert found(results(record()), {**SETTINGS, "timeout": 20, "spaces": ["product"]}) is not None


def test_records_of_other_weights_of_that_name_are_not_used(results, tmp_path):
    model = tmp_path / "resources/models/micro"
    write_text(model / "config.json", "{}")
    assert found(results(record()), model=model) is None
    own = records.of_base(model)
    assert found(results(record(engine={**ENGINE, "base": own})), model=model) is not None


def test_the_engine_and_machine_that_ran_last_are_used(results):
    rows = record([(9, 10)]), record([(0, 1)], machine="old"), record([(2, 3)], engine={**ENGINE, "version": "4.0"})
    last = found(results(*rows))
    assert (last.machine, len(last.jobs), last.jobs[0].asked) == ("laptop", 1, ((9, 10),))


def test_records_of_earlier_releases_and_of_jobs_without_an_engine_are_ignored(results):
    old = {"machine": "laptop", "seconds": 3.0, "scoring_seconds": 2.0, "samples": 400, "asked": [[0, 2]]}
    without = record([], machine=None, engine=None, samples=0)
    assert found(results(old, without)) is None
    assert len(found(results(old, without, record())).jobs) == 1


def test_tests_and_measured_rates_count_as_well(results):
    results(record(), folder="test/sums/run")
    write_json(results() / "benchmarks/rates/sums.json", {"requests": [record(response=1, tasks=[]), record()]})
    here = found(results())
    assert (len(here.jobs), len(here.measured)) == (1, 2)
    assert here.tokens() == {"sums": Tokens(10, 2, 4)}


def test_lengths_of_a_task_come_from_jobs_on_it_alone(results):
    rows = record(), record(response=30, tasks=["sums", "facts"]), record(response=4)
    assert found(results(*rows)).tokens() == {"sums": Tokens(10, 3, 6), "facts": Tokens(10, 30, 60)}


def test_the_longest_response_is_that_of_a_batch(results):
    rows = record(batches=3), record(batches=1, response=4)
    assert found(results(*rows)).tokens()["sums"].longest == (3 * 4 + 8) / 4


def test_prompts_that_were_only_read_have_no_responses(results):
    assert found(results(record(batches=0, response=0))).tokens()["sums"] == Tokens(10, 0, 0)


def test_the_start_of_an_engine_is_how_long_jobs_waited_for_it(results):
    assert found(results(record(), record(), record(connecting_seconds=6.0))).start_seconds() == 6
    waited = [record(connecting_seconds=seconds) for seconds in (36.0, 15.0, 15.0, 0.9)]
    assert found(results(*waited)).start_seconds() == 15
    assert found(results(*map(record, [[(0, 1)]] * 5))).start_seconds() == 0


def test_steps_in_which_an_engine_answers_several_jobs_are_not_counted_twice(results):
    settings = {**SETTINGS, "backend": "vllm"}
    rows = [record([(0, 4)], engine_settings=settings) for _ in range(2)]
    assert [(each.steps, each.seconds) for each in found(results(*rows), settings).observations()] == [(2, 2)] * 2
    alone = found(results(*map(record, [[(0, 4)], [(0, 4)]]))).observations()
    assert [each.steps for each in alone] == [4, 4]


def test_only_the_newest_records_are_read(results, monkeypatch):
    monkeypatch.setattr(records, "RECORDS", 2)
    here = found(results(record([(0, 1)]), record([(2, 3)]), record([(4, 5)])))
    assert [usage.asked for usage in here.jobs] == [((2, 3),), ((4, 5),)]


@pytest.mark.parametrize(
    ("folder", "content"),
    [
        ("runs", {}),
        ("runs", {"machine": "x", "seconds": 1, "samples": 3, "asked": [[0, 1]], "steps": 3}),
        ("runs", record(asked=[(2, 1)])),
        ("runs", record(asked=[(1, 2, 3)])),
        ("rates", {"requests": [1]}),
        ("rates", []),
    ],
)
def test_a_damaged_record_is_named(results, folder, content):
    write_json(results() / f"benchmarks/{folder}/x.json", content)
    with pytest.raises(GenomeError, match=r"x\.json: "):
        found(results())


def benchmark(folder, place, seconds):
    write_text(folder / f"{place}.tsv", f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t-\n")


def test_a_job_s_own_time_is_what_it_did_not_wait(results, tmp_path):
    results(record([(0, 2), (5, 6)], connecting_seconds=0.5), {"machine": "x", "seconds": 1, "samples": 1})
    for number in range(2):
        benchmark(tmp_path, f"results/benchmarks/runs/sums/{number:04}", 5.0)
    assert own_seconds(tmp_path, "baseline", "results/benchmarks/runs/*/*.tsv") == pytest.approx(1.5)


def test_a_job_that_asks_no_engine_is_its_own(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 3.0)):
        benchmark(tmp_path, f"results/benchmarks/split/{name}", seconds)
    assert own_seconds(tmp_path, "split", "results/benchmarks/split/*.tsv") == 2
    assert own_seconds(tmp_path, "prepare_prompts", "results/benchmarks/prompts/*/*.tsv") is None


def test_imports_are_not_trainings(tmp_path):
    write_json(tmp_path / "results/benchmarks/adapters/add.json", trained(seconds=90.0))
    for name, seconds in (("add", 100.0), ("sub", 3.0)):
        benchmark(tmp_path, f"results/benchmarks/adapters/{name}", seconds)
    found = [
        own_seconds(tmp_path, f"{verb}_adapter", "results/benchmarks/adapters/*.tsv") for verb in ("train", "import")
    ]
    assert found == [10, 3]


def test_training_on_validation_samples_takes_as_long_as_before(tmp_path):
    write_json(tmp_path / "results/benchmarks/runs/sums/validation_lora/seed1.json", trained(seconds=90.0))
    for path in ("sums/validation_lora/seed1", "sums/lorahub/seed1"):
        benchmark(tmp_path, f"results/benchmarks/runs/{path}", 100.0)
    assert own_seconds(tmp_path, "validation_lora", "results/benchmarks/runs/*/*/*.tsv") == 100


def test_a_damaged_benchmark_file_is_named(tmp_path):
    write_text(tmp_path / "results/benchmarks/split/a.tsv", "x\n1\n")
    with pytest.raises(GenomeError, match=r"a\.tsv: not a benchmark file of Snakemake"):
        own_seconds(tmp_path, "split", "results/benchmarks/split/*.tsv")


TRAINING = {"rank": 8, "epochs": 5}


def trained(**changes):
    row = {"base": "micro", "machine": "laptop", "settings": TRAINING, "corpora": ["add.jsonl"], "bytes": 1000}
    return row | {"tokens": 500, "seconds": 10.0} | changes


def test_training_takes_as_long_per_token_as_before(tmp_path):
    write_json(tmp_path / "results/benchmarks/adapters/add.json", trained())
    write_text(tmp_path / "sub.jsonl", "x" * 3000)
    seen = trainings(tmp_path / "results", "micro")
    assert training_seconds(seen, {**TRAINING, "learning_rate": 1}, ["add.jsonl"], tmp_path) == 10
    assert training_seconds(seen, TRAINING, ["sub.jsonl"], tmp_path) == pytest.approx(30)


def test_training_with_another_number_of_epochs_takes_as_long_per_epoch(tmp_path):
    write_json(tmp_path / "results/benchmarks/adapters/add.json", trained())
    seen = trainings(tmp_path / "results", "micro")
    assert training_seconds(seen, {**TRAINING, "epochs": 2}, ["add.jsonl"], tmp_path) == pytest.approx(4)
    assert training_seconds(seen, {"rank": 8}, ["add.jsonl"], tmp_path) is None, "the default is not known"


def test_token_of_a_validation_lora_takes_as_long_as_in_finished_ones_or_in_those_of_adapters(tmp_path):
    def rate(given=TRAINING):
        return validation_lora_rate(tmp_path / "results", "micro", ["validation_lora"], given)

    assert rate() is None
    write_json(tmp_path / "results/benchmarks/adapters/add.json", trained())
    assert rate({"rank": 8, "warmup_ratio": 0.2}) == pytest.approx(10 / (500 * 5))
    assert rate({"rank": 16}) is None
    for base, seconds in (("micro", 3.0), ("other", 99.0)):
        record = {"base": base, "machine": "laptop", "seconds": seconds, "prompt_tokens": 100}
        write_json(tmp_path / f"results/benchmarks/runs/sums@8/validation_lora/seed{seconds:.0f}.json", record)
    assert rate() == pytest.approx(0.03)


def test_training_is_unknown_for_other_settings_another_base_or_missing_corpora(tmp_path):
    write_json(tmp_path / "results/benchmarks/adapters/add.json", trained())
    seen = trainings(tmp_path / "results", "micro")
    assert training_seconds(seen, {**TRAINING, "rank": 16}, ["add.jsonl"], tmp_path) is None
    assert training_seconds(seen, TRAINING, ["sub.jsonl"], tmp_path) is None
    assert trainings(tmp_path / "results", "gemma-2-2b") == []
