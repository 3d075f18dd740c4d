"""Fetching base models: which files are copied, and the errors."""

import io
import json
import os
from pathlib import Path

import pytest

from fake_hub import COMMIT
from genome.errors import GenomeError
from genome.experts.base_model import fetch_base
from genome.files import write_json
from genome.tasks import chat


def write_model(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "modeling.py").write_text("not taken")
    (folder / "pytorch_model.bin").write_bytes(b"not taken")
    return folder


def test_fetch_base_copies_neither_code_nor_pickles(tmp_path):
    fetch_base({"path": str(write_model(tmp_path / "origin"))}, tmp_path / "base")
    assert sorted(file.name for file in (tmp_path / "base").iterdir()) == ["config.json", "model.safetensors"]


def test_fetch_base_copies_every_tokenizer_file(tmp_path):
    origin = write_model(tmp_path / "origin")
    (origin / "additional_chat_templates").mkdir()
    names = ["additional_chat_templates/rag.jinja", "merges.txt", "spiece.model", "vocab.json", "vocab.txt"]
    for name in names:
        (origin / name).write_text("\n" if name.endswith(".model") else "{}")
    fetch_base({"path": str(origin)}, tmp_path / "base")
    found = {file.relative_to(tmp_path / "base").as_posix() for file in (tmp_path / "base").rglob("*.*")}
    assert found == {"config.json", "model.safetensors", *names}


@pytest.mark.parametrize("repo", ["org/gated", "org/licensed", "org/forbidden", "org/token"])
def test_fetch_base_of_a_gated_model_names_licence_and_token(tmp_path, hub, repo):
    if repo != "org/gated":
        write_model(hub.root / repo)
    with pytest.raises(GenomeError) as error:
        fetch_base({"hub": repo}, tmp_path / "base")
    assert str(error.value) == (
        f"base model {repo} is gated; accept its licence at https://huggingface.co/{repo} and give a token of that "
        "account (HF_TOKEN, or `hf auth login`)"
    )
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"hub": "org/nothing"}, "base model org/nothing does not exist or is private; correct `hub`"),
        ({"hub": "org/open", "revision": "v2"}, "base model org/open has no revision 'v2'; correct `revision`"),
        ({"hub": "a/b/c"}, "base model a/b/c is not a valid hub id; write OWNER/NAME"),
    ],
)
def test_fetch_base_errors_name_the_remedy(tmp_path, hub, source, message):
    write_model(hub.root / "org" / "open")
    with pytest.raises(GenomeError, match=message) as error:
        fetch_base(source, tmp_path / "base")
    assert "\n" not in str(error.value)


def refusal(source, out) -> str:
    with pytest.raises(GenomeError) as error:
        fetch_base(source, out)
    assert "\n" not in str(error.value)
    assert not out.exists()
    return str(error.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_fetch_base_makes_a_copy_independent_of_the_source(tmp_path):
    origin, base = write_model(tmp_path / "origin"), tmp_path / "base"
    (origin / "tokenizer.json").write_text("one")
    fetch_base({"path": str(origin)}, base)
    assert all(file.stat().st_nlink == 1 and not file.is_symlink() for file in base.iterdir())
    taken, theirs = contents(base), contents(origin)
    for file in base.iterdir():
        with (origin / file.name).open("ab") as changed:  # as when a tokenizer is saved again
            changed.write(b"source")
    assert contents(base) == taken
    for file in base.iterdir():
        (origin / file.name).write_bytes(theirs[file.name])
        file.write_bytes(b"copy")
    assert contents(origin) == theirs


def test_fetch_base_does_not_change_the_hub_cache(tmp_path, hub):
    from huggingface_hub import constants

    write_model(hub.root / "org" / "open")
    (hub.root / "org" / "open" / "onnx").mkdir()
    (hub.root / "org" / "open" / "onnx" / "model.safetensors").write_bytes(b"of another format")
    fetch_base({"hub": "org/open"}, tmp_path / "base")
    assert sorted(contents(tmp_path / "base")) == ["config.json", "model.safetensors"]
    assert not [path for path in hub.requested if "onnx" in path]
    (tmp_path / "base" / "model.safetensors").write_bytes(b"changed")
    [cached] = Path(constants.HF_HUB_CACHE).rglob(f"{COMMIT}/model.safetensors")
    assert cached.read_bytes() == b"weights"


def test_fetch_base_without_network_uses_the_cache(tmp_path, hub, monkeypatch):
    from huggingface_hub import constants

    write_model(hub.root / "org" / "open")
    fetch_base({"hub": "org/open"}, tmp_path / "online")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fetch_base({"hub": "org/open"}, tmp_path / "offline")
    assert contents(tmp_path / "offline") == contents(tmp_path / "online")
    line = refusal({"hub": "org/other"}, tmp_path / "base")
    assert line.startswith("base model org/other is not in the hub's cache (")
    assert "HF_HUB_OFFLINE" in line


def test_fetched_tokenizers_work_like_the_source(tmp_path):
    origin = write_model(tmp_path / "origin")
    names = {
        "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json", "special_tokens_map.json",
        "generation_config.json", "chat_template.json", "chat_template.jinja", "tokenizer_config.json", "spiece.model",
        "tokenizer.model", "tokenizer.json", "config.json", "model.safetensors", "sentencepiece.bpe.model",
        "q.tiktoken",
    }  # fmt: skip
    for name in names - {"config.json"}:
        (origin / name).write_text(json.dumps({"is": name}))
    fetch_base({"path": str(origin)}, tmp_path / "base")
    assert set(contents(tmp_path / "base")) == names


def test_fetch_base_copies_shards_and_names_missing_ones(tmp_path):
    origin = write_model(tmp_path / "origin")
    (origin / "model.safetensors").unlink()
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    write_json(origin / "model.safetensors.index.json", {"weight_map": dict(zip("ab", shards, strict=True))})
    (origin / shards[0]).write_bytes(b"1")
    assert f"lacks 1 of the 2 files of its weights, first {shards[1]}" in refusal(
        {"path": str(origin)}, tmp_path / "base"
    )
    (origin / shards[1]).write_bytes(b"2")
    fetch_base({"path": str(origin)}, tmp_path / "base")
    assert set(contents(tmp_path / "base")) == {"config.json", "model.safetensors.index.json", *shards}
    for index in ({}, {"weight_map": {}}, {"weight_map": {"a": 3}}):
        write_json(origin / "model.safetensors.index.json", index)
        assert "has no weight_map" in refusal({"path": str(origin)}, tmp_path / "other")
    write_json(origin / "model.safetensors.index.json", [])
    assert "index.json: not a JSON object" in refusal({"path": str(origin)}, tmp_path / "other")
    (origin / "model.safetensors.index.json").unlink()
    assert "lacks config.json or weights" in refusal({"path": str(origin)}, tmp_path / "other")


def test_fetch_base_leaves_out_an_adapter_with_a_warning(tmp_path, caplog):
    origin = write_model(tmp_path / "origin")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (origin / name).write_text("{}")
    with caplog.at_level("INFO", "genome"):
        fetch_base({"path": str(origin)}, tmp_path / "base")
    assert sorted(contents(tmp_path / "base")) == ["config.json", "model.safetensors"]
    assert f"base model {origin}: adapter_config.json and adapter_model.safetensors left out" in caplog.text
    assert "2 files copied" in caplog.text


def test_fetch_base_of_a_repository_leaves_out_its_adapter(tmp_path, hub, caplog):
    origin = write_model(hub.root / "org" / "both")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (origin / name).write_text("{}")
    fetch_base({"hub": "org/both"}, tmp_path / "base")
    assert sorted(contents(tmp_path / "base")) == ["config.json", "model.safetensors"]
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "base model org/both (" in warning.getMessage()
    assert "give the adapter as an expert" in warning.getMessage()


def test_base_merged_from_an_adapter_is_served_with_its_own_weights(tmp_path, caplog):
    """A merged model often keeps the adapter_config.json of what was merged, without the adapter."""
    import torch

    from engine import tiny_models
    from genome.engine.model import Model

    merged = tmp_path / "merged"
    network = tiny_models.architecture("llama")
    network.save_pretrained(merged)
    tiny_models.tokenizer().save_pretrained(merged)
    write_json(merged / "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "org/x", "r": 8})
    fetch_base({"path": str(merged)}, tmp_path / "base")
    assert "adapter_config.json left out" in caplog.text
    served = Model(tmp_path / "base").network.state_dict()
    assert all(torch.equal(weight, served[name]) for name, weight in network.state_dict().items())


def test_fetch_base_refuses_an_adapter(tmp_path):
    origin = write_model(tmp_path / "origin")
    (origin / "config.json").rename(origin / "adapter_config.json")
    assert "it is an adapter (adapter_config.json without config.json)" in refusal(
        {"path": str(origin)}, tmp_path / "base"
    )


def test_fetch_base_opens_only_folders_and_regular_files(tmp_path):
    for path in (tmp_path / "none", Path("/dev/zero"), tmp_path / "pipe"):
        if path.name == "pipe":
            os.mkfifo(path)
        assert f"base model {path} lacks config.json" in refusal({"path": str(path)}, tmp_path / "base")
    for number, file in enumerate(("config.json", "model.safetensors")):
        makers = (os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("no"))
        for kind, make in enumerate(makers):
            origin = write_model(tmp_path / f"origin{number}{kind}")
            (origin / file).unlink()
            make(origin / file)
            assert str(origin / file) in refusal({"path": str(origin)}, tmp_path / "base")
    origin = write_model(tmp_path / "broken")
    for text in ("{", "[]", ""):
        (origin / "config.json").write_text(text)
        assert "config.json" in refusal({"path": str(origin)}, tmp_path / "base")


def test_fetch_base_refuses_git_lfs_pointers(tmp_path):
    origin = write_model(tmp_path / "origin")
    (origin / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    line = refusal({"path": str(origin)}, tmp_path / "base")
    assert line.startswith(f"{origin / 'model.safetensors'}: a Git LFS pointer")


def test_fetch_base_refuses_its_own_source(tmp_path):
    origin = write_model(tmp_path / "base")
    before = contents(origin)
    with pytest.raises(GenomeError, match="it is its own source"):
        fetch_base({"path": str(origin)}, origin)
    with pytest.raises(GenomeError, match="contains files that were not written here"):
        fetch_base({"path": str(write_model(tmp_path / "other"))}, origin)
    assert contents(origin) == before


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja"])
def test_fetch_base_names_a_file_with_a_byte_order_mark(tmp_path, name):
    origin = write_model(tmp_path / "origin")
    (origin / name).write_text("\ufeff{}")
    assert refusal({"path": str(origin)}, tmp_path / "base").startswith(
        f"{origin / name}: starts with a byte order mark"
    )


def test_fetch_base_checks_settings_but_not_other_json(tmp_path):
    origin = write_model(tmp_path / "origin")
    (origin / "trainer_state.json").write_text('{"loss": NaN}')
    fetch_base({"path": str(origin)}, tmp_path / "base")
    assert (tmp_path / "base/trainer_state.json").is_file()
    (origin / "tokenizer_config.json").write_text("{")
    line = refusal({"path": str(origin)}, tmp_path / "again")
    assert line.startswith(f"{origin}/tokenizer_config.json, line 1: not valid JSON")


@pytest.mark.parametrize(
    ("start", "missing"), [(b"\n\x0e", "sentencepiece"), (b"\n\x0e", "protobuf"), (b"IQ== 0\n", "tiktoken")]
)
def test_fetch_base_names_the_package_that_a_tokenizer_needs(tmp_path, monkeypatch, start, missing):
    origin = write_model(tmp_path / "origin")
    (origin / "tokenizer.model").write_bytes(start)
    monkeypatch.setattr(chat, "_is_installed", lambda package: not package.endswith(missing))
    line = refusal({"path": str(origin)}, tmp_path / "base")
    assert line.startswith(f"{origin}: reading tokenizer.model needs {missing}; run pip install {missing}")
    (origin / "tokenizer.json").write_text("{}")
    fetch_base({"path": str(origin)}, tmp_path / "base")


@pytest.mark.parametrize("form", ["sentencepiece", "vocab and merges"])
def test_load_tokenizer_reads_tokenizer_files_other_than_json(tmp_path, form):
    from transformers import AutoTokenizer

    origin = write_model(tmp_path / "origin")
    if form == "sentencepiece":
        sentencepiece = pytest.importorskip("sentencepiece")
        text, written = [f"the number {n} and word {chr(97 + n % 26) * 3}" for n in range(300)], io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text), model_writer=written, vocab_size=100, model_type="bpe", minloglevel=2
        )
        (origin / "tokenizer.model").write_bytes(written.getvalue())
        write_json(origin / "config.json", {"model_type": "llama"})
        write_json(origin / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer"})
        expected = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue()).encode("the number 5")
    else:
        write_json(origin / "vocab.json", {"<|endoftext|>": 0, "t": 1, "h": 2, "e": 3, "th": 4, "the": 5})
        (origin / "merges.txt").write_text("#version: 0.2\nt h\nth e\n")
        write_json(origin / "config.json", {"model_type": "gpt2"})
        write_json(origin / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer"})
        expected = [5]
    fetch_base({"path": str(origin)}, tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base", local_files_only=True)
    ids = tokenizer("the number 5" if form == "sentencepiece" else "the", add_special_tokens=False)["input_ids"]
    assert ids == expected
