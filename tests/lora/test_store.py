"""The store of adapters: named by content, shared by jobs, pruned."""

import fcntl
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest

from fuzz.runner import REFUSED, run
from genome.errors import GenomeError
from genome.genotype import Genotype, expert, mixture, shared
from genome.lora.materialise import WEIGHTS
from genome.lora.shared import write_basis
from genome.lora.store import LOOKED, link_adapter, store_genotypes


def test_store_names_folders_by_content(make_experts, tmp_path):
    experts = make_experts(2)
    store = tmp_path / "store"
    first = store_genotypes([expert(0, 2), Genotype((0.5, 0.5))], experts, store)
    again = store_genotypes([Genotype((0.5, 0.5))], experts, store)
    assert again == first[1:]
    assert store_genotypes([expert(0, 1)], experts[:1], store) == first[:1]
    assert sorted(path.name for path in store.glob("[!.]*")) == sorted(path.name for path in first)


def test_store_accepts_concurrent_publishing_of_the_same_content(make_experts, tmp_path):
    experts = make_experts(2)
    store = tmp_path / "store"
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: store_genotypes([Genotype((0.5, 0.5))], experts, store), range(24)))
    assert len({path for [path] in results}) == 1
    assert len(list(store.glob("[!.]*"))) == 1


def test_store_removes_unused_adapters(make_experts, tmp_path, monkeypatch):
    monkeypatch.setattr("genome.lora.store.LOOK_SECONDS", 0)
    experts = make_experts(2)
    old, locked, asked, kept = (Genotype((share, 1 - share)) for share in (0.1, 0.2, 0.3, 0.4))
    folders = store_genotypes([old, locked, asked], experts, tmp_path / "store")
    for folder in folders:
        os.utime(folder, (0, 0))
    lock = os.open(folders[1], os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)  # like a job that uses the adapter
    os.utime(folders[2])
    store_genotypes([kept], experts, tmp_path / "store")
    assert [folder.exists() for folder in folders] == [False, True, True]
    os.close(lock)
    assert store_genotypes([locked], experts, tmp_path / "store") == folders[1:2]  # requested again, removed or not
    assert (folders[1] / WEIGHTS).is_file()
    assert [path.name for path in (tmp_path / "store").glob(".*")] == [LOOKED]


def test_store_does_not_look_for_unused_adapters_each_time(make_experts, tmp_path):
    store = tmp_path / "store"
    [folder] = store_genotypes([expert(0, 2)], make_experts(2), store)
    os.utime(folder, (0, 0))
    store_genotypes([expert(1, 2)], make_experts(2), store)
    assert folder.exists()
    os.utime(store / LOOKED, (0, 0))
    store_genotypes([expert(1, 2)], make_experts(2), store)
    assert not folder.exists()


def test_store_reports_a_full_disk_in_one_line(make_experts, tmp_path):
    experts, store = make_experts(2), tmp_path / "store"

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
        store_genotypes([expert(0, 2)], experts, store)

    outcome = run(limited, tmp_path)
    assert outcome.kind == REFUSED
    assert outcome.text.startswith(f"cannot write {store}: File too large; ")
    assert [path.name for path in store.iterdir()] == [LOOKED]
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(GenomeError, match=f"^cannot write {place}: "):
            store_genotypes([expert(0, 2)], experts, place)


def test_link_adapter_makes_hard_links(make_experts, tmp_path):
    [folder] = store_genotypes([expert(0, 2)], make_experts(2), tmp_path / "store")
    link_adapter(folder, tmp_path / "linked")
    assert (tmp_path / "linked" / WEIGHTS).samefile(folder / WEIGHTS)


def test_store_makes_adapters_in_a_joint_basis(make_experts, tmp_path):
    experts = make_experts(3)
    write_basis(experts, 5, tmp_path / "basis")
    genotypes = [mixture((0.5, 0.25, share), shared(5)) for share in (0.1, 0.2)]
    folders = store_genotypes(genotypes, experts, tmp_path / "store", basis=tmp_path / "basis")
    assert len({*folders}) == 2
    assert store_genotypes(genotypes[1:], experts, tmp_path / "store", basis=tmp_path / "basis") == folders[1:]
