"""Bad input: each ends in one line that says what, where and what to do; nothing is left half-written."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUN = "results/runs/sums/genome/n4/seed1"
NEXT = f"{RUN}/generation_1/population.json"


def error_line(output: str) -> str:
    lines = [line for line in output.splitlines() if "error: " in line]
    assert lines, output[-3000:]
    return lines[0]


def test_a_misspelt_key_is_refused_with_the_nearest_name(fresh):
    fresh.configure(generatoins=3)
    output = fresh.refused(NEXT)
    assert "'generatoins', did you mean 'generations'?" in output


def test_all_wrong_values_are_named_at_once(fresh):
    fresh.configure(population_size=1, seeds=[], engine={"bakend": "transformers"})
    output = fresh.refused(NEXT)
    for word in ("population_size", "seeds", "'bakend', did you mean 'backend'?"):
        assert word in output


def test_a_key_of_another_engine_is_refused(fresh):
    fresh.configure(engine={"backend": "vllm", "python": "somewhere", "threads": 2, "pithon": "x"})
    output = fresh.refused(NEXT)
    assert "config.engine (backend vllm): unknown key" in output
    assert "unknown key 'threads', known are backend," in output
    assert "unknown key 'pithon', did you mean 'python'?" in output


def test_an_engine_without_its_python_says_how_to_make_one(fresh):
    fresh.configure(engine={"backend": "vllm", "python": "nowhere/python"})
    line = error_line(fresh.refused("results/runs/sums/experts/population.json"))
    assert "engine.python: nowhere/python cannot be run" in line
    assert "envs/vllm.yaml" in line


def test_a_number_that_yaml_reads_as_text_is_explained(fresh):
    fresh.configure(methods={"genome": {"sigma": "1e-3"}})
    assert "write 1.0e-3" in fresh.refused(NEXT)


def test_an_unknown_setting_of_a_variant_is_refused(fresh):
    fresh.configure(variants={"mine": {"method": "genome", "crosover_rate": 0.5}})
    output = fresh.refused(NEXT)
    assert "config.variants.mine: unknown key 'crosover_rate', did you mean 'crossover_rate'?" in output


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("results/runs/sumz/genome/n4/seed1/generation_1/population.json", "unknown task 'sumz'; did you mean 'sums'?"),
        (f"{RUN}/generation_4/population.json", "generation 4 is out of range"),
    ],
)
def test_targets_that_do_not_exist(fresh, target, message):
    assert message in fresh.refused(target)


def test_names_that_stand_for_nothing_are_refused_at_once(fresh):
    fresh.configure(
        table2={"tasks": ["smus"], "variants": ["genome_pluss"]}, weights={"sumz": 2}, labels={"genom": "X"}
    )
    output = fresh.refused("results/tables/table2.csv")
    for message in (
        "config.table2.tasks: unknown task 'smus', did you mean 'sums'?",
        "config.table2.variants: unknown variant 'genome_pluss', did you mean 'genome_plus'?",
        "config.weights: unknown task 'sumz'",
        "config.labels: unknown variant 'genom'",
    ):
        assert message in output


def test_a_base_without_data_merge_says_what_to_leave_out(fresh):
    fresh.configure(bases={"micro": {"data_merge": None}})
    assert "has no data_merge; add one, or leave data_merge out of the tables" in fresh.refused(
        "results/tables/table2.csv"
    )


def test_an_expert_has_one_source(fresh):
    fresh.configure(bases={"micro": {"experts": {"add": {"path": "somewhere"}}}})
    assert "give one of corpus, hub or path" in fresh.refused(NEXT)
    fresh.configure(bases={"micro": {"experts": {"add": {"path": "somewhere", "corpus": None}}}})
    assert "expert add: somewhere is not a folder" in dry(fresh, "resources/experts/add/provenance.json")


def with_expert(fresh, change):
    """Hand the project its `add` expert by path, after `change` has been at its files."""
    folder = fresh.folder / "mine"
    shutil.copytree(fresh.folder / "resources/experts/add", folder)
    (folder / "provenance.json").unlink()
    change(folder)
    fresh.configure(bases={"micro": {"experts": {"mine": {"path": "mine"}}}})


def dry(project, *targets) -> str:
    """Return what a dry run says about targets that must not be made."""
    result = project.snakemake("-n", "--", *targets)
    assert result.returncode != 0, "this should have failed"
    return result.stderr + result.stdout


def only_line(output: str, word: str) -> str:
    """Return the one line that says what is wrong, where nothing else may be said that only we understand."""
    assert "Traceback" not in output, output[-3000:]
    [line] = [line for line in output.splitlines() if word in line]
    return line


def put_nan(folder):
    weights = folder / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-4:] = struct.pack("<f", float("nan"))
    weights.write_bytes(data)


def truncate(folder):
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def other_alpha(folder):
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 16', '"lora_alpha": 32'))


def other_rank(folder):
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"r": 8', '"r": 4'))


@pytest.mark.parametrize(
    ("change", "message"),
    [(put_nan, "are NaN or infinite"), (other_alpha, "experts add and mine cannot be merged: alpha is 16.0 and 32.0")],
    ids=["nan", "alpha"],
)
def test_bad_experts_are_refused_before_anything_runs(fresh, change, message):
    with_expert(fresh, change)
    output = fresh.refused(NEXT)
    line = error_line(output)
    assert message in line
    assert "mine" in line
    assert not (fresh.folder / "results/runs").exists()
    assert not fresh.engines()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (truncate, "where its header promises"),
        (other_rank, "has rank 8, but r in adapter_config.json is 4"),
        (lambda folder: shutil.rmtree(folder), "mine is not a folder"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "folder mine lacks adapter_config.json"),
    ],
    ids=["truncated", "rank", "missing", "no config"],
)
def test_what_a_look_at_experts_shows_is_refused_in_a_dry_run_and_yesterday_s_copy_stays(fresh, change, message):
    with_expert(fresh, lambda folder: None)
    fresh.make("resources/experts/mine/provenance.json")
    before = fresh.files("resources/experts/mine/*")
    assert len(before) == 3
    change(fresh.folder / "mine")
    assert "mine" in only_line(dry(fresh, NEXT), message)
    assert "mine" in only_line(fresh.refused(NEXT), message)
    assert fresh.files("resources/experts/mine/*") == before


def test_an_adapter_where_we_write_is_refused_and_stays(fresh):
    """Snakemake removes what a rule writes before the rule runs: it would be the user's only copy."""
    folder = fresh.folder / "resources/experts/one"
    shutil.copytree(fresh.folder / "resources/experts/add", folder)
    (fresh.folder / "link").symlink_to(folder)
    before = fresh.files("resources/experts/one/*")
    for path in ("resources/experts/one", "link", str(folder), "results/../resources/experts/one"):
        fresh.configure(bases={"micro": {"experts": {"one": {"path": path}}}})
        for refused in (dry(fresh, NEXT), fresh.refused(NEXT)):
            line = only_line(refused, "where this workflow writes (resources/experts/one)")
            assert line.startswith(f"  config.bases.micro.experts.one.path: {path} is ")
    assert fresh.files("resources/experts/one/*") == before


def test_a_source_s_typo_leaves_yesterday_s_rows(fresh):
    rows = fresh.folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"q": f"{n}+1", "a": str(n + 1)}) + "\n" for n in range(200)))
    task = {"category": "c", "kind": "number", "prompt": "{{ q }}", "reference": "a", "source": {"path": "rows.jsonl"}}
    fresh.configure(tasks={"till": task})
    splits = "results/splits/till/validation.jsonl"
    fresh.make(splits)
    before = fresh.files("results/splits/till/*")
    for wrong, message in (
        ({"source": {"path": "row.jsonl"}}, "task till: no file row.jsonl"),
        ({"prompt": "{{ question }}"}, "task till: rows.jsonl: row 1 has no column 'question'"),
        ({"prompt": "{{ q"}, "task till: prompt, line 1"),
    ):
        fresh.configure(tasks={"till": {**task, **wrong}})
        assert message in dry(fresh, splits)
        assert message in fresh.refused(splits)
    assert fresh.files("results/splits/till/*") == before
    fresh.configure(tasks={"till": task})
    assert fresh.planned(splits) == []


def test_a_path_s_files_are_inputs(fresh):
    """A changed adapter or base is taken again, with all that comes of it; one that was just touched is not."""
    with_expert(fresh, lambda folder: None)
    shutil.copytree(fresh.folder / "resources/models/micro", fresh.folder / "base")
    fresh.configure(base="own", bases={"own": {"model": {"path": "base"}, "experts": {
        "mine": {"path": "mine"}, "es": {"corpus": "resources/datasets/micro/experts/es.jsonl"}},
        "training": {"epochs": 1, "batch_size": 128, "rank": 8, "alpha": 16}}})  # fmt: skip
    manifest = "results/experts/own.json"
    fresh.make(manifest)
    for file in (*(fresh.folder / "mine").iterdir(), fresh.folder / "base/config.json"):
        file.touch()
    assert fresh.planned(manifest) == []
    weights = fresh.folder / "mine/adapter_model.safetensors"
    # Another adapter is put in its place, older than what was made of the first.
    shutil.copyfile(fresh.folder / "resources/experts/sub/adapter_model.safetensors", weights)
    os.utime(weights, ns=(1, 1))
    planned = fresh.planned(manifest)
    assert "resources/experts/mine/adapter_model.safetensors" in planned
    assert manifest in planned
    fresh.make(manifest)
    assert (fresh.folder / "resources/experts/mine/adapter_model.safetensors").read_bytes() == weights.read_bytes()
    (fresh.folder / "base/generation_config.json").write_text("{}")
    assert "resources/models/own" in fresh.planned(manifest)


def test_configs_are_read_strictly(fresh):
    text = (fresh.folder / "small.yaml").read_text()
    (fresh.folder / "small.yaml").write_text(text + "generations: 2\n")
    line = only_line(dry(fresh, NEXT), "stands twice")
    assert re.search(r"small\.yaml, line \d+: 'generations' stands twice, first in line \d+; keep one of them", line)
    (fresh.folder / "small.yaml").write_text(text)
    task = fresh.folder / "config/tasks/my-task.yaml"
    task.write_text("kind: number\n")
    only_line(dry(fresh, NEXT), "config/tasks/my-task.yaml: 'my-task' cannot be the name of a task")
    task.rename(task.with_name("mine.yaml"))
    with task.with_name("mine.yaml").open("a") as file:
        file.write("kind: math\n")
    only_line(dry(fresh, NEXT), "config/tasks/mine.yaml, line 2: 'kind' stands twice, first in line 1")


def test_a_run_over_more_tasks_than_a_folder_can_be_named_after_is_refused(fresh):
    tasks = {f"{letter}{'x' * 60}": {"source": {"generator": "micro"}} for letter in "abcde"}
    fresh.configure(
        tasks={name: {"kind": "number", "prompt": "{{ q }}", "reference": "a", **task} for name, task in tasks.items()}
    )
    target = f"results/runs/{'+'.join(tasks)}/experts/population.json"
    for refused in (dry(fresh, target), fresh.refused(target)):
        assert "a run over 5 tasks is kept in a folder of their names, which would have 309 characters" in refused
    assert not (fresh.folder / "results/splits").exists()


def test_a_table_that_is_null_is_no_obstacle_to_others(fresh):
    fresh.configure(table2=None, all=["table1"])
    assert fresh.planned(NEXT)
    assert "config.table2 is null: this config has no such table" in dry(fresh, "results/engine_check.txt")


def test_a_folder_with_a_space_and_modules_of_the_user_s_is_a_folder_like_others(trained, tmp_path):
    project = trained.copy(tmp_path / "my project")
    for name in ("json", "numpy", "torch", "yaml", "jsonschema"):
        (project.folder / f"{name}.py").write_text(f"raise RuntimeError('{name} of the user')\n")
    command = [str(Path(sys.executable).with_name("snakemake")), *project.command("--", NEXT)[3:]]
    made = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-4000:]
    assert (project.folder / NEXT).is_file()


def test_a_python_in_a_folder_with_a_space_is_refused_at_the_start(fresh, tmp_path):
    folder = tmp_path / "my env"
    folder.mkdir()
    (folder / "bin").symlink_to(Path(sys.executable).parent)
    python = str(folder / "bin" / Path(sys.executable).name)
    command = [python, "-c", f"import sys; sys.executable = {python!r}; from snakemake.cli import main; main()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    refused = subprocess.run(
        [*command, *fresh.command("-n", "--", NEXT)[3:]],
        cwd=fresh.folder,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert refused.returncode == 1
    line = only_line(refused.stderr, "Snakemake cannot start jobs with a Python whose path holds spaces")
    assert line.startswith(python)


def test_an_expert_that_was_changed_after_it_was_checked_is_refused(fresh):
    fresh.make("results/experts/micro.json")
    put_nan(fresh.folder / "resources/experts/add")
    assert "are NaN or infinite" in error_line(fresh.refused(NEXT))


def test_half_a_population_is_refused_and_earlier_results_stay(done):
    population = done.folder / RUN / "generation_2/population.json"
    whole = population.read_text()
    before = done.files(f"{RUN}/generation_1/*")
    population.write_text(whole[: len(whole) // 2])
    line = error_line(done.refused(f"{RUN}/generation_3/population.json"))
    assert str(population.relative_to(done.folder)) in line
    assert "delete the file to have it made again" in line
    assert done.files(f"{RUN}/generation_1/*") == before
    population.unlink()
    done.make(f"{RUN}/generation_3/population.json")
    assert population.read_text() == whole


def test_an_engine_that_cannot_start_says_why(fresh):
    fresh.make("results/prompts/micro/sums/validation.jsonl")
    weights = fresh.folder / "resources/models/micro/model.safetensors"
    data, written = weights.read_bytes(), weights.stat()
    weights.write_bytes(data[:1000])
    os.utime(weights, ns=(written.st_atime_ns, written.st_mtime_ns))
    line = error_line(fresh.refused("results/runs/sums/experts/population.json"))
    assert "the engine ended" in line
    assert "safetensors" in line.lower()
    assert not (fresh.folder / "results/runs/sums/experts/population.json").exists()
    assert not fresh.engines()
