"""Damaged files in `.genome` are treated as missing, are replaced, and never end a run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genome.engine import slurm
from genome.engine.launcher import connect
from genome.engine.owner import current_owner
from genome.engine.records import FOLDER, own_folder, read_record, write_record
from genome.engine.state import Starting, State, read_state, stop, write_state
from genome.errors import GenomeError

STATE = State("http://127.0.0.1:1", "key", "elsewhere", 7, "8", "/base", "2 x Chip", {"backend": "vllm"})
GOOD = json.dumps(vars(STATE))


def a_folder(file):
    (file / "below").mkdir(parents=True)


def changed(**fields):
    return lambda file: file.write_text(json.dumps({**vars(STATE), **fields}))


DAMAGE = {
    "empty": lambda file: file.write_text(""),
    "truncated": lambda file: file.write_text(GOOD[:40]),
    "a list": lambda file: file.write_text("[1, 2]"),
    "a number": lambda file: file.write_text("3"),
    "null": lambda file: file.write_text("null"),
    "binary": lambda file: file.write_bytes(bytes(range(256))),
    "zeros": lambda file: file.write_bytes(bytes(200)),
    "deep": lambda file: file.write_text("[" * 100_000),
    "a field too many": changed(more=1),
    "a field too few": lambda file: file.write_text(GOOD.replace('"key": "key", ', "")),
    "a pid that is text": changed(pid="7"),
    "a url that is null": changed(url=None),
    "a fingerprint that is text": changed(fingerprint="vllm"),
    "a job that is a number": changed(job=3),
    "a folder": a_folder,
    "a pipe": os.mkfifo,
    "a link to nowhere": lambda file: file.symlink_to("nowhere"),
    "a link to itself": lambda file: file.symlink_to(file.name),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return own_folder()


def test_read_record_returns_the_written_record(folder):
    write_state(folder / "engine-a.json", STATE)
    assert read_state(folder / "engine-a.json") == STATE
    assert (folder / "engine-a.json").stat().st_mode & 0o777 == 0o600
    slurm.write_job(folder / "engine-a-0.job", slurm.Job("3", True, 1, "why"))
    assert slurm.read_job(folder / "engine-a-0.job") == slurm.Job("3", True, 1, "why")


@pytest.mark.parametrize("case", DAMAGE)
def test_read_record_of_a_damaged_file_is_none(folder, case):
    file, memory = folder / "engine-a.json", folder / "engine-a-0.job"
    for each in (file, memory):
        DAMAGE[case](each)
    assert read_state(file) is None
    assert slurm.read_job(memory) is None
    assert read_record(file, Starting) is None
    write_state(file, STATE)
    slurm.write_job(memory, slurm.Job("3"))
    assert (read_state(file), slurm.read_job(memory)) == (STATE, slurm.Job("3"))
    assert sorted(path.name for path in folder.iterdir()) == ["engine-a-0.job", "engine-a.json"]


@pytest.mark.parametrize("case", DAMAGE)
def test_stop_removes_damaged_files(folder, case):
    for name in ("engine-a.json", "engine-a-0.job", "engine-a.start", "alive-a", "engine-mine.json", "alive-mine"):
        DAMAGE[case](folder / name)
    stop("mine")
    assert list(folder.iterdir()) == []


def test_sweep_keeps_engines_on_other_hosts(folder):
    write_state(folder / "engine-a.json", STATE)
    write_record(folder / "engine-b.start", Starting("elsewhere", 7, "8"))
    stop("mine")
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("case", ["empty", "a folder", "a pipe", "a link to itself"])
def test_engine_starts_despite_damaged_files(workflow, gemma, case):
    token = current_owner().token
    for name in (f"engine-{token}.json", f"engine-{token}.start", ".lock"):
        own_folder()
        DAMAGE[case](FOLDER / name)
    connect({"backend": "transformers"}, gemma[0])
    assert read_state(FOLDER / f"engine-{token}.json").alive()
    stop(token)
    assert [path.name for path in FOLDER.iterdir()] == [".lock"]


def test_own_folder_refuses_a_file_in_one_line(workflow, gemma):
    FOLDER.write_text("mine")
    with pytest.raises(GenomeError, match=r"/\.genome is not a folder; .*: move it$"):
        connect({"backend": "transformers"}, gemma[0])
    stop("mine")
    assert FOLDER.read_text() == "mine"
    FOLDER.unlink()


def test_own_folder_refuses_a_read_only_folder_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own_folder()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(GenomeError, match=r"/\.genome cannot be written to; .*: chmod u\+rwx it$"):
        own_folder()


def test_own_folder_reports_a_failed_mkdir_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(GenomeError, match=r"/\.genome cannot be made \(Permission denied\); make its parent folder wr"):
        own_folder()


def test_modules_in_the_working_folder_are_not_imported(workflow, gemma, tmp_path):
    """A user's files in the working folder, with names of modules that an engine imports."""
    for name in ("json", "numpy", "torch", "tokenizers", "transformers", "secrets", "urllib3"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    connect({"backend": "transformers"}, gemma[0])
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    token = current_owner().token
    code = f"from genome.engine.state import stop; stop({token!r})"
    assert subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True).stderr == ""
