"""Fetching base models: what is taken, and what is said when it cannot be."""

import json

import pytest

from genome.errors import GenomeError
from genome.models import fetch_base


def write_model(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "modeling.py").write_text("not taken")
    (folder / "pytorch_model.bin").write_bytes(b"not taken")
    return folder


def test_a_local_base_is_taken_without_code_and_pickles(tmp_path):
    fetch_base({"path": str(write_model(tmp_path / "origin"))}, tmp_path / "base")
    assert sorted(file.name for file in (tmp_path / "base").iterdir()) == ["config.json", "model.safetensors"]


def test_all_files_of_a_tokenizer_are_taken(tmp_path):
    origin = write_model(tmp_path / "origin")
    (origin / "additional_chat_templates").mkdir()
    names = ["additional_chat_templates/rag.jinja", "merges.txt", "spiece.model", "vocab.json", "vocab.txt"]
    for name in names:
        (origin / name).write_text("{}")
    fetch_base({"path": str(origin)}, tmp_path / "base")
    found = {file.relative_to(tmp_path / "base").as_posix() for file in (tmp_path / "base").rglob("*.*")}
    assert found == {"config.json", "model.safetensors", *names}


@pytest.mark.parametrize("repo", ["org/gated", "org/licensed", "org/forbidden", "org/token"])
def test_a_gated_base_asks_for_licence_and_token(tmp_path, hub, repo):
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
def test_other_mistakes_are_answered_with_what_to_do(tmp_path, hub, source, message):
    write_model(hub.root / "org" / "open")
    with pytest.raises(GenomeError, match=message) as error:
        fetch_base(source, tmp_path / "base")
    assert "\n" not in str(error.value)
