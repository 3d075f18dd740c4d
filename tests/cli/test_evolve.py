"""The commands evolve, init and clean: what they refuse in one line, and what they say."""

import json
import re

import pytest
import typer
from typer.testing import CliRunner

from builders import write_adapter, write_base
from genome.api import Options
from genome.cli import app


@pytest.fixture
def given(tmp_path):
    """Return the options of a base, two experts and rows."""
    rows = [{"question": f"{n} and {n}", "answer": str(2 * n)} for n in range(60)]
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    experts = [f"--expert={write_adapter(tmp_path / name, seed)}" for seed, name in enumerate(("one", "two"))]
    return [f"--base={write_base(tmp_path / 'base')}", *experts, f"--task={tmp_path / 'sums.jsonl'}"]


def call(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})


def refusal(*arguments):
    result = call(*arguments)
    assert isinstance(result.exception, SystemExit), result.exception
    line = str(result.exception.code)
    assert line.startswith("error: ")
    assert "\n" not in line
    return line


def test_init_names_what_it_has_written(given, tmp_path):
    result = call(
        "init", "--out", tmp_path / "out", *given, "--set", "generations=5", "--set=bases.own.training.rank=4"
    )
    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith(f"{tmp_path}/out/config.yaml and {tmp_path}/out/config/tasks/sums.yaml: read them")
    config = (tmp_path / "out/config.yaml").read_text()
    assert "\ngenerations: 5\n" in config
    assert "training: {rank: 4}" in config


@pytest.mark.parametrize("command", ["evolve", "init"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--set=generations"], "--set generations: expected KEY=VALUE, such as generations=5"),
        (["--set=a=[1"], "--set a=[1: expected KEY=VALUE"),
        (["--kind=nmber"], "--kind nmber: expected choice, label, number, text"),
        (["--method=ties"], "--method ties: not a search"),
        (["--budget=much"], "--budget: expected a whole number of samples or tokens"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(given, tmp_path, command, changes, words):
    assert words in refusal(command, "--out", tmp_path / "out", *given, *changes)
    assert not (tmp_path / "out").exists()


def test_a_longer_run_is_said_by_one_option(given, tmp_path):
    out = tmp_path / "out"
    assert call("init", "--out", out, *given, "--generations", "3").exit_code == 0
    assert "--generations 2: the run in" in refusal("init", "--out", out, "--generations", "2")
    assert call("init", "--out", out, "--generations", "5").exit_code == 0
    assert "\ngenerations: 5\n" in (out / "config.yaml").read_text()


def test_a_profile_that_cannot_be_used_is_refused_before_anything_is_written(given, tmp_path):
    out = tmp_path / "out"
    assert "no file config.yaml in it" in refusal("evolve", "--out", out, *given, "--profile=nowhere")
    assert "--cores and --profile" in refusal("evolve", "--out", out, *given, "--profile=profiles/slurm", "--cores=2")
    assert not out.exists()


def test_options_of_commands_are_those_of_the_library():
    group = typer.main.get_command(app)
    for name in ("evolve", "init"):
        options = {parameter.name for parameter in group.get_command(None, name).params}
        assert {*Options.__annotations__} <= options


def test_clean_deletes_only_when_asked(tmp_path):
    run = tmp_path / "results/runs/till/cma_es/n4/seed1/generation_1"
    (run / "adapters/best").mkdir(parents=True)
    (run / "population.json").write_text("{}")
    weights = run / "adapters/best/adapter_model.safetensors"
    weights.write_bytes(b"x" * 2000)
    result = call("clean", tmp_path)
    assert result.stdout.splitlines()[-1] == "--yes deletes them: 2.0 kB."
    assert weights.exists()
    assert call("clean", tmp_path, "--yes").stdout.splitlines()[-1] == "2.0 kB freed."
    assert not weights.exists()
    assert call("clean", tmp_path).stdout == "Nothing to delete.\n"


def test_export_refuses_what_is_not_a_run():
    assert "does not name a run" in refusal("export", "a/b/c/d")


def test_help_of_every_command_shows_its_brackets():
    for command in typer.main.get_command(app).commands:
        assert call(command, "--help").exit_code == 0, command
    assert "TASKS/VARIANT[/nN][/seedS]" in call("export", "--help").stdout
    shown = call("evolve", "--help").stdout
    assert "<" not in shown.replace("--help <bool>", "").replace("<bool>", ""), "types are not what users write"
    assert "OWNER/NAME[@revision][:subfolder]" in shown
    assert "[NAME=]FILE" in shown
    commands = re.findall(r"^│ (\w+) ", call("--help").stdout, re.MULTILINE)
    assert commands == [
        "evolve",
        "init",
        "clean",
        "import",
        "materialise",
        "gguf",
        "plan",
        "export",
        "log",
        "score",
        "config",
    ]
