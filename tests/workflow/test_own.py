"""docs/own.md, followed by a new user: every command of the page, in its order, and the adapter that comes out."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from genome.files import read_jsonl
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
    """Run a command in the project's folder, with this Python's programs first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(command, cwd=project.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)


@pytest.fixture(scope="module")
def user(trained, tmp_path_factory):
    """A copy of the project with the example in it, where the base and the experts of the first command are made."""
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


def test_the_page_shows_the_example_as_it_is():
    shown = [yaml.safe_load(text) for text in blocks("yaml")]
    files = ("config.yaml", "till.yaml")
    assert shown == [yaml.safe_load((PROJECT / "examples/own" / name).read_text()) for name in files]


def test_the_rows_are_those_of_their_script(tmp_path):
    shutil.copy(PROJECT / "examples/own/make_rows.py", tmp_path)
    subprocess.run([sys.executable, "make_rows.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "rows.jsonl").read_bytes() == (PROJECT / "examples/own/rows.jsonl").read_bytes()


def test_files_that_the_page_links_to_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE)
    assert links
    assert not [link for link in links if not (PROJECT / "docs" / link).exists()]


def test_what_the_run_reports_is_better_than_every_expert(followed):
    """By how much depends on the processor, on which the experts are trained: their scores differ by some points."""
    tested = {
        run: {row["report"]: row["score"] for row in followed.read(f"results/test/till/{run}/scores.json")}
        for run in (RUN, "till/best_single")
    }
    assert tested[RUN]["ensemble"] > tested["till/best_single"]["best"] + 0.02
    experts = followed.read("results/runs/till/experts/population.json")["members"]
    best = followed.read(f"results/export/{RUN}/genotype.json")["best"]
    assert best["fitness"] > max(expert["fitness"] for expert in experts) + 0.02
    assert sum(abs(coefficient) > 0.01 for coefficient in best["genotype"]["coefficients"]) >= 2


def test_the_pages_lines_load_the_adapter_and_print_what_it_says(followed):
    [code] = blocks("python")
    result = follow(followed, sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "prints `{}`, `{}` and `{}`".format(*result.stdout.split()) in PAGE


@pytest.mark.parametrize("way", ["peft", "merged"])
def test_the_exported_model_answers_as_it_was_scored(followed, way):
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
    # Sums in another order may turn an answer that hangs in the balance.
    assert sum(ours == theirs for ours, theirs in zip(answers, recorded, strict=True)) >= len(recorded) - 2


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("examples/own/config.yaml", "\npopulation_size: 6", "\npoplation_size: 6"),
        ("config/tasks/till.yaml", "\nreference: answer", "\nreferense: answer"),
        ("config/tasks/till.yaml", "{{ question }}", "{{ qestion }}"),
    ],
)
def test_what_is_wrong_is_answered_as_the_page_says(user, tmp_path, file, old, new):
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
