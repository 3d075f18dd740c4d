"""Snakemake's measuring of jobs, without what it costs in a run with a worker.

For a benchmark file, Snakemake looks at a job as it starts and then twice a second. Each time it reads of all processes
of the machine which ones the job has started. With jobs of 0.02 s this is a quarter of the main process's work, and it
grows with the number of jobs that wait for an engine. A script that the worker runs is not among these processes: what
is measured is its client.
"""

from pathlib import Path
from typing import Any

from genome.warm import client


def leave_out_clients(benchmark: Any) -> None:
    """Change `snakemake.benchmark` so that it does not look at clients, nor at any other job as it starts.

    The names are private and may change: then nothing is left out, and runs are slower.
    """
    timer: Any = getattr(benchmark, "BenchmarkTimer", None)
    record: Any = getattr(benchmark, "BenchmarkRecord", None)
    if not hasattr(timer, "work") or record is None or not hasattr(record(), "process_gone"):
        return
    look = timer.work

    def work(self: Any) -> None:
        first = not self.bench_record.process_gone
        self.bench_record.process_gone = True  # without it, a record of the wall time alone is warned about
        if first:
            return
        if is_client(self.pid):
            self._stopped = True
        else:
            look(self)

    timer.work = work


def is_client(process: int) -> bool:
    """Return whether a process waits for a script that the worker runs."""
    try:
        return client.__file__.encode() in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended, or this is not Linux
        return False
