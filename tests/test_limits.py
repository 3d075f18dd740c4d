import re
import resource
import signal
import time

import pytest

from genome.limits import OverLimitError, limited


def test_a_block_that_takes_too_long_is_stopped_and_nothing_is_left_behind():
    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGPROF)
    with pytest.raises(OverLimitError, match=r"takes more than 0\.05 s"), limited(0.05):
        re.search("(a+)+$", "a" * 60 + "b")
    assert (resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGPROF)) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_a_block_that_asks_for_too_much_is_stopped_at_once():
    started = time.process_time()
    with pytest.raises(OverLimitError, match="asks for more than 512 MB"), limited():
        "x" * 10**10
    assert time.process_time() - started < 1
    assert len("x" * 10**6) == 10**6


def test_a_block_within_another_keeps_the_outer_limit():
    def nested():
        with limited(10):
            re.search("(a+)+$", "a" * 60 + "b")

    with pytest.raises(OverLimitError, match=r"0\.05"), limited(0.05):
        nested()
