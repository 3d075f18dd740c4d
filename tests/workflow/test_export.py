"""Exports: what a target asks for, and that what comes out loads, rebuilds and repeats itself."""

import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from genome.cli import app
from genome.experts.tensors import open_tensors
from genome.files import read_jsonl
from genome.search.records import read_contents

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUN = "sums/genome_plus/n4/seed1"
EXPORT = f"results/export/{RUN}"
FILES = {"README.md", "adapter_config.json", "adapter_model.safetensors", "genotype.json"}


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """A project with exports of an evolved, a searched and a chosen adapter. Copy it before you change it."""
    project = finished.copy(tmp_path_factory.mktemp("exported") / "project")
    runs = (RUN, "sums/lorahub/seed1", "sums/best_single")
    project.make(*(f"results/export/{run}/README.md" for run in runs), f"results/merged/{RUN}")
    return project


def block(project, language, run=RUN):
    """Return the code block of a language in an export's card."""
    card = (project.folder / f"results/export/{run}/README.md").read_text()
    return re.search(rf"^```{language}\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)[1]


def test_export_plans_only_the_jobs_of_its_run(fresh):
    planned = fresh.planned(f"{EXPORT}/README.md")
    assert {file.removeprefix(f"{EXPORT}/") for file in planned if "/export/" in file} == FILES
    assert not [file for file in planned if "tables" in file]
    runs = {found[1] for file in planned if (found := re.match("results/runs/(.*)/population.json", file))}
    generations = {f"{RUN}/generation_{generation}" for generation in (1, 2, 3)}
    assert runs == {"sums/experts", "sums/initial-pairs/n4/seed1", *generations}
    assert {file for file in planned if "results/test/" in file} == {
        f"results/test/sums/{RUN}/{name}"
        for name in ("responses.jsonl", "responses.json", "scores.json", "answers.jsonl")
    }


def test_finished_run_is_exported_again_without_an_engine_and_with_the_same_bytes(exported, tmp_path):
    project = exported.copy(tmp_path / "project")
    before = project.files(f"{EXPORT}/*")
    assert {name.rpartition("/")[2] for name in before} == FILES
    shutil.rmtree(project.folder / EXPORT)
    said = project.make(f"{EXPORT}/README.md")
    assert set(re.findall(r"^(\w+) +\d+$", said, re.MULTILINE)) == {"export_adapter", "total"}
    assert project.files(f"{EXPORT}/*") == before


def test_export_contains_the_best_individual_by_validation(exported):
    population = read_contents(exported.folder / f"results/runs/{RUN}/generation_3/population.json")
    genotype = exported.read(f"{EXPORT}/genotype.json")
    assert genotype["best"] == population["best"]
    assert len(genotype["members"]) == 3
    scores = {row["report"]: row["score"] for row in exported.read(f"results/test/sums/{RUN}/scores.json")}
    card = (exported.folder / EXPORT / "README.md").read_text()
    assert f"on validation, which chose it | accuracy | {100 * population['best']['fitness']:.1f} |  | 30 |" in card
    assert f"**this adapter** on test | accuracy | {100 * scores['best']:.1f} |" in card
    assert f"the ensemble of 3 on test | accuracy | {100 * scores['ensemble']:.1f} |" in card


def test_python_block_of_the_card_gives_the_recorded_answer(exported):
    [first, *_] = read_jsonl(exported.folder / f"results/test/sums/{RUN}/responses.jsonl")
    [sample, *_] = read_jsonl(exported.folder / "results/prompts/micro/sums/test.jsonl")
    lines = block(exported, "python")
    asking, replaced = re.subn('(?m)^prompt = ".*"$', f"prompt = {sample['prompt']!r}", lines)
    assert replaced == 1
    # As they stand, and once more with a question of the test.
    command = [sys.executable, "-c", f"{lines}\n{asking}"]
    result = subprocess.run(command, cwd=exported.folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == first["response"]


def test_command_of_the_card_rebuilds_the_adapter(exported, tmp_path, monkeypatch):
    project = exported.copy(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    program, *arguments = shlex.split(block(project, "sh"))
    assert program == "genome"
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rebuilt = project.folder / "rebuilt/adapter_model.safetensors"
    assert rebuilt.read_bytes() == (project.folder / EXPORT / "adapter_model.safetensors").read_bytes()


def test_export_of_best_single_equals_the_expert(exported):
    folder = exported.folder / "results/export/sums/best_single"
    best = exported.read("results/export/sums/best_single/genotype.json")["best"]["name"]
    ours = open_tensors(folder / "adapter_model.safetensors")
    theirs = open_tensors(exported.folder / f"resources/experts/{best}.safetensors")
    assert {*ours} == {*theirs}
    for name in ours:  # an expert's B contains the scaling, which an adapter has in its config
        scaling = np.float32(2 if "lora_B" in name else 1)
        np.testing.assert_array_equal(ours[name] * scaling, theirs[name])
    config = exported.read("results/export/sums/best_single/adapter_config.json")
    assert config["base_model_name_or_path"] == "resources/models/micro"
    assert "LoraHub" in (exported.folder / "results/export/sums/lorahub/seed1/README.md").read_text()


def test_merged_model_has_the_weights_that_the_engine_serves(exported):
    from safetensors.torch import load_file

    from genome.engine.model import Model

    model = Model(exported.folder / "resources/models/micro")
    model.use(model.read_adapter(exported.folder / EXPORT))
    merged = load_file(exported.folder / f"results/merged/{RUN}/model.safetensors")
    assert all(merged[f"{name}.weight"].equal(weight) for name, weight in model.linear.items())
    assert (exported.folder / f"results/merged/{RUN}/tokenizer.json").is_file()


def test_export_of_a_static_merge_is_refused(exported):
    said = exported.refused("results/export/static/dare_ties/seed1/README.md")
    assert "`genome materialise results/merges/dare_ties/seed1/expert.safetensors FOLDER` writes its adapter" in said
