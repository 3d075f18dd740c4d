"""Nothing is sent twice and nothing is lost: over interruptions, failures, and files that are made again."""

import json
import os
from pathlib import Path

import pytest
from filelock import FileLock

from genome.errors import GenomeError
from genome.tracking import sending
from genome.tracking.sending import FOLDER, Sender
from tracking.worlds import NAME, Memory, path_of, run_of, write_generation, write_test

RECORD = FOLDER / f"memory/{NAME}.json"


@pytest.fixture(autouse=True)
def tracker(tmp_path, monkeypatch) -> Memory:
    """Work in an empty folder, with one tracker."""
    monkeypatch.chdir(tmp_path)
    found = Memory()
    monkeypatch.setattr(sending, "TRACKERS", {"memory": lambda settings: found})
    return found


def send(run=None, settings=None, **options) -> int:
    """Send a run by another sender than before, as another process would."""
    sender = Sender("memory", settings or {}, **options)
    number = sender.send([run or run_of()])
    sender.close()
    return number


def write(*steps: int, score: float = 0.5) -> None:
    for step in steps:
        write_generation(path_of(step), score, score / 2)


def test_generations_are_sent_once_and_in_order(tracker):
    write(1, 0)
    assert send() == 1
    write(2)
    assert (send(), send()) == (1, 0)
    assert tracker.steps() == [0, 1, 2]


def test_one_sender_sends_what_comes_while_it_lives(tracker):
    sender = Sender("memory", {})
    for step in range(3):
        assert sender.send([run_of()]) == bool(step)
        write(step)
    assert [sender.send([run_of()]), sender.send([run_of()])] == [1, 0]
    assert tracker.steps() == [0, 1, 2]


def test_a_run_without_files_is_not_begun(tracker):
    assert send() == 0
    assert not tracker.logged


def test_a_file_that_is_made_again_with_the_same_bytes_is_not_sent_again(tracker):
    write(0, 1)
    send()
    Path(path_of(1)).unlink()
    send()
    write(1)
    assert send() == 0
    assert tracker.steps() == [0, 1]


def test_a_run_that_is_computed_again_is_another_run(tracker):
    write(0, 1)
    send()
    write(1, score=0.75)
    assert send() == 1
    assert (tracker.steps("key0"), tracker.steps("key1")) == ([0, 1], [0, 1])


def test_files_that_jobs_will_replace_are_not_sent_as_they_are(tracker):
    write(0, 1)
    write_test(NAME, 0.5)
    test = f"results/test/t/{NAME}/scores.json"
    sender = Sender("memory", {}, {path: Path(path).stat().st_mtime_ns for path in (path_of(1), test)})
    sender.send([run_of()])
    assert (tracker.steps(), tracker.given["key0"]) == ([0], {})
    write(1, score=0.75)
    os.utime(path_of(1), ns=(1, 1))
    sender.send([run_of()])
    assert (tracker.steps(), tracker.given["key0"]) == ([0, 1], {})


def test_another_place_gets_everything(tracker):
    write(0)
    send(settings={"uri": "here"})
    assert send(settings={"uri": "there"}) == 1
    assert tracker.steps("key1") == [0]


def test_settings_with_a_password_are_not_kept(tracker):
    write(0)
    send(settings={"uri": "http://me:secret@host"})
    assert tracker.steps() == [0]
    assert "secret" not in RECORD.read_text()


def test_a_run_that_was_deleted_at_the_tracker_is_sent_again(tracker):
    write(0, 1)
    send()
    tracker.logged.clear()
    write(2)
    send()
    assert tracker.steps("key1") == [0, 1, 2]


def test_results_are_sent_when_they_are_there_and_when_they_change(tracker):
    write(0, 1, 2)
    send()
    write_test(NAME, 0.5)
    assert (send(), send()) == (1, 0)
    assert tracker.given["key0"] == {"test/t/best": (2, 0.5)}
    write_test(NAME, 0.25)
    assert send() == 1
    assert tracker.given["key0"] == {"test/t/best": (2, 0.25)}
    assert tracker.closed == [("key0", False), ("key0", True), ("key0", True)]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("failure", ["open", "log 0", "log 1", "results"])
def test_after_a_failure_the_rest_is_sent(tracker, streams, failure):
    tracker.streams, tracker.fails = streams, failure
    write(0, 1, 2)
    write_test(NAME, 0.5)
    with pytest.raises(ConnectionError):
        send()
    tracker.fails = None
    assert send() == 1
    assert {*tracker.steps()} == {0, 1, 2}
    assert tracker.given["key0"] == {"test/t/best": (2, 0.5)}


def test_a_tracker_that_streams_is_not_sent_a_generation_twice_after_a_failure(tracker):
    tracker.streams, tracker.fails = True, "log 1"
    write(0, 1)
    with pytest.raises(ConnectionError):
        send()
    tracker.fails = None
    send()
    assert tracker.steps() == [0, 1]


def test_a_tracker_that_streams_is_open_until_the_run_is_finished(tracker):
    tracker.streams = True
    sender = Sender("memory", {})
    write(0, 1, 2)
    sender.send([run_of()])
    assert not tracker.closed
    write_test(NAME, 0.5)
    sender.send([run_of()])
    assert tracker.closed == [("key0", True)]


def test_runs_that_are_not_finished_are_closed_with_the_sender(tracker):
    tracker.streams = True
    write(0)
    send()
    assert tracker.closed == [("key0", False)]


def test_a_file_that_cannot_be_read_does_not_keep_other_runs_from_being_sent(tracker):
    other = "t/genome/n2/seed2"
    Path(path_of(0)).parent.mkdir(parents=True)
    Path(path_of(0)).write_text("{}")
    write_generation(path_of(0, other), 0.5)
    with pytest.raises(GenomeError, match=f"{path_of(0)}: "):
        Sender("memory", {}).send([run_of(), run_of(name=other)])
    assert [name for key, name in tracker.names.items() if tracker.logged[key]] == [other]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"to": "", "key": "", "generations": {"a": ""}, "results": {}}'])
def test_a_broken_note_of_what_was_sent_is_named(content):
    write(0)
    RECORD.parent.mkdir(parents=True)
    RECORD.write_text(content)
    with pytest.raises(GenomeError, match=f"{RECORD}: .*; delete the file to have it made again"):
        send()


def test_two_processes_do_not_send_at_once(tracker, monkeypatch):
    monkeypatch.setattr(sending, "PATIENCE", 0.01)
    write(0)
    send()
    with FileLock(FOLDER / ".lock"), pytest.raises(GenomeError, match="another process sends from this folder"):
        send()


def test_what_was_sent_is_a_file_for_people(tracker):
    write(0)
    send()
    kept = json.loads(RECORD.read_text())
    assert (kept["key"], [*kept["generations"]]) == ("key0", ["0"])
