"""Many runs on several engines, with jobs, engines and the main process killed: a short form of benchmarks/large.py."""

import importlib.util
import sys

import pytest

from workflow.conftest import PROJECT

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def large():
    spec = importlib.util.spec_from_file_location("large", PROJECT / "benchmarks/large.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["large"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["large"]


def test_runs_on_several_engines_lose_nothing_when_parts_are_killed(large, trained, tmp_path):
    measured, gone = large.simulated(tmp_path, runs=40, engines=4, kills=5, every=1.5, seconds=0.01, trained=trained)
    assert measured.kills == dict.fromkeys(("job", "engine", "main process", "script", "supervisor"), 1)
    assert (gone, measured.problems) == (0, [])
    assert measured.starts == 2
    assert 0 < measured.planning < measured.processor
