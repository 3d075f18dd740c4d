"""docs/own.md as a new user follows it: every command of the page in order, and the adapter that results."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import genome
from genome.files import read_jsonl, write_jsonl
from workflow.conftest import PROJECT

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slow,
    # PEFT asks transformers by a name that is to be removed.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

PAGE = (PROJECT / "docs/own.md").read_text()
RUN = "till/cma_es/n10/seed1"
OUT = "till"


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


def test_make_rows_writes_the_same_rows(tmp_path):
    shutil.copy(PROJECT / "examples/own/make_rows.py", tmp_path)
    subprocess.run([sys.executable, "make_rows.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "rows.jsonl").read_bytes() == (PROJECT / "examples/own/rows.jsonl").read_bytes()


def test_the_adapter_scores_higher_than_every_expert(followed):
    """The experts are trained on this processor, and between processors their scores differ by some points."""
    found = genome.evolve(followed.folder / OUT, quiet=True)
    assert found.test["cma_es"].value > found.test["best_single"].value + 0.02
    assert found.validation["cma_es"] > found.validation["best_single"] + 0.02
    assert sum(abs(coefficient) > 0.01 for coefficient in found.genotype.values()) >= 2


def test_a_new_user_writes_at_most_ten_lines_and_no_config(user):
    """From installing to an adapter; the first line is in the text, since tests do not install."""
    lines = blocks("sh")[0].strip().splitlines()
    assert "`pip install -e . -c constraints.txt`" in PAGE
    assert len(lines) + 1 <= 10
    assert not blocks("yaml")


def test_python_block_prints_the_numbers_on_the_page(followed):
    code, _ = blocks("python")
    result = follow(followed, sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "prints `{}`, `{}` and `{}`".format(*result.stdout.split()) in PAGE


def test_python_example_returns_the_finished_result(followed):
    _, code = blocks("python")
    result = follow(followed, sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr[-3000:]
    sentence, values = result.stdout.splitlines()
    assert sentence.endswith(".")
    assert f"{OUT}/results/export/{RUN} " in values


def test_exported_model_repeats_the_recorded_answers(followed):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = followed.folder
    load = AutoModelForCausalLM.from_pretrained
    model = PeftModel.from_pretrained(load(folder / "resources/models/micro"), folder / f"{OUT}/results/export/{RUN}")
    tokenizer = AutoTokenizer.from_pretrained(folder / "resources/models/micro")
    rows = read_jsonl(folder / f"{OUT}/results/test/till/{RUN}/responses.jsonl")
    recorded = [row["response"] for row in rows if row["role"] == "best"]
    samples = read_jsonl(folder / f"{OUT}/results/prompts/own/till/test.jsonl")
    turns = [[{"role": "user", "content": sample["prompt"]}] for sample in samples]
    tokens = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**tokens, max_new_tokens=4, do_sample=False)
    answers = tokenizer.batch_decode(output[:, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
    # Sums in another order may change an answer if two tokens are almost equally likely.
    assert sum(ours == theirs for ours, theirs in zip(answers, recorded, strict=True)) >= len(recorded) - 2


LONG = "a sentence that has more than five words"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"instruction": "a", "input": "b", "output": str(n)} for n in range(30)], "--question=input"),
        ([{"question": f"q{n}", "answer": str(n % 2)} for n in range(30)], "--kind=label"),
        ([{"question": f"q{n}", "answer": f"{LONG} {n}"} for n in range(30)], "--kind=text"),
    ],
)
def test_ambiguous_rows_give_the_error_on_the_page(user, tmp_path, rows, said):
    write_jsonl(tmp_path / "rows.jsonl", rows)
    experts = [f"--expert=resources/experts/{name}" for name in ("add", "sub")]
    given = [
        "--base=resources/models/micro",
        *experts,
        f"--task={tmp_path / 'rows.jsonl'}",
        f"--out={tmp_path / 'out'}",
    ]
    refused = follow(user, "genome", "init", *given)
    assert refused.returncode == 1
    errors = re.findall(r"^\| `\{.*?\| `(.*?)` \| `(.*?)`", PAGE, re.MULTILINE)
    [shown] = [option for error, option in errors if error in refused.stderr]
    assert said.replace("=", " ") == shown
    assert follow(user, "genome", "init", *given, said).returncode == 0
