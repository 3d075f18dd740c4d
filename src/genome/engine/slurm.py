"""Engines as SLURM jobs: sbatch, squeue and scancel, and records of submitted jobs.

A record is a file next to the engine's state file, `.genome/engine-TOKEN-I.job`: the job that was submitted last for
replica I, whether a job of the workflow has reached it, and how many jobs in a row ended before they were reached.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genome.engine.logs import log_end
from genome.engine.records import read_record, write_record
from genome.errors import GenomeError

NAME = "genome-engine"
"""The name of engines in squeue."""

ACTIVE = {
    *("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
}
"""States of a job that runs or may still run. COMPLETING is not one of them: its processes are being ended."""

STARTED = {"RUNNING", "SIGNALING", "RESIZING"}
"""States in which an engine should be loading its model or serving."""

UNKNOWN = "UNKNOWN"
"""The state of all jobs while SLURM's controller does not answer: no job is then cancelled or submitted."""

FAILURES = 2
"""How many engine jobs in a row may end before any job has reached them."""

CANCEL_SECONDS = 40
"""How long cancelled jobs may take to leave squeue. SLURM kills a process that ignores SIGTERM after KillWait, usually
30 s."""


@dataclass(frozen=True)
class Job:
    """The job that was submitted last for one engine."""

    id: str
    served: bool = False
    failed: int = 0
    why: str = ""


def options(settings: Mapping[str, Any]) -> list[str]:
    """Return sbatch's options for the config's `engine.slurm`.

    >>> options({"partition": "gpu", "gpus": 2, "runtime": 60, "extra": "--qos=long"})
    ['--partition', 'gpu', '--gpus', '2', '--time', '60', '--qos=long']
    """
    flags = {
        "partition": "--partition",
        "account": "--account",
        "gpus": "--gpus",
        "cpus": "--cpus-per-task",
        "mem_mb": "--mem",
        "runtime": "--time",
    }
    given = [text for key, flag in flags.items() if settings.get(key) for text in (flag, str(settings[key]))]
    return [*given, *shlex.split(settings.get("extra") or "")]


def gpus(settings: Mapping[str, Any]) -> int:
    """Return the number of GPUs of an engine's job, as in `2` or `a100:2`.

    >>> [gpus({"gpus": value}) for value in (2, "2", "a100:4", "a100")], gpus({})
    ([2, 2, 4, 1], 0)
    """
    number = str(settings.get("gpus") or 0).rpartition(":")[2]
    return int(number) if number.isdigit() else 1


def submit(command: Sequence[str], settings: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Submit a command as an engine's job and return the job's id.

    Secrets are passed in the environment, because other users can read a job's arguments and script.
    """
    # The variables of the main process's own allocation must not affect this job.
    ours = {name: value for name, value in os.environ.items() if name == "SLURM_CONF" or not name.startswith("SLURM_")}
    Path("logs").mkdir(exist_ok=True)
    flags = ["--parsable", "--job-name", NAME, "--output", log_of("%j"), "--export", "ALL", "--no-requeue"]
    one_process = ["--nodes", "1", "--ntasks", "1"]
    script = f"exec {shlex.join(command)}"
    result = _call(["sbatch", *flags, *one_process, *options(settings), "--wrap", script], env={**ours, **environment})
    if result.returncode:
        reason = " ".join(result.stderr.split()) or f"code {result.returncode}"
        raise GenomeError(f"sbatch refused an engine: {reason}; correct engine.slurm (profiles/slurm/config.yaml)")
    return result.stdout.strip().partition(";")[0]


def log_of(job: str) -> str:
    """Return the log file of an engine's job."""
    return f"logs/engine-{job}.log"


def status(job: str) -> tuple[str, str]:
    """Return a job's state, and the reason it waits or the nodes it runs on; both are empty after it left the queue."""
    result = _call(["squeue", "--noheader", "--jobs", job, "--format", "%T %R"])
    if result.returncode and "invalid job id" not in result.stderr.lower():
        return UNKNOWN, " ".join(result.stderr.split())
    state, _, reason = result.stdout.strip().partition(" ")
    return state, reason.strip("()")


def ended(job: str) -> bool:
    """Return whether a job has certainly left the queue."""
    try:
        return status(job)[0] == ""
    except GenomeError:  # no SLURM here: the job was submitted on another machine
        return False


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs and wait until they have ended; a job that has already ended is not an error."""
    if not jobs:
        return
    _call(["scancel", *jobs])
    deadline = time.monotonic() + CANCEL_SECONDS
    while any(status(job)[0] in {*ACTIVE, "COMPLETING"} for job in jobs) and time.monotonic() < deadline:
        time.sleep(0.2)


def read_job(file: Path) -> Job | None:
    """Return the job recorded in a file; None if the file is missing or damaged."""
    return read_record(file, Job)


def write_job(file: Path, job: Job) -> None:
    """Record a job."""
    write_record(file, job)


def give_up(file: Path, job: Job, why: str) -> None:
    """Cancel an engine's job that cannot be used, unless another job has already replaced it."""
    if (memory := read_job(file)) is not None and memory.id == job.id:
        write_job(file, replace(memory, why=why))
        cancel([job.id])


def revive(file: Path, start: Callable[[], str]) -> tuple[Job, str, str]:
    """Return the engine job recorded in `file`, with its status; if it has ended, `start` submits another.

    After FAILURES jobs in a row that ended before any job reached them, it raises GenomeError instead.
    """
    job = read_job(file)
    if job is not None and job.failed < FAILURES:
        state, reason = status(job.id)
        if state in {*ACTIVE, UNKNOWN}:
            return job, state, reason
        job = replace(job, failed=0 if job.served else job.failed + 1)
        write_job(file, job)
    if job is not None and job.failed >= FAILURES:
        end = log_end(Path(log_of(job.id)))
        raise GenomeError(f"engine job {job.id} {job.why or 'ended before it served'}, as did the one before{end}")
    failed = job.failed if job is not None else 0
    job = Job(start(), failed=failed)
    write_job(file, job)
    return job, "SUBMITTED", f"log: {log_of(job.id)}"


def _call(command: list[str], **settings: Any) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **settings)
    except OSError as error:
        raise GenomeError(
            f"{command[0]} cannot be run ({error.strerror}); engine.slurm needs a machine that can submit to SLURM"
        ) from error
