"""A replacement for sbatch, squeue and scancel: jobs are processes. The fixture `fake_slurm` puts it on the PATH.

In the folder FAKE_SLURM, a file `refuse` makes sbatch refuse with its text, `hold` keeps jobs pending, and `down` makes
the controller unreachable. ID.json describes how job ID was submitted.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

FOLDER = Path(os.environ["FAKE_SLURM"])


def main(name, arguments):
    if (FOLDER / "down").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    {"sbatch": sbatch, "squeue": squeue, "scancel": scancel}[name](arguments)


def sbatch(arguments):
    if (FOLDER / "refuse").exists():
        sys.exit((FOLDER / "refuse").read_text())
    job = str(len([*FOLDER.glob("*.json")]) + 1)
    command = [sys.executable, __file__, "run", job, arguments[arguments.index("--wrap") + 1]]
    with Path(arguments[arguments.index("--output") + 1].replace("%j", job)).open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "SLURM_JOB_ID": job},
            start_new_session=True,
        )
    shown = {"argv": arguments, "environment": dict(os.environ), "pid": process.pid}
    (FOLDER / f"{job}.json").write_text(json.dumps(shown))
    print(job)


def run(job, script):
    while (FOLDER / "hold").exists():
        time.sleep(0.02)
    (FOLDER / f"{job}.running").touch()
    os.execvp("sh", ["sh", "-c", script])


def alive(job):
    try:
        pid = json.loads((FOLDER / f"{job}.json").read_text())["pid"]
        return pid, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return None, False


def squeue(arguments):
    job = arguments[arguments.index("--jobs") + 1]
    _, runs = alive(job)
    if not runs:
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    print("RUNNING node1" if (FOLDER / f"{job}.running").exists() else "PENDING (Resources)")


def scancel(jobs):
    for job in jobs:
        pid, runs = alive(job)
        if runs:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(*sys.argv[2:])
    main(sys.argv[1], sys.argv[2:])
