"""What can be deleted: what a population rebuilds and what engines have left, and nothing of a user's."""

import os

import pytest
from filelock import FileLock

from genome.api.cleaning import deletable, delete
from genome.api.runner import LOCK
from genome.errors import GenomeError

RUN = "results/runs/till/cma_es/n4/seed1"


def write(folder, name, size=100):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


@pytest.fixture
def folder(tmp_path):
    for generation in (1, 2):
        write(tmp_path, f"{RUN}/generation_{generation}/population.json")
        write(tmp_path, f"{RUN}/generation_{generation}/adapters/.snakemake_timestamp", 0)
        write(tmp_path, f"{RUN}/generation_{generation}/adapters/best/adapter_model.safetensors", 1000)
    for name in ("rows.jsonl", "adapters/one/adapter_model.safetensors", f"{RUN}/generation_2/.population.json.kept"):
        write(tmp_path, name)
    write(tmp_path, "results/export/till/adapter_model.safetensors")
    write(tmp_path, ".genome/.lock", 0)
    os.link(tmp_path / f"{RUN}/generation_1/adapters/best/adapter_model.safetensors", tmp_path / ".genome/stored")
    return tmp_path


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_what_can_be_made_again_is_deleted(folder):
    write(folder, "results/runs/till/lost/generation_1/adapters/best/adapter_model.safetensors")
    before = files(folder)
    delete(deletable(folder))
    gone = {f"{RUN}/generation_{number}/adapters/best/adapter_model.safetensors" for number in (1, 2)}
    assert before - files(folder) == {*gone, ".genome/stored"}
    assert deletable(folder) == []


def test_bytes_of_files_with_two_names_count_once_and_with_the_last(folder):
    adapters, cache = deletable(folder)
    assert (len(adapters.paths), adapters.bytes) == (2, 1000)
    assert (len(cache.paths), cache.bytes) == (1, 1000)
    os.link(folder / ".genome/stored", folder / "mine")
    assert [each.bytes for each in deletable(folder)] == [1000, 0]


def test_links_are_not_followed(folder):
    (folder / f"{RUN}/generation_1/adapters/mine").symlink_to(folder / "adapters")
    before = (folder / "adapters/one/adapter_model.safetensors").read_bytes()
    delete(deletable(folder))
    assert (folder / "adapters/one/adapter_model.safetensors").read_bytes() == before


def test_nothing_is_deleted_while_a_run_is_going_on(folder):
    write(folder, LOCK.as_posix(), 0)
    assert deletable(folder)
    with FileLock(folder / LOCK), pytest.raises(GenomeError, match="a run is going on there"):
        deletable(folder)
    write(folder, ".snakemake/locks/0.input.lock", 0)
    with pytest.raises(GenomeError, match="a run is going on there"):
        deletable(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(GenomeError, match="none: no such folder"):
        deletable(tmp_path / "none")
