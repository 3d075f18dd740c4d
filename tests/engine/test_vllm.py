"""Flags and environment of vLLM's server."""

import itertools
import sys
from pathlib import Path

import pytest

from engine import tiny_models
from genome.engine import vllm
from genome.errors import GenomeError

BASE = Path("/models/base")


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def chosen_flags(settings, rank=8):
    """Return the flags that have a value, by name."""
    flags = vllm.flags(settings, BASE, rank)
    return {flag: value for flag, value in itertools.pairwise(flags) if flag.startswith("--")}


def test_default_flags_fit_a_population_of_the_paper():
    assert chosen_flags({}).items() >= {
        "--model": "/models/base", "--served-model-name": "base", "--max-lora-rank": "8", "--max-loras": "16",
        "--max-cpu-loras": "64",
    }.items()  # fmt: skip
    assert {"--enable-lora", "--enable-prefix-caching"} <= set(vllm.flags({}, BASE, 8))
    for flag in ("--max-model-len", "--gpu-memory-utilization", "--data-parallel-size", "--api-key"):
        assert flag not in chosen_flags({})


def test_settings_become_flags():
    flags = chosen_flags(
        {"max_loras": 100, "max_model_len": 512, "gpu_memory_utilization": 0.5, "data_parallel_size": 2}
    )
    assert (flags["--max-loras"], flags["--max-cpu-loras"]) == ("100", "100")
    assert flags["--max-model-len"] == "512"
    assert flags["--gpu-memory-utilization"] == "0.5"
    assert flags["--data-parallel-size"] == "2"
    assert chosen_flags({"max_lora_rank": 64})["--max-lora-rank"] == "64"


def test_engine_args_come_last_unchanged():
    assert vllm.flags({"args": ["--dtype", "float32", "--seed", 3]}, BASE, 8)[-4:] == [
        "--dtype",
        "float32",
        "--seed",
        "3",
    ]


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("llama", "down_proj gate_proj k_proj o_proj q_proj up_proj v_proj"),
        ("gemma3_text", "down_proj gate_proj k_proj o_proj q_proj up_proj v_proj"),
        ("qwen3_next", None),  # experts, and layers of another kind
        ("gpt2", None),
    ],
)
def test_adapters_are_kept_from_the_output_layer_if_layers_have_their_usual_names(tmp_path, name, targets):
    tiny_models.architecture(name).save_pretrained(tmp_path)
    flags = vllm.flags({}, tmp_path, 8)
    assert ("--lora-target-modules" in flags) == (targets is not None)
    if targets:
        place = flags.index("--lora-target-modules")
        assert flags[place + 1 : flags.index("--enable-lora")] == targets.split()


@pytest.mark.parametrize("argument", ["--port", "--host=0.0.0.0", "--api_key", "--served-model-name=x"])
def test_engine_args_set_by_the_workflow_are_refused(argument):
    with pytest.raises(GenomeError, match=r"engine\.args: --.* is set by the workflow"):
        vllm.flags({"args": [argument]}, BASE, 8)


@pytest.mark.parametrize(("rank", "allowed"), [(1, 1), (2, 8), (8, 8), (9, 16), (64, 64), (300, 320), (None, None)])
def test_allowed_rank_rounds_up(rank, allowed):
    assert vllm.allowed_rank(rank) == allowed


def test_allowed_rank_refuses_a_too_high_rank():
    with pytest.raises(GenomeError, match="at most rank 512"):
        vllm.allowed_rank(513)


@pytest.mark.parametrize(("devices", "gpus"), [("", 0), ("-1", 0), ("0", 1), ("0,3", 2), ("GPU-1f,GPU-2e", 2)])
def test_data_parallel_size_is_the_number_of_visible_gpus(monkeypatch, devices, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    assert vllm.visible_gpus() == gpus
    assert chosen_flags({}).get("--data-parallel-size") == (str(gpus) if gpus > 1 else None)


def test_environment_of_the_vllm_server():
    plain = vllm.environment({}, "/env/bin/python")
    assert plain["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert plain["PATH"].startswith("/env/bin:")
    assert "VLLM_BATCH_INVARIANT" not in plain
    set_up = vllm.environment({"batch_invariant": True, "env": {"HF_HUB_OFFLINE": 0}}, "/env/bin/python")
    assert (set_up["VLLM_BATCH_INVARIANT"], set_up["HF_HUB_OFFLINE"]) == ("1", "0")


def test_interpreter_accepts_a_relative_path(fake_python, monkeypatch):
    monkeypatch.chdir(fake_python.parent)
    assert vllm.interpreter("./python") == str(fake_python)


def test_interpreter_ignores_a_folder_named_vllm(tmp_path, monkeypatch):
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm/__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(GenomeError, match="has no vllm"):
        vllm.interpreter(sys.executable)


@pytest.mark.parametrize(
    ("python", "message"),
    [(None, "is not set"), ("nowhere/python", "nowhere/python cannot be run"), ("/bin/true", "/bin/true has no vllm")],
)
def test_interpreter_errors_name_the_remedy(python, message):
    with pytest.raises(GenomeError, match=message) as caught:
        vllm.interpreter(python)
    assert "envs/vllm.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
