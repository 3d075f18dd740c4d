"""docs/own.md as a new user follows it: every command of the page in order, and the adapter that results."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from genome.files import read_jsonl
from genome.search.records import read_contents
from workflow.conftest import PROJECT

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slow,
    # PEFT asks transformers by a name that is to be removed.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

PAGE = (PROJECT / "docs/own.md").read_text()
RUN = "till/genome_plus/n6/seed1"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def follow(project, *command):
    """Run a command in the project's folder, with this Python's programs first in PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(command, cwd=project.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)


@pytest.fixture(scope="module")
def user(trained, tmp_path_factory):
    """A copy of the project with the example, in which the base and the experts of the first command exist."""
    project = trained.copy(tmp_path_factory.mktemp("own") / "project")
    shutil.copytree(PROJECT / "examples", project.folder / "examples")
    return project


@pytest.fixture(scope="module")
def followed(user, tmp_path_factory):
    """A project in which all commands of the page have been run."""
    project = user.copy(tmp_path_factory.mktemp("followed") / "project")
    for commands in blocks("sh"):
        result = follow(project, "bash", "-e", "-c", commands)
        assert result.returncode == 0, f"{commands}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return project


def test_yaml_blocks_equal_the_example_files():
    shown = [yaml.safe_load(text) for text in blocks("yaml")]
    files = ("config.yaml", "till.yaml")
    assert shown == [yaml.safe_load((PROJECT / "examples/own" / name).read_text()) for name in files]


def test_make_rows_writes_the_same_rows(tmp_path):
    shutil.copy(PROJECT / "examples/own/make_rows.py", tmp_path)
    subprocess.run([sys.executable, "make_rows.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "rows.jsonl").read_bytes() == (PROJECT / "examples/own/rows.jsonl").read_bytes()


def test_run_scores_higher_than_every_expert(followed):
    """The experts are trained on this processor, and between processors their scores differ by some points."""
    tested = {
        run: {row["report"]: row["score"] for row in followed.read(f"results/test/till/{run}/scores.json")}
        for run in (RUN, "till/best_single")
    }
    assert tested[RUN]["ensemble"] > tested["till/best_single"]["best"] + 0.02
    experts = read_contents(followed.folder / "results/runs/till/experts/population.json")["members"]
    best = followed.read(f"results/export/{RUN}/genotype.json")["best"]
    assert best["fitness"] > max(expert["fitness"] for expert in experts) + 0.02
    assert sum(abs(coefficient) > 0.01 for coefficient in best["genotype"]["coefficients"]) >= 2


def test_python_block_prints_the_numbers_on_the_page(followed):
    [code] = blocks("python")
    result = follow(followed, sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "prints `{}`, `{}` and `{}`".format(*result.stdout.split()) in PAGE


@pytest.mark.parametrize("way", ["peft", "merged"])
def test_exported_model_repeats_the_recorded_answers(followed, way):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = followed.folder
    load = AutoModelForCausalLM.from_pretrained
    if way == "peft":
        model = PeftModel.from_pretrained(load(folder / "resources/models/micro"), folder / f"results/export/{RUN}")
        tokenizer = AutoTokenizer.from_pretrained(folder / "resources/models/micro")
    else:
        model = load(folder / f"results/merged/{RUN}")
        tokenizer = AutoTokenizer.from_pretrained(folder / f"results/merged/{RUN}")
    rows = read_jsonl(folder / f"results/test/till/{RUN}/responses.jsonl")
    recorded = [row["response"] for row in rows if row["role"] == "best"]
    samples = read_jsonl(folder / "results/prompts/mine/till/test.jsonl")
    turns = [[{"role": "user", "content": sample["prompt"]}] for sample in samples]
    tokens = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**tokens, max_new_tokens=4, do_sample=False)
    answers = tokenizer.batch_decode(output[:, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
    # Sums in another order may change an answer if two tokens are almost equally likely.
    assert sum(ours == theirs for ours, theirs in zip(answers, recorded, strict=True)) >= len(recorded) - 2


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("examples/own/config.yaml", "\npopulation_size: 6", "\npoplation_size: 6"),
        ("config/tasks/till.yaml", "\nreference: answer", "\nreferense: answer"),
        ("config/tasks/till.yaml", "{{ question }}", "{{ qestion }}"),
    ],
)
def test_mistake_gives_the_error_on_the_page(user, tmp_path, file, old, new):
    project = user.copy(tmp_path / "project")
    shutil.copy(PROJECT / "examples/own/till.yaml", project.folder / "config/tasks")
    text = (project.folder / file).read_text()
    assert old in text
    (project.folder / file).write_text(text.replace(old, new))
    target = ("results/tables/table1.csv", "--configfile", "examples/own/config.yaml")
    result = follow(project, sys.executable, "-m", "snakemake", "--cores", "1", *target)
    assert result.returncode != 0
    [said] = re.findall(rf"^\| .*{re.escape(new.strip())}.* \| `(.*)` \|$", PAGE, re.MULTILINE)
    assert said in result.stderr
