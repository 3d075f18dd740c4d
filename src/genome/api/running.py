"""A run of the workflow in a user's folder, and how far it is, from what Snakemake says."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genome.errors import GenomeError
from genome.forecast.dry_run import refusal

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
    seconds: the time of each rule's finished jobs; since: when each running job began
    doing: the last job that began, or its own progress
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    finished: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict[str, float](float))
    since: dict[str, float] = field(default_factory=dict[str, float])
    began: float | None = None
    doing: str = ""
    _in_table: bool = False

    def read(self, line: str, now: float) -> bool:
        """Read a line of Snakemake's at the time `now`, and say whether a job has finished."""
        line = line.strip()
        if line == "Job stats:" and not self.counts:
            self._in_table = True
        elif self._in_table and (count := _COUNT.fullmatch(line)):
            self._in_table = count["rule"] != "total"
            if self._in_table:
                self.counts[count["rule"]] = int(count["number"])
        elif started := _STARTED.fullmatch(line):
            self.began = self.began or now
            self.since[started["job"]] = now
            self.doing = started["message"]
        elif working := _WORKING.fullmatch(line):
            self.doing = f"{self.doing.partition(' · ')[0]} · {working[1]}"
        elif done := _FINISHED.fullmatch(line):
            self.finished[done["rule"]] += 1
            self.seconds[done["rule"]] += now - self.since.pop(done["job"], now)
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

    def left(self, now: float) -> float | None:
        """Return the seconds that are left, None if nothing has finished.

        A job takes as long as others of its rule have, or as the mean job if none has finished; as many run side by
        side as until now.
        """
        spent = sum(self.seconds.values())
        if self.began is None or not spent:
            return None
        mean = spent / self.done
        each = {rule: self.seconds[rule] / n if (n := self.finished[rule]) else mean for rule in self.counts}
        work = sum(each[rule] * (self.counts[rule] - self.finished[rule]) for rule in self.counts)
        begun = sum(min(now - start, mean) for start in self.since.values())
        side_by_side = max((spent + begun) / max(now - self.began, 1e-9), 1e-9)
        return max(work - begun, 0.0) / side_by_side


def run(
    folder: Path,
    targets: Sequence[str],
    cores: int | None,
    tell: Callable[[Course, bool], None],
    configfiles: Sequence[Path] = (),
) -> None:
    """Make targets in a user's folder with the workflow; `tell` hears of each line, and whether a job has finished.

    What Snakemake says is in `LOG`. GenomeError has the reason if it fails. After an interrupt, Snakemake has ended its
    jobs before KeyboardInterrupt is raised.
    """
    options = ["--cores", str(cores or "all"), *(["--configfile", *map(str, configfiles)] if configfiles else [])]
    command = [sys.executable, "-P", "-m", "genome.api.runner", *options, "--", *targets]
    log = folder / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    course, said = Course(), list[str]()
    # In a separate session: an interrupt on the terminal reaches it once, through this process.
    with (
        log.open("w", encoding="utf-8", buffering=1) as file,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1"},
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
                tell(course, course.read(line, time.monotonic()))
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
