"""Fetching, checking and comparing experts."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from fake_hub import COMMIT
from genome.errors import GenomeError
from genome.experts.peft import (
    CONFIG,
    PROVENANCE,
    WEIGHTS,
    check_weights,
    different_names,
    fetch_expert,
    load_experts,
    model_name,
    read_expert,
    stored_types,
    write_provenance,
)
from genome.experts.tensors import header_bytes
from genome.files import read_json, sha256, write_json
from genome.jobs import experts as jobs

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


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


def test_fetch_expert_copies_a_local_adapter(tmp_path):
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


def test_read_expert_takes_the_hash_from_the_provenance(tmp_path):
    folder = write_expert(tmp_path / "math")
    provenance = read_json(folder / PROVENANCE)
    write_json(folder / PROVENANCE, provenance | {"sha256": "ab" * 32})
    assert read_expert(folder).sha256 == "ab" * 32


def test_write_provenance_adds_extra_fields(tmp_path):
    folder = write_adapter(tmp_path / "math")
    written = write_provenance(folder, "math", {"corpus": "c.jsonl"}, {"epochs": 3, "revision": COMMIT})
    assert read_json(folder / PROVENANCE) == written
    assert (written["epochs"], written["revision"]) == (3, COMMIT)


def test_read_expert_accepts_target_modules_as_a_pattern(tmp_path):
    folder = write_expert(tmp_path / "math", target_modules=".*_proj")
    assert read_expert(folder).target_modules == (".*_proj",)


@pytest.mark.parametrize("missing", [CONFIG, WEIGHTS, PROVENANCE])
def test_read_expert_names_a_missing_file(tmp_path, missing):
    folder = write_expert(tmp_path / "math")
    (folder / missing).unlink()
    with pytest.raises(GenomeError, match="missing; fetch or train") as error:
        read_expert(folder)
    assert str(folder / missing) in one_line(error)


@pytest.mark.parametrize("kept", [4, 60, -1])
def test_read_expert_detects_truncated_weights_from_the_header(tmp_path, kept):
    folder = write_expert(tmp_path / "math")
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:kept])
    with pytest.raises(GenomeError, match=WEIGHTS) as error:
        read_expert(folder)
    one_line(error)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_fetch_expert_refuses_nan_weights_and_leaves_nothing(tmp_path, value, dtype):
    origin = write_adapter(tmp_path / "origin", dtype=dtype, value=value)
    with pytest.raises(
        GenomeError, match=r"8 of 8 weights of tensor .*q_proj\.lora_A\.weight are NaN or infinite"
    ) as error:
        fetch_expert("math", {"path": str(origin)}, tmp_path / "experts" / "math")
    one_line(error)
    assert not list((tmp_path / "experts").iterdir())


def test_refused_fetch_keeps_the_old_expert(tmp_path):
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
def test_check_weights_reads_bfloat16(tmp_path, bits, finite):
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
def test_read_expert_refuses_adapters_beyond_plain_lora(tmp_path, field, value):
    folder = write_adapter(tmp_path / "math", **{field: value})
    with pytest.raises(GenomeError, match=f"{field} is .*only plain LoRA can be merged") as error:
        write_provenance(folder, "math", "test")
    assert str(folder / CONFIG) in one_line(error)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"r": 3}, "has rank 2, but r in adapter_config.json is 3"),
    ],
)
def test_read_expert_refuses_other_peft_configs(tmp_path, config, message):
    folder = write_adapter(tmp_path / "math")
    write_json(folder / CONFIG, read_json(folder / CONFIG) | config)
    with pytest.raises(GenomeError, match=message) as error:
        write_provenance(folder, "math", "test")
    one_line(error)


ODD_FIELDS = {
    "r": ["8", True, 8.0, 8.5, None, [8], {}, 0, -1],
    "lora_alpha": ["16", True, None, [16], 0, -1, 10**400],
    "target_modules": [None, 3, {"q_proj": 1}, [], [1], [None], "", ["q_proj", ""]],
    "base_model_name_or_path": [3, ["models/tiny"], False],
    "peft_type": [["LORA"], None, 1, "lora", {}],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in ODD_FIELDS.items() for value in values]
)
def test_fetch_expert_names_an_invalid_field_in_the_source_file(tmp_path, field, value):
    origin = write_adapter(tmp_path / "mine", **{field: value})
    with pytest.raises(GenomeError) as error:
        fetch_expert("math", {"path": str(origin)}, tmp_path / "experts" / "math")
    assert one_line(error).startswith(f"expert math: {origin / CONFIG}: {field} is ")
    assert ".math." not in one_line(error)
    assert not list((tmp_path / "experts").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it contains \\[\\], expected a mapping"),
        ("3", "it contains 3, expected a mapping"),
        ("", "not valid JSON \\(the file is empty\\)"),
        ("{", "line 1: not valid JSON"),
        ('{"r": 8, "r": 16}', "'r' is repeated"),
        ('{"peft_type": "LORA", "lora_alpha": NaN}', "NaN is not a number"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_read_config_names_a_file_that_is_not_a_config(tmp_path, text, message):
    origin = write_adapter(tmp_path / "mine")
    (origin / CONFIG).write_text(text)
    with pytest.raises(GenomeError, match=f"^expert math: {origin / CONFIG}.*{message}") as error:
        fetch_expert("math", {"path": str(origin)}, tmp_path / "out")
    assert "delete" not in one_line(error)


def test_read_config_accepts_a_byte_order_mark(tmp_path):
    origin = write_adapter(tmp_path / "mine")
    (origin / CONFIG).write_text((origin / CONFIG).read_text(), encoding="utf-8-sig")
    fetch_expert("math", {"path": str(origin)}, tmp_path / "out")
    assert read_expert(tmp_path / "out").rank == 2


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_fetch_expert_opens_only_regular_files(tmp_path, file):
    origin = write_adapter(tmp_path / "mine")
    makers = {
        "a pipe": os.mkfifo,
        "a folder": Path.mkdir,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    }
    for kind, make in makers.items():
        (origin / file).unlink() if not (origin / file).is_dir() else (origin / file).rmdir()
        make(origin / file)
        with pytest.raises(GenomeError, match=f"^expert math: {origin / file}: (it is )?{kind}") as error:
            fetch_expert("math", {"path": str(origin)}, tmp_path / "out")
        one_line(error)


def test_fetch_expert_refuses_its_own_source(tmp_path):
    origin = write_expert(tmp_path / "experts" / "math")
    before = {file.name: file.read_bytes() for file in origin.iterdir()}
    (tmp_path / "link").symlink_to("experts/math")
    for path in (origin, tmp_path / "link"):
        with pytest.raises(GenomeError, match="is its source and its result") as error:
            fetch_expert("math", {"path": str(path)}, origin)
        one_line(error)
    assert {file.name: file.read_bytes() for file in origin.iterdir()} == before


def test_fetch_expert_to_a_link_removes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resources" / "models").mkdir(parents=True)
    kept = write_expert(tmp_path / "resources" / "experts" / "math")
    origin = write_adapter(tmp_path / "mine")
    for name in ("..", ".", "../models/..", "../../.."):
        with pytest.raises(GenomeError, match="cannot write the folder"):
            fetch_expert(name, {"path": str(origin)}, Path("resources/experts") / name)
    assert read_expert(kept).name == "math"
    assert (tmp_path / "resources" / "models").is_dir()


def test_read_expert_refuses_tensors_that_are_not_lora_matrices(tmp_path):
    folder = write_adapter(tmp_path / "math")
    save_file({f"{LAYER}.lora_magnitude_vector": np.zeros(4, np.float32)}, folder / WEIGHTS)
    with pytest.raises(GenomeError, match=r"lora_magnitude_vector of shape .* is not a LoRA matrix"):
        write_provenance(folder, "math", "test")


def test_plain_lora_adapters_written_by_peft_are_accepted(tmp_path):
    """Golden: no field of the configuration that PEFT saves is refused."""
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
    "rank": ({"rank": 4}, "rank is 2 and 4"),
    "alpha": ({"lora_alpha": 32}, "alpha is 16.0 and 32.0"),
    "shape": ({"width": 8}, "tensor .* is F32 [2, 4] and F32 [2, 8]"),
    "all": (
        {"rank": 4, "lora_alpha": 32, "width": 8},
        "rank is 2 and 4, alpha is 16.0 and 32.0, tensor .* is F32 [2, 4] and F32 [4, 8]; choose",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_check_experts_names_experts_that_differ(tmp_path, case):
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


def test_check_experts_reports_all_differences_at_once(tmp_path):
    folders = [
        write_expert(tmp_path / "math"),
        write_expert(tmp_path / "law", rank=4),
        write_expert(tmp_path / "code"),
        write_expert(tmp_path / "art", lora_alpha=8),
    ]
    with pytest.raises(GenomeError) as error:
        load_experts(folders)
    assert one_line(error) == (
        "experts math and law cannot be merged: rank is 2 and 4; experts math and art cannot be merged: alpha is 16.0 "
        f"and 8.0; choose or train experts that agree ({folders[0]}, {folders[1]}, {folders[3]})"
    )


NAMES = {
    "base": (
        {"base_model_name_or_path": "unsloth/tiny-bnb-4bit"},
        "name their base models/tiny and unsloth/tiny-bnb-4bit",
    ),
    "no base": ({"base_model_name_or_path": None}, "name their base models/tiny and no base model"),
    "pattern": ({"target_modules": ".*[qv]_proj"}, "name as target_modules q_proj, v_proj and .*[qv]_proj"),
    "list": ({"target_modules": ["q_proj"]}, "name as target_modules q_proj, v_proj and q_proj"),
}


@pytest.mark.parametrize("case", NAMES)
def test_different_names_reports_names_if_the_tensors_agree(tmp_path, case):
    settings, line = NAMES[case]
    experts = load_experts([write_expert(tmp_path / "math"), write_expert(tmp_path / "code", **settings)])
    assert different_names(experts) == [
        f"experts math and code {line}; they can be merged, because their tensors agree"
    ]
    assert different_names(experts[:1] * 2) == []


def test_check_experts_job_logs_different_names(tmp_path, caplog):
    for name, base in (("math", "org/tiny"), ("code", None)):
        write_expert(tmp_path / name, base_model_name_or_path=base)
    with caplog.at_level("INFO", "genome"):
        jobs.check_experts([str(tmp_path / "math"), str(tmp_path / "code")], tmp_path / "manifest.json")
    assert "experts math and code name their base org/tiny and no base model; they can be merged" in caplog.text
    assert read_json(tmp_path / "manifest.json")["base_model"] == "org/tiny"


def test_stored_types_returns_the_widest_type(tmp_path):
    folders = [write_expert(tmp_path / "math", dtype=np.float16), write_expert(tmp_path / "code")]
    experts = load_experts(folders)
    assert set(stored_types(experts).values()) == {"F32"}
    assert set(stored_types(experts[:1] * 2).values()) == {"F16"}


def test_check_experts_refuses_a_factor_without_its_partner(tmp_path):
    for name in ("math", "code"):
        write_adapter(tmp_path / name)
        save_file({f"{LAYER}.lora_A.weight": np.ones((2, 4), np.float32)}, tmp_path / name / WEIGHTS)
        write_provenance(tmp_path / name, name, "test")
    with pytest.raises(GenomeError, match=r"q_proj\.lora_A\.weight has no partner .*q_proj\.lora_B\.weight") as error:
        load_experts([tmp_path / "math", tmp_path / "code"])
    assert str(tmp_path / "math" / WEIGHTS) in one_line(error)


SAME_BASE = (
    "google/gemma-2-2b-it",
    "gemma-2-2b-it",
    "Google/Gemma-2-2b-IT",
    "/data/models/gemma-2-2b-it/",
    "D:\\models\\gemma-2-2b-it",
    "/home/user/.cache/huggingface/hub/models--google--gemma-2-2b-it/snapshots/299a8560bedf22ed1c72a8a11e7dce4a7f9f51f8",
)


def test_model_name_is_the_same_for_every_place(tmp_path):
    assert {model_name(name) for name in SAME_BASE} == {"gemma-2-2b-it"}
    folders = [
        write_expert(tmp_path / f"e{number}", base_model_name_or_path=name) for number, name in enumerate(SAME_BASE)
    ]
    assert len(load_experts(folders)) == len(SAME_BASE)


@pytest.mark.parametrize("other", ["google/gemma-2-2b", "google/gemma-2-9b-it", "google/gemma-2b-it"])
def test_model_name_differs_for_other_models(other):
    assert model_name(other) != model_name(SAME_BASE[0])


@pytest.mark.parametrize("order", [1, -1])
def test_check_experts_names_a_missing_tensor(tmp_path, order):
    folders = [write_expert(tmp_path / "math"), write_adapter(tmp_path / "code")][::order]
    save_file({f"{LAYER}.lora_A.weight": np.ones((2, 4), np.float32)}, tmp_path / "code" / WEIGHTS)
    write_provenance(tmp_path / "code", "code", "test")
    with pytest.raises(GenomeError, match=r"code lacks 1 tensor.*of math, first .*lora_B\.weight"):
        load_experts(folders)


def test_load_experts_keeps_the_given_order(tmp_path):
    folders = [write_expert(tmp_path / name, value=value) for name, value in (("b", 1.0), ("a", 2.0))]
    assert [expert.name for expert in load_experts(folders)] == ["b", "a"]


@pytest.mark.parametrize("count", [0, 1])
def test_load_experts_refuses_fewer_than_two(tmp_path, count):
    folders = [write_expert(tmp_path / "math")][:count]
    with pytest.raises(GenomeError, match=f"{count} expert.* given, at least 2 are needed"):
        load_experts(folders)


def test_fetch_expert_lists_folders_that_contain_adapters(tmp_path):
    for name in ("code", "law", "math"):
        write_adapter(tmp_path / "repo" / name)
    cases = {
        "repo": "repo lacks .* adapters are in: code, law, math; correct `path`",
        "repo/maths": "maths is not a folder; adapters next to it: math, code, law; correct `path`",
        "nowhere": "nowhere is not a folder; correct `path`",
    }
    for path, message in cases.items():
        with pytest.raises(GenomeError, match=message) as error:
            fetch_expert("math", {"path": str(tmp_path / path)}, tmp_path / "out")
        one_line(error)


def test_fetch_expert_refuses_a_pickled_adapter_with_the_remedy(tmp_path):
    origin = write_adapter(tmp_path / "math")
    (origin / WEIGHTS).rename(origin / "adapter_model.bin")
    with pytest.raises(
        GenomeError, match=r"adapter_model\.bin but no .*nothing is unpickled.*save_pretrained"
    ) as error:
        fetch_expert("math", {"path": str(origin)}, tmp_path / "out")
    one_line(error)


def test_fetch_expert_downloads_only_the_two_files_of_a_hub_adapter(tmp_path, hub):
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


def test_fetch_expert_accepts_a_hub_adapter_without_subfolder(tmp_path, hub):
    origin = write_adapter(hub.root / "org" / "lora")
    fetch_expert("math", {"hub": "org/lora"}, tmp_path / "math")
    assert read_expert(tmp_path / "math").sha256 == sha256(origin / WEIGHTS)


def test_fetch_expert_without_network_uses_the_cache(tmp_path, hub, monkeypatch):
    from huggingface_hub import constants

    origin = write_adapter(hub.root / "org" / "loras" / "math")
    sources = [{"hub": "org/loras", "subfolder": "math"}, {"hub": "org/loras", "subfolder": "math", "revision": "v1"}]
    for source in sources:
        fetch_expert("math", source, tmp_path / "online")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requested)
    for source in (*sources, {**sources[0], "revision": COMMIT}):
        fetch_expert("math", source, tmp_path / "offline")
        assert read_json(tmp_path / "offline" / PROVENANCE)["revision"] == COMMIT
        assert read_expert(tmp_path / "offline").sha256 == sha256(origin / WEIGHTS)
    cases = [
        ({"hub": "org/other"}, "org/other is not in the hub's cache .*HF_HUB_OFFLINE.*local folder as `path`"),
        (
            {"hub": "org/loras", "subfolder": "law"},
            "copy of hub repository org/loras in the cache lacks law/.*: math",
        ),
        ({"hub": "org/loras", "revision": "v2"}, "org/loras is not in the hub's cache"),
    ]
    for source, message in cases:
        with pytest.raises(GenomeError, match=f"^expert law: .*{message}") as error:
            fetch_expert("law", source, tmp_path / "law")
        one_line(error)
    assert len(hub.requested) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    fetch_expert("math", sources[0], tmp_path / "away")
    assert read_json(tmp_path / "away" / PROVENANCE)["revision"] == COMMIT


def test_fetch_expert_hub_errors_name_the_remedy(tmp_path, hub):
    write_adapter(hub.root / "org" / "loras" / "code")
    write_adapter(hub.root / "org" / "loras" / "math")
    pickled = write_adapter(hub.root / "org" / "pickled")
    shutil.move(pickled / WEIGHTS, pickled / "adapter_model.bin")
    (hub.root / "org" / "empty").mkdir()
    for name in ("licensed", "forbidden"):
        write_adapter(hub.root / "org" / name)
    cases = [
        ({"hub": "org/loras", "subfolder": "maths"}, "lacks maths/.* adapters are in: math, code; correct `subfolder`"),
        ({"hub": "org/loras", "revision": "v2"}, "has no revision 'v2'; correct `revision`"),
        ({"hub": "org/pickled"}, "adapter_model.bin but no .*nothing is unpickled here: .*save_pretrained.NEW.*`path`"),
        ({"hub": "org/empty"}, "it contains no adapter"),
        ({"hub": "org/gated"}, "org/gated is gated; accept its licence at https://huggingface.co/org/gated .*HF_TOKEN"),
        ({"hub": "org/licensed"}, "org/licensed is gated; accept its licence .*HF_TOKEN"),
        ({"hub": "org/forbidden"}, "org/forbidden is gated; accept its licence .*HF_TOKEN"),
        ({"hub": "org/nothing"}, "does not exist or is private; correct `hub`"),
        ({"hub": "a/b/c"}, "is not a valid hub id; write OWNER/NAME"),
    ]
    for source, message in cases:
        with pytest.raises(GenomeError, match=f"expert law: .*{message}") as error:
            fetch_expert("law", source, tmp_path / "experts" / "law")
        one_line(error)
    assert not list((tmp_path / "experts").iterdir())


def test_fetch_expert_reports_an_unreachable_hub_in_one_line(tmp_path, hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        GenomeError, match=r"org/lora could not be read \(.*\); try again, or give a local folder"
    ) as error:
        fetch_expert("math", {"hub": "org/lora"}, tmp_path / "math")
    one_line(error)
