"""Names of runs and tests: they print and parse."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome.errors import GenomeError
from genome.workflow.names import RunName, TestName

TASKS = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=12)
VARIANTS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)
RUNS = st.builds(
    RunName,
    st.lists(TASKS, min_size=1, max_size=4).map(tuple),
    VARIANTS,
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(0, 2**63),
)


@given(RUNS)
def test_printed_run_name_parses_to_the_same_run(run):
    assert RunName.parse(str(run)) == run


@given(st.text(string.ascii_letters + string.digits + "_+-/", max_size=40))
def test_parsed_run_name_prints_as_the_same_text(text):
    try:
        run = RunName.parse(text)
    except GenomeError:
        return
    assert str(run) == text


@given(TASKS, RUNS)
def test_path_of_a_test_file_parses_to_its_test(task, run):
    test = TestName("../other/results", task, run)
    assert TestName.of(f"{test.folder}/scores.json") == test


@pytest.mark.parametrize(
    "text", ["sums", "sums/genome/n0", "sums/genome/n4/seed007", "sums/genome/seed1/n4", "a/b/c/d/e"]
)
def test_text_that_is_not_a_run_name_is_refused(text):
    with pytest.raises(GenomeError, match="expected TASKS/VARIANT"):
        RunName.parse(text)


def test_a_file_outside_of_tests_is_refused():
    with pytest.raises(GenomeError, match="is not in a folder RESULTS/test/TASK/RUN"):
        TestName.of("results/runs/sums/genome/n4/seed1/scores.json")


def test_run_in_the_static_folder_is_static():
    assert RunName.parse("static/dare_ties/seed1").is_static
    assert not RunName.parse("sums/dare_ties/seed1").is_static
