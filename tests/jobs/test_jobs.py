"""How jobs start after one that was killed, and refuse to start."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from genome.errors import GenomeError
from genome.jobs import answers_file, job, log

KILLED = """
import os, signal
from pathlib import Path
from genome.files import replacing, replacing_directory
with replacing(Path("out/population.json")) as file, replacing_directory(Path("out/adapters")) as folder:
    file.write_text("half")
    (folder / "one").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_unfinished_files_of_a_killed_job_are_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    others = ("out/.hidden", "out/.population.json.mine", "out/.populations.json.7.tmp", "out/population.json")
    (tmp_path / "out").mkdir()
    for name in others:
        (tmp_path / name).touch()
    assert subprocess.run([sys.executable, "-c", KILLED]).returncode == -signal.SIGKILL
    assert len(list((tmp_path / "out").iterdir())) == len(others) + 2
    rule = SimpleNamespace(output=["out/population.json", "out/adapters", "elsewhere/file"])
    monkeypatch.setattr(sys.modules["__main__"], "snakemake", rule, raising=False)
    with job(tmp_path / "log"):
        left = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "out").iterdir())
    assert left == sorted(others)


def test_kept_answers_are_removed_only_when_the_stage_has_finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert answers_file() is None
    rule = SimpleNamespace(output=["population.json", "evaluations.jsonl"])
    monkeypatch.setattr(sys.modules["__main__"], "snakemake", rule, raising=False)
    (tmp_path / ".population.json.kept").touch()
    assert answers_file().resolve() == tmp_path / ".population.json.kept"
    with pytest.raises(SystemExit), job("log"):
        raise GenomeError("the engine was lost")
    with job("log"):
        assert (tmp_path / ".population.json.kept").exists(), "the next attempt finds them"
    assert not (tmp_path / ".population.json.kept").exists()


def test_warnings_of_a_job_go_to_the_terminal_too_each_once(tmp_path, capsys):
    with job(tmp_path / "log"):
        log.info("begun")
        for line in ("rank 4", "rank 8", "rank 4"):
            log.warning("expert one has %s", line)
        log.error("nothing of this is for the terminal")
    assert capsys.readouterr().err == "warning: expert one has rank 4\nwarning: expert one has rank 8\n"
    lines = [line.partition(" ")[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert lines == [
        "begun",
        *(f"warning: expert one has rank {rank}" for rank in (4, 8, 4)),
        "nothing of this is for the terminal",
    ]
    assert log.handlers == []


def test_a_misformed_owner_ends_a_job_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOME_OWNER", "1:2")
    with (
        pytest.raises(SystemExit, match=r"^error: GENOME_OWNER is '1:2', expected HOST:PID:STARTTIME:TOKEN; "),
        job(tmp_path / "log"),
    ):
        pytest.fail("it ran")
    assert "error: GENOME_OWNER is '1:2'" in (tmp_path / "log").read_text()
