"""Exports on the hub: what is uploaded, who sees it, and what is refused before anything is made."""

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from fake_hub import TOKEN
from genome.api import running
from genome.api.publishing import FILES, check_target, push_export
from genome.cli import app
from genome.errors import GenomeError

RUN = "sums/genome/n4/seed1"
CARD = "---\nlibrary_name: peft\n---\n\n# GENOME on sums\n"


@pytest.fixture
def export(tmp_path):
    """Return the folder of an export, with a file that is not part of it."""
    folder = tmp_path / "results/export" / RUN
    folder.mkdir(parents=True)
    for name in (*FILES, "notes.txt"):
        (folder / name).write_bytes(CARD.encode() if name == "README.md" else f"the {name}".encode())
    return folder


@pytest.fixture(autouse=True)
def token(monkeypatch, tmp_path):
    """Give a token that may write, and no other."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))


def pushed(hub, repo):
    return {path.name: path.read_bytes() for path in (hub.root / repo).iterdir()}


def refusal(repo, *, overwrite=False):
    with pytest.raises(GenomeError) as refused:
        check_target(repo, overwrite=overwrite)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_new_repository_is_private_and_has_the_files_of_the_export(hub, export):
    check_target("org/mine", overwrite=False)
    address = push_export(export, "org/mine", RUN, public=False)
    assert address.endswith("/org/mine")
    assert hub.visibility == {"org/mine": "private"}
    assert hub.commits == [f"Best individual of {RUN}"]
    assert pushed(hub, "org/mine").keys() == {*FILES, ".gitattributes"}
    assert all(pushed(hub, "org/mine")[name] == (export / name).read_bytes() for name in FILES)


def test_a_new_repository_is_public_if_asked(hub, export):
    push_export(export, "org/mine", RUN, public=True)
    assert hub.visibility == {"org/mine": "public"}


def test_a_repository_with_files_is_left_alone_unless_asked(hub, export):
    (hub.root / "org/mine").mkdir()
    (hub.root / "org/mine/theirs.txt").write_text("theirs")
    assert "org/mine: it exists and has files, such as theirs.txt; give another name, or --overwrite" in refusal(
        "org/mine"
    )
    check_target("org/mine", overwrite=True)
    push_export(export, "org/mine", RUN, public=False)
    assert pushed(hub, "org/mine").keys() == {*FILES, "theirs.txt"}


def test_a_push_that_was_interrupted_goes_on(hub, export):
    (hub.root / "org/mine").mkdir()
    (hub.root / "org/mine/.gitattributes").touch()
    check_target("org/mine", overwrite=False)
    push_export(export, "org/mine", RUN, public=False)
    assert pushed(hub, "org/mine")["README.md"] == CARD.encode()


def test_no_token_names_the_remedy(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert "no token for the hub; call `hf auth login`, or set HF_TOKEN" in refusal("org/mine")
    assert not hub.requested


@pytest.mark.parametrize("name", ["mine", "a/b/c"])
def test_a_name_without_an_owner_is_refused(name):
    assert f"--push {name}: expected OWNER/NAME" in refusal(name)


def test_a_name_that_the_hub_does_not_allow_is_refused(hub):
    assert "--push org/a b: not a valid name" in refusal("org/a b")


def test_a_token_that_may_not_write_is_refused_in_one_line(hub, export, monkeypatch):
    with pytest.raises(GenomeError, match=r"--push others/mine: the hub refuses it to this token.*others \(HF_TOKEN"):
        push_export(export, "others/mine", RUN, public=False)
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(GenomeError, match="--push org/mine: the hub refuses it"):
        push_export(export, "org/mine", RUN, public=False)


def test_an_unreachable_hub_is_one_line(monkeypatch, export):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(GenomeError, match=r"^--push org/mine: .*; the same command tries again$"):
        push_export(export, "org/mine", RUN, public=False)


def test_the_command_checks_first_then_makes_then_pushes(hub, export, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(running, "run", lambda _, targets, *__: made.append(targets))
    monkeypatch.chdir(tmp_path)
    arguments = ["export", f"results/runs/{RUN}/", "--push", "org/mine"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    assert result.stdout.split() == [f"results/export/{RUN}", f"{constants.ENDPOINT}/org/mine"]
    refused = CliRunner().invoke(app, arguments)
    assert "it exists and has files" in str(refused.exception)
    assert made == [[f"results/export/{RUN}/README.md"]]
