"""Fingerprints of engines, and that a job never mixes answers of two of them."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
import transformers

from genome.engine import fingerprint
from genome.engine.launcher import connect
from genome.engine.messages import Request
from genome.engine.state import FOLDER, read_state
from genome.errors import GenomeError

CONFIG = (
    "model='/m', speculative_config=SpeculativeConfig(method='mtp', dtype=torch.float32, num_spec_tokens=3), "
    "tokenizer='/m', tokenizer_mode=auto, trust_remote_code=False, dtype=torch.bfloat16, max_seq_len=512, "
    "load_format=auto, tensor_parallel_size=1, quantization={}, quantization_config=None, enforce_eager=False, "
    "kv_cache_dtype=fp8, device_config=cuda, seed=0, served_model_name=base"
)
"""The log line of vLLM 0.20.2 with its config, shortened."""


@pytest.fixture
def vllm(fake_python):
    return {"backend": "vllm", "python": str(fake_python), "timeout": 30}


def test_fingerprint_of_the_built_in_engine(workflow, gemma):
    engine = connect({"backend": "transformers", "threads": 2}, gemma[0])
    assert engine.fingerprint == {
        "backend": "transformers",
        "version": f"transformers {transformers.__version__}, torch {torch.__version__}",
        "base": fingerprint.of_base(gemma[0]),
        "device": "cpu",
        "dtype": "float32",
        "quantization": None,
        "kv_cache_dtype": None,
        "attention": "eager",
        "max_model_len": 128,
        "batch_invariant": True,
    }
    [file] = FOLDER.glob("engine-*.json")
    assert json.loads(file.read_text())["fingerprint"] == engine.fingerprint
    assert connect({"backend": "transformers"}, gemma[0]).fingerprint == engine.fingerprint


def test_fingerprint_has_the_type_of_the_setting(workflow, family):
    engine = connect({"backend": "transformers", "dtype": "bfloat16", "batch_tokens": 1000}, family("llama")[0])
    assert (engine.fingerprint["dtype"], engine.fingerprint["attention"]) == ("bfloat16", "sdpa")


def test_fingerprint_dtype_is_the_stored_type(family):
    base, _ = family("llama")
    network = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, attn_implementation="sdpa")
    found = fingerprint.of_loaded(network, base)
    assert (found["dtype"], found["attention"]) == ("bfloat16", "sdpa")


@pytest.mark.parametrize(("quantization", "expected"), [("None", None), ("fp8", "fp8"), ("compressed-tensors",) * 2])
def test_fingerprint_of_vllm_from_its_server_and_log(workflow, base, vllm, quantization, expected):
    Path("logs").mkdir()
    Path("logs/engine.log").write_text(f"Initializing a V1 LLM engine (v0.1) with config: {CONFIG.format('old')}\n")
    asked = {
        "args": ["--dtype", "float16"],
        "batch_invariant": True,
        "env": {"FAKE_CONFIG": CONFIG.format(quantization)},
    }
    assert connect(vllm | asked, base).fingerprint == {
        "backend": "vllm",
        "version": "0.20.2",
        "base": fingerprint.of_base(base),
        "device": "cuda",
        "dtype": "bfloat16",
        "quantization": expected,
        "kv_cache_dtype": "fp8",
        "attention": None,
        "max_model_len": 512,
        "batch_invariant": True,
    }


FLAGS = {
    "auto is what is stored": ([], {"torch_dtype": "bfloat16"}, ("bfloat16", None, "auto")),
    "as transformers 5 stores it": ([], {"text_config": {"dtype": "float16"}}, ("float16", None, "auto")),
    "of float32 a GPU decides": (["--dtype", "auto"], {"torch_dtype": "float32"}, (None, None, "auto")),
    "nothing is stored": ([], {}, (None, None, "auto")),
    "a flag decides": (["--dtype=half"], {"torch_dtype": "bfloat16"}, ("float16", None, "auto")),
    "a stored quantization": (
        [],
        {"torch_dtype": "bfloat16", "quantization_config": {"quant_method": "gptq"}},
        ("bfloat16", "gptq", "auto"),
    ),
    "quantized on the way": (
        ["--quantization", "fp8", "--kv_cache_dtype", "fp8_e5m2"],
        {"torch_dtype": "bfloat16"},
        ("bfloat16", "fp8", "fp8_e5m2"),
    ),
}


@pytest.mark.parametrize("case", FLAGS)
def test_fingerprint_of_vllm_without_log_line_from_flags_and_base(base, case):
    flags, config, expected = FLAGS[case]
    (base / "config.json").write_text(json.dumps(config))
    found = fingerprint.of_vllm(lambda path: None, ["python", "-m", "vllm", *flags], base, "INFO nothing\n", False)
    assert (found["dtype"], found["quantization"], found["kv_cache_dtype"]) == expected
    assert (found["version"], found["device"], found["max_model_len"], found["batch_invariant"]) == (
        None,
        None,
        None,
        False,
    )


def test_of_base_depends_on_content_only(gemma, tmp_path):
    copy = shutil.copytree(gemma[0], tmp_path / "copy")
    [weights] = copy.glob("*.safetensors")
    assert fingerprint.of_base(copy) == fingerprint.of_base(gemma[0])
    data = bytearray(weights.read_bytes())
    data[-1000:] = bytes(1000)
    weights.write_bytes(data)
    assert fingerprint.of_base(copy) != fingerprint.of_base(gemma[0])
    shutil.copy(gemma[0] / weights.name, weights)
    (copy / "config.json").write_text("{}")
    assert fingerprint.of_base(copy) != fingerprint.of_base(gemma[0])


def test_fingerprint_of_a_url_from_its_server(workflow, base, vllm, monkeypatch):
    connect(vllm, base)
    [file] = FOLDER.glob("engine-*.json")
    state = read_state(file)
    monkeypatch.setenv("GENOME_API_KEY", state.key)
    assert connect({"backend": "url", "url": state.url}, base).fingerprint == fingerprint.unknown() | {
        "backend": "vllm",
        "version": "0.20.2",
        "base": "/models/base",
        "max_model_len": 512,
    }


def test_fingerprint_of_a_url_uses_the_shown_config():
    answers = {
        "/version": {"version": "0.24.0"},
        "/v1/models": {"data": [{"id": "other", "max_model_len": 1}, {"id": "gemma", "max_model_len": 2048}]},
        "/server_info": {"vllm_config": CONFIG.format("fp8")},
    }
    found = fingerprint.of_url(answers.get, "gemma")
    expected = {
        "version": "0.24.0",
        "dtype": "bfloat16",
        "quantization": "fp8",
        "device": "cuda",
        "max_model_len": 2048,
    }
    assert found.items() >= expected.items()


@pytest.mark.parametrize("shown", [None, [], {"data": None}, {"data": [3]}, {"version": 3}])
def test_fingerprint_of_unknown_values_is_none(shown):
    assert fingerprint.of_url(lambda path: shown, "base") == fingerprint.unknown()


def test_client_refuses_a_replacement_with_another_fingerprint(workflow, base, vllm):
    engine = connect(vllm | {"env": {"FAKE_CONFIG": CONFIG.format("None")}}, base)
    os.kill(json.loads(Path("fake-vllm.json").read_text())["pid"], signal.SIGKILL)
    connect(vllm | {"env": {"FAKE_CONFIG": CONFIG.format("fp8")}}, base)
    with pytest.raises(
        GenomeError, match=r"^the engine that answers now has quantization fp8; .* before had quantization None: "
    ) as caught:
        engine.complete([Request("base", [[2]], 1)])
    assert "\n" not in str(caught.value)


def test_restarted_engine_has_the_same_fingerprint(workflow, base, vllm):
    engine = connect(vllm | {"env": {"FAKE_CONFIG": CONFIG.format("None")}}, base)
    os.kill(json.loads(Path("fake-vllm.json").read_text())["pid"], signal.SIGKILL)
    assert engine.complete([Request("base", [[2]], 1)]) == [["base"]]
