"""Jobs side by side that share an engine."""

import pytest

from genome.forecast.times import side_by_side


def test_one_job_after_another_takes_the_sum():
    assert side_by_side(7, 60, 30, 1) == pytest.approx(90)


def test_many_jobs_take_the_time_of_the_engine():
    assert side_by_side(1000, 60, 30, 100) == pytest.approx(60, rel=0.01)


def test_jobs_without_an_engine_share_their_time():
    assert side_by_side(10, 0, 30, 3) == pytest.approx(10)


def test_more_cores_than_jobs_change_nothing():
    assert side_by_side(3, 60, 30, 3) == side_by_side(3, 60, 30, 10**9)


def test_nothing_takes_no_time():
    assert side_by_side(0, 0, 0, 4) == side_by_side(3, 0, 0, 4) == 0


@pytest.mark.parametrize("cores", [2, 3, 5])
@pytest.mark.parametrize("own", [10, 60, 200])
def test_time_lies_between_the_bounds_of_operational_analysis(cores, own):
    taken = side_by_side(100, 60, own, cores)
    assert max(60, (60 + own) / cores) <= taken <= 60 + own
