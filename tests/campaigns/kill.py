"""Kills parts of a small workflow at random times, resumes it as docs/resuming.md describes, and compares the results.

    python tests/campaigns/kill.py --kills 50 --seed 1 --folder /tmp/kills

A round is one run of a small Table 2, from trained experts to the table, killed and resumed until it is done. Its files
must then equal those of an undisturbed run byte for byte, and no process, temporary file or file of an engine may
remain. It prints a table and exits with 1 on any difference. The folder keeps the trained experts and the undisturbed
run for the next call, and every failed round.
"""

import argparse
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))

from workflow.conftest import SMALL, Project, merged, new_project

TARGET = "results/tables/table2.csv"

CHANGES = {
    "bases": {"micro": {"experts": dict.fromkeys(("add", "sub", "logic", "mood", "code"))}},
    "table2": {"tasks": ["emotions"], "variants": ["best_single", "genome", "genome_plus"]},
}
"""Overlay of the small config: five experts, one task and three methods give about twenty jobs after training."""

KINDS = {
    "main process, SIGKILL": ("main", signal.SIGKILL),
    "main process, SIGTERM": ("main", signal.SIGTERM),
    "main process, SIGINT (Ctrl-C)": ("group", signal.SIGINT),
    "main process, SIGHUP": ("group", signal.SIGHUP),
    "job, SIGKILL": ("job", signal.SIGKILL),
    "job, SIGTERM": ("job", signal.SIGTERM),
    "engine, SIGKILL": ("engine", signal.SIGKILL),
    "engine, SIGTERM": ("engine", signal.SIGTERM),
    "engine as it starts, SIGKILL": ("start", signal.SIGKILL),
    "job that starts the engine, SIGKILL": ("starter", signal.SIGKILL),
    "main process as the engine starts, SIGKILL": ("main at start", signal.SIGKILL),
}

STARTS = ("start", "starter", "main at start")
"""Victims that are killed while an engine starts."""

WAIT_SECONDS = 240
"""How long a run may take to end, and a process to appear."""

END_SECONDS = 15
"""How long processes may take to end after their run."""


@dataclass(frozen=True)
class Kill:
    """What was killed, how the run continued, and the faults of the round."""

    kind: str
    resumed: str
    problems: tuple[str, ...] = ()


def prepared(folder: Path) -> tuple[Project, Project]:
    """Return a project with trained experts, and a copy of it that ran without a kill; make missing ones."""
    trained, whole = Project(folder / "trained"), Project(folder / "whole")
    if not (folder / "prepared").exists():
        if not trained.folder.exists():
            new_project(trained.folder)
        (trained.folder / "small.yaml").write_text(yaml.safe_dump(merged(SMALL, CHANGES)))
        trained.make("results/experts/micro.json")
        shutil.rmtree(whole.folder, ignore_errors=True)
        trained.copy(whole.folder).make(TARGET)
        (folder / "prepared").touch()
    return trained, whole


def start(project: Project) -> subprocess.Popen:
    """Start the run in a separate session, as in a separate terminal."""
    command = [*project.command("--", TARGET)]
    with (project.folder / "said.log").open("ab") as output:
        return subprocess.Popen(
            command, cwd=project.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def wait(condition: Callable[[], object], main: subprocess.Popen, seconds: float = WAIT_SECONDS) -> object:
    """Return the value of `condition` once it is true; None if the run ends before."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if main.poll() is not None:
            return None
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition.__name__}: nothing for {seconds} s")
        time.sleep(0.01)
    return found


def strike(project: Project, main: subprocess.Popen, victim: str, sign: int, chance: random.Random) -> bool:
    """Kill a victim of the run as soon as there is one; False if the run ends before."""

    def starting() -> list[Path]:
        return list((project.folder / ".genome").glob("engine-*.start"))

    if victim in STARTS:
        for engine in [] if starting() else project.engines():
            kill(engine, signal.SIGKILL)  # so that another engine starts
        if wait(starting, main) is None:
            return False
    if victim in ("start", "main at start"):
        time.sleep(chance.uniform(0, 3))
    if main.poll() is not None:
        return False
    if victim == "group":
        os.killpg(main.pid, sign)
    elif victim in ("main", "main at start"):
        main.send_signal(sign)
    else:
        processes = project.engines if victim in ("engine", "start") else project.jobs
        found = wait(processes, main)
        if found is None:
            return False
        return kill(chance.choice(found), sign) or strike(project, main, victim, sign, chance)
    return True


def kill(process: int, sign: int) -> bool:
    """Send a signal; False if the process has just ended."""
    try:
        os.kill(process, sign)
    except ProcessLookupError:
        return False
    return True


def ended(main: subprocess.Popen) -> int:
    """Wait for the end of a run; a run that hangs is killed and raises an error."""
    try:
        return main.wait(WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(main.pid, signal.SIGKILL)
        raise


def one_round(
    project: Project, kinds: Iterator[str], kills: int, chance: random.Random, longest: float = 6
) -> tuple[list[tuple[str, str]], list[str]]:
    """Run a project to its end with at most `kills` kills; return the kills, how the run continued, and failures.

    `longest` is the most seconds before the next kill.
    """
    struck, problems = [], []
    main, kind = start(project), None
    while len(struck) < kills:
        kind = kind or next(kinds)
        victim, sign = KINDS[kind]
        if victim not in STARTS:
            due = time.monotonic() + chance.uniform(0.5, longest)
            wait(lambda due=due: time.monotonic() > due, main)
        if not strike(project, main, victim, sign, chance):
            if ended(main) == 0:
                return struck, problems
            problems.append(f"the run failed by itself before '{kind}'")
            return struck, problems
        if victim in ("engine", "start"):
            struck.append((kind, "by itself"))
        else:
            code = ended(main)
            if code == 0:
                struck.append((kind, "by itself"))
                return struck, problems
            unlocked = project.snakemake("--unlock")
            if unlocked.returncode:
                problems.append(f"--unlock failed after '{kind}': {unlocked.stderr[-300:]}")
            struck.append((kind, "--unlock, same command"))
            main = start(project)
        print(f"{project.folder.name}: {struck[-1][0]}: {struck[-1][1]}", flush=True)
        kind = None
    if ended(main) != 0:
        problems.append(f"the run failed after '{struck[-1][0]}'")
    return struck, problems


def compare(project: Project, whole: Project) -> list[str]:
    """Return the differences between a finished run and an undisturbed one, and what the finished run has left."""
    problems = []
    deadline = time.monotonic() + END_SECONDS
    while (left := [*project.engines(), *project.jobs()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        problems.append(f"{len(left)} process(es) left")
    traces = [path.name for path in (project.folder / ".genome").iterdir() if path.name != ".lock"]
    if traces:
        problems.append(f".genome contains {', '.join(sorted(traces))}")
    ours, theirs = (
        {
            path: content
            for pattern in ("results/**/*", "resources/**/*")
            for path, content in each.files(pattern).items()
            if "/benchmarks/" not in path
        }
        for each in (project, whole)
    )
    problems += [f"{path} is left over" for path in sorted(ours.keys() - theirs.keys())]
    problems += [f"{path} is missing" for path in sorted(theirs.keys() - ours.keys())]
    problems += [f"{path} differs" for path in sorted(ours.keys() & theirs.keys()) if ours[path] != theirs[path]]
    return problems


def campaign(folder: Path, kills: int, seed: int, minutes: float, parallel: int) -> list[Kill]:
    """Return `kills` kills of a small workflow, with `parallel` runs at a time; fewer if the time is over."""
    folder.mkdir(parents=True, exist_ok=True)
    trained, whole = prepared(folder)
    deadline = time.monotonic() + 60 * minutes

    def rounds(part: int) -> list[Kill]:
        """Use all kinds in turn in random order, a few per round."""
        chance, done = random.Random(f"{seed}-{part}"), []
        kinds = itertools.chain.from_iterable(iter(lambda: chance.sample(list(KINDS), len(KINDS)), None))
        share = kills // parallel + (part < kills % parallel)
        for number in itertools.count(1):
            if len(done) >= share or time.monotonic() > deadline:
                return done
            project = trained.copy(folder / f"round{seed}-{part}-{number}")
            struck, problems = one_round(project, kinds, min(share - len(done), chance.randint(3, 8)), chance)
            problems += compare(project, whole)
            done += [Kill(kind, resumed, tuple(problems)) for kind, resumed in struck]
            print(f"{project.folder.name}: {len(struck)} kills, {'; '.join(problems) or 'identical'}", flush=True)
            if not problems:
                shutil.rmtree(project.folder)
            elif not struck:
                raise RuntimeError(f"{project.folder}: {'; '.join(problems)}")

    with ThreadPoolExecutor(parallel) as pool:
        return [each for done in pool.map(rounds, range(parallel)) for each in done]


def table(done: list[Kill]) -> str:
    """Return the number of kills of each kind, how the run continued, and how often the results were identical."""
    rows = [f"{'killed':<45} {'how the run continued':<24} {'kills':>5} {'identical':>9}"]
    for (kind, resumed), count in sorted(Counter((each.kind, each.resumed) for each in done).items()):
        same = sum(not each.problems for each in done if (each.kind, each.resumed) == (kind, resumed))
        rows.append(f"{kind:<45} {resumed:<24} {count:>5} {same:>9}")
    rows.append(f"{'all':<70} {len(done):>5} {sum(not each.problems for each in done):>9}")
    return "\n".join(rows)


def main() -> None:
    """Run the campaign of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no round after this many minutes")
    parser.add_argument("--folder", type=Path, required=True, help="where the projects are made")
    arguments = parser.parse_args()
    # A shell's background processes ignore SIGINT, and so would their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = arguments.folder.resolve()
    done = campaign(folder, arguments.kills, arguments.seed, arguments.minutes, arguments.parallel)
    print(table(done))
    sys.exit(any(each.problems for each in done))


if __name__ == "__main__":
    main()
