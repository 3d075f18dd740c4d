"""Fetching, checking and comparing experts."""

import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from safetensors.numpy import save_file

from genome.errors import GenomeError
from genome.experts import (
    CONFIG,
    PROVENANCE,
    WEIGHTS,
    check_weights,
    fetch_expert,
    load_experts,
    read_expert,
    write_provenance,
)
from genome.files import read_json, sha256, write_json
from genome.tensors import header_bytes

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_adapter(
    folder: Path, rank: int = 2, width: int = 4, dtype: type = np.float32, value: float = 1.0, **config
) -> Path:
    """Write a PEFT folder with one LoRA layer; `config` overrides fields of its adapter_config.json."""
    folder.mkdir(parents=True)
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": "models/tiny",
        "r": rank,
        "lora_alpha": 16,
        "target_modules": ["v_proj", "q_proj"],
        "bias": "none",
        "init_lora_weights": True,
    }
    write_json(folder / CONFIG, settings | config)
    tensors = {
        f"{LAYER}.lora_A.weight": np.full((rank, width), value, dtype),
        f"{LAYER}.lora_B.weight": np.zeros((width, rank), dtype),
    }
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    return folder


def write_expert(folder: Path, **settings) -> Path:
    write_adapter(folder, **settings)
    write_provenance(folder, folder.name, "test")
    return folder


def one_line(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_local_adapter_becomes_an_expert(tmp_path):
    origin = write_adapter(tmp_path / "origin")
    (origin / "README.md").write_text("not taken")
    out = tmp_path / "experts" / "math"
    fetch_expert("math", {"path": str(origin)}, out)
    assert sorted(file.name for file in out.iterdir()) == [CONFIG, WEIGHTS, PROVENANCE]
    assert read_json(out / PROVENANCE) == {
        "name": "math",
        "source": {"path": str(origin)},
        "revision": None,
        "sha256": sha256(origin / WEIGHTS),
        "base_model": "models/tiny",
        "rank": 2,
        "alpha": 16.0,
        "target_modules": ["q_proj", "v_proj"],
        "tensors": 2,
        "dtypes": ["F32"],
    }
    expert = read_expert(out)
    assert (expert.name, expert.rank, expert.alpha, expert.base_model) == ("math", 2, 16.0, "models/tiny")
    assert expert.target_modules == ("q_proj", "v_proj")
    assert {name: info.shape for name, info in expert.tensors.items()} == {
        f"{LAYER}.lora_A.weight": (2, 4),
        f"{LAYER}.lora_B.weight": (4, 2),
    }


def test_reading_trusts_the_provenance_for_the_hash(tmp_path):
    folder = write_expert(tmp_path / "math")
    provenance = read_json(folder / PROVENANCE)
    write_json(folder / PROVENANCE, provenance | {"sha256": "ab" * 32})
    assert read_expert(folder).sha256 == "ab" * 32


def test_extra_fields_stand_in_the_provenance(tmp_path):
    folder = write_adapter(tmp_path / "math")
    written = write_provenance(folder, "math", {"corpus": "c.jsonl"}, {"epochs": 3, "revision": COMMIT})
    assert read_json(folder / PROVENANCE) == written
    assert (written["epochs"], written["revision"]) == (3, COMMIT)


def test_target_modules_may_be_one_pattern(tmp_path):
    folder = write_expert(tmp_path / "math", target_modules=".*_proj")
    assert read_expert(folder).target_modules == (".*_proj",)


@pytest.mark.parametrize("missing", [CONFIG, WEIGHTS, PROVENANCE])
def test_a_missing_file_is_named(tmp_path, missing):
    folder = write_expert(tmp_path / "math")
    (folder / missing).unlink()
    with pytest.raises(GenomeError, match="missing; fetch or train") as error:
        read_expert(folder)
    assert str(folder / missing) in one_line(error)


@pytest.mark.parametrize("kept", [4, 60, -1])
def test_truncated_weights_are_noticed_without_reading_them(tmp_path, kept):
    folder = write_expert(tmp_path / "math")
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:kept])
    with pytest.raises(GenomeError, match=WEIGHTS) as error:
        read_expert(folder)
    one_line(error)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_weights_that_are_no_numbers_are_refused_and_nothing_is_left(tmp_path, value, dtype):
    origin = write_adapter(tmp_path / "origin", dtype=dtype, value=value)
    with pytest.raises(
        GenomeError, match=r"8 of 8 weights of tensor .*q_proj\.lora_A\.weight are NaN or infinite"
    ) as error:
        fetch_expert("math", {"path": str(origin)}, tmp_path / "experts" / "math")
    one_line(error)
    assert not list((tmp_path / "experts").iterdir())


def test_a_refused_fetch_leaves_the_old_expert_whole(tmp_path):
    out = write_expert(tmp_path / "experts" / "math")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(GenomeError):
        fetch_expert("math", {"path": str(write_adapter(tmp_path / "bad", value=np.nan))}, out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


@pytest.mark.parametrize(
    ("bits", "finite"),
    [(0x7F80, False), (0xFF80, False), (0x7FC1, False), (0x7F7F, True), (0x0001, True), (0x8000, True)],
    ids=["inf", "-inf", "nan", "largest", "smallest", "-zero"],
)
def test_bfloat16_weights_are_checked(tmp_path, bits, finite):
    path = tmp_path / WEIGHTS
    values = np.array([[0, bits]], dtype="<u2")
    path.write_bytes(header_bytes({"x": "BF16"}, {"x": (1, 2)}) + values.tobytes())
    if finite:
        check_weights(path)
    else:
        with pytest.raises(GenomeError, match="1 of 2 weights of tensor x are NaN or infinite"):
            check_weights(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_dora", True),
        ("use_rslora", True),
        ("lora_bias", True),
        ("rank_pattern", {"q_proj": 4}),
        ("alpha_pattern", {"q_proj": 4}),
        ("modules_to_save", ["lm_head"]),
        ("target_parameters", ["experts"]),
        ("bias", "all"),
        ("init_lora_weights", "pissa_niter_4"),
    ],
)
def test_adapters_beyond_plain_lora_are_refused(tmp_path, field, value):
    folder = write_adapter(tmp_path / "math", **{field: value})
    with pytest.raises(GenomeError, match=f"{field} is .*only plain LoRA can be merged") as error:
        write_provenance(folder, "math", "test")
    assert str(folder / CONFIG) in one_line(error)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"base_model_name_or_path": None}, "no field base_model_name_or_path"),
        ({"r": 3}, "has rank 2, but r in adapter_config.json is 3"),
    ],
)
def test_other_configs_are_refused(tmp_path, config, message):
    folder = write_adapter(tmp_path / "math")
    write_json(folder / CONFIG, read_json(folder / CONFIG) | config)
    with pytest.raises(GenomeError, match=message) as error:
        write_provenance(folder, "math", "test")
    one_line(error)


def test_tensors_that_are_no_lora_matrices_are_refused(tmp_path):
    folder = write_adapter(tmp_path / "math")
    save_file({f"{LAYER}.lora_magnitude_vector": np.zeros(4, np.float32)}, folder / WEIGHTS)
    with pytest.raises(GenomeError, match=r"lora_magnitude_vector of shape .* is no LoRA matrix"):
        write_provenance(folder, "math", "test")


def test_every_adapter_that_peft_writes_for_plain_lora_is_an_expert(tmp_path):
    """Golden: the configuration PEFT saves today trips none of our refusals."""
    import torch
    from peft import LoraConfig, get_peft_model

    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.q_proj = torch.nn.Linear(4, 4)

        def forward(self, x):
            return self.q_proj(x)

    model = get_peft_model(Tiny(), LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]))
    model.peft_config["default"].base_model_name_or_path = "models/tiny"
    model.save_pretrained(tmp_path / "math", save_embedding_layers=False)
    written = write_provenance(tmp_path / "math", "math", "test")
    assert (written["rank"], written["alpha"], written["target_modules"]) == (2, 4.0, ["q_proj"])


DIFFERENT = {
    "base_model": ({"base_model_name_or_path": "models/other"}, "base_model is models/tiny and models/other"),
    "rank": ({"rank": 4}, "rank is 2 and 4"),
    "alpha": ({"lora_alpha": 32}, "alpha is 16.0 and 32.0"),
    "target_modules": ({"target_modules": ["q_proj"]}, "target_modules is q_proj, v_proj and q_proj;"),
    "shape": ({"width": 8}, "tensor .* is F32 [2, 4] and F32 [2, 8]"),
    "dtype": ({"dtype": np.float16}, "tensor .* is F32 [2, 4] and F16 [2, 4]"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_experts_that_differ_are_refused_by_name(tmp_path, case):
    settings, message = DIFFERENT[case]
    folders = [
        write_expert(tmp_path / "math"),
        write_expert(tmp_path / "law"),
        write_expert(tmp_path / "code", **settings),
    ]
    pattern = message.replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(GenomeError, match=f"experts math and code cannot be merged: {pattern}") as error:
        load_experts(folders)
    one_line(error)


@pytest.mark.parametrize("order", [1, -1])
def test_a_missing_tensor_is_named(tmp_path, order):
    folders = [write_expert(tmp_path / "math"), write_adapter(tmp_path / "code")][::order]
    save_file({f"{LAYER}.lora_A.weight": np.ones((2, 4), np.float32)}, tmp_path / "code" / WEIGHTS)
    write_provenance(tmp_path / "code", "code", "test")
    with pytest.raises(GenomeError, match=r"code lacks 1 tensor.*of math, first .*lora_B\.weight"):
        load_experts(folders)


def test_experts_that_agree_are_loaded_in_the_given_order(tmp_path):
    folders = [write_expert(tmp_path / name, value=value) for name, value in (("b", 1.0), ("a", 2.0))]
    assert [expert.name for expert in load_experts(folders)] == ["b", "a"]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_experts_are_refused(tmp_path, count):
    folders = [write_expert(tmp_path / "math")][:count]
    with pytest.raises(GenomeError, match=f"{count} expert.* given, at least 2 are needed"):
        load_experts(folders)


def test_a_folder_without_an_adapter_is_answered_with_those_that_have_one(tmp_path):
    write_adapter(tmp_path / "repo" / "math")
    write_adapter(tmp_path / "repo" / "code")
    with pytest.raises(GenomeError, match="adapters lie in: code, math; correct `path`") as error:
        fetch_expert("math", {"path": str(tmp_path / "repo")}, tmp_path / "out")
    one_line(error)
    with pytest.raises(GenomeError, match="nowhere is not a folder; correct `path`"):
        fetch_expert("math", {"path": str(tmp_path / "nowhere")}, tmp_path / "out")


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as a download of single files needs, over a folder of repositories."""

    root: Path
    requested: list[str]

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        self.requested.append(path)
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        repo, rest = "/".join(parts[2:4] if api else parts[:2]), parts[4:] if api else parts[2:]
        if repo == "org/gated":
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if not (self.root / repo).is_dir():
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if len(rest) > 1 and rest[1] not in ("main", "v1", COMMIT):
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if api:
            files = sorted(file for file in (self.root / repo).rglob("*") if file.is_file())
            siblings = [{"rfilename": file.relative_to(self.root / repo).as_posix()} for file in files]
            return self.answer(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())
        content = (self.root / repo / "/".join(rest[2:])).read_bytes()
        return self.answer(200, content, {"ETag": f'"{len(content)}"', "X-Repo-Commit": COMMIT})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Serve the repositories under the returned folder as huggingface_hub's endpoint."""
    from huggingface_hub import close_session, constants

    handler = type("TestHub", (Hub,), {"root": tmp_path / "hub", "requested": []})
    (tmp_path / "hub" / "org").mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    close_session()
    yield handler
    close_session()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_hub_adapter_becomes_an_expert_and_only_its_two_files_are_fetched(tmp_path, hub):
    origin = write_adapter(hub.root / "org" / "loras" / "math")
    (origin / "training_args.bin").write_bytes(b"pickle")
    source = {"hub": "org/loras", "revision": "v1", "subfolder": "math"}
    fetch_expert("math", source, tmp_path / "experts" / "math")
    expert = read_expert(tmp_path / "experts" / "math")
    assert expert.sha256 == sha256(origin / WEIGHTS)
    provenance = read_json(expert.path / PROVENANCE)
    assert (provenance["source"], provenance["revision"]) == (source, COMMIT)
    assert {path for path in hub.requested if "resolve" in path} == {
        f"/org/loras/resolve/{COMMIT}/math/{CONFIG}",
        f"/org/loras/resolve/{COMMIT}/math/{WEIGHTS}",
    }


def test_a_hub_adapter_may_lie_at_the_top(tmp_path, hub):
    origin = write_adapter(hub.root / "org" / "lora")
    fetch_expert("math", {"hub": "org/lora"}, tmp_path / "math")
    assert read_expert(tmp_path / "math").sha256 == sha256(origin / WEIGHTS)


def test_hub_mistakes_are_answered_with_what_to_do(tmp_path, hub):
    write_adapter(hub.root / "org" / "loras" / "code")
    write_adapter(hub.root / "org" / "loras" / "math")
    pickled = write_adapter(hub.root / "org" / "pickled")
    shutil.move(pickled / WEIGHTS, pickled / "adapter_model.bin")
    (hub.root / "org" / "empty").mkdir()
    cases = [
        ({"hub": "org/loras", "subfolder": "maths"}, "lacks maths/.* adapters lie in: code, math; correct `subfolder`"),
        ({"hub": "org/loras", "revision": "v2"}, "has no revision 'v2'; correct `revision`"),
        ({"hub": "org/pickled"}, "adapter_model.bin but no adapter_model.safetensors; only safetensors is read"),
        ({"hub": "org/empty"}, "it holds no adapter at all"),
        ({"hub": "org/gated"}, "org/gated is gated; accept its terms at https://huggingface.co/org/gated"),
        ({"hub": "org/nothing"}, "does not exist or is private; correct `hub`"),
        ({"hub": "a/b/c"}, "is not a valid hub id; write OWNER/NAME"),
    ]
    for source, message in cases:
        with pytest.raises(GenomeError, match=f"expert law: .*{message}") as error:
            fetch_expert("law", source, tmp_path / "experts" / "law")
        one_line(error)
    assert not list((tmp_path / "experts").iterdir())


def test_a_hub_out_of_reach_is_said_in_one_line(tmp_path, hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        GenomeError, match=r"org/lora could not be read \(.*\); try again, or give a local folder"
    ) as error:
        fetch_expert("math", {"hub": "org/lora"}, tmp_path / "math")
    one_line(error)
