"""A run of the workflow in a user's folder, and how far it is, from what Snakemake says."""

import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from genome.api.folder import CONFIG
from genome.api.remaining import PLANNED
from genome.errors import GenomeError
from genome.files import is_file
from genome.forecast.dry_run import VARIABLE, refusal
from genome.project import project
from genome.yaml_files import read_yaml

LOG = "logs/evolve.log"
"""What Snakemake and the jobs say of the last run, in the user's folder."""

LOCKED = "cannot be locked"

_COUNT = re.compile(r"(?P<rule>\w+) +(?P<number>\d+)")
_STARTED = re.compile(r"Job (?P<job>\d+): (?P<message>.*)")
_FINISHED = re.compile(r"Finished jobid: (?P<job>\d+) \(Rule: (?P<rule>\w+)\)")
_WORKING = re.compile(r"[\w./+@-]+: ([\d,]+ of [\d,]+ .*left)")


@dataclass
class Course:
    """How far a run is: jobs by their rules, and what the last lines say.

    counts: how many jobs of each rule there are in all; finished: how many have finished
    doing: the last job that began, or its own progress
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    finished: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    doing: str = ""
    _in_table: bool = False

    def read(self, line: str) -> bool:
        """Read a line of Snakemake's, and say whether a job has finished."""
        line = line.strip()
        if line == "Job stats:" and not self.counts:
            self._in_table = True
        elif self._in_table and (count := _COUNT.fullmatch(line)):
            self._in_table = count["rule"] != "total"
            if self._in_table:
                self.counts[count["rule"]] = int(count["number"])
        elif started := _STARTED.fullmatch(line):
            self.doing = started["message"]
        elif working := _WORKING.fullmatch(line):
            self.doing = f"{self.doing.partition(' · ')[0]} · {working[1]}"
        elif done := _FINISHED.fullmatch(line):
            self.finished[done["rule"]] += 1
            return True
        return False

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """How many of them have finished."""
        return sum(self.finished.values())


def options_of(cores: int | None, profile: str | Path | None, configfiles: Sequence[str | Path] = ()) -> list[str]:
    """Return Snakemake's options for a number of cores (None: all), or a profile, which says how many it takes.

    A profile is a folder, in the working folder or else in the project. GenomeError if it cannot be used.
    """
    files = ["--configfile", *map(str, configfiles)] if configfiles else []
    if profile is None:
        return ["--cores", str(cores or "all"), *files]
    if cores is not None:
        raise GenomeError("--cores and --profile: a profile says how many jobs run side by side; change it there")
    places = [place / CONFIG for place in (Path(profile).expanduser(), project() / profile)]
    file = next(filter(is_file, places), None)
    if file is None:
        raise GenomeError(f"--profile {profile}: no file {CONFIG} in it; give profiles/slurm, or your copy of it")
    executor = read_yaml(file).get("executor", "local")
    if executor != "local" and find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}") is None:
        raise GenomeError(f"{file}: executor {executor} needs `pip install snakemake-executor-plugin-{executor}`")
    return ["--workflow-profile", str(file.parent.absolute()), *files]


def run(folder: Path, targets: Sequence[str], options: Sequence[str], tell: Callable[[Course, bool], None]) -> None:
    """Make targets in a user's folder with the workflow; `tell` hears of each line, and whether a job has finished.

    What Snakemake says is in `LOG`. GenomeError has the reason if it fails. After an interrupt, Snakemake has ended its
    jobs before KeyboardInterrupt is raised.
    """
    command = [sys.executable, "-P", "-m", "genome.api.runner", *options, "--", *targets]
    log = folder / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    (folder / PLANNED).unlink(missing_ok=True)
    course, said = Course(), list[str]()
    # In a separate session: an interrupt on the terminal reaches it once, through this process.
    with (
        log.open("w", encoding="utf-8", buffering=1) as file,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", VARIABLE: str(PLANNED)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                said.append(line)
                tell(course, course.read(line))
        except BaseException as error:
            process.send_signal(signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
            file.writelines(process.stdout)  # to its end: it may still say something
            raise
    if process.returncode:
        raise GenomeError(_reason(folder, "".join(said), process.returncode))


def _reason(folder: Path, output: str, code: int) -> str:
    """Return why a run has failed: the first error of a job, or what Snakemake refuses."""
    if code < 0:
        return f"{folder}: the run was ended by signal {-code}; the same command continues it"
    if LOCKED in output:
        return (
            f"{folder}: `snakemake` is running there, or was killed; if it is not running, call `snakemake --unlock` "
            "in that folder"
        )
    if of_job := re.search(r"^error: (.+)$", output, re.MULTILINE):
        return f"{of_job[1]} (see {folder / LOG})"
    return " ".join(refusal(output).split()) if "\nSelect jobs" not in output else f"a job failed; see {folder / LOG}"
