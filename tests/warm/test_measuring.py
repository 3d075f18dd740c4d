"""What Snakemake measures for benchmark files in a run with a worker."""

import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from snakemake import benchmark

from genome.warm import client
from genome.warm.measuring import is_client, leave_out_clients


@pytest.fixture
def changed(monkeypatch):
    """Snakemake's measuring, looking every 20 ms and leaving out clients; the processes that were looked at."""
    monkeypatch.setattr(benchmark, "BENCHMARK_INTERVAL_SHORT", 0.02)
    monkeypatch.setattr(benchmark.BenchmarkTimer, "work", benchmark.BenchmarkTimer.work)
    looked, children = [], psutil.Process.children
    monkeypatch.setattr(
        psutil.Process, "children", lambda self, **options: looked.append(self.pid) or children(self, **options)
    )
    leave_out_clients(benchmark)
    return looked


@pytest.fixture
def start():
    """Return a function that starts a process which ends with the test."""
    started = []

    def begin(*words):
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words]))
        return started[-1].pid

    yield begin
    for process in started:
        process.kill()
        process.wait()


def measured(process, until=lambda: False):
    """Return what Snakemake records of a process within a second, or until something has happened."""
    deadline = time.monotonic() + 1
    with benchmark.benchmarked(process) as record:
        while time.monotonic() < deadline and not until():
            time.sleep(0.01)
    return record.get_benchmarks()


def test_clients_are_not_looked_at_and_have_a_wall_time(changed, start, caplog):
    seconds, _, memory, *_ = measured(start(client.__file__))
    assert (changed, memory) == ([], "NA")
    assert seconds >= 1
    assert not caplog.records


def test_other_jobs_are_measured_once_they_have_lasted_a_while(changed, start):
    process = start()
    _, _, memory, *_ = measured(process, until=lambda: len(changed) > 1)
    assert set(changed) == {process}
    assert memory > 1


def test_a_snakemake_with_other_names_is_left_as_it_is():
    names = {"BenchmarkTimer": type("BenchmarkTimer", (), {"work": 1}), "BenchmarkRecord": object}
    leave_out_clients(SimpleNamespace(**names))
    leave_out_clients(SimpleNamespace())
    assert names["BenchmarkTimer"].work == 1


def test_a_process_that_has_ended_is_not_a_client():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not is_client(process.pid)
