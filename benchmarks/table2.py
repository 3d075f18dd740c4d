"""How long the default Table 2 takes from the beginning, and what a generation's job costs without its evaluations.

Runs the workflow cold in a temporary folder (`--cores` of this machine) and reads its logs. Run on an otherwise idle
machine with `python benchmarks/table2.py`; it writes benchmarks/table2.md.
"""

import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
PARTS = ("Snakefile", "config.yaml", "config", "workflow", "profiles", "envs")


def run(folder: Path, target: str, cores: str = "all") -> float:
    """Make a target in `folder` and return the wall time in seconds."""
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", cores, "--", target]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    return time.perf_counter() - start


def overheads(folder: Path, runs: str) -> list[float]:
    """Return, for each generation of `runs`, its job's wall time less what scoring took, in seconds."""
    found = []
    for log in folder.glob(f"logs/runs/{runs}/n10/seed1/generation_*.log"):
        scoring = float(re.search(r"\(([0-9.]+) s of it for scoring\)", log.read_text())[1])
        measured = folder / "results/benchmarks" / log.relative_to(folder / "logs").with_suffix(".tsv")
        found.append(float(measured.read_text().splitlines()[1].split("\t")[0]) - scoring)
    return found


def main() -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "project"
        folder.mkdir()
        for part in PARTS:
            source = PROJECT / part
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / part)
        cold = run(folder, "results/tables/table2.csv")
        busy = statistics.median(overheads(folder, "*/*"))
        again = run(folder, "results/tables/table2.csv")
        shutil.rmtree(folder / "results/runs/sums/genome_plus")
        run(folder, "results/runs/sums/genome_plus/n10/seed1/generation_10/population.json", cores="1")
        alone = statistics.median(overheads(folder, "sums/genome_plus"))
    rows = {
        "Table 2 from the beginning: 12 tasks, all methods": f"{cold / 60:.1f} min",
        "the same again, nothing to do": f"{again:.1f} s",
        "a generation's job without its scoring, median over that run": f"{busy:.2f} s",
        "the same, median of 10 jobs of a run without other jobs": f"{alone:.2f} s",
    }
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    table = "\n".join([f"| {machine} | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())])
    (PROJECT / "benchmarks/table2.md").write_text(f"# How long does Table 2 take?\n\n{table}\n")
    print(table)


if __name__ == "__main__":
    main()
