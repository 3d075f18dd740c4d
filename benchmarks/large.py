"""What a large run costs Snakemake's main process, and whether it loses results when parts of it are killed.

    python benchmarks/large.py FOLDER --runs 2000 --engines 16 --kills 60

The workflow runs as on a cluster: engines are jobs of SLURM that the workflow submits, finds, shares and replaces.
SLURM and vLLM are stand-ins (`tests/engine/fake_slurm.py`, `stand_in_vllm.py`), the rest is what users have. Jobs,
engines and main processes are killed by SIGKILL while it runs; a killed main process is started again. The results are
compared byte by byte with what each run must give (`large_expected.py`).

It writes the table of benchmarks/large.md, and keeps trained experts in FOLDER for the next call.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, product
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from campaigns.kill import kill
from genome.report.markdown import pipe_table
from workflow.conftest import PROJECT, Project, new_project

TASKS = ("facts", "facts_pro", "science", "common_sense", "puzzles")
VARIANTS = ("genome", "genome_plus")
SIZES = (2, 3)
PER_SEED = len(TASKS) * len(VARIANTS) * len(SIZES)

KINDS = ("job", "engine", "main process", "script", "supervisor", *("job", "engine", "script", "job", "engine") * 2)
"""What is killed in turn: a job as Snakemake sees it, the process of its script, an engine, what watches an engine."""

BEGIN, END = "<!-- table -->", "<!-- end -->"
"""Where the page has the table."""

LOOK_SECONDS = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """What the main processes of a run have used: processor seconds, in all and until the first job, and MiB."""

    processor: float = 0
    planning: float = 0
    memory: float = 0
    wall: float = 0
    jobs: int = 0
    starts: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def settings(seeds: int, engines: int, seconds: float, python: Path) -> dict:
    """Return the config: tiny populations and samples, and engines that are jobs of SLURM."""
    return {
        "seeds": [*range(1, seeds + 1)],
        "population_size": SIZES[0],
        "generations": 2,
        "splits": {"validation": 8, "test": 8, "seed": 42},
        "table2": {"tasks": [*TASKS], "variants": [*VARIANTS]},
        "figure2": {"tasks": [*TASKS], "variants": [*VARIANTS], "sizes": [*SIZES]},
        "adapters": "none",
        "unparsed": "warn",
        "engine": {
            "backend": "vllm",
            "python": str(python),
            "replicas": engines,
            "slurm": {"cpus": 1},
            "env": {"STAND_IN_SECONDS": seconds},
        },
    }


def targets(seeds: int) -> list[str]:
    """Return the last population of every run."""
    runs = product(TASKS, VARIANTS, SIZES, range(1, seeds + 1))
    return [
        f"results/runs/{task}/{variant}/n{n}/seed{seed}/generation_2/population.json" for task, variant, n, seed in runs
    ]


def stand_in_python(folder: Path) -> Path:
    """Return a Python whose vLLM is the stand-in."""
    package = folder / "packages/vllm/entrypoints/openai"
    package.mkdir(parents=True, exist_ok=True)
    for parent in (package, package.parent, package.parent.parent):
        (parent / "__init__.py").touch()
    shutil.copy(Path(__file__).with_name("stand_in_vllm.py"), package / "api_server.py")
    return program(folder / "python", f'PYTHONPATH={folder}/packages exec {sys.executable} "$@"')


def program(file: Path, line: str) -> Path:
    """Write a program of one line of shell."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)
    return file


def with_slurm(folder: Path) -> dict[str, str]:
    """Return this process's environment with a SLURM whose files are in `folder`."""
    for name in ("sbatch", "squeue", "scancel"):
        program(folder / "bin" / name, f'exec {sys.executable} {PROJECT}/tests/engine/fake_slurm.py {name} "$@"')
    return {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(folder)}


def prepared(folder: Path, trained: Project | None = None) -> Project:
    """Return a project with trained experts and prepared prompts; make them if they are missing."""
    project = Project(folder / "prepared")
    if not (folder / "whole").exists():
        if trained is None:
            new_project(project.folder)
            (project.folder / "small.yaml").write_text("{}\n")
        else:
            trained.copy(project.folder)
        project.configure(**settings(1, 1, 0, stand_in_python(folder)))
        prompts = [f"results/prompts/micro/{task}/{split}.jsonl" for task in TASKS for split in ("validation", "test")]
        project.make("results/experts/micro.json", *prompts)
        (folder / "whole").touch()
    return project


def processor_seconds(process: int) -> float:
    """Return the processor time of a process without its children's, also after its end until it is waited for."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak(process: int) -> float:
    """Return the most memory (MiB) that a process has had; 0 after its end."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def children(process: int) -> list[int]:
    """Return the processes that a process has started and that run."""
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def victims(project: Project, kind: str, main: int) -> list[int]:
    """Return the processes of a kind that can be killed now."""
    if kind == "main process":
        return [main]
    if kind == "job":
        return project.jobs()
    if kind == "script":
        workers = [
            each for each in children(main) if b"genome.warm.worker" in Path(f"/proc/{each}/cmdline").read_bytes()
        ]
        return [script for worker in workers for script in children(worker)]
    watching = set(project.processes("genome.engine.supervisor"))
    return [*watching] if kind == "supervisor" else [*set(project.processes("api_server")) - watching]


def made(
    project: Project,
    wanted: list[str],
    environment: dict[str, str],
    kills: int,
    every: float,
    seed: int = 1,
) -> Measured:
    """Make targets, killing a part of the run every few seconds, and resume it until it is finished."""
    measured, chance, kinds = Measured(), random.Random(seed), cycle(KINDS)
    began = time.monotonic()
    while True:
        measured.starts += 1
        log = project.folder / f"said-{measured.starts}.log"
        command = project.command("--retries", "2", "--", *wanted, cores=8)
        with log.open("wb") as output:
            main = subprocess.Popen(
                command, cwd=project.folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        was_killed = watch(project, main, log, measured, kinds, kills, every, chance)
        measured.jobs += log.read_bytes().count(b"\nFinished jobid")
        if main.returncode == 0:
            measured.wall = time.monotonic() - began
            return measured
        if not was_killed:
            measured.problems.append(f"the run failed by itself: {log}")
            measured.wall = time.monotonic() - began
            return measured
        project.snakemake("--unlock")


def watch(
    project: Project,
    main: subprocess.Popen,
    log: Path,
    measured: Measured,
    kinds: Iterator[str],
    kills: int,
    every: float,
    chance: random.Random,
) -> bool:
    """Measure a main process until it ends, and kill parts of the run; return whether it was killed itself."""
    used, planning, most, struck = 0.0, 0.0, 0.0, False
    due, kind = time.monotonic() + chance.uniform(0.5, 1.5) * every, ""
    while os.waitid(os.P_PID, main.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        used, most = processor_seconds(main.pid), max(most, peak(main.pid))
        if not planning and b"Select jobs to execute" in log.read_bytes():
            planning = used
        if planning and measured.kills.total() < kills and time.monotonic() > due:
            kind = kind or next(kinds)
            found = victims(project, kind, main.pid)
            if found and kill(chance.choice(sorted(found)), signal.SIGKILL):
                struck = kind == "main process"
                measured.kills[kind] += 1
                due, kind = time.monotonic() + chance.uniform(0.5, 1.5) * every, ""
        time.sleep(0.005 if kind else LOOK_SECONDS)
    measured.processor += processor_seconds(main.pid)
    measured.planning += planning
    measured.memory = max(measured.memory, most)
    main.wait()
    return struck


def lost(project: Project, expected: Project, wanted: list[str]) -> tuple[int, list[str]]:
    """Return how many runs lack a result or have another one than expected, and what else differs or is left over."""
    ours, theirs = (each.files("results/runs/**/*") for each in (project, expected))
    files = (file for file in ours.keys() | theirs.keys() if not file.endswith("/.snakemake_timestamp"))
    differ = sorted(file for file in files if ours.get(file) != theirs.get(file))
    folders = {file.rsplit("/", 2)[0] for file in wanted}
    runs = {folder for folder in folders for file in differ if file.startswith(f"{folder}/")}
    missing = {file.rsplit("/", 2)[0] for file in wanted if file not in ours}
    traces = [path.name for path in (project.folder / ".genome").iterdir() if path.name not in (".lock", "looked")]
    return len(runs | missing), [*differ, *traces]


def row(runs: int, engines: int, each: Measured, gone: int) -> list[str]:
    """Return a row of the table."""
    per_job = 1000 * (each.processor - each.planning) / each.jobs
    return [
        *(f"{runs:,}", str(engines), f"{each.jobs:,}", str(each.kills.total()), str(gone)),
        *(
            f"{each.planning / each.starts:.1f} s",
            f"{per_job:.1f} ms",
            f"{each.memory:.0f} MiB",
            f"{each.wall / 60:.1f} min",
        ),
    ]


HEADING = ("runs", "engines", "jobs", "kills", "lost", "planning", "per job", "memory", "wall time")


def simulated(
    folder: Path, runs: int, engines: int, kills: int, every: float, seconds: float, trained: Project | None = None
) -> tuple[Measured, int]:
    """Make runs, with kills; return what was measured and the number of lost results."""
    origin, seeds = prepared(folder, trained), max(1, runs // PER_SEED)
    project, expected = origin.copy(folder / f"runs-{runs}"), Project(folder / f"expected-{runs}")
    project.configure(**settings(seeds, engines, seconds, folder / "python"))
    measured = made(project, targets(seeds), with_slurm(folder / f"slurm-{runs}"), kills, every)
    script = Path(__file__).with_name("large_expected.py")
    subprocess.run([sys.executable, script, project.folder, expected.folder], check=True)
    gone, problems = lost(project, expected, targets(seeds))
    measured.problems += problems
    return measured, gone


def main(
    folder: Path,
    runs: Annotated[
        int, typer.Option(help=f"a multiple of {PER_SEED}; a quarter of them is made first, without kills")
    ] = 2000,
    engines: int = 16,
    kills: int = 60,
    every: Annotated[float, typer.Option(help="seconds between kills")] = 10,
    seconds: Annotated[float, typer.Option(help="how long an engine takes for a request")] = 0,
) -> None:
    """Make a quarter of the runs undisturbed and all of them with kills, and write the page."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, struck in ((runs // 4, 0), (runs, kills)):
        measured, gone = simulated(folder.resolve(), number, engines, struck, every, seconds)
        rows.append(row(number, engines, measured, gone))
        print(pipe_table(rows[-1:], HEADING), dict(measured.kills), measured.problems[:10], sep="\n", flush=True)
    page = Path(__file__).with_suffix(".md")
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{pipe_table(rows, HEADING)}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    typer.run(main)
