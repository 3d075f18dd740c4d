"""The description of an engine's hardware."""

import os

import pytest

from genome.engine import machine

CPUINFO = "processor\t: 0\nvendor_id\t: X\nmodel name\t: Fast Chip 9\n\nprocessor\t: 1\nmodel name\t: Fast Chip 9\n"


@pytest.fixture
def four_cores(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4, 5})


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Return a function that puts a fake nvidia-smi first in PATH; it records its arguments."""

    def make(output, code=0):
        folder = tmp_path / "bin"
        folder.mkdir()
        script = folder / "nvidia-smi"
        script.write_text(f"#!/bin/sh\necho \"$@\" > {folder}/asked\nprintf '{output}'\nexit {code}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return folder / "asked"

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return make


def test_processors_counts_usable_cores(four_cores):
    assert machine.processors() == "4 x Fast Chip 9"


def test_processors_without_a_name_uses_the_architecture(four_cores, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU part\t: 0xd0c\n")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert machine.processors() == "4 x aarch64"


def test_accelerators_counts_gpus_by_name(nvidia_smi):
    nvidia_smi("NVIDIA A100-SXM4-80GB\\nNVIDIA A100-SXM4-80GB\\nNVIDIA H200\\n")
    assert machine.accelerators() == "2 x NVIDIA A100-SXM4-80GB + 1 x NVIDIA H200"


def test_accelerators_counts_visible_gpus_only(nvidia_smi, monkeypatch):
    asked = nvidia_smi("NVIDIA H200\\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert machine.accelerators() == "1 x NVIDIA H200"
    assert asked.read_text().startswith("--id 2 ")


@pytest.mark.parametrize("visible", ["", "-1"])
def test_accelerators_without_visible_gpu_returns_processors(nvidia_smi, four_cores, monkeypatch, visible):
    nvidia_smi("NVIDIA H200\\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.accelerators() == "4 x Fast Chip 9"


def test_accelerators_with_a_failing_driver_returns_processors(nvidia_smi, four_cores):
    nvidia_smi("NVIDIA-SMI has failed\\n", code=9)
    assert machine.accelerators() == "4 x Fast Chip 9"


def test_accelerators_without_driver_returns_processors(four_cores, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.accelerators() == "4 x Fast Chip 9"
