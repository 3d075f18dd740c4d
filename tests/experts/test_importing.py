"""Importing experts: what people bring becomes one file, or one line that says what is wrong with it."""

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from builders import TARGETS, write_adapter, write_base
from fake_hub import COMMIT
from genome.errors import GenomeError
from genome.experts import adapter_config
from genome.experts.adapter_files import CONFIG, WEIGHTS, check_weights
from genome.experts.base_layers import read_base
from genome.experts.expert import PREFIX, Expert, read_expert
from genome.experts.importing import check_source, import_expert, needs_weights, source_files
from genome.experts.tensors import header_bytes, open_tensors
from genome.files import read_json, sha256, write_json

Q = "model.layers.0.self_attn.q_proj"
DOWN = "model.layers.1.mlp.down_proj"


@pytest.fixture
def base(tmp_path) -> Path:
    return write_base(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path) -> Path:
    return write_adapter(tmp_path / "mine", 1)


def change_config(folder: Path, **fields: Any) -> None:
    write_json(folder / CONFIG, read_json(folder / CONFIG) | fields)


def change_tensors(folder: Path, change) -> None:
    """Write what `change` makes of the tensors of an adapter, a mapping."""
    save_file(change({name: tensor.copy() for name, tensor in load_file(folder / WEIGHTS).items()}), folder / WEIGHTS)


def add_tensors(folder: Path, **tensors: np.ndarray) -> None:
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    change_tensors(folder, lambda old: {**old, **named})


def imported(folder: Path, base: Path, **source: Any) -> Expert:
    return import_expert("math", {"path": str(folder), **source}, base, base.parent / "experts" / "math.safetensors")


def refusal(folder: Path, base: Path, **source: Any) -> str:
    """Return the one line that refuses a source; nothing may be written."""
    with pytest.raises(GenomeError) as error:
        imported(folder, base, **source)
    assert not [*base.parent.glob("experts/*")]
    line = str(error.value)
    assert line.startswith("expert math: ")
    assert "\n" not in line
    assert ".tmp" not in line
    return line


def factors_of(expert: Expert) -> dict[str, np.ndarray]:
    return dict(open_tensors(expert.path))


def test_a_lora_becomes_factors_with_its_scaling_and_provenance(adapter, base):
    (adapter / "README.md").write_text("---\nlicense: apache-2.0\nbase_model: org/tiny\n---\n# Math\n")
    expert = imported(adapter, base)
    theirs = load_file(adapter / WEIGHTS)
    for name, values in factors_of(expert).items():
        np.testing.assert_array_equal(values, theirs[name] * (2 if "lora_B" in name else 1))
    assert (expert.name, expert.rank, expert.alpha, expert.scale, expert.dtype) == ("math", 4, 8.0, 2.0, "F32")
    assert (expert.base_model, expert.target_modules) == ("tiny", ("down_proj", "q_proj"))
    known = expert.provenance
    assert known["files"] == {file: sha256(adapter / file) for file in (CONFIG, WEIGHTS)}
    assert (known["kind"], known["licence"], known["revision"]) == ("LoRA", "apache-2.0", None)
    assert known["source"] == {"path": str(adapter)}
    assert known["dropped"] == {"tensors": [], "share": 0.0}
    assert set(known["layers"]) == set(read_base(base).layers)
    assert read_expert(expert.path) == expert


def test_the_caller_adds_to_the_provenance(adapter, base, tmp_path):
    expert = import_expert("math", {"path": str(adapter)}, base, tmp_path / "x.safetensors", provenance={"rows": 3})
    assert read_expert(expert.path).provenance["rows"] == 3


def test_import_is_the_same_bytes_twice(adapter, base):
    assert imported(adapter, base).sha256 == imported(adapter, base).sha256


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_types_are_kept_where_they_represent_the_scaled_factors(tmp_path, base, dtype):
    for alpha, stored in ((8, dtype), (12, dtype if dtype == "F32" else "F32")):
        folder = write_adapter(tmp_path / f"{alpha}", 3, alpha=alpha, dtype=dtype)
        expert = imported(folder, base)
        assert expert.dtype == dtype
        assert {info.dtype for name, info in expert.tensors.items() if "lora_A" in name} == {dtype}
        assert {info.dtype for name, info in expert.tensors.items() if "lora_B" in name} == {stored}


def test_mixed_types_in_one_adapter_are_stored_in_the_widest(tmp_path, adapter, base):
    change_tensors(adapter, lambda old: {name: x.astype("f2") if "lora_A" in name else x for name, x in old.items()})
    expert = imported(adapter, base)
    assert expert.dtype == "F32"
    theirs = load_file(adapter / WEIGHTS)
    for name, values in factors_of(expert).items():
        np.testing.assert_array_equal(values, theirs[name].astype("f4") * (2 if "lora_B" in name else 1))


def test_a_half_that_overflows_when_scaled_is_stored_wider(tmp_path, base):
    folder = write_adapter(tmp_path / "mine", 1, alpha=2**20, dtype="F16")
    expert = imported(folder, base)
    assert {info.dtype for name, info in expert.tensors.items() if "lora_B" in name} == {"F32"}
    change_config(folder, lora_alpha=1e29)
    change_tensors(folder, lambda old: {name: x.astype("f4") * np.float32(1e10) for name, x in old.items()})
    (tmp_path / "experts" / "math.safetensors").unlink()
    assert "lora_B.weight times its scaling 2.5e+28 are NaN or infinite" in refusal(folder, base)


# What people call the modules, against the base's names


SPELLINGS = {
    "PEFT": "base_model.model.model.{}",
    "adapter's name": "base_model.model.model.{}",
    "without prefix": "model.{}",
    "bare": "{}",
    "language model": "base_model.model.model.language_model.{}",
    "language model first": "base_model.model.language_model.model.{}",
    "compiled": "base_model.model._orig_mod.model.{}",
    "wrapped twice": "base_model.model.model.model.{}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_layers_have_the_bases_names_whatever_the_adapter_calls_them(adapter, base, spelling):
    expected = imported(adapter, base)
    form = SPELLINGS[spelling]
    end = ".default.weight" if spelling == "adapter's name" else ".weight"
    change_tensors(
        adapter,
        lambda old: {
            form.format(name.removeprefix(f"{PREFIX}model.")).removesuffix(".weight") + end: x
            for name, x in old.items()
        },
    )
    found = imported(adapter, base)
    assert found.tensors.keys() == expected.tensors.keys()
    assert {name: x.tobytes() for name, x in factors_of(found).items()} == {
        name: x.tobytes() for name, x in factors_of(expected).items()
    }


NAMES = {
    "a quantised copy": {"base_model_name_or_path": "unsloth/tiny-bnb-4bit"},
    "no base": {"base_model_name_or_path": None},
    "pattern": {"target_modules": ".*(q|down)_proj"},
    "all-linear": {"target_modules": "all-linear"},
    "nothing": {"target_modules": None},
    "wrong names": {"target_modules": ["k_proj"]},
    "transposed": {"fan_in_fan_out": True},
}


@pytest.mark.parametrize("case", NAMES)
def test_names_in_the_config_decide_nothing(adapter, base, case):
    expected = factors_of(imported(adapter, base))
    change_config(adapter, **NAMES[case])
    found = factors_of(imported(adapter, base))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_layers_that_an_adapter_lacks_are_absent(adapter, base):
    change_tensors(adapter, lambda old: {name: x for name, x in old.items() if "layers.1.mlp" in name})
    assert {*imported(adapter, base).provenance["layers"]} == {DOWN}


# Refusals


def test_all_disagreements_are_in_one_line(adapter, base):
    def change(old):
        new = {name.replace("layers.1.", "layers.7."): x for name, x in old.items() if "layers.0.mlp" not in name}
        new[f"{PREFIX}{Q}.lora_A.weight"] = np.ones((4, 9), "f4")
        return new

    change_tensors(adapter, change)
    before = refusal(adapter, base)
    assert f"{adapter / WEIGHTS}" in before
    assert f"{Q} is [12, 9] here (outputs, inputs), [12, 8] in the base" in before
    assert f"changes model.layers.7.mlp.down_proj, which base {base} does not have (similar: {DOWN}" in before
    assert "model.layers.7.self_attn.q_proj" in before
    with pytest.raises(GenomeError) as error:
        check_source("math", {"path": str(adapter)}, base)
    assert str(error.value) == before


def test_the_first_problems_are_named_and_the_others_counted(tmp_path, base):
    folder = write_adapter(tmp_path / "deep", 1, layers=5)
    line = refusal(folder, base)
    assert line.count("does not have") == 3
    assert line.endswith("and 3 more of this kind")


def test_shapes_of_packed_layers_are_not_compared(adapter, base, caplog):
    header = {name: info.shape for name, info in open_tensors(base / "model.safetensors").tensors.items()}
    sizes = {name: (shape[0] * shape[1] // 2, 1) if "proj" in name else shape for name, shape in header.items()}
    entries, start = {}, 0
    for name, shape in sizes.items():
        dtype, size = ("U8", 1) if "proj" in name else ("F64", 8)
        end = start + int(np.prod(shape)) * size
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    import json

    text = json.dumps(entries).encode()
    (base / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(start))
    expert = imported(adapter, base)
    assert len(expert.provenance["layers"]) == 4
    assert "stores 4 of its layers quantised, so their shapes cannot be compared" in caplog.text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_weights_that_are_not_numbers_are_refused(adapter, base, value, dtype):
    change_tensors(adapter, lambda old: {name: x.astype(dtype) for name, x in old.items()})
    name = f"{PREFIX}{Q}.lora_A.weight"
    change_tensors(adapter, lambda old: {**old, name: np.full((4, 8), value, dtype)})
    line = refusal(adapter, base)
    assert f"{adapter / WEIGHTS}: 32 of 32 weights of tensor {name} are NaN or infinite" in line


@pytest.mark.parametrize(
    ("bits", "finite"),
    [(0x7F80, False), (0xFF80, False), (0x7FC1, False), (0x7F7F, True), (0x0001, True), (0x8000, True)],
    ids=["inf", "-inf", "nan", "largest", "smallest", "-zero"],
)
def test_check_weights_reads_bfloat16(tmp_path, bits, finite):
    path = tmp_path / WEIGHTS
    path.write_bytes(header_bytes({"x": "BF16"}, {"x": (1, 2)}) + np.array([[0, bits]], dtype="<u2").tobytes())
    if finite:
        check_weights(path)
    else:
        with pytest.raises(GenomeError, match="1 of 2 weights of tensor x are NaN or infinite"):
            check_weights(path)


def test_a_refused_import_keeps_the_old_file(adapter, base):
    before = imported(adapter, base).path.read_bytes()
    change_config(adapter, r=3)
    with pytest.raises(GenomeError, match=r"has rank 4, but by adapter_config\.json it is 3"):
        imported(adapter, base)
    assert (base.parent / "experts" / "math.safetensors").read_bytes() == before


LORA_B = f"{PREFIX}{Q}.lora_B.weight"
TENSORS = {
    "no partner": (
        lambda old: {n: x for n, x in old.items() if n != LORA_B},
        "q_proj.lora_A.weight has no partner lora_B",
    ),
    "a vector": (lambda old: {**old, LORA_B: np.ones(4, "f4")}, "of shape [4] is not a LoRA matrix"),
    "sharded away": (lambda old: {**old, LORA_B: np.ones((0, 4), "f4")}, "of shape [0, 4] is not a LoRA matrix"),
    "convolution": (lambda old: {**old, LORA_B: np.ones((12, 4, 1, 1), "f4")}, "of shape [12, 4, 1, 1] is not a LoRA"),
    "two adapters": (
        lambda old: {**old, LORA_B.replace("_B", "_B.other"): np.ones((12, 4), "f4")},
        f"{Q} has 2 tensors lora_B; save one adapter alone",
    ),
    "unknown": (
        lambda old: {**old, "wheel": np.ones((2, 2), "f4")},
        "tensor wheel of shape [2, 2] belongs to no known",
    ),
    "one layer twice": (
        lambda old: {**old, **{n.replace("model.model.", "model."): x for n, x in old.items() if "layers.0.self" in n}},
        "as is another of its modules",
    ),
    "half a DoRA": (
        lambda old: {**old, f"{PREFIX}{Q}.lora_magnitude_vector": np.ones(12, "f4")},
        "down_proj has no lora_magnitude_vector, but the adapter is DoRA",
    ),
    "none": (lambda _: {}, "contains no tensors"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_are_not_lora_are_refused(adapter, base, case):
    change, message = TENSORS[case]
    change_tensors(adapter, change)
    assert message in refusal(adapter, base)


def test_a_config_that_says_dora_needs_its_magnitudes(adapter, base):
    change_config(adapter, use_dora=True)
    assert "has no lora_magnitude_vector" in refusal(adapter, base)


BEYOND = {
    "use_qalora": True,
    "target_parameters": ["experts"],
    "layer_replication": [[0, 1]],
    "alora_invocation_tokens": [1],
    "arrow_config": {"top_k": 1},
    "kasa_config": {"beta": 1},
    "init_lora_weights": "pissa_niter_4",
}


@pytest.mark.parametrize("field", BEYOND)
def test_fields_that_cannot_be_merged_are_refused_by_name(adapter, base, field):
    change_config(adapter, **{field: BEYOND[field]})
    assert f"{adapter / CONFIG}: {field} is " in refusal(adapter, base)


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "ADAPTION_PROMPT", "XLORA", "OSF"])
def test_adapters_that_change_no_weights_are_refused_by_name(adapter, base, kind):
    change_config(adapter, peft_type=kind)
    assert kind in refusal(adapter, base)


ODD_FIELDS = {
    "r": ["8", True, 8.0, 8.5, None, [8], {}, 0, -1],
    "lora_alpha": ["16", True, None, [16], 0, -1, 10**400],
    "base_model_name_or_path": [3, ["models/tiny"], False],
    "peft_type": [["LORA"], None, 1, "lora", {}],
    "rank_pattern": [[4], "q_proj", {"q_proj": "4"}, {"q_proj": 0}, {"(": 4}],
    "alpha_pattern": [3, {"q_proj": None}, {"*": 4}],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in ODD_FIELDS.items() for value in values]
)
def test_an_invalid_field_is_named_with_the_users_file(adapter, base, field, value):
    change_config(adapter, **{field: value})
    assert refusal(adapter, base).startswith(f"expert math: {adapter / CONFIG}: {field} is ")


def test_a_pattern_that_never_ends_is_refused(adapter, base, monkeypatch):
    monkeypatch.setattr(adapter_config, "limited", partial(adapter_config.limited, seconds=0.2))
    change_config(adapter, rank_pattern={"([a-z._0-9]+)+!": 3})
    assert "a pattern of ranks or alphas takes more than 0.2 s; simplify rank_pattern" in refusal(adapter, base)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it contains [], expected a mapping"),
        ("3", "it contains 3, expected a mapping"),
        ("", "not valid JSON (the file is empty)"),
        ("{", "line 1: not valid JSON"),
        ('{"r": 8, "r": 16}', "'r' is repeated"),
        ('{"peft_type": "LORA", "lora_alpha": NaN}', "NaN is not a number"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_not_a_config_is_named(adapter, base, text, message):
    (adapter / CONFIG).write_text(text)
    line = refusal(adapter, base)
    assert line.startswith(f"expert math: {adapter / CONFIG}")
    assert message in line
    assert "delete" not in line


def test_a_config_may_start_with_a_byte_order_mark(adapter, base):
    (adapter / CONFIG).write_text((adapter / CONFIG).read_text(), encoding="utf-8-sig")
    assert imported(adapter, base).rank == 4


@pytest.mark.parametrize("kept", [4, 60, -1])
def test_truncated_weights_are_found_in_the_header(adapter, base, kept):
    (adapter / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:kept])
    assert f"{adapter / WEIGHTS}: " in refusal(adapter, base)


def test_weights_that_are_something_else_are_named(adapter, base):
    content = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    assert f"{adapter / WEIGHTS}: a Git LFS pointer, not the file; run `git lfs pull`" in refusal(adapter, base)
    (adapter / WEIGHTS).write_bytes(b"\xef\xbb\xbf" + content)
    assert f"{adapter / WEIGHTS}: starts with a byte order mark" in refusal(adapter, base)


@pytest.mark.parametrize("file", [CONFIG, WEIGHTS])
def test_only_regular_files_are_opened(adapter, base, file):
    makers = {
        "a pipe": os.mkfifo,
        "a folder": Path.mkdir,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    }
    for kind, make in makers.items():
        (adapter / file).unlink() if not (adapter / file).is_dir() else (adapter / file).rmdir()
        make(adapter / file)
        line = refusal(adapter, base)
        assert line.startswith(
            (f"expert math: {adapter / file}: {kind}", f"expert math: {adapter / file}: it is {kind}")
        )


# Sources in place


def test_the_users_files_are_neither_changed_nor_linked(adapter, base):
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in adapter.iterdir()}
    for file in adapter.iterdir():
        file.chmod(0o444)
    expert = imported(adapter, base)
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in adapter.iterdir()} == before
    assert not expert.path.is_symlink()
    assert expert.path.stat().st_nlink == 1


def test_an_expert_is_not_written_over_its_source(adapter, base):
    before = (adapter / WEIGHTS).read_bytes()
    (base.parent / "link").symlink_to(adapter)
    for out in (adapter / WEIGHTS, base.parent / "link" / WEIGHTS):
        with pytest.raises(GenomeError, match="it is its own source"):
            import_expert("math", {"path": str(adapter)}, base, out)
    assert (adapter / WEIGHTS).read_bytes() == before


def test_a_source_next_to_its_result_is_read_in_place(tmp_path, base):
    folder = write_adapter(tmp_path / "experts" / "math", 1)
    imported(folder, base)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["math", "math.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]


def test_source_files_are_the_users(tmp_path, adapter, base):
    assert source_files({"path": str(adapter)}) == [adapter / CONFIG, adapter / WEIGHTS]
    assert source_files({"path": str(tmp_path / "nowhere")}) == [
        tmp_path / "nowhere" / name for name in (CONFIG, WEIGHTS)
    ]
    assert source_files({"path": str(base)}) == [base / "config.json", base / "model.safetensors"]
    assert source_files({"hub": "org/lora"}) == []


def test_folders_with_adapters_are_listed(tmp_path, base):
    for name in ("code", "law", "math"):
        write_adapter(tmp_path / "repo" / name, 1)
    cases = {
        "repo": "or its index); adapters are in: code, law, math; correct `path`",
        "repo/maths": "maths is not a folder; adapters next to it: math, code, law; correct `path`",
        "nowhere": "nowhere is not a folder; correct `path`",
    }
    for number in range(9):
        write_adapter(tmp_path / "many" / f"expert{number}", 1)
    cases["many"] = "adapters are in: expert0, expert1, expert2, expert3, expert4 and 4 more; correct `path`"
    for path, message in cases.items():
        assert message in refusal(tmp_path / path, base)
    assert imported(tmp_path / "repo", base, subfolder="law").name == "math"


def test_a_file_in_place_of_a_folder_is_refused_with_what_to_give(tmp_path, adapter, base):
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "law.gguf").write_bytes(b"GGUF")
    (tmp_path / "law").mkdir()
    shutil.copy(tmp_path / "law.gguf", tmp_path / "law" / "law-Q4.gguf")
    before = import_expert("math", {"path": str(adapter)}, base, tmp_path / "before.safetensors").path
    cases = {
        adapter / WEIGHTS: f"is a file, not a folder; give its folder, {adapter}",
        adapter / CONFIG: f"is a file, not a folder; give its folder, {adapter}",
        base / "model.safetensors": f"is a file, not a folder; give its folder, {base}",
        tmp_path / "notes.txt": "is a file, not a folder; give the folder of an adapter or a model",
        tmp_path / "law.gguf": "has its weights as GGUF",
        tmp_path / "law": "has its weights as GGUF",
        before: "is an expert that was imported before; give its source, or the folder that `genome materialise",
    }
    for path, message in cases.items():
        line = refusal(path, base)
        assert f"{path} {message}" in line
        with pytest.raises(GenomeError) as error:
            check_source("math", {"path": str(path)}, base)
        assert str(error.value) == line


def test_pickled_weights_are_refused_with_the_remedy(adapter, base, tmp_path):
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    line = refusal(adapter, base)
    assert "has adapter_model.bin but no adapter_model.safetensors; nothing is unpickled" in line
    assert "PeftModel.from_pretrained" in line
    full = write_base(tmp_path / "full")
    (full / "model.safetensors").rename(full / "pytorch_model.bin")
    assert "AutoModelForCausalLM.from_pretrained" in refusal(full, base)


def test_a_folder_that_is_both_is_an_adapter(tmp_path, adapter, base, caplog):
    shutil.copy(base / "config.json", adapter)
    shutil.copy(base / "model.safetensors", adapter)
    assert imported(adapter, base).provenance["kind"] == "LoRA"
    assert f"folder {adapter}: has an adapter and model.safetensors; the adapter is used" in caplog.text


def test_an_untrained_adapter_is_an_expert_with_a_warning(adapter, base, caplog):
    change_tensors(adapter, lambda old: {name: x * 0 if "lora_B" in name else x for name, x in old.items()})
    expert = imported(adapter, base)
    assert len(expert.tensors) == 8
    assert "changes nothing, every update is zero; was it trained?" in caplog.text


# What cannot be merged


EXTRA = {
    "embeddings": ("base_model__model__model__embed_tokens__weight", np.ones((32, 8), "f4"), "embeddings"),
    "more tokens": ("base_model__model__model__embed_tokens__weight", np.ones((40, 8), "f4"), "embeddings"),
    "output layer": ("base_model__model__lm_head__weight", np.ones((32, 8), "f4"), "lm_head"),
    "norm": ("base_model__model__model__norm__weight", np.ones(8, "f4"), "norms"),
    "bias": ("base_model__model__model__layers__0__self_attn__q_proj__bias", np.ones(12, "f4"), "biases"),
    "lora_bias": ("base_model__model__model__layers__0__self_attn__q_proj__lora_B__bias", np.ones(12, "f4"), "biases"),
    "classifier": ("base_model__model__score__weight", np.ones((2, 8), "f4"), "modules_to_save"),
}


@pytest.mark.parametrize("case", EXTRA)
def test_what_cannot_be_merged_is_refused_unless_dropped(adapter, base, case):
    name, values, group = EXTRA[case]
    change_config(adapter, modules_to_save=["score"])
    add_tensors(adapter, **{name: values})
    line = refusal(adapter, base)
    assert f"it also changes {group} (" in line
    assert f"cannot be merged: leave them out with `drop: [{group}]`" in line
    with pytest.raises(GenomeError, match="cannot be merged"):
        check_source("math", {"path": str(adapter)}, base)
    check_source("math", {"path": str(adapter), "drop": [group]}, base)
    expert = imported(adapter, base, drop=[group])
    assert expert.provenance["dropped"]["tensors"] == [name.replace("__", ".")]
    assert 0 < expert.provenance["dropped"]["share"] < 1
    assert len(expert.provenance["layers"]) == 4


def test_a_copy_of_the_bases_embeddings_does_not_change_anything(adapter, base):
    embeddings = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    add_tensors(adapter, base_model__model__model__embed_tokens__weight=embeddings)
    for dtype in ("f4", "f2"):
        change_tensors(adapter, lambda old, dtype=dtype: {name: x.astype(dtype) for name, x in old.items()})
        check_source("math", {"path": str(adapter)}, base)
        assert imported(adapter, base).provenance["dropped"] == {"tensors": [], "share": 0.0}
    shutil.rmtree(base.parent / "experts")
    trained = embeddings.copy()
    trained[-1, -1] += 1
    add_tensors(adapter, base_model__model__model__embed_tokens__weight=trained)
    assert "embeddings (model.embed_tokens), which cannot be merged" in refusal(adapter, base)


def test_a_copy_of_a_tied_output_layer_does_not_change_anything(adapter, base):
    embeddings = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    add_tensors(adapter, base_model__model__lm_head__weight=embeddings)
    assert imported(adapter, base).provenance["dropped"]["tensors"] == []


@pytest.mark.parametrize("entry", ["mlp", "layers.1.mlp", "down_proj"])
def test_drop_may_name_a_module(adapter, base, entry):
    whole = imported(adapter, base).provenance["layers"]
    expert = imported(adapter, base, drop=[entry])
    layers = expert.provenance["layers"]
    gone = {layer for layer in whole if f".{entry}." in f".{layer}."}
    assert gone
    assert layers.keys() == whole.keys() - gone
    lost, all_of_it = (sum(whole[layer]["norm"] ** 2 for layer in names) for names in (gone, whole))
    assert expert.provenance["dropped"]["share"] == pytest.approx((lost / all_of_it) ** 0.5)


def test_a_module_that_drop_names_in_vain_is_a_warning(adapter, base, caplog):
    imported(adapter, base, drop=["q_porj", "down_proj", "lm_head"])
    assert caplog.messages == [f"expert math: `drop` names q_porj, but {adapter} changes no such module"]


def test_an_adapter_of_which_nothing_is_left_is_refused(adapter, base):
    assert "changes no linear layer, so there is nothing to merge" in refusal(adapter, base, drop=["layers"])


# Full fine-tunes


def test_a_full_fine_tune_becomes_factors_of_its_change(tmp_path, base):
    full = write_base(tmp_path / "full")
    tensors = load_file(full / "model.safetensors")
    generator = np.random.default_rng(5)
    change = (generator.normal(size=(12, 2)) @ generator.normal(size=(2, 8))).astype("f4")
    save_file({**tensors, f"{Q}.weight": tensors[f"{Q}.weight"] + change}, full / "model.safetensors")
    (full / "README.md").write_text("---\nlicense: other\nlicense_name: gemma\nbase_model: [org/tiny]\n---\n")
    assert needs_weights({"path": str(full)})
    check_source("math", {"path": str(full)}, base)
    expert = imported(full, base, rank=2)
    factors = factors_of(expert)
    product = factors[f"{PREFIX}{Q}.lora_B.weight"] @ factors[f"{PREFIX}{Q}.lora_A.weight"]
    np.testing.assert_allclose(product, change, atol=1e-5)
    known = expert.provenance
    assert (known["kind"], known["licence"], expert.base_model) == ("full fine-tune", "gemma", "org/tiny")
    assert known["layers"][Q]["norm"] == pytest.approx(np.linalg.norm(change), rel=1e-5)
    assert known["layers"][Q]["kept"] == pytest.approx(1, abs=1e-5)
    assert set(known["files"]) == {"config.json", "model.safetensors"}


def test_a_full_fine_tune_of_more_than_layers_is_refused_by_name(tmp_path, base):
    full = write_base(tmp_path / "full")
    tensors = {name: x + np.float32(0.1) for name, x in load_file(full / "model.safetensors").items()}
    save_file(tensors, full / "model.safetensors")
    line = refusal(full, base)
    assert "embeddings (model.embed_tokens), norms (3, first " in line
    expert = imported(full, base, drop=["embeddings", "norms"])
    share = ((32 * 8 + 3 * 8) / sum(x.size for x in tensors.values())) ** 0.5
    assert expert.provenance["dropped"]["share"] == pytest.approx(share, rel=1e-3)


@pytest.mark.parametrize("rows", [30, 40])
def test_a_resized_vocabulary_is_refused_when_the_config_is_read(tmp_path, base, rows):
    full = write_base(tmp_path / "full")
    tensors = load_file(full / "model.safetensors")
    changed = {f"{Q}.weight": tensors[f"{Q}.weight"] + 1, "model.embed_tokens.weight": np.ones((rows, 8), "f4")}
    save_file({**tensors, **changed}, full / "model.safetensors")
    line = refusal(full, base)
    assert "it also changes embeddings (model.embed_tokens), which cannot be merged: " in line
    with pytest.raises(GenomeError) as error:
        check_source("math", {"path": str(full)}, base)
    assert str(error.value) == line
    check_source("math", {"path": str(full), "drop": ["embeddings"]}, base)
    assert imported(full, base, drop=["embeddings"]).provenance["dropped"]["tensors"] == ["model.embed_tokens.weight"]


def test_the_base_itself_is_not_an_expert(tmp_path, base):
    assert "changes no linear layer of the base" in refusal(write_base(tmp_path / "full"), base)


def test_a_model_of_another_shape_is_refused_when_the_config_is_read(tmp_path, base):
    deep = write_base(tmp_path / "deep", layers=3)
    with pytest.raises(GenomeError, match=r"^expert math: .*deep: not a fine-tune of the base"):
        check_source("math", {"path": str(deep)}, base)


# From the hub


def test_only_the_needed_files_of_a_hub_adapter_are_downloaded(tmp_path, hub, base):
    origin = write_adapter(hub.root / "org" / "loras" / "math", 1)
    (origin / "training_args.bin").write_bytes(b"pickle")
    (hub.root / "org" / "loras" / "README.md").write_text("---\nlicense: mit\n---\n")
    source = {"hub": "org/loras", "revision": "v1", "subfolder": "math"}
    expert = import_expert("math", source, base, tmp_path / "math.safetensors")
    known = expert.provenance
    assert known["files"][WEIGHTS] == sha256(origin / WEIGHTS)
    assert (known["source"], known["revision"], known["licence"]) == (source, COMMIT, "mit")
    assert {path for path in hub.requested if "resolve" in path} == {
        f"/org/loras/resolve/{COMMIT}/math/{CONFIG}",
        f"/org/loras/resolve/{COMMIT}/math/{WEIGHTS}",
        f"/org/loras/resolve/{COMMIT}/README.md",
    }


def test_a_sharded_full_fine_tune_is_downloaded_and_then_offline(tmp_path, hub, base, monkeypatch):
    from huggingface_hub import constants

    full = write_base(hub.root / "org" / "full")
    tensors = {n: x + np.float32(n.endswith("proj.weight")) for n, x in load_file(full / "model.safetensors").items()}
    (full / "model.safetensors").unlink()
    places = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(tensors)}
    for shard in set(places.values()):
        save_file({name: x for name, x in tensors.items() if places[name] == shard}, full / shard)
    write_json(full / "model.safetensors.index.json", {"weight_map": places})
    (full / "optimizer.bin").write_bytes(b"pickle")
    online = import_expert("math", {"hub": "org/full"}, base, tmp_path / "online.safetensors")
    assert not any("optimizer" in path for path in hub.requested)
    assert online.provenance["revision"] == COMMIT
    asked = len(hub.requested)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    offline = import_expert("math", {"hub": "org/full"}, base, tmp_path / "offline.safetensors")
    assert offline.sha256 == online.sha256
    assert len(hub.requested) == asked


def test_without_network_the_cache_is_used(tmp_path, hub, base, monkeypatch):
    from huggingface_hub import constants

    write_adapter(hub.root / "org" / "loras" / "math", 1)
    sources = [{"hub": "org/loras", "subfolder": "math"}, {"hub": "org/loras", "subfolder": "math", "revision": "v1"}]
    for source in sources:
        online = import_expert("math", source, base, tmp_path / "online.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requested)
    for source in (*sources, {**sources[0], "revision": COMMIT}):
        offline = import_expert("math", source, base, tmp_path / "offline.safetensors")
        assert offline.provenance["revision"] == COMMIT
        assert offline.provenance["files"] == online.provenance["files"]
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
            import_expert("law", source, base, tmp_path / "law.safetensors")
        assert "\n" not in str(error.value)
    assert len(hub.requested) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert import_expert("math", sources[0], base, tmp_path / "away.safetensors").provenance["revision"] == COMMIT


def test_hub_errors_name_the_remedy(tmp_path, hub, base):
    write_adapter(hub.root / "org" / "loras" / "code", 1)
    write_adapter(hub.root / "org" / "loras" / "math", 1)
    pickled = write_adapter(hub.root / "org" / "pickled", 1)
    shutil.move(pickled / WEIGHTS, pickled / "adapter_model.bin")
    (hub.root / "org" / "empty").mkdir()
    for name in ("licensed", "forbidden"):
        write_adapter(hub.root / "org" / name, 1)
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
        with pytest.raises(GenomeError, match=f"^expert law: .*{message}") as error:
            import_expert("law", source, base, tmp_path / "experts" / "law.safetensors")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "experts").exists()


def test_an_unreachable_hub_is_one_line(tmp_path, hub, base, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(GenomeError, match=r"org/lora could not be read \(.*\); try again, or give a local folder"):
        import_expert("math", {"hub": "org/lora"}, base, tmp_path / "math.safetensors")


def test_config_time_checks_look_at_no_hub(hub):
    check_source("math", {"hub": "org/nothing"})
    assert not hub.requested


def test_the_made_up_base_has_its_layers(base):
    assert read_base(base).layers == {
        f"model.layers.{layer}.{module}": shape for layer in range(2) for module, shape in TARGETS.items()
    }
