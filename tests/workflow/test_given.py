"""A base and experts given by path: what is refused before the first job, also in dry runs, and what changes rerun."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from builders import write_adapter, write_base
from genome.experts.expert import read_expert
from genome.files import sha256
from workflow.conftest import Project, new_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

MANIFEST = "results/experts/own.json"
EXPERT = "resources/experts/one.safetensors"
RUN = "results/runs/till/experts/population.json"
TASK = {"category": "c", "kind": "number", "prompt": "{{ q }}", "reference": "a", "source": {"path": "rows.jsonl"}}


def give(folder: Path) -> Project:
    """Return a project with a base, two experts and a task of the user's own; nothing has to be trained."""
    project = new_project(folder)
    for seed, name in enumerate(("one", "two")):
        write_adapter(folder / "mine" / name, seed)
    write_base(folder / "base")
    (folder / "rows.jsonl").write_text("".join(json.dumps({"q": f"{n}+1", "a": str(n + 1)}) + "\n" for n in range(99)))
    experts = {name: {"path": f"mine/{name}"} for name in ("one", "two")}
    suites = {"own": {"model": {"path": "base"}, "experts": experts}}
    splits = {"validation": 30, "test": 40, "seed": 42}
    settings = {"base": "own", "bases": suites, "tasks": {"till": TASK}, "splits": splits}
    (folder / "small.yaml").write_text(yaml.safe_dump(settings))
    return project


@pytest.fixture
def given(tmp_path) -> Project:
    return give(tmp_path / "project")


def refusal(project: Project, word: str, *targets: str) -> str:
    """Return the line with `word` in which a dry run refuses targets, and a run in the same words."""
    lines = []
    for arguments in (("-n", "--"), ("--",)):
        result = project.snakemake(*arguments, *targets)
        assert result.returncode != 0, "this should have failed"
        output = result.stderr + result.stdout  # where a dry run says what is wrong
        found = [line.strip() for line in output.splitlines() if word in line]
        assert found, output[-3000:]
        assert "most recent call last" not in output
        lines.append(found[0])
    assert lines[0] == lines[1]
    return lines[0]


def experts_at(project: Project, **paths: str) -> None:
    project.configure(bases={"own": {"experts": {name: {"path": path} for name, path in paths.items()}}})


def truncate(folder):
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def other_layers(folder):
    shutil.rmtree(folder)
    write_adapter(folder, 3, layers=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (truncate, "mine/one/adapter_model.safetensors: "),
        (other_layers, "expert one: "),
        (lambda folder: folder.rename(folder.with_name("uno")), "expert one: mine/one is not a folder; adapters"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "expert one: folder mine/one lacks adapter_config"),
    ],
    ids=["truncated", "layers", "missing", "no config"],
)
def test_changed_expert_is_refused_at_the_start_and_the_earlier_import_stays(given, change, message):
    given.make(MANIFEST)
    before = given.files("resources/**/*")
    assert EXPERT in before
    change(given.folder / "mine/one")
    refusal(given, message, MANIFEST)
    assert given.files("resources/**/*") == before


def test_adapter_in_a_folder_of_the_workflow_is_refused_and_kept(given):
    """Snakemake removes what a rule writes before the rule runs: it would be the user's only copy."""
    shutil.copytree(given.folder / "mine/one", given.folder / "resources/experts/one")
    (given.folder / "link").symlink_to(given.folder / "resources/experts/one")
    before = given.files("resources/**/*")
    for path in ("resources/experts/one", "link", "results/../resources/experts/one"):
        experts_at(given, one=path)
        line = refusal(given, "where this workflow writes (resources/experts/one)", EXPERT)
        assert line.startswith(f"config.bases.own.experts.one.path: {path} is where")
    assert given.files("resources/**/*") == before


def test_base_in_a_folder_of_the_workflow_is_refused_and_kept(given):
    shutil.copytree(given.folder / "base", given.folder / "resources/models/own")
    before = given.files("resources/**/*")
    given.configure(bases={"own": {"model": {"path": "resources/models/own"}}})
    assert "config.bases.own.model.path" in refusal(given, "where this workflow writes", "resources/models/own")
    assert given.files("resources/**/*") == before


def test_typo_in_a_task_keeps_the_earlier_split(given):
    splits = "results/splits/till/validation.jsonl"
    given.make(splits)
    before = given.files("results/splits/till/*")
    assert len(before) == 3
    for wrong, message in (
        ({"source": {"path": "row.jsonl"}}, "task till: no file row.jsonl"),
        ({"prompt": "{{ question }}"}, "task till: rows.jsonl: row 1 has no column 'question'"),
        ({"prompt": "{{ q"}, "task till: prompt, line 1"),
    ):
        given.configure(tasks={"till": {**TASK, **wrong}})
        refusal(given, message, splits)
        if not message.endswith("line 1"):
            # Snakemake takes a split that is there where its rule's input function refuses the source.
            refusal(given, message, "results/prompts/own/till/validation.jsonl")
    assert given.files("results/splits/till/*") == before
    given.configure(tasks={"till": TASK})
    assert given.planned(splits) == []


def test_changed_files_at_a_path_of_the_config_rerun_what_depends_on_them(given):
    """Another adapter or base in its place is taken, with all that comes of it; one that was just touched is not."""
    given.make(MANIFEST, "resources/models/own")
    for file in (*(given.folder / "mine/one").iterdir(), *(given.folder / "base").iterdir()):
        file.touch()
    assert given.planned(MANIFEST, "resources/models/own") == []
    write_adapter(given.folder / "other", 5)
    before = (given.folder / EXPERT).read_bytes()
    weights = given.folder / "mine/one/adapter_model.safetensors"
    shutil.copyfile(given.folder / "other/adapter_model.safetensors", weights)
    os.utime(weights, ns=(1, 1))  # older than what was made of the first
    planned = given.planned(MANIFEST)
    assert {EXPERT, MANIFEST} <= {*planned}
    assert not [file for file in planned if "two" in file]
    given.make(MANIFEST)
    assert (given.folder / EXPERT).read_bytes() != before
    assert read_expert(given.folder / EXPERT).provenance["files"][weights.name] == sha256(weights)
    assert given.planned(MANIFEST, "resources/models/own") == []
    (given.folder / "base/generation_config.json").write_text("{}")
    everything = {"resources/models/own", EXPERT, EXPERT.replace("one", "two"), MANIFEST}
    assert {*given.planned(MANIFEST, "resources/models/own")} == everything  # a full fine-tune is its difference
    given.make("resources/models/own")
    config = given.folder / "base/config.json"
    config.unlink()
    config.write_text('{"a": 1}')
    os.utime(config, ns=(1, 1))
    assert given.planned("resources/models/own") == ["resources/models/own"]


def test_replaced_rows_rerun_the_split(given):
    splits = "results/splits/till/validation.jsonl"
    given.make(splits)
    rows = given.folder / "rows.jsonl"
    rows.touch()
    assert given.planned(splits) == []
    rows.write_text(rows.read_text().replace("+1", " + 1"))
    os.utime(rows, ns=(1, 1))
    assert splits in given.planned(splits)


def test_repeated_keys_and_wrong_task_names_are_refused(given):
    text = (given.folder / "small.yaml").read_text()
    (given.folder / "small.yaml").write_text(text + "base: mine\n")
    line = refusal(given, "is repeated", MANIFEST)
    assert re.search(r"small\.yaml, line \d+: 'base' is repeated, first in line 1; keep one of them$", line)
    (given.folder / "small.yaml").write_text(text)
    task = given.folder / "config/tasks/my-task.yaml"
    task.write_text("kind: number\n")
    refusal(given, "config/tasks/my-task.yaml: 'my-task' cannot be the name of a task", MANIFEST)
    task.rename(task.with_name("mine.yaml")).write_text("kind: number\nkind: math\n")
    refusal(given, "config/tasks/mine.yaml, line 2: 'kind' is repeated, first in line 1", MANIFEST)
    (given.folder / "config/tasks/mine.yaml").unlink()
    with (given.folder / "profiles/default/config.yaml").open("a") as profile:
        profile.write("scheduler: greedy\n")
    refusal(given, "profiles/default/config.yaml, line ", MANIFEST)


def test_expert_name_that_is_a_path_is_refused(given):
    """An adapter's folder is replaced by what is fetched: that of `..` is the folder of all resources."""
    experts_at(given, **{"..": "mine/one", "a/b": "mine/two"})
    refusal(given, "config.bases.own.experts: '..' cannot be the name of an expert", "resources/experts/...safetensors")
    assert (given.folder / "mine/one/adapter_model.safetensors").is_file()


def test_run_with_a_too_long_folder_name_is_refused(given):
    tasks = {f"{letter}{'_task' * 12}": TASK for letter in "abcde"}
    given.configure(tasks=tasks)
    said = "a run over 5 tasks is stored in a folder of their names, which would have 309 characters"
    refusal(given, said, f"results/runs/{'+'.join(tasks)}/experts/population.json")
    assert not (given.folder / "results").exists()


def test_null_table_is_refused_and_other_targets_are_made(given):
    given.configure(table2=None, all=["table1"])
    given.make(MANIFEST)
    refusal(given, "config.table2 is null; set it to make this target", "results/tables/table2.csv")


def test_missing_results_of_other_workflows_are_named(given):
    given.configure(table7={"tasks": ["sums"], "beside": ["away.csv"]})
    refusal(given, "config.table7.beside: 1 of 1 files are missing, first away.csv", "results/tables/table7.csv")
    across = {"tasks": ["sums"], "variant": "genome_plus", "beside": {"other": "../away"}}
    given.configure(table7={"beside": []}, across=across)
    refusal(given, "config.across.beside: ", "results/tables/across.csv")


def test_folder_with_a_space_and_modules_of_the_user_works(tmp_path):
    project = give(tmp_path / "my project")
    for name in ("json", "numpy", "torch", "yaml", "pydantic", "safetensors"):
        (project.folder / f"{name}.py").write_text(f"raise RuntimeError('{name} of the user')\n")
    command = [str(Path(sys.executable).with_name("snakemake")), *project.options("--", MANIFEST)]
    made = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-4000:]
    assert (project.folder / MANIFEST).is_file()


def test_python_in_a_folder_with_a_space_is_refused_at_the_start(given, tmp_path):
    python = str(tmp_path / "my env/bin/python")
    code = f"import sys; sys.executable = {python!r}; from snakemake.cli import main; main()"
    command = [sys.executable, "-c", code, *given.options("-n", "--", MANIFEST)]
    refused = subprocess.run(command, cwd=given.folder, capture_output=True, text=True)
    assert refused.returncode == 1
    [line] = [line for line in refused.stdout.splitlines() if "my env" in line]
    assert line.startswith(f"{python}: Snakemake cannot start jobs with a Python whose path contains spaces")
