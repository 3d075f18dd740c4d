"""Engines as jobs of SLURM: sbatch, squeue and scancel, and what is remembered of a job that was submitted.

A job's memory is a file beside the engine's state file, `.genome/engine-TOKEN-I.job`: which job was submitted last for
replica I, whether a job of the workflow has reached it, and how many in a row ended before that.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genome.engine.client import log_end
from genome.engine.records import read_record, write_record
from genome.errors import GenomeError

NAME = "genome-engine"
"""What engines are called in squeue."""

ACTIVE = {
    *("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
}
"""States of a job that runs or may yet run. COMPLETING is not one of them: its processes are being ended."""

STARTED = {"RUNNING", "SIGNALING", "RESIZING"}
"""States in which an engine should be loading its model, or serve."""

UNKNOWN = "UNKNOWN"
"""The state of all jobs while SLURM's controller does not answer: nothing is given up, and nothing submitted."""

FAILURES = 2
"""How many engine jobs in a row may end before anybody has reached them."""

CANCEL_SECONDS = 40
"""How long cancelled jobs may take to leave squeue; SLURM kills what ignores SIGTERM after KillWait, 30 s as a rule."""


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
    """Return how many GPUs an engine's job gets: the number in `2` or in `a100:2`.

    >>> [gpus({"gpus": value}) for value in (2, "2", "a100:4", "a100")], gpus({})
    ([2, 2, 4, 1], 0)
    """
    number = str(settings.get("gpus") or 0).rpartition(":")[2]
    return int(number) if number.isdigit() else 1


def submit(command: Sequence[str], settings: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Submit a command as an engine's job and return the job's id.

    What is secret comes by the environment: a job's arguments and script can be read by others.
    """
    # Those of an allocation that the workflow's main process runs in must not decide on this job.
    ours = {name: value for name, value in os.environ.items() if name == "SLURM_CONF" or not name.startswith("SLURM_")}
    Path("logs").mkdir(exist_ok=True)
    flags = ["--parsable", "--job-name", NAME, "--output", log_of("%j"), "--export", "ALL", "--no-requeue"]
    one_process = ["--nodes", "1", "--ntasks", "1"]
    script = f"exec {shlex.join(command)}"
    result = _call(["sbatch", *flags, *one_process, *options(settings), "--wrap", script], env={**ours, **environment})
    if result.returncode:
        said = " ".join(result.stderr.split()) or f"code {result.returncode}"
        raise GenomeError(f"sbatch refused an engine: {said}; correct engine.slurm (profiles/slurm/config.yaml)")
    return result.stdout.strip().partition(";")[0]


def log_of(job: str) -> str:
    """Return where an engine's job writes what it has to say."""
    return f"logs/engine-{job}.log"


def status(job: str) -> tuple[str, str]:
    """Return a job's state, and what it waits for or where it runs; both are empty when it has left the queue."""
    result = _call(["squeue", "--noheader", "--jobs", job, "--format", "%T %R"])
    if result.returncode and "invalid job id" not in result.stderr.lower():
        return UNKNOWN, " ".join(result.stderr.split())
    state, _, reason = result.stdout.strip().partition(" ")
    return state, reason.strip("()")


def ended(job: str) -> bool:
    """Tell whether a job has left the queue for certain."""
    try:
        return status(job)[0] == ""
    except GenomeError:  # no SLURM here: whoever left the file ran elsewhere
        return False


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs and wait until they have ended; one that has ended already is no error."""
    if not jobs:
        return
    _call(["scancel", *jobs])
    deadline = time.monotonic() + CANCEL_SECONDS
    while any(status(job)[0] in {*ACTIVE, "COMPLETING"} for job in jobs) and time.monotonic() < deadline:
        time.sleep(0.2)


def read_job(file: Path) -> Job | None:
    """Return the job that a file remembers; None without a file, or a whole one."""
    return read_record(file, Job)


def write_job(file: Path, job: Job) -> None:
    """Remember a job."""
    write_record(file, job)


def give_up(file: Path, job: Job, why: str) -> None:
    """Cancel an engine's job that is of no use, unless another has taken its place already."""
    if (memory := read_job(file)) is not None and memory.id == job.id:
        write_job(file, replace(memory, why=why))
        cancel([job.id])


def revive(file: Path, start: Callable[[], str]) -> tuple[Job, str, str]:
    """Return the engine job that `file` remembers, with its status; when it has ended, `start` submits another.

    Of two in a row that ended before anybody had reached them it tells, and submits no third.
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
            f"{command[0]} cannot be run ({error.strerror}); engine.slurm needs a machine that submits to SLURM"
        ) from error
