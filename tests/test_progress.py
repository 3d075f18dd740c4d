"""Lines of progress: when they come, and what they say."""

import logging
import threading
import time

import pytest

from genome import progress
from genome.jobs import job
from genome.progress import Progress


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_line_has_done_of_total_rate_and_remaining_time(clock):
    one = Progress("samples", clock=clock)
    with one.working(2000):
        clock.now += 30
        one.add(400)
        assert one.line() == "400 of 2,000 samples in 30 s, 13 samples/s, 2 min left"
        clock.now += 7170
        one.add(1)
        assert one.line() == "401 of 2,000 samples in 2.0 h, 0.056 samples/s, 8.0 h left"


def test_line_before_the_first_answer_has_no_rate(clock):
    one = Progress("samples", clock=clock)
    with one.working(2000):
        clock.now += 15
        assert one.line() == "0 of 2,000 samples in 15 s"


def test_earlier_answers_count_as_done_and_not_in_the_rate(clock):
    one = Progress("samples", clock=clock)
    with one.working(1000, earlier=800):
        clock.now += 20
        one.add(100)
        assert one.line() == "900 of 1,000 samples in 20 s, 5 samples/s, 20 s left"


def test_time_between_two_pieces_of_work_does_not_count(clock):
    one = Progress("samples", clock=clock)
    for _ in range(2):
        with one.working(100):
            clock.now += 10
            one.add(100)
        clock.now += 500
    assert one.line() == "200 of 200 samples in 20 s, 10 samples/s, 0 s left"


def test_planned_total_counts_where_it_is_more_than_what_was_asked(clock):
    one = Progress("samples", clock=clock)
    one.plan(400)
    with one.working(100):
        clock.now += 10
        one.add(100)
        assert one.line() == "100 of 400 samples in 10 s, 10 samples/s, 30 s left"
    with one.working(500):
        assert one.line().startswith("100 of 600 samples")


def test_training_shows_loss_and_tokens(clock):
    one = Progress("steps", rated="tokens", clock=clock)
    with one.working(40):
        clock.now += 60
        one.add(1, 3000, "loss 2.345")
        one.add(1, 3000, "loss 1.250")
        assert one.line() == "2 of 40 steps in 60 s, loss 1.250, 100 tokens/s, 19 min left"


def said(caplog):
    return [record.getMessage() for record in caplog.records]


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_lines_come_while_nothing_is_answered(monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS", 0.05)
    one = Progress("samples")
    with caplog.at_level(logging.INFO, "genome"), one.working(10):
        wait_until(lambda: len(said(caplog)) >= 3)
    assert {line.partition(" in ")[0] for line in said(caplog)} == {"0 of 10 samples"}


def test_short_work_logs_nothing_and_leaves_no_thread(caplog):
    one, before = Progress("samples"), threading.active_count()
    with caplog.at_level(logging.INFO, "genome"):
        for _ in range(50):
            with one.working(1):
                one.add(1)
    wait_until(lambda: threading.active_count() <= before)
    assert said(caplog) == []


def test_many_short_pieces_of_work_log_too(monkeypatch, caplog):
    """As of a search that asks for one candidate after the other."""
    monkeypatch.setattr(progress, "SECONDS", 0.1)
    one = Progress("samples")
    with caplog.at_level(logging.INFO, "genome"):
        started = time.monotonic()
        while len(said(caplog)) < 2:
            assert time.monotonic() - started < 20
            with one.working(5):
                one.add(5)
                time.sleep(0.02)


def test_work_of_several_threads_is_one_progress(monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS", 0.1)
    one, ended = Progress("samples"), threading.Event()

    def work():
        with one.working(10):
            ended.wait(20)

    threads = [threading.Thread(target=work) for _ in range(8)]
    with caplog.at_level(logging.INFO, "genome"):
        for each in threads:
            each.start()
        wait_until(lambda: said(caplog) and said(caplog)[-1].startswith("0 of 80 "))
        ended.set()
        for each in threads:
            each.join()
    assert len(said(caplog)) < 8


def test_progress_of_a_job_is_in_its_log_and_on_the_terminal(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "SECONDS", 0.05)
    (tmp_path / "logs/runs/sums").mkdir(parents=True)
    with job("logs/runs/sums/generation_3.log"), Progress("samples").working(7):
        wait_until(lambda: "of 7" in (tmp_path / "logs/runs/sums/generation_3.log").read_text())
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "runs/sums/generation_3: 0 of 7 samples in 0 s"
    logged = (tmp_path / "logs/runs/sums/generation_3.log").read_text().splitlines()[0]
    assert logged.partition(" ")[2] == "0 of 7 samples in 0 s"
