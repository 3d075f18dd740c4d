"""The workflow on a real SLURM of one node: through its profile, interrupted, and with the bytes of a local run."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pages import blocks
from workflow.conftest import PROJECT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.slurm]

RUN = "results/runs/sums/genome_plus/n4/seed1"
LAST = f"{RUN}/generation_3/population.json"
TINY = "resources/experts/data_merge.safetensors"
TARGETS = (LAST, TINY, "results/test/sums/static/data_merge/scores.json")
RESULTS = ("results/runs/**/*", TINY, "results/test/**/*", "results/splits/**/*")


@dataclass(frozen=True)
class Cluster:
    """A SLURM of one node: the environment that finds it."""

    environment: dict[str, str]

    def call(self, *command: str) -> str:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def jobs(self, folder: Path) -> dict[str, str]:
        """Return the names of the jobs that wait or run in a folder, by job id."""
        rows = [line.split(maxsplit=2) for line in self.call("squeue", "-h", "-o", "%A %j %Z").splitlines()]
        return {job: name for job, name, where in rows if where == str(folder)}


@pytest.fixture(scope="module")
def cluster():
    """A SLURM of this module's own, started by slurm.sh; skipped with its reason where it does not start."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="pip install '.[slurm]'")
    # Not one of pytest's folders: munge wants one that every user can pass through.
    folder, script = Path(tempfile.mkdtemp(prefix="genome-slurm-")), Path(__file__).parent / "slurm.sh"
    folder.chmod(0o755)
    started = subprocess.run(["bash", script, "start", folder], capture_output=True, text=True)
    try:
        if started.returncode:
            pytest.skip(started.stderr.strip().splitlines()[-1])
        settings = dict(word.split("=", 1) for word in started.stdout.split()[1:])
        # The lines of docs/slurm.md call this Python's snakemake.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        yield Cluster({**os.environ, **settings, "PATH": settings["PATH"].replace("$PATH", path)})
    finally:
        subprocess.run(["bash", script, "stop", folder], check=True, capture_output=True)
        shutil.rmtree(folder)


@dataclass(frozen=True)
class OnSlurm:
    """A project that runs through profiles/slurm, and the runs that were started."""

    project: Project
    cluster: Cluster
    started: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen:
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--workflow-profile",
            "profiles/slurm",
            "--configfile",
            "small.yaml",
        ]
        # A look at the queue comes after this, then 10 seconds later and so on.
        command += ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
        with (self.project.folder / "snakemake.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *([] if "--" in arguments else ["--"]), *arguments],
                cwd=self.project.folder,
                env=self.cluster.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def said(self) -> str:
        return (self.project.folder / "snakemake.log").read_text()

    def finish(self, process: subprocess.Popen, seconds: float = 240) -> str:
        """Wait until a run has succeeded, and return what all runs have said."""
        assert process.wait(seconds) == 0, self.said()[-6000:]
        return self.said()

    def run(self, script: str) -> None:
        """Run lines of a shell in the project's folder."""
        folder, environment = self.project.folder, self.cluster.environment
        subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=True, timeout=120)

    def jobs(self) -> dict[str, str]:
        return self.cluster.jobs(self.project.folder)

    def engine_job(self) -> str | None:
        return next((job for job, name in self.jobs().items() if name == "genome-engine"), None)

    def training_job(self) -> str | None:
        return next((job for job, name in self.jobs().items() if name.startswith("genome_")), None)

    def left(self) -> list:
        """Return what a run has left behind: SLURM jobs, processes, traces of an engine."""
        project = self.project
        traces = [path.name for path in (project.folder / ".genome").iterdir() if path.name != ".lock"]
        return [*self.jobs(), *project.engines(), *project.jobs(), *traces]


def results(project: Project) -> dict[str, bytes]:
    return {name: content for pattern in RESULTS for name, content in project.files(pattern).items()}


@pytest.fixture(scope="module")
def tiny(cluster, trained, tmp_path_factory) -> Project:
    """A project with trained experts, and a Data Merge that is yet to be trained, in seconds."""
    project = trained.copy(tmp_path_factory.mktemp("tiny") / "project")
    (project.folder / TINY).unlink()
    lines = (project.folder / "resources/datasets/micro/experts/add.jsonl").read_text().splitlines(keepends=True)
    (project.folder / "tiny.jsonl").write_text("".join(lines[:300]))
    project.configure(bases={"micro": {"data_merge": {"corpus": "tiny.jsonl"}}})
    return project


@pytest.fixture(scope="module")
def expected(tiny, tmp_path_factory) -> dict[str, bytes]:
    """The results of a run without SLURM."""
    local = tiny.copy(tmp_path_factory.mktemp("local") / "project")
    local.make(*TARGETS)
    return results(local)


@pytest.fixture
def on_slurm(tiny, cluster, tmp_path):
    """A project of this test's own that runs through profiles/slurm; nothing of it is left when the test fails."""
    running = OnSlurm(tiny.copy(tmp_path / "project"), cluster)
    yield running
    for process in running.started:
        process.kill()
        process.wait()
    if jobs := running.jobs():
        cluster.call("scancel", *jobs)


def test_cancelled_and_killed_jobs_are_repeated_with_the_same_results(expected, on_slurm):
    project, cluster = on_slurm.project, on_slurm.cluster
    process = on_slurm.start(*TARGETS)
    training = wait_for(on_slurm.training_job, process)
    cluster.call("scancel", training)
    wait_for((project.folder / "results/runs/sums/initial-pairs/n4/seed1/population.json").exists, process)
    engine = wait_for(on_slurm.engine_job, process)
    cluster.call("scancel", engine)
    generation = wait_for(lambda: project.processes(".generation.py"), process)
    os.kill(generation[0], signal.SIGKILL)
    said = on_slurm.finish(process)
    assert f"SLURM-job '{training}' failed" in said
    assert "Error in rule generation" in said
    assert said.count("Trying to restart job") >= 2
    logs = {path.name for path in (project.folder / "logs").glob("engine-*.log")}
    assert f"engine-{engine}.log" in logs
    assert len(logs) >= 2
    assert results(project) == expected
    assert on_slurm.left() == []


def test_killed_run_is_resumed_by_the_commands_of_docs_slurm(expected, on_slurm):
    project = on_slurm.project
    process = on_slurm.start(*TARGETS)
    wait_for(on_slurm.training_job, process)
    wait_for((project.folder / f"{RUN}/generation_1/population.json").exists, process)
    wait_for(on_slurm.engine_job, process)
    process.kill()
    process.wait()
    [block] = [block for block in blocks(PROJECT / "docs/slurm.md", "sh") if "scancel" in block]
    *lines, command = block.splitlines()
    assert command.startswith("snakemake --workflow-profile profiles/slurm ")
    on_slurm.run("\n".join(["set -e", *lines]))
    wait_for(lambda: not on_slurm.jobs() and not project.engines() and not project.jobs(), seconds=20)
    on_slurm.finish(on_slurm.start(*TARGETS))
    assert results(project) == expected
    assert on_slurm.left() == []


def test_per_job_starts_one_engine_per_job(expected, on_slurm):
    project = on_slurm.project
    project.configure(engine={"per_job": True})
    scores = "results/runs/sums/experts/population.json"
    on_slurm.finish(on_slurm.start(scores))
    assert len([*(project.folder / "logs/slurm/rule_score_experts").rglob("*.log")]) == 1
    assert project.files(scores) == {scores: expected[scores]}
    assert on_slurm.left() == []


def test_run_that_would_start_engines_on_the_submit_host_is_refused(on_slurm):
    process = on_slurm.start("--config", "adapters=none", "--", LAST)
    assert process.wait(60) != 0
    assert "engine.slurm is not set: use profiles/slurm" in on_slurm.said()
    assert not on_slurm.jobs()


def wait_for(happened, process=None, seconds=120.0):
    """Wait until something has happened, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert process is None or process.poll() is None, "snakemake ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
