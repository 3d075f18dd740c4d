"""Bad input: each ends in one line that says what, where and what to do; nothing is left half-written."""

import os
import shutil
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUN = "results/runs/sums/genome/n4/seed1"
NEXT = f"{RUN}/generation_1/population.json"


def error_line(output: str) -> str:
    lines = [line for line in output.splitlines() if "error: " in line]
    assert lines, output[-3000:]
    return lines[0]


def test_a_misspelt_key_is_refused_with_the_nearest_name(fresh):
    fresh.configure(generatoins=3)
    output = fresh.refused(NEXT)
    assert "'generatoins', did you mean 'generations'?" in output


def test_missing_python_of_an_engine_is_refused_with_the_command_that_makes_it(fresh):
    fresh.configure(engine={"backend": "vllm", "python": "nowhere/python"})
    line = error_line(fresh.refused("results/runs/sums/experts/population.json"))
    assert "engine.python: nowhere/python cannot be run" in line
    assert "envs/vllm.yaml" in line


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("results/runs/sumz/genome/n4/seed1/generation_1/population.json", "unknown task 'sumz'; did you mean 'sums'?"),
        (f"{RUN}/generation_4/population.json", "generation 4 is out of range"),
    ],
)
def test_target_that_does_not_exist_is_refused(fresh, target, message):
    assert message in fresh.refused(target)


def test_expert_with_a_missing_folder_is_refused(fresh):
    fresh.configure(bases={"micro": {"experts": {"add": {"path": "somewhere", "corpus": None}}}})
    assert "expert add: somewhere is not a folder" in fresh.refused("resources/experts/add.safetensors")


def with_expert(fresh, change):
    """Hand the project its `add` expert by path, after `change` has been at its files."""
    folder = fresh.folder / "mine"
    shutil.copytree(fresh.folder / "resources/experts/add", folder)
    change(folder)
    fresh.configure(bases={"micro": {"experts": {"mine": {"path": "mine"}}}})


def put_nan(folder, file="adapter_model.safetensors"):
    weights = folder / file
    data = bytearray(weights.read_bytes())
    data[-4:] = struct.pack("<f", float("nan"))
    weights.write_bytes(data)


def train_embeddings(folder):
    weights = folder / "adapter_model.safetensors"
    tensors = load_file(weights)
    tensors["base_model.model.model.embed_tokens.weight"] = np.ones((4, 64), "f4")
    save_file(tensors, weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [(put_nan, "are NaN or infinite"), (train_embeddings, "embed_tokens")],
    ids=["nan", "embeddings"],
)
def test_invalid_experts_are_refused_before_the_first_run(fresh, change, message):
    with_expert(fresh, change)
    output = fresh.refused(NEXT)
    line = next(line for line in output.splitlines() if message in line)
    assert "mine" in line
    assert not (fresh.folder / "results/runs").exists()
    assert not fresh.engines()


def test_an_expert_that_was_changed_after_it_was_checked_is_refused(fresh):
    fresh.make("results/experts/micro.json")
    put_nan(fresh.folder / "resources/experts", "add.safetensors")
    assert "are NaN or infinite" in error_line(fresh.refused(NEXT))


def test_truncated_population_is_refused_and_earlier_results_are_kept(done):
    population = done.folder / RUN / "generation_2/population.json"
    whole = population.read_text()
    before = done.files(f"{RUN}/generation_1/*")
    population.write_text(whole[: len(whole) // 2])
    line = error_line(done.refused(f"{RUN}/generation_3/population.json"))
    assert str(population.relative_to(done.folder)) in line
    assert "delete the file to have it made again" in line
    assert done.files(f"{RUN}/generation_1/*") == before
    population.unlink()
    done.make(f"{RUN}/generation_3/population.json")
    assert population.read_text() == whole


def test_error_of_an_engine_that_cannot_start_gives_the_reason(fresh):
    fresh.make("results/prompts/micro/sums/validation.jsonl")
    weights = fresh.folder / "resources/models/micro/model.safetensors"
    data, written = weights.read_bytes(), weights.stat()
    weights.write_bytes(data[:1000])
    os.utime(weights, ns=(written.st_atime_ns, written.st_mtime_ns))
    line = error_line(fresh.refused("results/runs/sums/experts/population.json"))
    assert "the engine ended" in line
    assert "safetensors" in line.lower()
    assert not (fresh.folder / "results/runs/sums/experts/population.json").exists()
    assert not fresh.engines()
