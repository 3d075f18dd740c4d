import re
import resource
import signal
import time

import pytest

from genome.limits import OverLimitError, limited


def test_limited_stops_a_long_block_and_restores_signals():
    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGPROF)
    with pytest.raises(OverLimitError, match=r"takes more than 0\.05 s"), limited(0.05):
        re.search("(a+)+$", "a" * 60 + "b")
    assert (resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGPROF)) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_limited_stops_a_block_that_uses_too_much_memory():
    started = time.process_time()
    with pytest.raises(OverLimitError, match="uses more than 512 MB"), limited():
        "x" * 10**10
    assert time.process_time() - started < 1
    assert len("x" * 10**6) == 10**6


def test_limited_inside_limited_keeps_the_outer_limit():
    def nested():
        with limited(10):
            re.search("(a+)+$", "a" * 60 + "b")

    with pytest.raises(OverLimitError, match=r"0\.05"), limited(0.05):
        nested()
