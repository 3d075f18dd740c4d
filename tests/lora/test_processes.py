"""Functions computed in forked processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genome.errors import GenomeError
from genome.lora import processes
from genome.lora.processes import in_processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


@pytest.fixture(autouse=True)
def two(monkeypatch):
    monkeypatch.setattr(processes, "PROCESSES", 2)


def test_results_have_the_order_of_the_arguments_and_come_from_other_processes():
    def work(number):
        time.sleep(0.05 * (number % 2))
        return number, os.getpid()

    results = list(in_processes(work, range(9)))
    assert [number for number, _ in results] == list(range(9))
    assert len({process for _, process in results} - {os.getpid()}) == 2


def test_no_more_is_computed_than_is_soon_requested(tmp_path):
    results = in_processes(lambda number: (tmp_path / str(number)).touch(), range(50))
    next(results)
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) <= 4
    results.close()


def test_an_error_is_raised_where_its_result_is_requested():
    def work(number):
        if number == 1:
            raise GenomeError("expert math: not finite")
        return number

    results = in_processes(work, range(3))
    assert next(results) == 0
    with pytest.raises(GenomeError, match="expert math: not finite"):
        next(results)


def running(process):
    """Return whether a process has not ended; one that waits to be collected by its parent has no command."""
    try:
        return Path("/proc", process, "cmdline").read_text() != ""
    except FileNotFoundError:
        return False


def test_processes_end_with_a_job_that_is_killed(tmp_path):
    code = (
        "import os, sys, time\n"
        "from genome.lora.processes import in_processes\n"
        "def work(number):\n"
        "    open(os.path.join(sys.argv[1], str(os.getpid())), 'w').close()\n"
        "    time.sleep(600)\n"
        "list(in_processes(work, range(1)))\n"
    )
    job = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + 60
    while not (started := list(tmp_path.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job.send_signal(signal.SIGKILL)
    job.wait()
    while running(started[0].name):
        assert time.monotonic() < deadline
        time.sleep(0.02)
