"""Stopping, deleting, changing: what is made again, and that it comes out byte for byte as before."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
import yaml

from genome.search.methods import METHODS

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUN = "results/runs/sums/genome_plus/n4/seed1"
TABLE = "results/tables/table2.csv"


def test_deleted_generation_is_rebuilt_with_the_same_bytes(done):
    before, times = done.files(f"{RUN}/**/*"), done.times()
    subprocess.run(["rm", "-r", done.folder / RUN / "generation_2"], check=True)
    done.make(f"{RUN}/generation_2/population.json")
    assert done.files(f"{RUN}/**/*") == before
    changed = {path for path, written in done.times().items() if times.get(path) != written}
    assert changed == {path for path in before if "/generation_2/" in path}


def test_deleted_end_of_a_run_is_rebuilt_and_nothing_else(done):
    before, times = done.files(f"{RUN}/**/*"), done.times()
    for generation in (2, 3):
        subprocess.run(["rm", "-r", done.folder / RUN / f"generation_{generation}"], check=True)
    done.make(f"{RUN}/generation_3/population.json")
    assert done.files(f"{RUN}/**/*") == before
    changed = {path for path, written in done.times().items() if times.get(path) != written}
    assert changed == {path for path in before if "/generation_2/" in path or "/generation_3/" in path}


def test_one_core_without_a_worker_gives_the_same_bytes_as_two_with_one(finished, fresh, monkeypatch):
    monkeypatch.setenv("GENOME_COLD", "1")
    fresh.make(TABLE, cores=1)
    for pattern in ("results/tables/*", "results/runs/**/*", "results/test/**/*"):
        assert fresh.files(pattern) == finished.files(pattern)


def test_more_generations_continue_every_search_with_the_bytes_of_one_run(fresh, tmp_path):
    searches = [name for name, method in METHODS.items() if method.stage == "generation"]
    last = "results/runs/sums/{}/n4/seed1/generation_{}/population.json"
    once = fresh.copy(tmp_path / "once")
    fresh.make(*(last.format(name, 3) for name in searches))
    before = fresh.times("results/runs/**/*")
    for project in (fresh, once):
        project.configure(generations=5)
    said = fresh.make(*(last.format(name, 5) for name in searches))
    assert re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE) == [
        ("generation", str(2 * len(searches))), ("total", str(2 * len(searches))),
    ]  # fmt: skip
    after = fresh.times("results/runs/**/*")
    assert {path: after[path] for path in before} == before
    once.make(*(last.format(name, 5) for name in searches))
    assert fresh.files("results/runs/**/*") == once.files("results/runs/**/*")


@pytest.mark.parametrize("stop_at", ["generation_1/population.json", "generation_3/adapters"])
def test_a_run_killed_in_the_middle_finishes_with_the_same_bytes(finished, fresh, stop_at):
    process = fresh.start(TABLE)
    wait_for(lambda: list((fresh.folder / "results/runs").glob(f"*/*/n4/seed1/{stop_at}")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not fresh.engines())
    assert fresh.snakemake("--unlock").returncode == 0
    fresh.make(TABLE)
    assert fresh.engines() == []
    for pattern in ("results/tables/*", "results/runs/**/*", "results/test/**/*"):
        assert fresh.files(pattern) == finished.files(pattern)


def test_a_killed_engine_is_started_again_and_changes_nothing(finished, fresh):
    process = fresh.start(TABLE)
    for generation in (1, 2):
        wait_for(lambda g=generation: list((fresh.folder / RUN).glob(f"generation_{g}/population.json")), process)
        for engine in fresh.engines():
            os.kill(engine, signal.SIGKILL)
    assert process.wait(timeout=300) == 0
    for pattern in ("results/tables/*", "results/runs/**/*"):
        assert fresh.files(pattern) == finished.files(pattern)


def test_changed_variant_reruns_only_its_runs(done):
    done.configure(variants={"genome": {"sigma": 0.01}})
    plan = done.planned(TABLE)
    assert plan
    assert all("/genome/" in file or file.startswith("results/tables/") for file in plan)
    assert any("results/runs/emotions/genome/n4/seed1/generation_1" in file for file in plan)


def test_settings_that_change_no_result_rerun_nothing(done):
    """Neither a touched script, nor how the engine runs, nor keeping fewer adapters, nor names for people."""
    for script in (done.folder / "workflow/scripts").glob("*.py"):
        script.touch()
    done.configure(adapters="none", engine={"batch_size": 128, "threads": 2}, tasks={"sums": {"category": "Sums"}})
    assert done.planned(TABLE) == []


def test_a_raised_stage_version_reruns_that_stage_and_what_follows(done):
    file = done.folder / "workflow/internal.yaml"
    versions = yaml.safe_load(file.read_text())
    versions["versions"]["scores"] += 1
    file.write_text(yaml.safe_dump(versions))
    plan = done.planned(TABLE)
    assert any(file.endswith("/scores.json") for file in plan)
    assert all(file.startswith(("results/test/", "results/tables/")) for file in plan)
    assert not any(file.endswith("/responses.jsonl") for file in plan)


def test_added_variant_runs_only_its_runs(done):
    done.configure(
        variants={"bold": {"method": "genome", "sigma": 0.1}},
        table2={"variants": ["best_single", "model_swarms", "genome", "genome_plus", "bold"]},
    )
    plan = done.planned(TABLE)
    assert all("/bold/" in file or file.startswith("results/tables/") for file in plan)


def test_changed_pattern_rescores_the_test_without_new_answers(done):
    done.configure(tasks={"sums": {"pattern": "([0-9]+)"}})
    rules = {
        row["rule"]
        for row in done.summary("results/test/sums/sums/best_single/scores.json")
        if row["plan"] != "no update"
    }
    assert "score_test" in rules
    assert not {"split", "prepare_prompts"} & rules


def test_changed_order_of_corpora_retrains_the_adapter(done):
    corpora = [f"resources/datasets/micro/experts/{name}.jsonl" for name in ("sub", "add")]
    done.configure(bases={"micro": {"data_merge": {"corpus": corpora}}})
    first = done.planned("resources/experts/data_merge.safetensors")
    assert "resources/experts/data_merge.safetensors" in first


def test_variant_with_another_ensemble_size_is_a_separate_run(done):
    done.configure(
        variants={"five": {"method": "genome_plus", "ensemble": {"k": 5}}},
        table2={"variants": ["best_single", "model_swarms", "genome_plus", "five"]},
    )
    plan = done.planned(TABLE)
    assert any("results/test/sums/sums/five/" in file for file in plan)
    assert not any("/genome_plus/" in file for file in plan)


def test_jobs_end_when_their_run_is_killed(fresh):
    """A training job of a killed workflow must not write at the same time as the jobs of the next run."""
    (fresh.folder / "resources/experts/add.safetensors").unlink()
    process = fresh.start("resources/experts/add.safetensors")
    wait_for(lambda: fresh.jobs(), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not fresh.jobs(), seconds=10)
    assert not (fresh.folder / "resources/experts/add.safetensors").exists()


def wait_for(happened, process=None, seconds=240.0):
    deadline = time.monotonic() + seconds
    while not happened():
        assert process is None or process.poll() is None, "snakemake ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_run_refuses_to_continue_with_another_engine(done):
    """Only what differs is named. What another engine has answered stays as it is."""
    path = f"{RUN}/generation_2/population.json"
    population = done.read(path)
    population["engine"]["dtype"] = "float16"
    (done.folder / path).write_text(json.dumps(population))
    times = done.times(f"{RUN}/generation_2/*")
    said = done.refused(f"{RUN}/generation_3/population.json")
    assert f"error: {path}: answered by an engine with dtype float16, the engine now has dtype float32; " in said
    assert "set the engine back in the config, or delete results/runs/sums to begin again with this one" in said
    assert done.times(f"{RUN}/generation_2/*") == times
