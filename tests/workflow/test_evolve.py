"""`genome evolve` as a new user calls it: killed once, continued by the same command, and looked at with Snakemake."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import genome
from genome.api.outcome import aim_of, ways
from genome.engine.launcher import connect
from genome.engine.owner import current_owner, owner_token
from genome.engine.state import FOLDER, read_state, stop
from genome.files import read_json, read_jsonl
from workflow.conftest import PROJECT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUN = "results/runs/till/cma_es/n4/seed1"
GENOME = (sys.executable, "-P", "-c", "from genome.cli import app; app()")


def command(folder, *options):
    """Return the command that evolves three experts of the micro suite, which a user would have in other folders."""
    experts = [f"--expert={name}=../resources/experts/{name}" for name in ("add", "sub", "es")]
    changes = ("population_size=4", "generations=3", "splits.validation=60", "splits.test=60", "adapters=all")
    small = [f"--set={key}" for key in changes]
    given = ["--base=../resources/models/micro", *experts, "--task=till=rows.csv", "--prompt={{ question }}"]
    return [*GENOME, "evolve", f"--out={folder}", *given, *small, "--cores=2", *options]


def ended(project, seconds=30):
    """Say whether all processes of a folder end in time."""
    until = time.monotonic() + seconds
    while project.processes("") and time.monotonic() < until:
        time.sleep(0.2)
    return not project.processes("")


@pytest.fixture(scope="module")
def user(trained, tmp_path_factory):
    """A folder of a user in a copy of the project, with rows as CSV."""
    folder = trained.copy(tmp_path_factory.mktemp("evolve") / "project").folder / "user"
    folder.mkdir()
    rows = read_jsonl(PROJECT / "examples/own/rows.jsonl")[:140]
    (folder / "rows.csv").write_text("\n".join(["question,answer", *(f"{r['question']},{r['answer']}" for r in rows)]))
    return folder


@pytest.fixture(scope="module")
def evolved(user):
    """The user's folder after a run that was killed in its first generations and continued, and what was printed."""
    first, second = (user / "out" / RUN / f"generation_{number}/population.json" for number in (1, 2))
    with subprocess.Popen(
        command("out"), cwd=user, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        while not second.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.kill()
    assert ended(Project(user / "out")), "jobs or engines go on without their command"
    written = first.stat().st_mtime_ns
    result = subprocess.run(command("out"), cwd=user, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-4000:]
    assert first.stat().st_mtime_ns == written, "a finished generation was made again"
    return user / "out", result


def test_the_command_ends_in_one_sentence_and_an_adapter(evolved):
    folder, result = evolved
    [sentence] = result.stdout.splitlines()
    assert sentence.endswith(".")
    assert {path.name for path in (folder / "results/export/till/cma_es/n4/seed1").iterdir()} >= {
        "adapter_config.json", "adapter_model.safetensors", "genotype.json", "README.md",
    }  # fmt: skip
    assert "jobs" in result.stderr
    assert "best expert" in result.stderr


def test_python_returns_what_the_command_has_made(evolved, monkeypatch):
    folder, result = evolved
    made = (folder / RUN / "generation_3/population.json").stat().st_mtime_ns
    monkeypatch.chdir(folder.parent)
    found = genome.evolve("out", quiet=True)
    assert str(found) == result.stdout.strip()
    assert (folder / RUN / "generation_3/population.json").stat().st_mtime_ns == made
    assert {*found.test} == {"base", "best_single", "validation_lora", "cma_es"}
    assert all(
        0 <= score.low <= score.value <= score.high <= 1 and score.samples == 60 for score in found.test.values()
    )
    assert found.validation["cma_es"] > found.validation["best_single"] > found.validation["base"]
    assert {*found.genotype} == {"add", "sub", "es"}
    assert found.adapter.is_dir()


def test_snakemake_finds_nothing_left_to_do_also_after_a_clean_up(evolved):
    folder, _ = evolved
    cleaned = subprocess.run([*GENOME, "clean", str(folder), "--yes"], capture_output=True, text=True)
    assert cleaned.returncode == 0, cleaned.stderr
    assert cleaned.stdout.startswith("adapters of generations: 12, ")
    target = "results/export/till/cma_es/n4/seed1/README.md"
    dry = subprocess.run(
        [sys.executable, "-P", "-m", "snakemake", "-n", target], cwd=folder, capture_output=True, text=True
    )
    assert dry.returncode == 0, dry.stderr
    assert "Nothing to be done" in dry.stdout + dry.stderr
    listed = subprocess.run(
        [sys.executable, "-P", "-m", "snakemake", "-n", "--quiet", "rules"], cwd=folder, capture_output=True, text=True
    )
    assert "compare" in listed.stdout + listed.stderr, "the tables are still to be made"


def test_what_the_last_sentence_may_name_is_there_and_its_commands_work(evolved, user, monkeypatch):
    monkeypatch.chdir(user)
    found = ways(aim_of(Path("out")))
    for control in ("base", "best_single"):
        assert Path(found.controls[control].removesuffix(" as it is")).is_dir()
    [materialise] = re.findall("`(.*)`", found.controls["validation_lora"])
    for line in (found.convert, materialise):
        done = subprocess.run([*GENOME, *shlex.split(line)[1:]], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (user / "out/adapter.gguf").is_file()
    assert (user / "out/validation_lora/adapter_config.json").is_file()
    assert found.longer == "genome evolve --out out --generations 6"


def test_a_longer_run_goes_on_with_the_bytes_of_one_call(evolved, user):
    """Through a profile, too, whose options are those of one call."""
    folder = Project(evolved[0]).copy(user / "longer").folder
    before = {path: path.stat().st_mtime_ns for path in (folder / RUN).rglob("*.json*")}
    (user / "profile").mkdir()
    (user / "profile/config.yaml").write_text("cores: 2\nscheduler: greedy\nrerun-triggers: [mtime, params, input]\n")
    more = [*GENOME, "evolve", "--out=longer", "--generations=5", "--profile=profile"]
    result = subprocess.run(more, cwd=user, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-4000:]
    finished = re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", (folder / "logs/evolve.log").read_text())
    after = {"generation": 2, "finalists": 1, "answer_test": 1, "score_test": 1, "export_adapter": 1}
    assert Counter(finished) == after
    kept = {path for path, written in before.items() if path.stat().st_mtime_ns == written}
    assert {path.relative_to(folder / RUN).parts[0] for path in before.keys() - kept} == {"finalists"}

    once = subprocess.run(command("once", "--set=generations=5"), cwd=user, capture_output=True, text=True)
    assert once.returncode == 0, once.stderr[-4000:]
    assert once.stdout.replace("once", "longer") == result.stdout
    for pattern in (f"{RUN}/*/*.json*", "results/test/**/*.json*", "results/export/**/*.safetensors"):
        assert Project(folder).files(pattern) == Project(user / "once").files(pattern)


@pytest.fixture
def server(user, monkeypatch):
    """The state of a server of the base that runs already, as if another user had started it."""
    (user / "server").mkdir()
    monkeypatch.chdir(user / "server")
    monkeypatch.setenv("GENOME_OWNER", owner_token(os.getpid()))
    connect({"backend": "transformers"}, user.parent / "resources/models/micro")
    [file] = FOLDER.glob("engine-*.json")
    yield read_state(file)
    stop(current_owner().token)


def test_a_server_that_runs_already_is_asked(server, user):
    said = command("remote", f"--engine={server.url}", "--set=generations=1")
    environment = {**os.environ, "GENOME_API_KEY": server.key}
    result = subprocess.run(said, cwd=user, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-4000:]
    record = read_json(user / "remote/results/benchmarks" / RUN.removeprefix("results/") / "generation_1.json")
    assert record["machine"] == "127.0.0.1"
    assert not list((user / "remote" / FOLDER).glob("engine-*"))


def test_an_interrupted_command_ends_its_jobs_and_says_how_to_continue(user):
    process = subprocess.Popen(command("stopped"), cwd=user, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (user / "stopped/resources/models/own").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stopped; `genome evolve --out stopped` continues"
    assert ended(Project(user / "stopped"))
    assert not list((user / "stopped/.snakemake").glob("locks/*"))
